"""Write the golden file of question answering: what transformers 4.57.6, which still had the pipeline, answers on real text.

Run in an environment of its own, from the root of the repository:

    python -m venv golden && golden/bin/pip install transformers==4.57.6 torch sentencepiece protobuf numpy safetensors
    PYTHONPATH=src golden/bin/python tools/make_question_answering_golden.py --data shared/data --output tests/golden

The model is small and random, from a seed. Of real text nothing is kept but the identifiers of its questions and, for each
answer, where it starts and ends and its score. Answers that float32 could rank either way are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import tempfile
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.config import AlbertConfig
from albertkit.testing import random_parameters
from albertkit.tokenization import AlbertTokenizer

VOCABULARY = "albert-vocab/30k-clean.rebuilt.model"

MODEL = {
    "config": {
        "vocab_size": 30000, "embedding_size": 11, "hidden_size": 26, "num_attention_heads": 2, "intermediate_size": 37,
        "num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 1, "max_position_embeddings": 512,
    },
    "seed": 10,
    "head_scale": 16.0,
}  # fmt: skip
"""Sizes and seed; the head's kernel is scaled so that some answers, and sometimes none, are likely."""

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"top_k": 3},
    {"top_k": 3, "handle_impossible_answer": True},
    {"top_k": 3, "align_to_words": False},
    {"align_to_words": False, "handle_impossible_answer": True},
    {"top_k": 5, "max_seq_len": 96, "doc_stride": 32, "max_answer_len": 30},
    {"max_seq_len": 128, "handle_impossible_answer": True},
    {"top_k": 2, "max_answer_len": 3},
)
"""Taken in turn by the examples."""

VARIANTS = ("plain", "spaced", "repeated", "plain")
"""How a context is given, in turn: as it is; with odd spaces; four times over, for many windows."""

SELECTION = (
    ("squad/cs224n-dev-v2.0.json.xz", 61, 96),
    ("squad/xquad.en.json.xz", 29, 40),
    ("squad/xquad.de.json.xz", 31, 36),
    ("squad/xquad.vi.json.xz", 37, 32),
    ("squad/xquad.tr.json.xz", 41, 28),
    ("squad/mlqa.en.dev.json.xz", 43, 26),
    ("squad/tydiqa-goldp.en.dev.json.xz", 11, 40),
)
"""(file, stride, count): of its questions, every stride-th, the first so many of them."""


def vary(context: str, variant: str) -> str:
    """A context as one of :data:`VARIANTS`."""
    if variant == "spaced":
        return " \t" + context.replace(", ", ",  ").replace(". ", ".\n\n ") + "  \n"
    return "\n".join([context] * 4) if variant == "repeated" else context


def select(data: Path) -> Iterator[tuple[str, str, str, str]]:
    """(file, id, question, context) of every example of :data:`SELECTION`."""
    for name, stride, count in SELECTION:
        with lzma.open(data / name, "rt", encoding="utf-8") as file:
            paragraphs = [paragraph for article in json.load(file)["data"] for paragraph in article["paragraphs"]]
        examples = [(str(qa["id"]), qa["question"], item["context"]) for item in paragraphs for qa in item["qas"]]
        for identifier, question, context in examples[::stride][:count]:
            yield name, identifier, question, context


def save_model(directory: Path, data: Path) -> None:
    """Write the random model and its tokenizer as transformers loads them."""
    config = AlbertConfig(**MODEL["config"])
    parameters = random_parameters(config, ("question_answering",), seed=MODEL["seed"])
    parameters["qa_outputs.weight"] *= MODEL["head_scale"]
    save_checkpoint(directory, config, parameters, architecture="AlbertForQuestionAnswering")
    AlbertTokenizer(data / VOCABULARY).save_pretrained(directory)


def is_clear(answers: list[dict[str, Any]]) -> bool:
    """Whether the scores are far enough apart for their order to be certain in float32."""
    scores = [answer["score"] for answer in answers]
    return all(first - second > 1e-4 * first for first, second in pairwise(scores))


def answer(data: Path) -> Iterator[dict[str, Any]]:
    """Ask transformers every example."""
    from transformers import pipeline

    with tempfile.TemporaryDirectory() as directory, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_model(Path(directory), data)
        qa = pipeline("question-answering", model=directory, tokenizer=directory, device="cpu")
        for number, (file, identifier, question, context) in enumerate(select(data)):
            variant, options = VARIANTS[number % len(VARIANTS)], number // 2 % len(OPTIONS)
            asked = {"question": question, "context": vary(context, variant)} | OPTIONS[options]
            found = qa(**asked)
            found = found if isinstance(found, list) else [found]
            if is_clear(qa(**asked | {"top_k": len(found) + 1})):  # one more: is the last one's place certain?
                rows = [[row["start"], row["end"], float(f"{row['score']:.8g}")] for row in found]
                yield {"file": file, "id": identifier, "variant": variant, "options": options, "answers": rows}


def main() -> None:
    """Write ``question_answering.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of real data sets")
    parser.add_argument("--output", type=Path, required=True, help="folder of golden files")
    arguments = parser.parse_args()
    names = (VOCABULARY, *(name for name, _stride, _count in SELECTION))
    manifest = {
        "made_by": "tools/make_question_answering_golden.py",
        "date": datetime.now(UTC).date().isoformat(),
        "oracle": "transformers.pipeline('question-answering') with AlbertTokenizerFast and AlbertForQuestionAnswering",
        "versions": {name: metadata.version(name) for name in ("transformers", "tokenizers", "torch", "numpy")},
        "sha256": {name: hashlib.sha256((arguments.data / name).read_bytes()).hexdigest() for name in names},
        "vocabulary": VOCABULARY,
        "model": MODEL,
        "options": OPTIONS,
    }
    cases = list(answer(arguments.data))
    head = json.dumps(manifest | {"examples": len(cases)}, indent=1)[:-2]
    lines = ",\n".join("  " + json.dumps(case) for case in cases)
    (arguments.output / "question_answering.json").write_text(f'{head},\n "cases": [\n{lines}\n ]\n}}\n', encoding="utf-8")
    print(f"{len(cases)} examples written")


if __name__ == "__main__":
    main()
