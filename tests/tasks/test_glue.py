"""GLUE: the official files as they are laid out, and what may be wrong in them."""

from __future__ import annotations

import numpy as np
import pytest

from albertkit.errors import DataError
from albertkit.tasks.glue import GLUE, GlueTask
from albertkit.tasks.registry import find_file, open_task
from albertkit.tasks.tables import Row

MNLI = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\t"
    "sentence1\tsentence2\tlabel1\tgold_label\n"
)

FILES = {
    "cola": ("gj04\t1\t\tThey \"sailed.\ngj04\t0\t*\tThem sailed.\n", ("0", 'They "sailed.', None, "1")),
    "sst-2": ("sentence\tlabel\n\"fun \t1\nsad \t0\n", ("0", '"fun ', None, "1")),
    "mrpc": ("\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tA.\tB.\n0\t7\t9\tA.\tC.\n", ("0", "A.", "B.", "1")),
    "sts-b": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n4\tg\tf\t2012\t1\tn\tn\tA\tB\t2.500\n",
        ("4", "A", "B", 2.5),
    ),
    "qqp": ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n9\t1\t2\tA?\tB?\t0\n", ("9", "A?", "B?", "0")),
    "mnli": (MNLI + "3\t4\t4n\tg\t(\t(\t(\t(\tA\tB\tneutral\tneutral\n", ("3", "A", "B", "neutral")),
    "qnli": ("index\tquestion\tsentence\tlabel\n0\tA?\tB.\tnot_entailment\n", ("0", "A?", "B.", "not_entailment")),
    "rte": ("index\tsentence1\tsentence2\tlabel\n0\tA\tB\tentailment\n", ("0", "A", "B", "entailment")),
    "wnli": ("index\tsentence1\tsentence2\tlabel\n0\tA\tB\t1\n", ("0", "A", "B", "1")),
    "ax": ("index\tsentence1\tsentence2\n5\tA\tB\n", ("5", "A", "B", None)),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in GLUE if name != "mnli-mm"])
