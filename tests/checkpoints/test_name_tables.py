"""Tables of names: both ways, numbers, and what has no row."""

from __future__ import annotations

import numpy as np
import pytest

from albertkit.checkpoints.name_tables import NameTable, Row
from albertkit.errors import CheckpointError

TABLE = NameTable(
    [
        Row("layers.{group}.{inner}.weight", "group_{group}/inner_{inner}/kernel", transposed=True),
        Row("layers.{group}.{inner}.bias", "group_{group}/inner_{inner}/bias"),
        Row("pooler.weight", "pooler"),
    ]
)


def test_names_and_orientation_go_both_ways():
    kernel = np.arange(6.0).reshape(2, 3)
    tensors = {"group_0/inner_12/kernel": kernel, "group_10/inner_1/bias": np.ones(3), "pooler": kernel}
    renamed = TABLE.to_contract(tensors)
    assert list(renamed.parameters) == ["layers.0.12.weight", "layers.10.1.bias", "pooler.weight"]
    assert np.shares_memory(renamed.parameters["layers.0.12.weight"], kernel)
    np.testing.assert_array_equal(renamed.parameters["layers.0.12.weight"], kernel.T)
    back = TABLE.from_contract(renamed.parameters)
    assert list(back) == list(tensors)
    for name, array in tensors.items():
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize(
    "name", ["group_00/inner_1/bias", "group_/inner_1/bias", "group_٣/inner_1/bias", "group_{group}/inner_{inner}/bias", "Pooler"]
)
def test_a_name_of_another_spelling_is_unknown(name: str):
    renamed = TABLE.to_contract({name: np.ones(1), "pooler": np.ones(1)})
    assert renamed.unknown == (name,)
    assert list(renamed.parameters) == ["pooler.weight"]


def test_a_parameter_that_the_format_lacks_is_refused():
    with pytest.raises(CheckpointError, match=r"must have a name in the format.*received classifier\.bias"):
        TABLE.from_contract({"classifier.bias": np.ones(1)})


@pytest.mark.parametrize("rows", [[Row("a", "x"), Row("a", "y")], [Row("a", "x"), Row("b", "x")]])
def test_no_name_stands_twice(rows: list[Row]):
    with pytest.raises(ValueError, match="stands twice"):
        NameTable(rows)
