"""Write the golden file of SQuAD's scores: what the rules of 2.0, as transformers 4.57.6 has them, give for made-up answers.

Run in an environment of its own, from the root of the repository:

    python -m venv golden && golden/bin/pip install transformers==4.57.6 numpy
    golden/bin/python tools/make_squad_scores_golden.py --output tests/golden

Questions, answers and odds are random from a seed; no real text is in them. (SQuAD 1.1's rules are tested against torchmetrics.)
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

WORDS = (
    "the", "The", "a", "an", "AN", "cat", "Cat's", "dog.", "(1992)", "3.5", "U.S.", "theatre", "a-the", "…", "“quoted”", "naïve",
    "nai\u0308ve", "İstanbul", "ΣΟΦΟΣ", "Straße", "ﬁg", "東京", "\u00a0", "\u2009", "\u200b", "—", "-", "the,", "½", "\x1c",
)  # fmt: skip

SETS = ("perfect", "empty", "broken", "random", "changed", "half")
"""How the answers of each set are made."""

QUESTIONS = 90


def make_text(rng: random.Random) -> str:
    """One to five words, at times with odd white space."""
    return rng.choice((" ", " ", "  ", "\t")).join(rng.choices(WORDS, k=rng.randint(1, 5)))


def make_answer(kind: str, golds: list[str], rng: random.Random) -> str:
    """An answer of a set of this kind."""
    gold = rng.choice(golds) if golds else ""
    if kind == "half":
        kind = rng.choice(SETS[:-1])
    changed = " ".join(gold.upper().split(" ")[:: rng.choice((1, -1))][: rng.randint(1, 4)]) + rng.choice(("", ".", " the"))
    return {"perfect": gold, "empty": "", "broken": "\ufffd?", "random": make_text(rng), "changed": changed}[kind]


def make_case(kind: str, seed: int) -> dict[str, Any]:
    """Questions with right and given answers, null odds, and what transformers says of them."""
    from transformers.data.metrics.squad_metrics import squad_evaluate

    rng = random.Random(seed)
    golds = [[make_text(rng) for _ in range(rng.randint(0, 3))] for _ in range(QUESTIONS)]
    given = [make_answer(kind, answers, rng) for answers in golds]
    odds = [round(rng.gauss(-1.0 if answers else 1.0, 2.0), 3) for answers in golds]
    examples = [
        SimpleNamespace(qas_id=str(number), answers=[{"text": text} for text in answers]) for number, answers in enumerate(golds)
    ]
    threshold = rng.choice((0.0, 0.5, -1.0))
    found = squad_evaluate(
        examples,
        {str(number): answer for number, answer in enumerate(given)},
        {str(number): value for number, value in enumerate(odds)},
        threshold,
    )
    scores = {name: value for name, value in found.items() if "total" not in name}
    return {"kind": kind, "golds": golds, "given": given, "odds": odds, "threshold": threshold, "scores": scores}


def make_cases() -> Iterator[dict[str, Any]]:
    """Two cases of each kind."""
    for number, kind in enumerate(SETS * 2):
        yield make_case(kind, number)


def main() -> None:
    """Write ``squad_scores.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of golden files")
    arguments = parser.parse_args()
    manifest = {
        "made_by": "tools/make_squad_scores_golden.py",
        "date": datetime.now(UTC).date().isoformat(),
        "oracle": "transformers.data.metrics.squad_metrics.squad_evaluate",
        "versions": {"transformers": metadata.version("transformers")},
    }
    head = json.dumps(manifest, indent=1)[:-2]
    lines = ",\n".join("  " + json.dumps(case) for case in make_cases())
    (arguments.output / "squad_scores.json").write_text(f'{head},\n "cases": [\n{lines}\n ]\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