def test_official_files_are_read(write, name):
    content, wanted = FILES[name]
    example = open_task(name).read(write("train.tsv", content))[0]
    assert (example.id, example.text, example.text_pair, example.label) == wanted


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("sst-2", "sentence\tlabel\na\t1\nb\n", "1 for 2 in .*dev.tsv, line 3"),
        ("sst-2", "sentence\tlabel\na\t2\n", "one of 0, 1; received '2' in .*dev.tsv, line 2"),
        ("sst-2", "good\t1\nbad\t0\n", "must have the column text; received the columns good, 1"),
        ("sst-2", "sentence\tlabel\n", "at least one example"),
        ("cola", "gj04\t1\t\tA.\ngj04\t0\tThem.\n", "3 for 4 in .*dev.tsv, line 2"),
        ("cola", "gj04\t1\tA.\n", "3 for 4 in .*dev.tsv, line 1"),
        ("rte", "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tneutral\n", "entailment, not_entailment; received 'neutral'"),
        ("rte", "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tentailment\n0\tC\tD\tentailment\n", "ids must differ"),
        ("rte", "index\tsentence1\tlabel\n0\tA\tentailment\n", "examples of rte must be pairs"),
        ("sts-b", "sentence1\tsentence2\tscore\nA\tB\t5.1\n", "from 0 to 5; received 5.1 in .*line 2"),
        ("sts-b", "sentence1\tsentence2\tscore\nA\tB\t-0.1\n", "from 0 to 5; received -0.1 in"),
        ("sts-b", "sentence1\tsentence2\tscore\nA\tB\tx\n", "must be a number"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named(write, name, content, message):
    with pytest.raises(DataError, match=message):
        open_task(name).read(write("dev.tsv", content))


def test_short_rows_of_qqp_are_left_out_with_a_warning(write):
    path = write("train.tsv", FILES["qqp"][0] + "10\t3\t4\tA\n11\t3\t4\tC?\tD?\t1\n")
    with pytest.warns(UserWarning, match=r"left out: 4 cells for 6 in .*train\.tsv, line 3"):
        assert [example.id for example in open_task("qqp").read(path)] == ["9", "11"]


def test_tests_of_cola_have_a_header_and_no_labels(write):
    (example,) = open_task("cola").read(write("test.tsv", "index\tsentence\n3\tBill whistled.\n"))
    assert (example.id, example.text, example.label) == ("3", "Bill whistled.", None)


def test_rows_of_the_hub_have_other_names(write):
    (example,) = open_task("mrpc").read(write("t.jsonl", '{"sentence1": "A", "sentence2": "B", "label": "equivalent", "idx": 3}'))
    assert (example.id, example.text_pair, example.label) == ("3", "B", "1")
    (example,) = open_task("mnli").read(write("t.jsonl", '{"premise": "A", "hypothesis": "B", "label": "neutral", "idx": 3}'))
    assert (example.text, example.label) == ("A", "neutral")


def test_numbers_of_a_test_set_of_the_hub_are_none(monkeypatch):
    cells = {"sentence1": "A", "sentence2": "B", "label": -1.0}
    monkeypatch.setattr("albertkit.tasks.glue.read_rows", lambda source: iter([Row(f"{source}, row 1", cells)]))
    assert open_task("sts-b").read("datasets:nyu-mll/glue/stsb@test")[0].label is None
    with pytest.raises(DataError, match="from 0 to 5; received -1"):
        open_task("sts-b").read("t.jsonl")


def test_labels_and_metrics():
    assert open_task("mnli").labels == ("contradiction", "entailment", "neutral")
    assert open_task("mnli-mm").labels == open_task("ax").labels == open_task("mnli").labels
    assert open_task("sts-b").problem_type == "regression"
    assert {name: open_task(name).metrics[0] for name in GLUE} == {
        "cola": "matthews_correlation", "sst-2": "accuracy", "mrpc": "accuracy", "sts-b": "pearson", "qqp": "accuracy",
        "mnli": "accuracy", "mnli-mm": "accuracy", "qnli": "accuracy", "rte": "accuracy", "wnli": "accuracy",
        "ax": "matthews_correlation",
    }  # fmt: skip


def test_always_the_commonest_answer_has_no_correlation(write):
    task = GlueTask.named("cola")
    examples = task.read(write("dev.tsv", FILES["cola"][0] + "gj04\t1\t\tA.\n"))
    given = [{"id": str(i), "label": label, "probabilities": {}} for i, label in enumerate("101")]
    scores = task.score(examples, given)
    assert scores.values == {"matthews_correlation": pytest.approx(1.0), "accuracy": 1.0}
    assert scores.baseline == 0.0


@pytest.mark.parametrize(
    ("name", "file", "number", "share"),
    [
        ("sst-2", "SST-2/dev.tsv.xz", 872, 444 / 872),
        ("cola", "CoLA/train.tsv.xz", 8551, 6023 / 8551),
        ("cola", "CoLA/dev.tsv.xz", 1043, 721 / 1043),
        ("rte", "RTE/dev.tsv.xz", 277, 146 / 277),
        ("mrpc", "MRPC/msr_paraphrase_test.txt.xz", 1725, 1147 / 1725),
        ("mnli", "XNLI/dev-en.tsv.xz", 2490, 1 / 3),
    ],
)
def test_real_files_are_read_whole(shared_data, name, file, number, share):
    task = open_task(name)
    examples = task.read(shared_data / "glue" / file)
    assert len(examples) == number
    _, counts = np.unique([example.label for example in examples], return_counts=True)
    assert counts.max() / number == pytest.approx(share)


def test_real_scores_and_tests(shared_data):
    folder = shared_data / "glue" / "STS-B"
    task = open_task("sts-b")
    dev = task.read(find_file("sts-b", folder, "eval"))
    assert len(dev) == 1500
    assert (min(example.label for example in dev), max(example.label for example in dev)) == (0.0, 5.0)
    test = task.read(find_file("sts-b", folder, "test"))
    assert (len(test), {example.label for example in test}) == (1379, {None})
