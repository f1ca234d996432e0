"""From the mappings of a YAML file to frozen dataclasses, every mistake one sentence that names the file and the key."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentParser

from albertkit.errors import ConfigError, suggest

__all__ = ["apply_override", "build", "check_keys", "describe_fields", "read_values", "read_yaml", "require"]

Settings = TypeVar("Settings")


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises:
        ConfigError: If it is missing, is no YAML, or holds anything else.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("a recipe must be a readable file", received=f"{path} ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place else ""
        reason = getattr(error, "problem", None) or "no UTF-8 text"
        raise ConfigError("a recipe must be valid YAML", received=f"{path}{line} ({reason})") from None
    if not isinstance(content, dict):
        raise ConfigError("a recipe must be a mapping of sections", received=f"{path} holds {_describe(content)}")
    return content


def apply_override(content: dict[str, Any], override: str) -> None:
    """Set one key of a recipe in place.

    Args:
        content: Section → mapping of keys.
        override: ``section.key=value``, ``section.part.key=value`` or ``key=value``, the value in YAML.

    Raises:
        ConfigError: If it has another form.
    """
    name, equals, text = override.partition("=")
    *sections, key = name.removeprefix("--").split(".")
    if not equals or not key or not all(sections):
        raise ConfigError("an override must read section.key=value", received=override)
    target = content
    for section in sections:
        if target.get(section) is None:  # null in the file: a section that is not there
            target[section] = {}
        target = target[section]
        if not isinstance(target, dict):
            raise ConfigError(f"{section} must be a section with keys of its own", received=_describe(target))
    try:
        target[key] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError("the value of an override must be valid YAML", received=override) from None


def check_keys(keys: Collection[Any], allowed: Collection[str], where: str) -> None:
    """Refuse a key that is not ``allowed``, and say which one may be meant.

    Args:
        keys: As found.
        allowed: As they may be.
        where: The file, and the section if any, for the message.

    Raises:
        ConfigError: For the first such key.
    """
    for key in keys:
        if key not in allowed:
            raise ConfigError(
                f"{where} must hold known keys only",
                received=key,
                fix=suggest(key, allowed) or f"the keys are {', '.join(allowed)}",
            )


def build(kind: type[Settings], values: Any, where: str) -> Settings:
    """Make a dataclass from a mapping.

    Args:
        kind: A dataclass whose fields are plain types.
        values: Its fields; ``None`` stands for none.
        where: The file and the section, for messages.

    Raises:
        ConfigError: If a key is unknown, a required one is missing, or a value is of the wrong type or impossible.
    """
    typed = read_values(kind, {} if values is None else values, where)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name not in typed and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where} must give {field.name}", received="nothing")
    try:
        return kind(**typed)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def read_values(kind: type[Any], values: Any, where: str) -> dict[str, Any]:
    """Read values as the types of a dataclass's fields say; numbers may be written as ``1e-3``, which YAML takes for text.

    Args:
        kind: The dataclass.
        values: Some of its fields.
        where: The file and the section, for messages.

    Raises:
        ConfigError: If a key is unknown or a value is of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a mapping of keys", received=_describe(values))
    check_keys(values, [field.name for field in dataclasses.fields(kind)], where)
    hints = typing.get_type_hints(kind)
    return {key: _read_value(hints[key], value, f"{where}, {key}") for key, value in values.items()}


def describe_fields(kind: type[Any]) -> dict[str, str]:
    """Field → the text under it in the source, the fields of a section within a section as ``section.field``.

    Args:
        kind: A dataclass whose fields are followed by their documentation.
    """
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    texts = {
        statement.target.id: " ".join(following.value.value.split())
        for statement, following in pairwise(getattr(body, "body", []))
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if isinstance(following.value.value, str)
    }
    hints = typing.get_type_hints(kind)
    found: dict[str, str] = {}
    for field in dataclasses.fields(kind):
        section = _find_section(hints[field.name])
        if section is not None:
            inner = describe_fields(section)
            found |= {f"{field.name}.{key}": text for key, text in inner.items()}
        else:
            found[field.name] = texts.get(field.name, "")
    return found


def require(holds: bool, rule: str, received: object) -> None:
    """Raise :class:`ConfigError` unless a rule holds.

    Args:
        holds: Whether it does.
        rule: What must hold.
        received: What came instead.
    """
    if not holds:
        raise ConfigError(rule, received=received)


def _find_section(hint: Any) -> type[Any] | None:
    """The dataclass of a field that is a section, be it one that may be null."""
    kinds = [kind for kind in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(kind)]
    return kinds[0] if kinds and typing.get_origin(hint) is not list else None  # type: ignore[return-value]


def _read_value(hint: Any, value: Any, where: str) -> Any:
    """One value as the type says, by jsonargparse's rules; a section within a section, or a list of them, by :func:`build`."""
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    item = next(iter(typing.get_args(hint)), None)
    if typing.get_origin(hint) is list and dataclasses.is_dataclass(item) and isinstance(value, list):
        return [build(item, entry, f"{where}, entry {number}") for number, entry in enumerate(value, 1)]  # type: ignore[arg-type]
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=hint)
    try:
        return parser.parse_object({"value": value}).value
    except Exception as error:  # jsonargparse raises argparse's error, but a type's own may come through
        raise ConfigError(f"{where} must be {_describe_type(hint)}", received=repr(value)) from error


def _describe_type(hint: Any) -> str:
    """A type for people: ``a whole number``, ``one of lamb, adamw``, ``a number or null``."""
    if hint in _TYPES:
        return _TYPES[hint]
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if type(None) in arguments:
        return " or ".join(_describe_type(item) for item in arguments)
    if typing.get_origin(hint) in (tuple, list):
        return "a list" if Ellipsis in arguments or len(arguments) < 2 else f"a list of {len(arguments)}"
    return str(hint)


_TYPES: dict[Any, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null", Path: "a path",
    dict[str, str]: "a mapping of text to text",
}  # fmt: skip


def _describe(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {value!r}"
