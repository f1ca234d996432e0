"""Every benchmark: ``python -m benchmarks`` lists them, ``python -m benchmarks NAME …`` runs one with its own options, and

    python -m benchmarks all [--results FOLDER] [--data FOLDER] [--prepared FOLDER]

runs each in turn and keeps its tables under the machine's name and the day; one whose data are absent is named and left out.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import name_result

HERE = Path(__file__).parent


def list_scripts() -> dict[str, str]:
    """Name → first sentence of its docstring."""
    scripts = {}
    for path in sorted(HERE.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        if path != Path(__file__) and 'if __name__ == "__main__"' in source:
            text = ast.get_docstring(ast.parse(source)) or ""
            scripts[path.stem] = text.splitlines()[0].split(": ``python")[0].rstrip(".:")
    return scripts


def plan(script: str, arguments: argparse.Namespace) -> list[str] | str:
    """The options that a script is run with, or why it cannot be."""
    output = ["--output", str(arguments.results / f"{name_result(script)}.md")]
    results = ["--results", str(arguments.results)]
    if script in ("inference", "finetuning"):
        return ["--data", str(arguments.data), *results]
    if script == "frameworks":
        return results
    if script == "pretraining":
        return [*([str(arguments.prepared)] if arguments.prepared else []), *results]
    if script == "quality":
        return [str(arguments.prepared), *results] if arguments.prepared else "needs --prepared, a folder of albertkit prepare"
    if script in ("tasks", "trainer"):
        has_data = (arguments.data / "glue").is_dir()
        return ["--data", str(arguments.data), *results] if has_data else f"needs GLUE, SQuAD and others in {arguments.data}"
    if script == "precision":
        data = arguments.data
        return ["--data", str(data), *output] if (data / "glue").is_dir() else f"needs SST-2 and Wikipedia in {data}"
    if script == "tokenization":
        corpora = sorted((arguments.data / "wiki-en").glob("*.jsonl.xz"))
        vocabulary = arguments.data / "albert-vocab" / "30k-clean.rebuilt.model"
        if not corpora or not vocabulary.is_file():
            return f"needs a corpus and a vocabulary in {arguments.data}"
        return [str(corpora[0]), "--vocabulary", str(vocabulary), *output]
    return output


def run_all(arguments: argparse.Namespace) -> int:
    """Run each script in turn: 0, or 1 if one failed."""
    failed = []
    arguments.results.mkdir(parents=True, exist_ok=True)
    for script in list_scripts():
        options = plan(script, arguments)
        if isinstance(options, str):
            print(f"{script}: left out, it {options}", file=sys.stderr)
            continue
        print(f"{script} …", file=sys.stderr)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{script}", *options], check=False).returncode:
            failed.append(script)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    scripts = list_scripts()
    if words and words[0] in scripts:
        return subprocess.run([sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:]], check=False).returncode
    parser = argparse.ArgumentParser("benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("script", nargs="?", choices=["all", *scripts], help="run it; list them without one")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the tables go")
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder of the real data sets")
    parser.add_argument("--prepared", help="folder that albertkit prepare wrote, for ragged pre-training and for quality")
    arguments = parser.parse_args(words)
    if arguments.script == "all":
        return run_all(arguments)
    width = max(map(len, scripts))
    for name, text in scripts.items():
        print(f"{name:{width}}  {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
