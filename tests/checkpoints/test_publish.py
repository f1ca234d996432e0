"""Checkpoints sent to the hub (a stub of it) and taken back, and the card made for them."""

from __future__ import annotations

import pytest
import torch
import yaml

from albertkit import AlbertTokenizer, hub
from albertkit.checkpoints.describe import describe_checkpoint
from albertkit.checkpoints.huggingface import load_parameters, save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.checkpoints.publish import make_card, push_folder
from albertkit.errors import CheckpointError, InputError
from albertkit.hub import Source
from albertkit.models.torch import AlbertForTokenClassification
from albertkit.testing import random_parameters, tiny_config, tiny_tokenizer

NAME = "someone/tiny"


def read_header(card: str) -> dict:
    return yaml.safe_load(card.split("---")[1])


def test_what_is_pushed_comes_back_byte_by_byte_with_a_card(hub_stub, tiny_checkpoint):
    url = push_folder(tiny_checkpoint, NAME, commit_message="First", token=hub_stub.token)
    there = hub_stub.files(NAME)
    assert url == f"{hub_stub.url}/{NAME}/commit/{hub_stub.repositories[NAME].branches['main']}"
    assert sum("/commit/" in request for request in hub_stub.requests) == 1
    ours = {path.name: path.read_bytes() for path in tiny_checkpoint.iterdir()}
    assert {name: content for name, content in there.items() if name in ours} == ours
    assert there.keys() - ours.keys() == {".gitattributes", "README.md"}
    assert f'pipeline("fill-mask", model="{NAME}")' in there["README.md"].decode()
    found = hub.locate(NAME, ("model.safetensors", "spiece.model"))
    assert {name: path.read_bytes() for name, path in found.items()} == {name: ours[name] for name in found}
    assert load_parameters(NAME, tiny_config()).missing == ()


def test_a_card_that_is_there_stays(hub_stub, tiny_checkpoint, tmp_path):
    hub_stub.add(NAME, {"README.md": b"by hand"})
    push_folder(tiny_checkpoint, NAME, token=hub_stub.token)
    assert hub_stub.files(NAME)["README.md"] == b"by hand"
    save_checkpoint(tmp_path, tiny_config(), random_parameters(tiny_config()))
    (tmp_path / "README.md").write_text("# Mine")
    push_folder(tmp_path, NAME, token=hub_stub.token)
    assert hub_stub.files(NAME)["README.md"] == b"# Mine"


def test_the_tokenizer_alone_brings_no_card(hub_stub, tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.push_to_hub(NAME, token=hub_stub.token)
    assert hub_stub.files(NAME).keys() == {".gitattributes", "spiece.model", "tokenizer.json", "tokenizer_config.json"}
    text = "a b, c"
    assert AlbertTokenizer.from_pretrained(NAME)(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_a_model_and_its_tokenizer_are_pushed_by_their_own_methods(hub_stub):
    model = AlbertForTokenClassification(tiny_config(num_labels=3)).eval()
    model.push_to_hub(NAME, token=hub_stub.token)
    tiny_tokenizer().push_to_hub(NAME, token=hub_stub.token)
    assert f'AlbertForTokenClassification.from_pretrained("{NAME}")' in hub_stub.files(NAME)["README.md"].decode()
    inputs = AlbertTokenizer.from_pretrained(NAME)("a b, c", return_tensors="pt")
    again = AlbertForTokenClassification.from_pretrained(NAME)
    torch.testing.assert_close(again(**inputs).logits, model(**inputs).logits, rtol=0, atol=0)


def test_branches_pull_requests_and_private_repositories(hub_stub, tiny_checkpoint):
    push_folder(tiny_checkpoint, NAME, private=True, revision="v2", token=hub_stub.token)
    assert "model.safetensors" in hub_stub.files(NAME, "v2")
    assert "model.safetensors" not in hub_stub.files(NAME)
    with pytest.raises(CheckpointError, match="the hub answered 401"):
        hub.locate(Source(NAME, "v2"), ("config.json",))
    assert hub.locate(Source(NAME, "v2", token=hub_stub.token), ("config.json",))
    assert push_folder(tiny_checkpoint, NAME, create_pr=True, token=hub_stub.token) == f"{hub_stub.url}/{NAME}/discussions/1"
    assert "model.safetensors" not in hub_stub.files(NAME)
    with pytest.raises(InputError, match="a pull request is made against the main branch"):
        push_folder(tiny_checkpoint, NAME, create_pr=True, revision="v2", token=hub_stub.token)


def test_a_name_without_owner_is_ones_own(hub_stub, tiny_checkpoint):
    push_folder(tiny_checkpoint, "mine", token=hub_stub.token)
    assert 'model="tester/mine"' in hub_stub.files("tester/mine")["README.md"].decode()


def test_what_cannot_be_pushed_is_one_sentence(hub_stub, tiny_checkpoint, tmp_path):
    for token, status in ((None, 401), ("hf_other", 403)):
        with pytest.raises(
            CheckpointError, match=rf"{NAME} \(the hub answered {status}\); give a token= with the right to write"
        ):
            push_folder(tiny_checkpoint, NAME, token=token)
    with pytest.raises(CheckpointError, match=r"may write to; received some--one/tiny \(Cannot have"):
        push_folder(tiny_checkpoint, "some--one/tiny", token=hub_stub.token)
    with pytest.raises(CheckpointError, match=r"must hold config.json"):
        push_folder(tmp_path, NAME, token=hub_stub.token)
    hub_stub.storage_status = 403
    with pytest.raises(CheckpointError, match=rf"{NAME} \(the hub answered 403\)"):
        push_folder(tiny_checkpoint, NAME, token=hub_stub.token)
    hub_stub.stop()
    with pytest.raises(CheckpointError, match=r"someone/tiny \(.*refused\)"):
        tiny_tokenizer().push_to_hub(NAME, token=hub_stub.token)


@pytest.mark.parametrize("architecture", HEADS_OF_CLASS)
def test_the_card_says_what_the_files_show(tmp_path, architecture: str):
    config = tiny_config(num_labels=3)
    save_checkpoint(tmp_path, config, random_parameters(config, HEADS_OF_CLASS[architecture]), architecture=architecture)
    found = describe_checkpoint(tmp_path)
    card = str(make_card(found, NAME, language="en", licence="apache-2.0"))
    header = read_header(card)
    assert (header["language"], header["license"], header["library_name"]) == ("en", "apache-2.0", "albertkit")
    tasks = {"AlbertModel": "feature-extraction", "AlbertForMultipleChoice": "multiple-choice", "AlbertForMaskedLM": "fill-mask"}
    assert header["pipeline_tag"] == tasks.get(architecture, header["pipeline_tag"])
    assert header["pipeline_tag"] in header["tags"]
    assert f"{sum(found.parameters.values()):,}, heads included" in card
    assert ("`LABEL_2`" in card) == (architecture in ("AlbertForSequenceClassification", "AlbertForTokenClassification"))
    assert (f"import {architecture}, AutoTokenizer" in card) != (architecture == "AlbertForQuestionAnsweringWithAnswerability")
    assert "language" not in read_header(str(make_card(found, NAME)))


@pytest.mark.parametrize("heads", [(), ("masked_lm",), ("pooler", "masked_lm"), ("pooler", "question_answering")])
def test_a_checkpoint_that_names_no_class_has_a_card_too(tmp_path, heads: tuple):
    save_checkpoint(tmp_path, tiny_config(), random_parameters(tiny_config(), heads))
    assert "from transformers import Albert" in str(make_card(describe_checkpoint(tmp_path), "a/b"))
