"""Each rule takes the forms it names, and leaves running text alone."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from albertkit.data.corpus import Corpus, read_texts
from albertkit.data.filters import exclude_paragraphs
from albertkit.data.options import EXCLUDABLE

LISTS = [
    "- milk", "* milk and honey.", "• Milch", "· 우유", "– Milch", "+ milk", "1. First of all.", "12) twelfth", "(3) third",
    "(a) one", "b) two", "iv. four", "BULLET::::- Milk", "NUMBERED::::1. Milk",
]  # fmt: skip
TABLES = [
    "| a | b |", "{| class=wikitable", "|-", "name | age | town", "a\tb\tc", "+----+----+", "|---|:--:|", "------", "<td>4</td>",
    "<TABLE>", "</tr>",
]  # fmt: skip
HEADERS = [
    "= Robert Boulter =", "== Early life ==", "# Title", "### A Longer Title", "<h2>History</h2>", "Section::::Career.",
    "Chapter IV", "THE OLD HOUSE", "History.", "Early life.", "2010–2015", "역사", "Life and death of a king in ten short words",
]  # fmt: skip
TEXT = [
    "The man was old. So was she.", "“Yes!”", "Where to?", "a line of verse without an end",
    "— Bonjour, dit-il.", "Mr. Smith went home early that day.", "5 men went to mow a meadow.",
    "-40 degrees were measured there.",
    "P(A|B) is not P(B|A), as everybody ought to know.", "One | of them was here, and nobody else at all.",
    "*Hardly* anybody knows that this is emphasis.", "#metoo began to trend in the autumn of 2017.",
    "I. was the letter on the door?",
    "She came from the north, where rivers freeze in winter and wolves come down to the villages", "i is the imaginary unit.",
    "他是一位作家。",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "paragraphs"), [("lists", LISTS), ("tables", TABLES), ("headers", HEADERS)])
def test_a_rule_takes_what_it_names(kind: str, paragraphs: list[str]) -> None:
    kept, counts = exclude_paragraphs([*paragraphs, *TEXT[:3]], [kind])
    assert kept == TEXT[:3]
    assert counts == {kind: len(paragraphs)}
    assert exclude_paragraphs(paragraphs, EXCLUDABLE)[0] == []
    assert exclude_paragraphs(paragraphs, []) == (paragraphs, {})


def test_running_text_stays() -> None:
    kept, counts = exclude_paragraphs(TEXT, EXCLUDABLE)
    assert kept == [paragraph for paragraph in TEXT if paragraph != "I. was the letter on the door?"]
    assert counts == {"lists": 1}  # a letter or numeral with a full stop in front of a line is taken for a number


@pytest.mark.parametrize("paragraph", ["a\t" * 100_000, "| " * 100_000, "a |" * 100_000, "= " * 100_000, "-" * 200_000 + "x"])
def test_time_grows_with_the_length_alone(paragraph: str) -> None:
    exclude_paragraphs([paragraph], EXCLUDABLE)


@pytest.mark.slow
def test_real_articles_keep_their_text(shared_data: Path) -> None:
    articles = list(islice(Corpus([shared_data / "wiki-en"]), 2000))
    for kind, most in (("lists", 0.02), ("tables", 0.001), ("headers", 0.02)):
        paragraphs = [paragraph for article in articles for paragraph in article]
        kept, counts = exclude_paragraphs(paragraphs, [kind])
        taken = sum(map(len, paragraphs)) - sum(map(len, kept))
        assert 0 <= taken <= most * sum(map(len, paragraphs))
        assert kind == "tables" or counts[kind] > 10
    lines = list(read_texts([shared_data / "wikitext-2"]))
    kept, _ = exclude_paragraphs(lines, ["headers"])
    assert not [line for line in kept if line.startswith("=") and line.endswith("=")]
    assert sum(map(len, kept)) > 0.97 * sum(map(len, lines))
