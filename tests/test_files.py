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


def test_a_link_to_a_directory_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    for name, end in (("full", "disk"), ("dangling", "new"), ("circle", "circle")):
        (tmp_path / name).symlink_to(tmp_path / end)
    for name in ("full", "dangling"):
        with new_directory(tmp_path / name) as temporary:
            (temporary / name).write_text("")
    assert (tmp_path / "disk" / "full").is_file()
    assert (tmp_path / "new" / "dangling").is_file()
    with pytest.raises(OSError, match="circle"), new_directory(tmp_path / "circle"):
        pass
    assert sorted(item.name for item in tmp_path.iterdir()) == ["circle", "dangling", "disk", "full", "new"]
    assert (tmp_path / "full").is_symlink()
