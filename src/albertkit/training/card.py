"""The model card of a pre-training run: what the model is, what it learnt from and how, how good it is, its answers on people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albertkit
from albertkit.checkpoints.describe import describe_checkpoint
from albertkit.checkpoints.model_card import ModelCard, format_table
from albertkit.data.shards import SPLITS, read_manifest
from albertkit.evaluation import ClozeScores, score_cloze
from albertkit.pipelines import pipeline
from albertkit.training.card_parts import (
    answer_bias_prompts,
    copy_curves,
    describe_hardware,
    describe_software,
    format_recipe,
)
from albertkit.training.evaluation import Scores
from albertkit.training.monitoring import describe_seconds
from albertkit.training.recipe import Recipe
from albertkit.training.state import TrainerState

__all__ = ["write_card"]

_EXACT_SECTIONS = ("examples", "optimizer", "schedule", "training", "evaluation")


def write_card(model_directory: Path, *, recipe: Recipe, state: TrainerState, scores: Scores) -> None:
    """Write the ``README.md`` of a final model, and copy the run's ``curves.png`` beside it if there is one.

    An English model (``data.language``) gets its cloze scores and its answers to the bias prompts, for which it is loaded anew.

    Args:
        model_directory: The model, with its tokenizer.
        recipe: Of the run.
        state: Where the run stands.
        scores: On the held-out examples.

    Raises:
        CheckpointError: If the model cannot be read or the card not be written.
        DataError: If the prepared data are gone.
    """
    curves = copy_curves(Path(recipe.output), model_directory)
    sections = {
        "Use": _describe_use(recipe),
        "Architecture": format_table(("part", "size"), describe_checkpoint(model_directory).sizes()),
        "Data": _describe_data(recipe),
        "Training": _describe_training(recipe, state, curves),
        "Scores": _describe_scores(scores),
    }
    limits = f"Texts longer than {recipe.model.max_position_embeddings} tokens are refused. The model repeats what its texts say."
    if recipe.data.language == "en":
        unmasker = pipeline("fill-mask", model_directory)
        sections["Cloze"] = _describe_cloze(score_cloze(unmasker.engine, unmasker.tokenizer))
        limits += f" The prompts of the published models' cards:\n\n{answer_bias_prompts(unmasker)}"
    sections["Limits and bias"] = limits
    ModelCard(_name(recipe), _summarise(recipe), _metadata(recipe), sections).write(model_directory)


def _name(recipe: Recipe) -> str:
    return Path(recipe.output).resolve().name


def _metadata(recipe: Recipe) -> dict[str, Any]:
    return {
        "language": recipe.data.language,
        "library_name": "albertkit",
        "pipeline_tag": "fill-mask",
        "tags": ["albert", "fill-mask"],
    }


def _summarise(recipe: Recipe) -> str:
    start = f"on from `{Path(recipe.init_from).name}`" if recipe.init_from else "from random weights"
    return (
        f"An ALBERT ([arXiv:1909.11942](https://arxiv.org/abs/1909.11942)) pre-trained {start} with albertkit"
        f" {albertkit.__version__}: masked language model and sentence order."
    )


def _describe_use(recipe: Recipe) -> str:
    return f"""```python
from albertkit import pipeline

unmasker = pipeline("fill-mask", model="path/to/{_name(recipe)}")
unmasker("… [MASK] …")
```

The directory has the layout of Hugging Face transformers, which loads it too."""


def _describe_data(recipe: Recipe) -> str:
    counts = read_manifest(recipe.data.output).counts
    names = ("documents", "sentences", "tokens", "bytes")
    rows = [(split.replace("_", " "), *(f"{getattr(counts[split], name):,}" for name in names)) for split in SPLITS]
    sources = ", ".join(f"`{Path(source).name}`" for source in recipe.data.sources)
    left_out = f" Paragraphs left out: {', '.join(recipe.data.exclude)}." if recipe.data.exclude else ""
    table = format_table(("split", *names[:-1], "bytes of text"), rows)
    return f"{sources}. Held-out documents are chosen by a hash of their text.{left_out}\n\n{table}"


def _describe_training(recipe: Recipe, state: TrainerState, curves: str) -> str:
    passes = state.tokens / max(1, read_manifest(recipe.data.output).counts["train"].tokens)
    rows = [
        ("updates", f"{state.step:,}"),
        ("tokens", f"{state.tokens:,}, special ones included: about {passes:.2f} passes over the text"),
        ("time", describe_seconds(state.seconds)),
        ("hardware", describe_hardware(recipe.training.device)),
        ("software", describe_software()),
    ]
    sections = recipe.to_dict()
    exact = format_recipe({name: sections[name] for name in _EXACT_SECTIONS})
    how = f"The sections of the recipe that say how, optimiser and schedule among them:\n\n{exact}"
    return "\n\n".join(part for part in (format_table(("what", "how much"), rows), curves, how) if part)


def _describe_scores(scores: Scores) -> str:
    rows = [
        ("masked-LM accuracy", f"{scores.masked_lm_accuracy:.2%} ± {scores.masked_lm_error:.2%}"),
        ("the same, always answering the commonest token", f"{scores.majority_accuracy:.2%}"),
        ("masked-LM loss", f"{scores.masked_lm_loss:.3f} nats a token"),
        ("sentence-order accuracy", f"{scores.sentence_order_accuracy:.1%} ± {scores.sentence_order_error:.1%}"),
        ("sentence-order loss", f"{scores.sentence_order_loss:.3f} nats a sequence"),
    ]
    return (
        f"On {scores.sequences:,} sequences of held-out documents with {scores.predicted_tokens:,} predicted tokens; ± is one"
        f" standard error.\n\n{format_table(('score', 'value'), rows)}\n\n"
        f"Scores of other models compare if theirs are of the same test, SHA-256 `{scores.digest}`."
    )


def _describe_cloze(cloze: ClozeScores) -> str:
    rows = [
        (name, score.sentences, f"{score.top_1:.1%}", f"{score.top_5:.1%}", f"{score.mean_reciprocal_rank:.3f}")
        for name, score in cloze.rows()
    ]
    table = format_table(("sentences", "number", "top 1", "top 5", "mean reciprocal rank"), rows)
    left_out = f" {cloze.not_scorable} sentences have no answer of one piece here, or are too long." if cloze.not_scorable else ""
    return f"albertkit's sentences with a gap (SHA-256 `{cloze.digest}`).{left_out}\n\n{table}"
