"""The picture of a run shows what its log says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from albertkit.errors import TrainingError
from albertkit.training.curves import draw_curves


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines: list[dict[str, Any]] = []
    for step in range(10, 1010, 10):
        lines.append({
            "event": "train", "step": step, "mlm_loss": 9 - step / 200 + step % 20 / 100, "learning_rate": 1e-3, "grad_norm": 1.0,
            "tokens": 4096 * step, "seconds": 2.0 * step,
        })  # fmt: skip
        if step % 500 == 0:
            scores = {"masked_lm_loss": 6.0, "masked_lm_accuracy": step / 5000, "sentence_order_accuracy": 0.6}
            lines.append({"event": "evaluation", "step": step, "majority_accuracy": 0.05} | scores)
            lines.append({"event": "checkpoint", "step": step, "directory": "x"})
    lines[3]["grad_norm"] = None
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_every_series_is_drawn_as_logged(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))[1])
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # which would look for a screen: importing it fails
    draw_curves(log, log.parent / "curves.png")
    loss, accuracy, rate, norm = figures[0].axes
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "held out"]
    raw, smooth, held_out = ([list(values) for values in line.get_data()] for line in loss.lines)
    assert raw == [list(range(10, 1010, 10)), [pytest.approx(9 - s / 200 + s % 20 / 100) for s in range(10, 1010, 10)]]
    assert smooth[1][50] == pytest.approx(sum(raw[1][48:53]) / 5)
    assert held_out == [[500, 1000], [6.0, 6.0]]
    drawn = {line.get_label(): list(line.get_ydata()) for line in accuracy.lines}
    assert drawn["masked LM"] == [0.1, 0.2]
    assert drawn["sentence order"] == [0.6, 0.6]
    assert list(rate.lines[0].get_ydata()) == [1e-3] * 100
    assert len(norm.lines[0].get_xdata()) == 99


def test_the_picture_is_a_png_and_appears_whole(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = log.parent / "curves.png"
    draw_curves(log, picture)
    before = picture.read_bytes()
    assert before.startswith(b"\x89PNG")

    def fill_the_disk(self: Figure, path: Path, **_: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fill_the_disk)
    with pytest.raises(TrainingError, match="No space left on device"):
        draw_curves(log, picture)
    assert picture.read_bytes() == before
    assert sorted(path.name for path in log.parent.iterdir()) == ["curves.png", "log.jsonl"]


def test_a_log_with_nothing_to_draw_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="readable file"):
        draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.png")
    (tmp_path / "log.jsonl").write_text('{"event": "checkpoint", "step": 1}\n')
    with pytest.raises(TrainingError, match="a line on training"):
        draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.png")
