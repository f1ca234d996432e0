"""Fine-tuning with Keras: a table of labelled texts, ``fit``, ``evaluate``, and predictions by our pipeline.

    python examples/finetune_keras.py --train train.csv --test test.csv --output runs/reviews

The tables are CSV with a header and the columns ``text`` and ``label``. ``albertkit finetune`` (PyTorch) is the trainer: it has
the tasks of the papers, several seeds, and a record.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import keras
import tensorflow as tf

from albertkit import AlbertTokenizer, pipeline
from albertkit.models.tensorflow import AlbertForSequenceClassification


def read_table(path: str) -> tuple[list[str], list[str]]:
    """The texts of a table, and their labels."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def make_dataset(
    texts: list[str], classes: list[int], tokenizer: AlbertTokenizer, length: int, batch_size: int
) -> tf.data.Dataset:
    """Shuffled batches of ``(inputs, class)``; all are padded to one length, so that ``fit`` traces its step once."""
    inputs = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="np")
    dataset = tf.data.Dataset.from_tensor_slices((dict(inputs), classes))
    return dataset.shuffle(len(texts), seed=0).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def make_optimizer(learning_rate: float, steps: int) -> keras.Optimizer:
    """AdamW whose rate rises over a tenth of the steps and then falls to 0; LayerNorm and biases do not decay."""
    warmup_steps = max(1, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup_steps), warmup_target=learning_rate, warmup_steps=warmup_steps
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01, epsilon=1e-6, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer


def finetune(options: argparse.Namespace) -> None:
    """Train, evaluate, save, and let the pipeline predict from what was saved."""
    keras.utils.set_random_seed(options.seed)
    if options.mixed_precision:
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    texts, labels = read_table(options.train)
    test_texts, test_labels = read_table(options.test)
    names = sorted({*labels, *test_labels})

    tokenizer = AlbertTokenizer.from_pretrained(options.model)
    train, test = (
        make_dataset(some, [names.index(label) for label in theirs], tokenizer, options.length, options.batch_size)
        for some, theirs in ((texts, labels), (test_texts, test_labels))
    )
    model = AlbertForSequenceClassification.from_pretrained(options.model, id2label=dict(enumerate(names)))
    model.compile(
        optimizer=make_optimizer(options.learning_rate, options.epochs * len(train)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),  # the model's own, without this line
        metrics=["accuracy"],
    )
    model.fit(train, epochs=options.epochs, verbose=2)
    results = model.evaluate(test, return_dict=True, verbose=0)
    print("  ".join(f"test {name} {value:.4f}" for name, value in results.items()))

    model.save_pretrained(options.output)
    tokenizer.save_pretrained(options.output)
    classify = pipeline("text-classification", model=options.output)
    for text in test_texts[:3]:
        print(classify(text), text)


def main() -> None:
    """Read the options, and fine-tune."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="table to train on")
    parser.add_argument("--test", required=True, help="table to evaluate on")
    parser.add_argument("--output", required=True, help="folder for the model and its tokenizer")
    parser.add_argument("--model", default="albert-base-v2", help="where to start: a directory or a name")
    parser.add_argument("--length", type=int, default=128, help="longest text in tokens; more are cut off")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=2e-5, help="peak")
    parser.add_argument("--mixed-precision", action="store_true", help="compute in bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    finetune(parser.parse_args())


if __name__ == "__main__":
    main()
