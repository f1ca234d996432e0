"""Write the golden files of tokenisation: what transformers' slow AlbertTokenizer makes of real text and of our own sentences.

Run in an environment of its own, which needs no albertkit:

    python -m venv golden && golden/bin/pip install transformers==4.57.6 sentencepiece protobuf numpy
    golden/bin/python tools/make_tokenizer_golden.py --data shared/data --output tests/golden

Of real text only eight bytes a line are kept, a digest of the line's ids: nothing of the text can be read from them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np

VOCABULARIES = {
    "en": "albert-vocab/30k-clean.rebuilt.model",
    "de": "albert-vocab/de-privately-30k-clean.model",
    "vi": "albert-vocab/vi-albertvi-30k-clean.model",
}
"""Name → file under the folder of real data."""

SELECTION = (
    ("en", "wiki-en/enwiki-slice.jsonl.xz", 20, 9000),
    ("en", "novels-en/100-english-novels.jsonl.xz", 50, 4000),
    ("en", "novels-en/eltec-eng.jsonl.xz", 50, 3000),
    ("en", "wikitext-2/wiki.valid.tokens.txt.xz", 2, 1200),
    ("en", "wiki-ko/kowiki-slice.jsonl.xz", 40, 1000),
    ("en", "wiki-zh/zhwiki-slice.jsonl.xz", 20, 1000),
    ("en", "squad/xquad.ru.json.xz", 2, 700),
    ("en", "squad/xquad.tr.json.xz", 2, 700),
    ("de", "squad/xquad.de.json.xz", 1, 1400),
    ("de", "wiki-en/enwiki-slice.jsonl.xz", 90, 2000),
    ("vi", "squad/xquad.vi.json.xz", 1, 1400),
    ("vi", "wiki-en/enwiki-slice.jsonl.xz", 100, 2000),
)
"""(vocabulary, file, stride, count): of the file's lines that are not blank, every stride-th, the first so many of them."""

OPTIONS = {
    "default": {},
    "keep_accents": {"keep_accents": True},
    "cased": {"do_lower_case": False},
    "keep_space": {"remove_space": False},
}
"""Name → arguments of the tokenizer, for the readable sentences."""

SENTENCES = (
    "The cat sat on the mat.",
    "ALBERT shares one layer twelve times over.",
    "Paris is the capital of [MASK].",
    "Paris is the capital of   [MASK]  , they say.",
    "a[MASK]b",
    "[CLS] This line brings its own markers. [SEP] Both of them. [SEP]",
    "[cls] in small letters is no marker [sep]",
    "<pad><unk> stand here as text <PAD>",
    "Nested [[MASK]] and broken [MASK marks]",
    "We met in 1992, and again in 2016, but not in 1992.",
    "It cost 1,000,000 or 12,5 or 3, 4, 5, and 92000, more or less.",
    "1, 2, 3, go! 9,9 and 10,10,",
    "``Quoted'' the old way, ```three''' ways, and 'plainly' \"too\".",
    "It''s ''odd''''",
    "  spaces   before,  between \t and\nafter  ",
    "\tTabs\tand\r\nline ends\x0bof\x0cevery\x1ckind\x85here\u2028there\u00a0now\u3000end",
    "Crème brûlée, façade, naïve, Ångström, Zürich, smørrebrød, Łódź",
    "Cre\u0300me bru\u0302le\u0301e with combining marks, q\u0323\u0307 twice",
    "\u0301starts with a mark, and ends with one\u0327",
    "ΟΔΥΣΣΕΥΣ came to ΙΘΑΚΗΣ. Σ alone, ΣΣ twice; ς σ",
    "𝚺𝚺 and 𝐀𝐋𝐁𝐄𝐑𝐓 and ℌello and ⅷ Ⅷ",
    "İstanbul'da IĞDIR ısınıyor",
    "STRASSE straße STRAẞE ſtraſſe",
    "½ cup, ¾ inch, 10², x₁, №5, ™ ® ©",
    "ﬁnd the ﬂow of the oﬃce, Ĳssel, ǅ ǆ",
    "Ｆｕｌｌ ｗｉｄｔｈ １２３， ｂｕｔ ｗｈｙ？ ｀｀＇＇",
    "한국어 문장입니다. 대한민국의 수도는 서울이다.",
    "日本語のテキスト、ﾊﾝｶｸもある。",
    "中文句子，没有空格，1992,年",
    "Привет, мир! ЁЖИК съел ещё",
    "Xin chào, tôi đang học tiếng Việt ở Hà Nội",
    "مرحبا بالعالم ١٢٣، 123,",
    "नमस्ते दुनिया",
    "שלום עולם",
    "ภาษาไทยไม่มีช่องว่าง",
    "emoji 😀👩‍👩‍👧‍👦🏳️‍🌈 and ☺️ with joiners",
    "zero\u200bwidth \u200cjoiners\u200d and \ufeffmarks \u2060here",
    "soft\u00adhyphen, non‑breaking hyphen, en–dash, em—dash, minus −1",
    "null \x00 and \x01\x02 control \x7f characters \x1b[0m",
    "a ▁ written ▁out▁ and ▁▁▁ thrice",
    "(brackets) [square] {curly} <angle> /12,",
    "£5 or €5 or $5 or ¥5 or ₩5",
    "U.S.A. vs. e.g. i.e. Mr. O'Neill's well-known \"B.B.C.\"",
    "https://example.org/a?b=1,2,&c=%20#d and name@example.org",
    "snake_case camelCase kebab-case dotted.path 0x1F4A9 1e-5",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "!!!???...,,,;;;:::",
    "……—–-·•",
    "31/12,55 07/09, 3/4, 5/12,",
    "²³, ①, ٣, ३, ৩,",
    "Ünïcödé ÇÂPÎTÄLS ÀÉÎÕÜ",
    "ﷺ and ㎏ and ㍿ and Ⅻ",
    "e\u0301\u0302\u0303\u0304 stacked marks over E\u0338",
    "ゔ が は゛ ｶﾞ",
    "¨ ´ ¸ ˜ ‾ lone marks",
    "x",
    " ",
    "",
    "The end, at last,",
)
"""Of our own writing, one trap each."""


