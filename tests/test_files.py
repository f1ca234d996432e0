"""Files and directories appear whole or not at all."""

from __future__ import annotations

import pytest

from albertkit.files import new_directory, new_file


def test_a_file_appears_whole_and_replaces_the_old(tmp_path):
    path = tmp_path / "deep" / "file"
    for text in ("one", "two"):
        with new_file(path) as temporary:
            temporary.write_text(text)
            assert temporary != path
        assert path.read_text() == text
    assert [item.name for item in path.parent.iterdir()] == ["file"]


def test_a_failed_file_leaves_the_old_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), new_file(path) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "data"
    with new_directory(target) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(KeyboardInterrupt), new_directory(target) as temporary:
        (temporary / "a").write_text("2")
        raise KeyboardInterrupt
    assert (target / "a").read_text() == "1"
    with new_directory(target) as temporary:
        (temporary / "b").write_text("3")
    assert [item.name for item in target.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [target]
