"""What the documentation's builder is taught: our docstrings' roles, and links that lead out of ``docs/``.

``RoleLinks`` is an extension of griffe, which reads the source: it turns Sphinx roles, ``:class:`~albertkit.Name```, into links.
A role whose target does not exist is a warning, and so an error of ``mkdocs build --strict``; a target that exists but stands
on no page is shown as code. ``on_page_markdown`` is a hook of mkdocs.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import griffe

_log = logging.getLogger("mkdocs.hooks.roles")
_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~?)([\w.]+)`")
_REPOSITORY_LINK = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")


class RoleLinks(griffe.Extension):
    """Turns the roles of every docstring into links."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite the docstrings of a package that has been read whole."""
        self._visit(pkg, pkg)

    def _visit(self, item: griffe.Object, package: griffe.Module) -> None:
        if item.docstring:
            item.docstring.value = _ROLE.sub(lambda role: _link(role, item, package), item.docstring.value)
        for member in item.members.values():
            if not member.is_alias:
                self._visit(member, package)


def _link(role: re.Match[str], item: griffe.Object, package: griffe.Module) -> str:
    shortened, name = role[1], role[2].removeprefix(".")
    shown = name.rpartition(".")[2] if shortened else name
    target = _find(name, item, package)
    if target is None:
        _log.warning("%s: the docstring of %s names %s, which does not exist", item.relative_filepath, item.path, name)
        return f"`{shown}`"
    return f'<autoref identifier="{target}" optional><code>{shown}</code></autoref>'


def _find(name: str, item: griffe.Object, package: griffe.Module) -> str | None:
    """The whole path of a name as the docstring of ``item`` means it: a member, a neighbour, an import, or from the root."""
    if name.startswith(f"{package.name}."):
        return _path(package, name.removeprefix(f"{package.name}."))
    scope: Any = item
    while scope is not None:
        found = _path(scope, name)
        if found is not None:
            return found
        scope = scope.parent
    return None


def _path(scope: Any, name: str) -> str | None:
    for part in name.split("."):
        members = scope.all_members if scope.is_class or scope.is_module else scope.members
        if part not in members:
            return None
        scope = members[part]
        if scope.is_alias:
            try:
                scope = scope.final_target
            except griffe.AliasResolutionError:  # a name of another library
                return None
    return str(scope.path)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Show a link to a file of the repository that is no page, such as a recipe, as plain text: the site does not hold it."""
    return _REPOSITORY_LINK.sub(r"\1", markdown)
