"""Tables, bars and marks."""

from __future__ import annotations

from albertkit.cli.display import bar, clip, mark, pad, table, width


def test_wide_and_combining_characters_keep_columns():
    assert [width(text) for text in ("cat", "日本", "e\u0301")] == [3, 4, 1]
    assert pad("日", 4) == "日  "
    lines = table([("日本", 0.5), ("cat", 0.25)])
    assert lines == ["  日本   50.0%  ████████████", "  cat    25.0%  ██████"]
    assert {width(line.partition("%")[0]) for line in lines} == {13}


def test_bars_are_never_empty_and_labels_stay_on_a_line():
    assert [bar(0), bar(-0.5), bar(1)] == ["▏", "▏", "█" * 24]
    assert clip("a\n b") == "a b"
    assert clip("日本語", 5) == "日本…"
    assert table([("x", 12.5)], "8.3f", bars=False) == ["  x    12.500"]
    assert table([]) == []


def test_marks_do_not_overlap():
    assert mark("in Paris or Rome", [(12, 16, "LOC"), (3, 8, "LOC"), (5, 9, "PER")]) == "in [Paris LOC] or [Rome LOC]"
    assert mark("in Paris", [(3, 8, "")]) == "in [Paris]"
    assert mark("none", []) == "none"
