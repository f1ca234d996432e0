"""The trainings that :mod:`benchmarks.quality` compares, each in a process of its own, and the one test that scores them all."""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from albertkit.data.shards import TOKENIZER_FOLDER, Split, open_shards, read_manifest, read_vocabulary
from benchmarks.workers import answering

LENGTH = 128
MASKED, REPLACED, RANDOM = 0.15, 0.8, 0.1  # the default collator's
HELD_OUT_BLOCKS = 256
EVALUATIONS = 20  # of a run
WARMUP = 0.1  # share of a run's updates
RECIPE = Path(__file__).parents[1] / "recipes" / "albert-mini-en.yaml"
SIZES = ("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
OVERRIDES = (
    "examples={max_seq_length: 128, masked_lm_prob: 0.4, ngram: 1}", "schedule.stages=[]", "evaluation.digest=null",
)  # fmt: skip

Logits = Callable[[Any, Any], Any]
"""Of ids [B, L] and the flat places in them that are asked for, the logits [P, V]."""
AfterUpdate = Callable[[Logits], None]


@dataclass(frozen=True)
class Job:
    """A run: transformers' at a learning rate, or ours, as its recipe has it."""

    prepared: Path
    updates: int
    sequences: int
    rate: float | None = None

    @property
    def name(self) -> str:
        return "albertkit" if self.rate is None else f"transformers {self.rate:g}"

    @property
    def warmup_updates(self) -> int:
        return round(WARMUP * self.updates)

    def curve(self, folder: Path) -> Path:
        """The file of its curve."""
        return folder / f"{self.name.replace(' ', '-')}_{self.updates}x{self.sequences}.csv"


# ------------------------------------------------------------------ texts


def make_blocks(prepared: Path, split: Split) -> np.ndarray:
    """Documents between [CLS] and [SEP], end to end, cut into blocks: ids [N, 128], as transformers' run_mlm makes them."""
    vocabulary = read_vocabulary(prepared)
    entries = [entry for entry in read_manifest(prepared).shards if entry.split == split]
    parts = []
    for shard in open_shards(prepared, entries, verify=False):
        for document in np.split(shard.tokens, shard.sentence_offsets[shard.document_offsets[1:-1]]):
            parts += [[vocabulary.cls_token_id], document, [vocabulary.sep_token_id]]
    stream = np.concatenate(parts, dtype=np.int32, casting="unsafe")
    return stream[: len(stream) // LENGTH * LENGTH].reshape(-1, LENGTH)


class HeldOut:
    """Held-out blocks with fixed masks of single tokens, by the rule of transformers' default collator."""

    def __init__(self, prepared: Path) -> None:
        vocabulary = read_vocabulary(prepared)
        generator = np.random.default_rng(0)
        blocks = make_blocks(prepared, "held_out").astype(np.int64)
        self.labels = blocks[:: max(1, len(blocks) // HELD_OUT_BLOCKS)][:HELD_OUT_BLOCKS]  # of all sources
        self.masked = (generator.random(self.labels.shape) < MASKED) & ~np.isin(self.labels, vocabulary.special_ids)
        action = generator.random(self.labels.shape)
        drawn = generator.integers(len(vocabulary.pieces), size=self.labels.shape)
        shown = np.where(action < REPLACED, vocabulary.mask_token_id, np.where(action < REPLACED + RANDOM, drawn, self.labels))
        self.input_ids = np.where(self.masked, shown, self.labels)

    def score(self, logits: Logits) -> float:
        """Mean cross-entropy in nats over the masked tokens."""
        import torch

        total = 0.0
        for part in np.array_split(np.arange(len(self.labels)), max(1, len(self.labels) // 16)):
            places = torch.from_numpy(self.masked[part].ravel()).nonzero().flatten()
            labels = torch.from_numpy(self.labels[part].ravel())[places]
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                scores = logits(torch.from_numpy(self.input_ids[part]), places)
            total += torch.nn.functional.cross_entropy(scores.float(), labels, reduction="sum").item()
        return total / int(self.masked.sum())


# ------------------------------------------------------------------ runs


def read_our_recipe(job: Job, output: str):  # noqa: ANN201
    from albertkit.training.recipe import read_recipe

    schedule = (
        f"total_steps={job.updates}", f"warmup_steps={job.warmup_updates}", "decay=trapezoid", f"decay_steps={job.updates // 2}"
    )  # fmt: skip
    others = (
        f"data.output={job.prepared}", f"output={output}", f"model.vocab_size={read_manifest(job.prepared).vocab_size}",
        f"training.tokens_per_batch={job.sequences * LENGTH}",
    )  # fmt: skip
    return read_recipe(RECIPE, [*OVERRIDES, *others, *(f"schedule.{setting}" for setting in schedule)])


def train_ours(job: Job, after_update: AfterUpdate) -> None:
    """Both losses of ALBERT, by the embedded model's recipe with sequences of 128 tokens from the start."""
    from albertkit.training.distributed import Processes
    from albertkit.training.run import Run

    def logits(input_ids: Any, places: Any) -> Any:
        labels = input_ids.new_full((input_ids.numel(),), -100)
        labels[places] = 0  # which places are asked for
        return run.model.eval()(input_ids, labels=labels.view_as(input_ids), labelled_only=True).prediction_logits

    with tempfile.TemporaryDirectory() as output:
        run = Run.load(read_our_recipe(job, output), Processes(), resume=False)
        with run.batches as batches:
            after_update(logits)
            while run.goes_on():
                run.model.train()
                run.take_step(next(batches))
                after_update(logits)


def train_theirs(job: Job, after_update: AfterUpdate) -> None:
    """The masked LM of transformers by its Trainer, all settings but those named here its defaults."""
    import torch
    from transformers import (
        AlbertConfig,
        AlbertForMaskedLM,
        AlbertTokenizer,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )  # fmt: skip

    class Blocks(torch.utils.data.Dataset):  # type: ignore[type-arg]
        blocks = make_blocks(job.prepared, "train")

        def __len__(self) -> int:
            return len(self.blocks)

        def __getitem__(self, number: int) -> dict[str, list[int]]:
            row = self.blocks[number].tolist()
            return {"input_ids": row, "token_type_ids": [0] * len(row), "attention_mask": [1] * len(row)}

    class Observer(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            after_update(logits)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            after_update(logits)

    def logits(input_ids: Any, places: Any) -> Any:
        hidden = model.eval().albert(input_ids).last_hidden_state.flatten(0, 1)  # the Trainer puts it back to training
        return model.predictions(hidden[places])

    tokenizer = AlbertTokenizer.from_pretrained(job.prepared / TOKENIZER_FOLDER)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as output:
        ours = read_our_recipe(job, output).model
        model = AlbertForMaskedLM(AlbertConfig(**{name: getattr(ours, name) for name in SIZES}))
        settings = TrainingArguments(
            output, max_steps=job.updates, per_device_train_batch_size=job.sequences, learning_rate=job.rate or 0.0,
            warmup_steps=job.warmup_updates, lr_scheduler_type="linear", bf16=True, use_cpu=True, seed=0, save_strategy="no",
            logging_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip
        collate = DataCollatorForLanguageModeling(tokenizer)
        Trainer(model, settings, data_collator=collate, train_dataset=Blocks(), callbacks=[Observer()]).train()


def train(job: Job, after_update: AfterUpdate) -> None:
    (train_ours if job.rate is None else train_theirs)(job, after_update)


# ------------------------------------------------------------------ what is made of a run


def record_curve(job: Job, folder: Path) -> None:
    """Train and keep the held-out loss in the file of the curve, which stands under its name when it is whole."""
    test, done = HeldOut(job.prepared), iter(range(job.updates + 1))
    marks = {round(job.updates * number / EVALUATIONS) for number in range(EVALUATIONS + 1)}
    part = job.curve(folder).with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["update", "loss"])

        def after_update(logits: Logits) -> None:
            if (update := next(done)) in marks:
                rows.writerow([update, f"{test.score(logits):.4f}"])
                file.flush()

        train(job, after_update)
    part.rename(job.curve(folder))


def read_curve(path: Path) -> list[tuple[int, float]]:
    with path.open(encoding="utf-8") as file:
        return [(int(row["update"]), float(row["loss"])) for row in csv.DictReader(file)]


def time_updates(job: Job) -> None:
    """Be a worker that makes an update, its batch included, for each line of standard input."""
    with answering() as answer:
        turns = wait_for_turns(answer)
        train(job, lambda _: next(turns))


def wait_for_turns(answer: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    answer({"ready": True})
    for _ in sys.stdin:
        start = time.perf_counter()
        yield
        answer({"seconds": time.perf_counter() - start})
    raise SystemExit  # in the middle of a run
