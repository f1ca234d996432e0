"""Print a script that lets the shell complete commands, flags and their values.

To install it, in

  bash: albertkit completion bash > ~/.local/share/bash-completion/completions/albertkit
  zsh:  albertkit completion zsh > _albertkit, in a directory of $fpath
  tcsh: albertkit completion tcsh > FILE, and source FILE in ~/.tcshrc

It needs: pip install "albertkit[completion]"
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter

from albertkit import optional

__all__ = ["add_arguments", "run"]

_FILES = ("input", "output", "recipe", "files")  # arguments that name files, by dest
_DIRECTORIES = ("model",)


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell to complete in")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    from albertkit.cli.main import COMMANDS, make_parser

    shtab = optional.require("shtab", "Shell completion")
    root = ArgumentParser(prog="albertkit")
    root.add_argument("--version", action="store_true", help="print the version")
    commands = root.add_subparsers()
    for name, summary in COMMANDS.items():
        parser = make_parser(name)
        for action in parser._actions:
            kind = shtab.FILE if action.dest in _FILES else shtab.DIRECTORY if action.dest in _DIRECTORIES else None
            if kind is not None:
                action.complete = kind  # type: ignore[attr-defined]
        commands.add_parser(name, help=summary, parents=[parser], add_help=False)
    print(shtab.complete(root, arguments.shell))
    return 0
