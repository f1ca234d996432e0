"""The configuration of a model: Hugging Face's keys and defaults, Google's files, and the eight published sizes."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from albertkit import hub
from albertkit.config_values import (
    ACTIVATIONS,
    CONVENTIONS,
    GOOGLE_ACTIVATION,
    GOOGLE_KEYS,
    GOOGLE_ONLY,
    KNOWN_TO_OTHERS,
    LARGEST,
    MOST_LAYERS,
    POSITION_TYPES,
    PROBLEM_TYPES,
    PUBLISHED,
    FrozenDict,
    from_keras_hub,
)
from albertkit.errors import ConfigError, suggest
from albertkit.hub import Name, Source

__all__ = ["ACTIVATIONS", "CONFIG_FILES", "PUBLISHED", "AlbertConfig"]

CONFIG_FILES = ("config.json", "albert_config.json", "assets/albert_config.json")
"""Where a checkpoint keeps its configuration: Hugging Face's and KerasHub's, Google's, and that of a TensorFlow Hub module."""


@dataclass(frozen=True, kw_only=True)
class AlbertConfig:
    """Sizes, rates and labels of an ALBERT model. Frozen: :meth:`replace` makes a changed copy.

    The defaults are those of the ALBERT documentation, which describe albert-xxlarge.

    Raises:
        ConfigError: If a value is impossible; the sentence gives the rule.
    """

    vocab_size: int = 30000
    """V: number of vocabulary entries."""
    embedding_size: int = 128
    """E: width of the factorised embeddings (arXiv:1909.11942 §3.1)."""
    hidden_size: int = 4096
    """H: width of the encoder; a multiple of ``num_attention_heads``."""
    num_hidden_layers: int = 12
    """Number of layers applied; layer i uses group ``i * num_hidden_groups // num_hidden_layers``."""
    num_hidden_groups: int = 1
    """G: number of parameter groups shared by the layers."""
    num_attention_heads: int = 64
    """N: attention heads; a wrong number loads silently since it changes no shape, so copy it from the source."""
    intermediate_size: int = 16384
    """F: width of the feed-forward layer."""
    inner_group_num: int = 1
    """Inner layers in a group, applied one after the other at every layer."""
    hidden_act: str | Callable[[Any], Any] = "gelu_new"
    """Activation: one of :data:`ACTIVATIONS`, or, in the frameworks, a callable of theirs (which cannot be saved)."""
    hidden_dropout_prob: float = 0.0
    """Dropout after the embeddings, the attention output and the feed-forward output."""
    attention_probs_dropout_prob: float = 0.0
    """Dropout of the attention probabilities."""
    max_position_embeddings: int = 512
    """S: the longest sequence, special tokens included."""
    type_vocab_size: int = 2
    """Number of token types (segments)."""
    initializer_range: float = 0.02
    """Standard deviation of the initial weights."""
    layer_norm_eps: float = 1e-12
    """Epsilon of every LayerNorm."""
    classifier_dropout_prob: float = 0.1
    """Dropout before a classification head."""
    position_embedding_type: str = "absolute"
    """``absolute``, ``relative_key`` (arXiv:1803.02155) or ``relative_key_query`` (arXiv:2009.13658)."""
    pad_token_id: int = 0
    """Id of the padding token, whose embedding gets no gradient."""
    bos_token_id: int = 2
    """Id of ``[CLS]``."""
    eos_token_id: int = 3
    """Id of ``[SEP]``."""
    tie_word_embeddings: bool = True
    """The masked-LM decoder is the word embedding; ALBERT knows no other form."""
    num_labels: int | None = None
    """C: classes of a task head. Derived from ``id2label`` when absent; 2 without either."""
    id2label: Mapping[int, str] | None = None
    """Class id → name; ``LABEL_0`` … when absent."""
    label2id: Mapping[str, int] | None = None
    """Class name → id; the inverse of ``id2label`` when absent."""
    problem_type: str | None = None
    """``regression``, ``single_label_classification``, ``multi_label_classification``; ``None``: inferred from the labels."""
    output_attentions: bool = False
    """Return attention probabilities unless the call says otherwise."""
    output_hidden_states: bool = False
    """Return every layer's hidden states unless the call says otherwise."""
    return_dict: bool = True
    """Return output objects rather than tuples unless the call says otherwise."""
    training_convention: str = "google"
    """Where the references differ in training: ``google`` (truncated-normal initial weights, dropout after the feed-forward
    output, none before the sentence-order head) or ``huggingface`` (normal, none, ``classifier_dropout_prob``)."""
    extra: Mapping[str, Any] = field(default_factory=FrozenDict)
    """Keys of a file that albertkit does not know: written back as they came, readable as attributes."""

    # ------------------------------------------------------------------ rules

    def __post_init__(self) -> None:
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if name == "num_labels" and value is None:
                continue
            if type(value) is not int or not 1 <= value <= largest:
                raise ConfigError(f"{name} must be a whole number from 1 to {largest:,}", received=f"{name}={value!r}")
        self._check_relations()
        self._check_rates()
        self._check_choices()
        self._settle_labels()
        object.__setattr__(self, "extra", FrozenDict(self.extra))

    def _check_relations(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            fits = [n for n in range(1, self.hidden_size + 1) if self.hidden_size % n == 0]
            near = min(fits, key=lambda n: abs(n - self.num_attention_heads))
            raise ConfigError(
                "hidden_size must be a multiple of num_attention_heads",
                received=f"hidden_size={self.hidden_size} and num_attention_heads={self.num_attention_heads}",
                fix=f"num_attention_heads={near} would fit",
            )
        if self.num_hidden_groups > self.num_hidden_layers:
            raise ConfigError(
                "num_hidden_groups must not exceed num_hidden_layers, or some groups would never be used",
                received=f"num_hidden_groups={self.num_hidden_groups} and num_hidden_layers={self.num_hidden_layers}",
            )
        if self.num_hidden_groups * self.inner_group_num > MOST_LAYERS:
            raise ConfigError(
                f"num_hidden_groups times inner_group_num must be at most {MOST_LAYERS:,}",
                received=f"num_hidden_groups={self.num_hidden_groups} and inner_group_num={self.inner_group_num}",
            )
        for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < self.vocab_size:
                raise ConfigError(
                    f"{name} must be an id of the vocabulary, 0 to {self.vocab_size - 1}", received=f"{name}={value!r}"
                )

    def _check_rates(self) -> None:
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0.0 <= value < 1.0:
                raise ConfigError(f"{name} must be at least 0 and less than 1", received=f"{name}={value!r}")
        for name in ("initializer_range", "layer_norm_eps"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be a positive number", received=f"{name}={value!r}")

    def _check_choices(self) -> None:
        choices = {
            "position_embedding_type": POSITION_TYPES,
            "problem_type": (None, *PROBLEM_TYPES),
            "training_convention": CONVENTIONS,
        }
        if not callable(self.hidden_act):
            choices["hidden_act"] = ACTIVATIONS
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigError(
                    f"{name} must be one of {', '.join(str(item) for item in allowed)}",
                    received=f"{name}={value!r}",
                    fix=suggest(value, allowed),
                )
        for name in ("tie_word_embeddings", "output_attentions", "output_hidden_states", "return_dict"):
            if type(getattr(self, name)) is not bool:
                raise ConfigError(f"{name} must be true or false", received=f"{name}={getattr(self, name)!r}")
        if not self.tie_word_embeddings:
            raise ConfigError(
                "ALBERT's masked-LM decoder is its word embedding (arXiv:1909.11942 §3.1)",
                received="tie_word_embeddings=False",
                fix="leave it at True",
            )

    def _settle_labels(self) -> None:
        names = self.id2label
        if names is None:
            if self.label2id is not None:
                names = {index: name for name, index in self.label2id.items()}
            else:
                names = {index: f"LABEL_{index}" for index in range(self.num_labels or 2)}
        try:
            names = {int(index): str(name) for index, name in names.items()}
            ids = {str(name): int(index) for name, index in (self.label2id or {n: i for i, n in names.items()}).items()}
        except (AttributeError, TypeError, ValueError):
            raise ConfigError(
                "id2label must map class numbers to names, and label2id names to numbers",
                received=f"id2label={self.id2label!r} and label2id={self.label2id!r}",
            ) from None
        if sorted(names) != list(range(len(names))) or not names:
            raise ConfigError("id2label must number the classes 0, 1, 2 … without a gap", received=f"ids {sorted(names)}")
        if self.num_labels not in (None, len(names)):
            raise ConfigError(
                "num_labels and id2label must agree",
                received=f"num_labels={self.num_labels} and {len(names)} names",
                fix="give one of the two",
            )
        object.__setattr__(self, "num_labels", len(names))
        object.__setattr__(self, "id2label", FrozenDict(names))
        object.__setattr__(self, "label2id", FrozenDict(ids))

    # ---------------------------------------------------------------- reading

    @classmethod
    def published(cls, name: str) -> Self:
        """The configuration of a published checkpoint, ``albert-base-v1`` … ``albert-xxlarge-v2``, without any network.

        Raises:
            ConfigError: If there is no checkpoint of that name.
        """
        short = name.removeprefix("albert/")
        if short not in PUBLISHED:
            raise ConfigError(f"a published size is one of {', '.join(PUBLISHED)}", received=name, fix=suggest(short, PUBLISHED))
        return cls(**PUBLISHED[short])

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Build a configuration from the keys of a JSON file, Hugging Face's, Google's or KerasHub's.

        Args:
            values: The file's content. Unknown keys are kept in :attr:`extra` and named in one warning.
            overrides: Fields that take the place of the file's; ``num_labels`` replaces the file's label names too.

        Raises:
            ConfigError: If a value is impossible or an override is no field of the configuration.
        """
        _refuse_unknown(overrides)
        values = from_keras_hub(values)
        known = {name: value for name, value in values.items() if name in _FIELDS and name != "extra"}
        extra = {name: value for name, value in values.items() if name not in _FIELDS - {"extra"} and name != "model_type"}
        model_type = values.get("model_type", "albert")
        if model_type != "albert":
            raise ConfigError('an ALBERT configuration has model_type "albert"', received=f"model_type={model_type!r}")
        unknown = sorted(set(extra) - KNOWN_TO_OTHERS)
        if unknown:
            names = ", ".join(unknown)
            warnings.warn(f"the configuration holds keys that albertkit does not know, kept as they are: {names}", stacklevel=2)
        if "model_type" not in values and set(values) & set(GOOGLE_ONLY):
            known["hidden_act"] = GOOGLE_ACTIVATION.get(values.get("hidden_act", "gelu"), values.get("hidden_act"))
        if "num_labels" in overrides:
            known = {name: value for name, value in known.items() if name not in ("id2label", "label2id")}
        if "id2label" in overrides or "label2id" in overrides:
            known = {name: value for name, value in known.items() if name not in ("id2label", "label2id", "num_labels")}
        return cls(**(known | {"extra": extra} | overrides))

    @classmethod
    def from_json_file(cls, path: str | Path, **overrides: Any) -> Self:
        """Read ``config.json`` (Hugging Face, KerasHub) or ``albert_config.json`` (Google).

        Raises:
            ConfigError: If the file is missing, is no JSON object, or holds an impossible value.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError("a configuration must be a readable file", received=f"{path} ({error.strerror})") from None
        except (ValueError, RecursionError) as error:
            raise ConfigError("a configuration must be valid JSON", received=f"{path} ({error})") from None
        if not isinstance(values, dict):
            raise ConfigError("a configuration must be one JSON object", received=f"{path} holds a {type(values).__name__}")
        return cls.from_dict(values, **overrides)

    @classmethod
    def from_pretrained(
        cls,
        name: Name,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | None = None,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> Self:
        """Find and read the configuration of a checkpoint.

        Args:
            name: A directory, a JSON file, an embedded model, a published name (known here, so that nothing is downloaded
                unless a revision is asked for), or a hub id.
            revision: Branch, tag or commit of a hub repository.
            cache_dir: Where downloads are kept, if not where the hub library keeps them.
            token: For a private repository.
            local_files_only: Never download.
            overrides: Fields that take the place of the file's, as ``num_labels=3``; the result is a new configuration.
        """
        source = Source.of(name, revision, cache_dir, token, local_files_only)
        if hub.find_weights(source.name) is None and Path(source.name).is_file():
            return cls.from_json_file(source.name, **overrides)
        short = str(source).removeprefix("albert/")
        if short in PUBLISHED and source.revision is None and not Path(source.name).is_dir():
            _refuse_unknown(overrides)
            return cls.published(short).replace(**overrides)
        found = hub.locate(source, CONFIG_FILES)
        return cls.from_json_file(next(iter(found.values())), **overrides)

    # ---------------------------------------------------------------- writing

    def replace(self, **changes: Any) -> Self:
        """A copy with ``changes``; a new ``num_labels`` brings new label names unless they are given too.

        Raises:
            ConfigError: If a change is no field of the configuration or makes it impossible.
        """
        _refuse_unknown(changes)
        if changes.keys() & {"num_labels", "id2label", "label2id"}:
            changes = {"num_labels": None, "id2label": None, "label2id": None} | changes
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of Hugging Face: every field, the kept keys, and ``model_type``."""
        if callable(self.hidden_act):
            raise ConfigError(
                "a configuration whose hidden_act is a callable cannot be saved",
                received=f"hidden_act={getattr(self.hidden_act, '__name__', self.hidden_act)!r}",
                fix=f"use one of the names {', '.join(ACTIVATIONS)}",
            )
        values = {name: getattr(self, name) for name in sorted(_FIELDS - {"extra", "num_labels"})}
        values |= {"id2label": {str(i): n for i, n in values["id2label"].items()}, "label2id": dict(values["label2id"])}
        return {"model_type": "albert"} | values | dict(self.extra)

    def to_google_dict(self) -> dict[str, Any]:
        """The JSON form of google-research/albert (``albert_config.json``).

        Raises:
            ConfigError: If Google's code has no such activation; its ``gelu`` is the tanh form.
        """
        names = {ours: google for google, ours in GOOGLE_ACTIVATION.items()} | {"gelu_pytorch_tanh": "gelu"}
        if self.hidden_act not in names:
            raise ConfigError(
                f"Google's configuration knows the activations {', '.join(names)} only",
                received=f"hidden_act={self.hidden_act!r}",
            )
        values: dict[str, Any] = {name: getattr(self, name) for name in GOOGLE_KEYS}
        values["hidden_act"] = names[str(self.hidden_act)]
        return values | {name: self.extra.get(name, default) for name, default in GOOGLE_ONLY.items()}

    def to_json_string(self) -> str:
        """:meth:`to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    # ------------------------------------------------------------------ reads

    @property
    def head_size(self) -> int:
        """D: width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def architectures(self) -> tuple[str, ...]:
        """Classes of the model that was saved with this configuration, as the file names them; none without a file."""
        named = self.extra.get("architectures")
        return tuple(str(name) for name in named) if isinstance(named, list | tuple) else ()

    @property
    def use_return_dict(self) -> bool:
        """The name older code reads :attr:`return_dict` by."""
        return self.return_dict

    def group_of(self, layer: int) -> int:
        """The group whose parameters layer ``layer`` uses: integer arithmetic, where Google's floats misroute odd sizes."""
        return layer * self.num_hidden_groups // self.num_hidden_layers

    def __getattr__(self, name: str) -> Any:
        extra = self.__dict__.get("extra", {})
        if name in extra and not name.startswith("__"):
            return extra[name]
        close = suggest(name, _FIELDS)
        raise AttributeError(f"AlbertConfig has no {name!r}" + (f"; {close}" if close else ""))

    def __hash__(self) -> int:
        return hash(repr(self))


def _refuse_unknown(names: Mapping[str, Any]) -> None:
    for name in names:
        if name not in _FIELDS:
            raise ConfigError("every override must be a field of AlbertConfig", received=name, fix=suggest(name, _FIELDS))


_FIELDS = frozenset(item.name for item in dataclasses.fields(AlbertConfig))
