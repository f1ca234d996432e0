"""Other libraries on our models and files: sentence-transformers embeds with them, peft adapts them."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model

from albertkit.models.torch import AlbertForSequenceClassification, AlbertForTokenClassification, AlbertModel
from albertkit.testing import tiny_config, tiny_tokenizer

TEXTS = ["the cat sat on the mat", "a dog", "the dog and the cat ran to the house in the rain"]


def adapt(model, **options):
    torch.manual_seed(0)
    return get_peft_model(model, LoraConfig(r=4, target_modules=["query", "value"], **options))


def train_a_step(model, inputs):
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1.0)
    model(**inputs).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_a_lora_trains_alone_and_is_loaded_again(layout, tmp_path, make_any, make_inputs, assert_near):
    config = tiny_config(num_labels=3)
    inputs = make_inputs(AlbertForTokenClassification, config, layout)
    model = adapt(make_any(AlbertForTokenClassification, config))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == {n for n in before if "lora" in n}
    first = model(**inputs).logits
    for _ in range(2):  # in the first step only B moves: it starts at 0
        train_a_step(model, inputs)
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == {name for name in before if "lora" in name}
    trained = model(**inputs).logits
    assert not torch.allclose(trained, first, atol=1e-3)
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(make_any(AlbertForTokenClassification, config), tmp_path).eval()
    assert_near(again(**inputs).logits, trained)
    assert_near(again.merge_and_unload()(**inputs).logits, trained)


def test_no_layout_skips_a_lora(packed_kind, make_any, make_inputs, flatten_output, assert_all_near):
    config = tiny_config()
    model = adapt(make_any(packed_kind, config), init_lora_weights=False)
    padded, packed = (make_inputs(packed_kind, config, layout, labelled=False) for layout in ("padded", "packed"))
    with torch.no_grad():
        expected = flatten_output(model(**padded), padded["attention_mask"].flatten(0, -2) == 1)
        assert_all_near(flatten_output(model(**packed)), expected)
        with model.disable_adapter():
            plain = flatten_output(model(**packed))
    assert all(not torch.allclose(plain[name], value) for name, value in expected.items())


def test_a_classifier_is_trained_beside_the_lora(tmp_path, make_any, make_inputs, assert_near):
    config = tiny_config(num_labels=3)
    inputs = make_inputs(AlbertForSequenceClassification, config)
    model = adapt(make_any(AlbertForSequenceClassification, config), task_type=TaskType.SEQ_CLS)
    train_a_step(model, inputs)
    expected = model(**inputs).logits
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(make_any(AlbertForSequenceClassification, config), tmp_path).eval()
    assert_near(again(**inputs).logits, expected)


def test_sentence_transformers_opens_ours_and_we_theirs(tmp_path, make_any, assert_near):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    model, tokenizer = make_any(AlbertModel, tiny_config()), tiny_tokenizer()
    model.save_pretrained(tmp_path / "ours")
    tokenizer.save_pretrained(tmp_path / "ours")
    transformer = modules.Transformer(str(tmp_path / "ours"))
    peer = SentenceTransformer(modules=[transformer, modules.Pooling(15, "mean")], device="cpu")

    def embed(model):
        batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
        mask = batch["attention_mask"][..., None]
        with torch.no_grad():
            return (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)

    received = peer.encode(TEXTS, convert_to_tensor=True)
    assert_near(received, embed(model))
    peer.save(str(tmp_path / "theirs"))
    assert_near(embed(AlbertModel.from_pretrained(tmp_path / "theirs")), received)
