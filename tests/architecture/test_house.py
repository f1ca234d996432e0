"""The house rules: sizes, docstrings, annotations and where imports may stand, read from the source itself."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "albertkit"
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
MAY_IMPORT_INSIDE = {"inference/engine.py", "optional.py"}


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}", node


def test_files_are_short():
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
    assert statistics.median(lengths.values()) <= 150
    tests = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in Path(__file__).parents[1].rglob("*.py")}
    assert {name: length for name, length in tests.items() if length > 600} == {}


def test_functions_are_short():
    lengths = {name: node.end_lineno - node.lineno + 1 for name, node in functions()}
    assert {name: length for name, length in lengths.items() if length > 80} == {}
    longer = [name for name, length in lengths.items() if length > 50]
    assert len(longer) <= 0.05 * len(lengths), longer


def test_forward_functions_are_shorter_still():
    bodies = {}
    for name, node in functions():
        if node.name == "forward" or (node.name in ("call", "__call__") and name.startswith("models/")):
            first = node.body[1] if ast.get_docstring(node) else node.body[0]
            bodies[name] = node.end_lineno - first.lineno + 1
    assert {name: length for name, length in bodies.items() if length > 40} == {}


def test_positional_parameters_are_few():
    exempt = {"forward", "call", "__init__", "__call__"}  # documented signatures and constructors of the ecosystem
    many = {}
    for name, node in functions():
        count = len([a for a in node.args.posonlyargs + node.args.args if a.arg not in ("self", "cls")])
        if count > 8 and node.name not in exempt:
            many[name] = count
    assert many == {}


def test_every_public_name_has_a_docstring():
    missing = []
    for path, tree in TREES.items():
        if not ast.get_docstring(tree):
            missing.append(str(path.relative_to(SOURCE)))
        for owner in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]:
            if getattr(owner, "name", "").startswith("_"):
                continue
            for node in owner.body:
                if (
                    isinstance(node, ast.FunctionDef | ast.ClassDef)
                    and not node.name.startswith("_")
                    and not ast.get_docstring(node)
                ):
                    missing.append(f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}")
    assert missing == []


def test_every_function_is_annotated():
    bare = []
    for name, node in functions():
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        named = [a for a in arguments if a is not None and a.arg not in ("self", "cls")]
        if node.returns is None or any(a.annotation is None for a in named):
            bare.append(name)
    assert bare == []


def test_imports_inside_functions_stand_only_where_they_may():
    found = []
    for path, tree in TREES.items():
        place = path.relative_to(SOURCE).as_posix()
        if path.name == "__init__.py" or place.startswith("cli/") or place in MAY_IMPORT_INSIDE:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                found += [f"{place}:{x.lineno}" for x in ast.walk(node) if isinstance(x, ast.Import | ast.ImportFrom)]
    assert found == []


def test_no_assert_and_no_reminders_in_the_source():
    found = [f"{path.name}:{n.lineno}" for path, tree in TREES.items() for n in ast.walk(tree) if isinstance(n, ast.Assert)]
    assert found == []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not any(word in text for word in ("TODO", "FIXME", "XXX", "HACK")), path


def test_folders_have_names_that_say_what_is_inside():
    vague = {"utils", "helpers", "common", "misc"}
    assert not [path for path in FILES if vague & {part.removesuffix(".py") for part in path.parts}]
    frameworks = {"torch", "jax", "tensorflow", "numpy"}
    tests = Path(__file__).parents[1]
    assert not [path for path in tests.rglob("*") if path.is_dir() and path.name in frameworks]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_public_function_takes_nameless_keywords(path: Path):
    allowed = {
        "from_pretrained",
        "from_dict",
        "from_json_file",
        "replace",
        "changed",
        "pipeline",
        "tiny_config",
        "require",
    }  # validated overrides
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef) and node.args.kwarg and not node.name.startswith("_"):
            assert node.name in allowed, f"{node.name} takes **{node.args.kwarg.arg}"
