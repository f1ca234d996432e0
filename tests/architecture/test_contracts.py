"""What others build on: the floors, the public names, the commands and their flags, the names of parameters."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from importlinter.application.use_cases import lint_imports

import albertkit
from albertkit import optional
from albertkit.checkpoints.parameters import PRETRAINING_HEADS, list_parameters
from albertkit.cli.main import COMMANDS
from albertkit.pipelines import PIPELINES
from albertkit.testing import tiny_config

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

TASKS = ["MaskedLM", "MultipleChoice", "PreTraining", "QuestionAnswering", "SequenceClassification", "TokenClassification"]
OUR_NAMES = {
    "AlbertTokenizerFast": "AlbertTokenizer",
    "AutoConfig": "AlbertConfig",
    "AutoModel": "AlbertModel",
    "AutoTokenizer": "AlbertTokenizer",
    "BertTokenizer": "AlbertTokenizer",
    "BertTokenizerFast": "AlbertTokenizer",
    **{f"AutoModelFor{task}": f"AlbertFor{task}" for task in TASKS},
}
"""Name that documentation elsewhere uses → ours."""

OWN = {"torch": ("torch",), "jax": ("jax", "flax"), "tensorflow": ("tensorflow", "keras")}
"""Package of models → the modules that it is written for."""


def test_the_floors_hold(monkeypatch):
    monkeypatch.chdir(ROOT)
    from importlinter.configuration import configure

    configure()
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None)


def test_public_names():
    assert albertkit.__all__ == [
        "AlbertConfig",
        "AlbertForMaskedLM",
        "AlbertForMultipleChoice",
        "AlbertForPreTraining",
        "AlbertForPreTrainingOutput",
        "AlbertForQuestionAnswering",
        "AlbertForQuestionAnsweringWithAnswerability",
        "AlbertForSequenceClassification",
        "AlbertForTokenClassification",
        "AlbertModel",
        "AlbertPreTrainedModel",
        "AlbertTokenizer",
        "AlbertTokenizerFast",
        "AutoConfig",
        "AutoModel",
        "AutoModelForMaskedLM",
        "AutoModelForMultipleChoice",
        "AutoModelForPreTraining",
        "AutoModelForQuestionAnswering",
        "AutoModelForSequenceClassification",
        "AutoModelForTokenClassification",
        "AutoTokenizer",
        "BertTokenizer",
        "BertTokenizerFast",
        "FlaxAlbertForMaskedLM",
        "FlaxAlbertForMultipleChoice",
        "FlaxAlbertForPreTraining",
        "FlaxAlbertForPreTrainingOutput",
        "FlaxAlbertForQuestionAnswering",
        "FlaxAlbertForSequenceClassification",
        "FlaxAlbertForTokenClassification",
        "FlaxAlbertModel",
        "FlaxAlbertPreTrainedModel",
        "FlaxAutoModel",
        "FlaxAutoModelForMaskedLM",
        "FlaxAutoModelForMultipleChoice",
        "FlaxAutoModelForPreTraining",
        "FlaxAutoModelForQuestionAnswering",
        "FlaxAutoModelForSequenceClassification",
        "FlaxAutoModelForTokenClassification",
        "TFAlbertForMaskedLM",
        "TFAlbertForMultipleChoice",
        "TFAlbertForPreTraining",
        "TFAlbertForPreTrainingOutput",
        "TFAlbertForQuestionAnswering",
        "TFAlbertForSequenceClassification",
        "TFAlbertForTokenClassification",
        "TFAlbertModel",
        "TFAlbertPreTrainedModel",
        "TFAutoModel",
        "TFAutoModelForMaskedLM",
        "TFAutoModelForMultipleChoice",
        "TFAutoModelForPreTraining",
        "TFAutoModelForQuestionAnswering",
        "TFAutoModelForSequenceClassification",
        "TFAutoModelForTokenClassification",
        "pipeline",
    ]
    for name in albertkit.__all__:
        if not name.startswith(("Flax", "TF")):
            assert getattr(albertkit, name) is getattr(albertkit, OUR_NAMES.get(name, name))
    assert set(dir(albertkit)) >= set(albertkit.__all__)
    with pytest.raises(AttributeError, match="AlbertFoo"):
        albertkit.AlbertFoo  # noqa: B018
    assert albertkit.__version__ == PROJECT["project"]["version"]


@pytest.mark.slow
@pytest.mark.parametrize(("prefix", "package"), [("Flax", "jax"), ("TF", "tensorflow")])
def test_names_of_other_frameworks_are_their_classes(prefix: str, package: str):
    pytest.importorskip(package)
    models = importlib.import_module(f"albertkit.models.{package}")
    names = [name.removeprefix(prefix) for name in albertkit.__all__ if name.startswith(prefix)]
    known = {"AlbertModel", "AlbertPreTrainedModel", "AlbertForPreTrainingOutput", *(f"AlbertFor{task}" for task in TASKS)}
    assert known | {name for name in OUR_NAMES if name.startswith("AutoModel")} == set(names)
    for name in names:
        home = albertkit if name == "AlbertForPreTrainingOutput" else models
        assert getattr(albertkit, prefix + name) is getattr(home, OUR_NAMES.get(name, name))


def test_commands():
    tasks = [
        "fill-mask", "feature-extraction", "text-classification", "token-classification", "question-answering",
        "zero-shot-classification", "sentence-similarity", "multiple-choice", "sentence-order", "pseudo-log-likelihood",
    ]  # fmt: skip
    others = [
        "tokenize", "train-tokenizer", "prepare", "pretrain", "finetune", "evaluate", "convert",
        "export", "info", "doctor", "completion",
    ]  # fmt: skip
    assert list(COMMANDS) == tasks + others
    assert sorted(tasks) == sorted(PIPELINES)


def test_parameter_names():
    inner = [
        "attention.query.weight", "attention.query.bias", "attention.key.weight", "attention.key.bias",
        "attention.value.weight", "attention.value.bias", "attention.dense.weight", "attention.dense.bias",
        "attention.LayerNorm.weight", "attention.LayerNorm.bias", "ffn.weight", "ffn.bias", "ffn_output.weight",
        "ffn_output.bias", "full_layer_layer_norm.weight", "full_layer_layer_norm.bias",
    ]  # fmt: skip
    layers = [
        f"albert.encoder.albert_layer_groups.{g}.albert_layers.{i}.{name}" for g in (0, 1) for i in (0, 1) for name in inner
    ]
    assert [parameter.name for parameter in list_parameters(tiny_config(), PRETRAINING_HEADS)] == [
        "albert.embeddings.word_embeddings.weight",
        "albert.embeddings.position_embeddings.weight",
        "albert.embeddings.token_type_embeddings.weight",
        "albert.embeddings.LayerNorm.weight",
        "albert.embeddings.LayerNorm.bias",
        "albert.encoder.embedding_hidden_mapping_in.weight",
        "albert.encoder.embedding_hidden_mapping_in.bias",
        *layers,
        "albert.pooler.weight",
        "albert.pooler.bias",
        "predictions.dense.weight",
        "predictions.dense.bias",
        "predictions.LayerNorm.weight",
        "predictions.LayerNorm.bias",
        "predictions.bias",
        "sop_classifier.classifier.weight",
        "sop_classifier.classifier.bias",
    ]


def test_the_core_imports_no_framework():
    script = (
        "import sys\n"
        f"for name in {[*sum(OWN.values(), ()), 'h5py', 'transformers', 'tokenizers', 'google.protobuf', 'tqdm']}:\n"
        "    sys.modules[name] = None\n"
        "import albertkit\n"
        "from albertkit import AlbertConfig, AlbertTokenizer, pipeline\n"
        "import albertkit.data, albertkit.checkpoints.describe, albertkit.training.recipe\n"
        "from albertkit.cli.main import COMMANDS\n"
        "import importlib\n"
        "[importlib.import_module('albertkit.cli.' + name.replace('-', '_')) for name in COMMANDS]\n"
        "for name in ('AlbertModel', 'FlaxAlbertModel', 'TFAlbertModel'):\n"
        "    try:\n"
        "        getattr(albertkit, name)\n"
        "    except ImportError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    for extra, line in zip(("torch", "jax", "tensorflow"), said, strict=True):
        assert line.endswith(f'pip install "albertkit[{extra}]"')


@pytest.mark.slow
@pytest.mark.parametrize("package", OWN)
def test_the_part_of_one_framework_imports_no_other(package: str, tiny_checkpoint: Path):
    pytest.importorskip(package)
    others = set(sum(OWN.values(), ())) - set(OWN[package])
    script = (
        f"import sys, {', '.join(OWN[package])}\n"
        "before = set(sys.modules)  # TensorFlow itself imports JAX where it is installed\n"
        "import numpy as np\n"
        "from albertkit.inference import TokenBatch, load_engine\n"
        f"engine = load_engine({str(tiny_checkpoint)!r}, 'masked_lm', engine={package!r})\n"
        f"assert engine.name == {package!r}\n"
        "batch = TokenBatch.from_sequences([[2, 5, 3]], [[0, 0, 0]])\n"
        "assert engine.logits('masked_lm', batch, np.array([1])).shape == (1, 101)\n"
        f"assert not {others} & (set(sys.modules) - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_extra_that_a_message_names_exists():
    extras = PROJECT["project"]["optional-dependencies"]
    for module, extra in optional.EXTRAS.items():
        assert any(requirement.startswith(module) for requirement in extras[extra])


def test_every_dependency_has_a_floor_and_the_core_has_no_framework():
    project = PROJECT["project"]
    everything = project["dependencies"] + [item for extra in project["optional-dependencies"].values() for item in extra]
    assert [item for item in everything if ">=" not in item] == []
    assert not [item for item in project["dependencies"] if item.startswith(("torch", "jax", "tensorflow", "transformers"))]


def test_constraints_hold_versions_only():
    for path in (ROOT / "constraints").iterdir():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
        assert [line for line in lines if "==" not in line or "/" in line or "@" in line] == [], path
    assert "torch==2.13.0" in (ROOT / "constraints" / "tests.txt").read_text(encoding="utf-8").splitlines()
