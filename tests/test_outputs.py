"""Outputs behave as users of the ecosystem know them."""

from __future__ import annotations

import pytest

from albertkit import outputs
from albertkit.outputs import OUTPUT_CLASSES, AlbertForPreTrainingOutput, MaskedLMOutput, flatten, unflatten


def test_attributes_names_and_positions_skip_what_is_absent():
    output = AlbertForPreTrainingOutput(prediction_logits="p", sop_logits="s", attentions=("a",))
    assert output.prediction_logits == output["prediction_logits"] == output[0] == "p"
    assert output.keys() == ["prediction_logits", "sop_logits", "attentions"]
    assert output.to_tuple() == ("p", "s", ("a",)) == tuple(output.values())
    assert output[:2] == ("p", "s")
    assert dict(**output) == dict(output.items())
    assert list(output) == output.keys()
    assert len(output) == 3
    assert output.loss is None
    assert "loss" not in output
    assert output.get("loss", 7) == 7
    with pytest.raises(KeyError, match="prediction_logits"):
        output["loss"]


def test_loss_comes_first_when_present():
    assert MaskedLMOutput(loss=1.0, logits=2.0)[0] == 1.0


def test_every_class_is_listed():
    listed = {cls.__name__ for cls in OUTPUT_CLASSES}
    assert listed == set(outputs.__all__) - {"ModelOutput", "OUTPUT_CLASSES", "flatten", "unflatten"}


@pytest.mark.parametrize("cls", OUTPUT_CLASSES)
def test_flatten_and_unflatten_are_inverse(cls: type):
    output = cls(hidden_states=(1, 2))
    assert unflatten(cls, *flatten(output)) == output
