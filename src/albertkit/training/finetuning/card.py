"""The model card of a fine-tuned model: what it decides, how well, what it learnt from and how, and what it thinks of people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

import albertkit
from albertkit import hub
from albertkit.checkpoints.huggingface import find_heads
from albertkit.checkpoints.model_card import CARD_FILE, ModelCard, format_table
from albertkit.checkpoints.parameters import HEADS_OF_CLASS, Head
from albertkit.config import AlbertConfig
from albertkit.errors import AlbertError
from albertkit.pipelines import pipeline
from albertkit.tasks.base import Scores
from albertkit.training.card_parts import answer_bias_prompts, copy_curves, format_recipe
from albertkit.training.finetuning.results import Results, Spread
from albertkit.training.monitoring import describe_seconds

__all__ = ["write_card"]

_PIPELINES: dict[Head, tuple[str, str]] = {
    "sequence_classification": ("text-classification", "answer(TEXT)"),
    "token_classification": ("token-classification", 'answer("A sentence with names.", aggregation_strategy="first")'),
    "question_answering": ("question-answering", 'answer(question="Who?", context="A passage.")'),
    "answerability": ("question-answering", 'answer(question="Who?", context="A passage.", handle_impossible_answer=True)'),
    "multiple_choice": (
        "multiple-choice",
        'answer({"prompt": "A passage.", "question": "A question?", "choices": ["this", "that"]})',
    ),
}
"""Head → the pipeline's name and a call."""

_EXACT_SECTIONS = ("config", "optimizer", "schedule", "training", "lora")


def write_card(model_directory: Path, results: Results, output: Path, *, spreads: dict[str, Spread] | None = None) -> None:
    """Write the ``README.md`` of a final model, and copy the run's ``curves.png`` beside it if there is one.

    If the model it was made of is English, by its own card, and still predicts masked words, that one's answers to the bias
    prompts are told.

    Args:
        model_directory: The model, with its tokenizer.
        results: Of its run.
        output: Directory of that run.
        spreads: Of several seeds: metric → how its values lie.

    Raises:
        CheckpointError: If the model cannot be read or the card not be written.
    """
    language, sections = _find_language(results.model), results.recipe
    curves = copy_curves(output, model_directory)
    config = AlbertConfig.from_pretrained(model_directory)
    name, call = _PIPELINES[HEADS_OF_CLASS[config.architectures[0]][-1]]
    pair = '{"text": "A text.", "text_pair": "Another."}' if results.is_pair else '"A text."'
    code = f"""from albertkit import pipeline

answer = pipeline("{name}", model="path/to/{Path(sections["output"]).name}/final")
{call.replace("TEXT", pair)}"""
    limits = (
        f"Texts longer than {config.max_position_embeddings} tokens are refused or cut. The model repeats what its examples say."
    )
    if language == "en" and "masked_lm" in find_heads(results.model):
        prompts = answer_bias_prompts(pipeline("fill-mask", results.model))
        limits += f" What `{_short(results.model)}`, which it was made of, fills into prompts on people:\n\n{prompts}"
    ModelCard(
        f"{_short(results.model)}, fine-tuned for {results.task}",
        f"[ALBERT](https://arxiv.org/abs/1909.11942) for the task `{results.task}`: `{_short(results.model)}` fine-tuned with"
        f" albertkit {albertkit.__version__}.",
        {
            "language": language,
            "library_name": "albertkit",
            "pipeline_tag": name,
            "metrics": list(results.scores.values),
            "tags": ["albert", results.task],
        },
        {
            "Use": f"```python\n{code}\n```\n\nThe directory has the layout of Hugging Face transformers, which loads it too.",
            "Scores": _describe_scores(results, spreads),
            "Data": _describe_data(results),
            "Training": "\n\n".join(part for part in (_describe_training(results), curves) if part),
            "Recipe": f"```bash\n{results.command}\n```\n\n"
            + format_recipe({name: given for name in _EXACT_SECTIONS if (given := _drop_nulls(sections[name]))}),
            "Limits and bias": limits,
        },
    ).write(model_directory)


def _short(model: str) -> str:
    """A checkpoint's name, that of a directory without the folders around it."""
    return Path(model).resolve().name if Path(model).is_dir() else model


def _find_language(model: str) -> str | None:
    """As the card of a checkpoint says, if it has one."""
    try:
        files = hub.open_files(model)
        text = files.fetch(CARD_FILE).read_text(encoding="utf-8") if files.has(CARD_FILE) else ""
        header: Any = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else {}
        return str(header["language"]) if isinstance(header, dict) and isinstance(header.get("language"), str) else None
    except (AlbertError, OSError, ValueError, yaml.YAMLError):
        return None  # a card is not worth a failed run


def _drop_nulls(section: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (section or {}).items() if value is not None}


def _describe_scores(results: Results, spreads: dict[str, Spread] | None) -> str:
    told = f"On {results.scores.num_examples:,} examples, by which the best of the run's checkpoints was chosen."
    parts = [f"{told}\n\n{_tabulate(results.scores)}"]
    if spreads is not None:
        count = len(next(iter(spreads.values())).values)
        rows = [
            (name, f"{spread.median:.4g}", f"{min(spread.values):.4g}", f"{max(spread.values):.4g}", f"{spread.deviation:.2g}")
            for name, spread in spreads.items()
        ]
        table = format_table(("score", "median", "least", "greatest", "standard deviation"), rows)
        parts.append(f"This is the best of {count} seeds, number {results.seed}; all of them:\n\n{table}")
    if results.test is not None:
        parts.append(f"On {results.test.num_examples:,} examples of a test set that chose nothing:\n\n{_tabulate(results.test)}")
    return "\n\n".join(parts)


def _tabulate(scores: Scores) -> str:
    rows = [
        (name, f"{value:.4g}", f"{scores.baseline:.4g}" if name == scores.primary and scores.baseline is not None else "–")
        for name, value in scores.values.items()
    ]
    return format_table(("score", "value", "always the commonest answer"), rows)


def _describe_data(results: Results) -> str:
    data = results.recipe["data"]
    held_out = f"{data['eval_share']:.0%} of the same, held out"
    rows = []
    for use, name in (("to learn from", "train"), ("to choose by", "eval"), ("to test", "test")):
        if results.examples[name]:
            counts = ", ".join(f"{number:,} {what}" for what, number in results.counts.get(name, {}).items() if number)
            source = f"`{Path(data[name]).name}`" if data[name] is not None else held_out
            rows.append((use, source, f"{results.examples[name]:,}", counts or "–"))
    labels = f"\n\nLabels: {', '.join(f'`{label}`' for label in results.labels)}." if results.labels else ""
    return format_table(("", "file", "examples", "of them"), rows) + labels


def _describe_training(results: Results) -> str:
    some = "" if results.trained_parameters == results.parameters else f", {results.trained_parameters:,} of them trained"
    rows = [
        ("parameters", f"{results.parameters:,}{some}"),
        ("updates", f"{results.steps:,}, the best after {results.best_step:,}; {results.epochs:.2f} passes over the examples"),
        ("tokens", f"{results.tokens:,}"),
        ("time", f"{describe_seconds(results.seconds)}, {results.examples_per_second:,.1f} examples a second"),
        ("memory", f"{results.peak_memory_bytes / 2**20:,.0f} MiB at most"),
        ("hardware", results.hardware),
        ("software", results.software),
    ]
    return format_table(("what", "how much"), rows)
