"""The benchmark of a large file, on a small one: the memory is flat, and an interrupted run goes on."""

from __future__ import annotations

import pytest

from benchmarks import bulk


@pytest.mark.slow
def test_a_large_file_in_flat_memory(capsys, tmp_path):
    pytest.importorskip("torch")  # which keeps a kernel for each shape, unless told otherwise
    bulk.main(["--texts", "10000", "--output", str(tmp_path / "table.md")])
    printed = capsys.readouterr().out
    assert (tmp_path / "table.md").read_text().strip() == printed.strip()
    small, large = (line.strip("| ").split(" | ") for line in printed.splitlines() if "000 |" in line)
    assert [small[0], large[0]] == ["1,000", "10,000"]
    assert float(large[3]) < float(small[3]) + 40
    assert "the same bytes as in one go" in printed
