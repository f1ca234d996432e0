"""Write tests/golden/special_tokens.json: how transformers 4's Python tokenizer treats special and added tokens.

Run it in an environment of its own that has transformers==4.57.6 and sentencepiece, from the root of the repository:

    PYTHONPATH=src python tools/make_special_tokens_golden.py
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import transformers

from albertkit.testing.vocabulary import tiny_vocabulary

TARGET = Path(__file__).parents[1] / "tests" / "golden" / "special_tokens.json"
STRINGS = (
    "[MASK] [CLS] [SEP] <unk> <pad> <PAD> <Unk> [mask] [M ASK] Paris the U.S. 1992, (x) É ΟΔΟΣ İ “ 日本 foo FOO bar <x> <X> word "
    "`` '' ▁ a - tok Tok TOK sp"
)
ATOMS = [*STRINGS.split(), " ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u200b"]
FLAGS = {"lstrip": False, "rstrip": False, "single_word": False}
CASES: list[dict[str, object]] = [
    {"name": "defaults"},
    {"name": "cased", "arguments": {"do_lower_case": False}},
    {"name": "accents and space kept", "arguments": {"keep_accents": True, "remove_space": False}},
    {
        "name": "own special tokens",
        "arguments": {"mask_token": "<X>", "cls_token": "word", "sep_token": "▁paris", "pad_token": "a"},
    },
    {"name": "added", "added": ["Foo", "foo bar", "tok", "the"], "special": ["<X>"]},
    {"name": "added, cased", "arguments": {"do_lower_case": False}, "added": ["Foo", "tok", "Tok"], "special": ["<X>"]},
    {"name": "single word", "added": [FLAGS | {"content": "tok", "single_word": True, "normalized": True}]},
    {"name": "not normalized", "added": [FLAGS | {"content": "tok", "normalized": False}], "special": ["<x>", "sp"]},
    {
        "name": "space taken",
        "added": [FLAGS | {"content": "sp", "lstrip": True, "rstrip": True, "normalized": True}],
        "special": [FLAGS | {"content": "<X>", "rstrip": True, "normalized": False}],
    },
]


def main() -> None:
    """Run every case on random texts and write what came out."""
    generator = random.Random(20)
    texts = ["".join(generator.choices(ATOMS, k=generator.randint(0, 9))) for _ in range(250)]
    with tempfile.TemporaryDirectory() as directory:
        model = Path(directory) / "spiece.model"
        model.write_bytes(tiny_vocabulary().to_bytes())
        for case in CASES:
            tokenizer = transformers.AlbertTokenizer(str(model), **case.get("arguments", {}))
            tokenizer.add_tokens([_token(value, special=False) for value in case.get("added", [])])
            special = [_token(value, special=True) for value in case.get("special", [])]
            tokenizer.add_special_tokens({"additional_special_tokens": special})
            case["ids"] = [tokenizer(text)["input_ids"] for text in texts]
            case["size"] = len(tokenizer)
            case["all_special_tokens"] = tokenizer.all_special_tokens
    source = f"transformers {transformers.__version__} AlbertTokenizer (Python) on albertkit.testing.tiny_vocabulary"
    content = {"source": source, "script": "tools/make_special_tokens_golden.py", "texts": texts, "cases": CASES}
    TARGET.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def _token(value: object, *, special: bool) -> object:
    return transformers.AddedToken(**value, special=special) if isinstance(value, dict) else value


if __name__ == "__main__":
    main()
