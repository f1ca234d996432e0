"""The commands and their flags are an interface: this table changes only on purpose."""

from __future__ import annotations

import pytest

from albertkit.cli.main import COMMANDS, make_parser
from albertkit.pipelines import PIPELINES, RunSettings
from albertkit.pipelines.base import UNSET

TASK = (
    " TEXT --input --output --json --model --revision --allow-pickle"
    " --engine=auto|numpy|torch|onnx|jax|tensorflow --device"
    " --dtype=float32|bfloat16|float16|int8|auto --token-budget --batch-size"
)
RECIPE = " RECIPE.yaml --output --init-from"
FLAGS = {
    "fill-mask": "--top-k --targets --joint --answer-form=hub|card" + TASK,
    "feature-extraction": "--pooling=cls|mean|max --normalize --truncation" + TASK,
    "text-classification": "--text-pair --top-k --function-to-apply=softmax|sigmoid|none --truncation" + TASK,
    "token-classification": "--aggregation-strategy=none|simple|first|average|max --ignore-labels --stride" + TASK,
    "question-answering": "--question --top-k --handle-impossible-answer --null-threshold --max-answer-len --max-question-len"
    " --max-seq-len --doc-stride --align-to-words" + TASK,
    "zero-shot-classification": "--candidate-labels --hypothesis-template --multi-label --truncation" + TASK,
    "sentence-similarity": "--source-sentence --pooling=cls|mean|max --truncation" + TASK,
    "multiple-choice": "--prompt --question --top-k --truncation" + TASK,
    "sentence-order": TASK.strip(),
    "pseudo-log-likelihood": "--method=token|word_l2r --per-token" + TASK,
    "tokenize": "TEXT --input --pair --no-special-tokens --ids-only --json --model --revision",
    "train-tokenizer": "TEXT_FILES --output --vocab-size --character-coverage --max-sentences --keep-accents --no-lower-case",
    "prepare": RECIPE.strip(),
    "pretrain": "--resume" + RECIPE,
    "finetune": "--resume RECIPE.yaml --task --model --output",
    "evaluate": "--model --cloze --json --data --task --columns --revision --allow-pickle"
    " --engine=auto|numpy|torch|onnx|jax|tensorflow --device"
    " --dtype=float32|bfloat16|float16|int8|auto --token-budget --output RECIPE.yaml --init-from",
    "convert": "SOURCE DESTINATION --to=safetensors|flax|tensorflow|google --architecture --revision --allow-pickle --json",
    "export": "MODEL DIRECTORY --format=onnx|torch --architecture --int8 --texts --min-agreement --max-accuracy-loss --revision"
    " --allow-pickle --json",
    "info": "MODEL --revision --allow-pickle --json",
    "doctor": "--json",
    "completion": "shell=bash|zsh|tcsh",
}
"""Command → its flags, by their first names and with their choices, and its words; the keys of a recipe are left out."""


def list_flags(name: str) -> list[str]:
    found = []
    for action in make_parser(name)._actions:
        if action.dest != "help" and "." not in action.dest:
            choices = "=" + "|".join(action.choices) if action.choices else ""
            found.append((action.option_strings or [action.metavar or action.dest])[0] + choices)
    return found


def test_the_commands_are_these():
    assert list(COMMANDS) == list(FLAGS)


@pytest.mark.parametrize("name", FLAGS)
def test_the_flags_are_these(name: str):
    assert list_flags(name) == FLAGS[name].split()


@pytest.mark.parametrize("task", PIPELINES)
def test_flags_are_the_pipelines_options_with_their_defaults(task: str):
    kind = PIPELINES[task]
    given = make_parser(task).parse_words([])
    for name, value in vars(kind.options_class()).items():
        if name not in ("return_tensors",) and hasattr(given, name):
            # One answer in a list or bare is a matter of Python: the command shows all labels.
            assert getattr(given, name) == (None if value is UNSET else value), name
        else:
            assert name in ("return_tensors", "pooling")
    settings = RunSettings()
    assert (given.token_budget, given.batch_size) == (settings.token_budget, settings.batch_size)
