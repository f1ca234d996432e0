from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albertkit.data.corpus import read_texts
from albertkit.data.sentences import split_document, split_sentences

# One case a line; | is where sentences end.
CASES = """
Mr. Smith met Dr. Jones at St. Mary's. | They left with Mrs. Day and Prof. Lee.
J. R. R. Tolkien wrote it in the U.S. Army. | He lived in the U.S. | The house is big.
John F. Kennedy spoke. | So did George W. Bush Jr. in May.
Pi is 3.14, or 22/7. | Version 2.0.1 came out at 10.30. | It works.
See No. 5 and vol. IV, pp. 3–4, fig. 2. | No. | He did not.
On Jan. 5 it rained. | In Sept. 1914 it did not. | It was so in Jan. | The rest was dry.
Many, e.g. Paris, i.e. the city, cf. Rome vs. Athens. | Done.
“He left.” she said. | “Why?” he asked. | "No!" | "Yes."
He said, "Stop it." | (She stopped.) | Then [he left.] | All (was well).
It rained... | Then it stopped… but not here. | And so on . . . and on.
Really?! | Yes!! | Well? | She said nothing.
Go! he cried. | Why? she asked.
1. Introduction to it. | 2. The end.
Er kam am 3. Oktober an. | Es war im 19. Jahrhundert. | Er wohnt z.B. Unter den Linden.
He was 19. | Then he left in 1990. | Others stayed.
Apple Inc. was there, with Sony Corp. and others. | So was Ford Motor Co. | The rest stayed.
It ended.[1] | Another began.[2][13] | The last.
你好。|“他说！”|我走了？！|是的。
今日は。|「そうですか？」|はい。
안녕하세요. | 저는 학생입니다. | 네.
Он ушёл. | Она осталась. | Да!
क्या है। | वह गया।
Hello — he said. | — She left.
no end at all
.
""".strip().splitlines()


@pytest.mark.parametrize("case", CASES)
def test_sentences_end_where_a_reader_would_say(case: str) -> None:
    expected = [sentence.strip() for sentence in case.split("|")]
    assert split_sentences(case.replace("|", "")) == expected


def test_a_question_goes_on_before_a_small_letter() -> None:
    assert split_sentences("“What?” she said. “Go!” he cried.") == ["“What?” she said.", "“Go!” he cried."]


def test_a_sentence_never_reaches_over_a_paragraph() -> None:
    assert split_document(["No end", "and. Then", " "]) == ["No end", "and.", "Then"]


@settings(max_examples=300)
@given(st.text(st.one_of(st.characters(), st.sampled_from("..!?。 \n\"”)]'ABcd12")), max_size=200))
def test_nothing_but_white_space_between_sentences_is_lost(text: str) -> None:
    rest = text
    for sentence in split_sentences(text):
        assert sentence == sentence.strip() != ""
        before, found, rest = rest.partition(sentence)
        assert found
        assert not before.strip()
    assert not rest.strip()


@pytest.mark.parametrize("unit", [".", ".)", " .", ". A. ", "。", "[1", ". (", "x", "Dr. ", ".[1]", '."'])
def test_time_grows_with_the_length_of_any_text(unit: str) -> None:
    started = time.perf_counter()
    split_sentences(unit * 100_000 + "x")
    assert time.perf_counter() - started < 5


@pytest.mark.slow
def test_real_text_is_split_into_sentences_of_usual_length_at_speed(shared_data: Path) -> None:
    texts = list(islice(read_texts([shared_data / "wiki-en"]), 20_000))
    num_bytes = sum(len(text.encode()) for text in texts)
    started = time.process_time()
    sentences = split_document(texts)
    assert num_bytes / (time.process_time() - started) >= 5e6
    assert 80 < num_bytes / len(sentences) < 140
    assert sum(sentence.endswith(("Mr.", "Dr.", "St.", "No.")) for sentence in sentences) < len(sentences) / 2000