def read_lines(path: Path) -> Iterator[str]:
    """Lines of real text, blank ones left out: paragraphs of .jsonl, contexts and questions of .json (SQuAD), lines of .txt."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        if path.name.endswith(".jsonl.xz"):
            texts = (line for document in file for line in json.loads(document)["text"].split("\n"))
        elif path.name.endswith(".json.xz"):
            paragraphs = [paragraph for article in json.load(file)["data"] for paragraph in article["paragraphs"]]
            texts = (text for item in paragraphs for text in (item["context"], *(qa["question"] for qa in item["qas"])))
        else:
            texts = (line.rstrip("\n") for line in file)
        yield from (text for text in texts if text.strip())


def select_lines(data: Path) -> Iterator[tuple[str, str]]:
    """(vocabulary, line) of every line of :data:`SELECTION`, in order."""
    for vocabulary, name, stride, count in SELECTION:
        taken = 0
        for index, line in enumerate(read_lines(data / name)):
            if index % stride == 0:
                yield vocabulary, line
                taken += 1
                if taken == count:
                    break


def digest(ids: list[int]) -> int:
    """Eight bytes that tell two lists of ids apart."""
    return int.from_bytes(hashlib.blake2b(np.array(ids, "<i4").tobytes(), digest_size=8).digest(), "little")


def main() -> None:
    """Tokenise and write."""
    from transformers import AlbertTokenizer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    def load(vocabulary: str, **options: bool) -> AlbertTokenizer:
        return AlbertTokenizer(str(arguments.data / VOCABULARIES[vocabulary]), **options)

    slow = {name: load(name) for name in VOCABULARIES}
    digests = [digest(slow[name].encode(line, add_special_tokens=False)) for name, line in select_lines(arguments.data)]
    np.save(arguments.output / "tokenizer_digests.npy", np.array(digests, np.uint64))

    sentences = []
    readers = {name: load("en", **options) for name, options in OPTIONS.items()}
    for text in SENTENCES:
        row = {"text": text}
        for name, reader in readers.items():
            pieces = reader.tokenize(text)
            answer = {"pieces": pieces, "ids": reader.encode(text, add_special_tokens=False)}
            if name == "default" or answer != row["default"]:
                row[name] = answer
        sentences.append(row)
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in sentences)
    (arguments.output / "tokenizer_sentences.json").write_text(f"[\n{rows}\n]\n", encoding="utf-8")
    manifest = {
        "made_by": "tools/make_tokenizer_golden.py",
        "date": datetime.now(tz=UTC).date().isoformat(),
        "oracle": "transformers.AlbertTokenizer (slow), encode(line, add_special_tokens=False)",
        "versions": {name: metadata.version(name) for name in ("transformers", "sentencepiece", "numpy")},
        "vocabularies": {
            name: {"file": file, "sha256": hashlib.sha256((arguments.data / file).read_bytes()).hexdigest()}
            for name, file in VOCABULARIES.items()
        },
        "lines": len(digests),
        "selection": [dict(zip(("vocabulary", "file", "stride", "count"), row, strict=True)) for row in SELECTION],
        "tokenizer_digests.npy": "uint64 a line: blake2b of its ids as little-endian int32, eight bytes, little-endian",
        "tokenizer_sentences.json": "vocabulary en; options other than the default only where they differ",
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    (arguments.output / "tokenizer_manifest.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
