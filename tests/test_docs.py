"""The prose holds: links lead somewhere, commands exist with the options they are given, examples and doctests run."""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import io
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "projects" / "word2mask"
GUIDES = sorted(
    [path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"]
    + [ROOT / "data/README.md", ROOT / "pretrained/README.md"]
    + list((ROOT / "docs").glob("**/*.md"))
    + list((ROOT / "projects").glob("*/README.md"))
    + list((ROOT / "benchmarks").glob("*.md"))
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OUTPUTS = ("work_dirs/", "data/", "pretrained/")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of one language in a guide."""
    return [body for kind, body in FENCE.findall(path.read_text(encoding="utf-8")) if kind == language]


def anchors(path: Path) -> set[str]:
    """The anchors of a guide's headings, as the forges make them."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", GUIDES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    wrong = []
    for link in LINK.findall(text):
        if re.match(r"(https?|mailto):", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists():
            wrong.append(f"{link}: no such file")
        elif anchor and anchor not in anchors(target):
            wrong.append(f"{link}: no such heading")
    assert not wrong, "\n".join(wrong)


def commands(path: Path) -> list[list[str]]:
    """The words of every command in a guide's bash blocks."""
    found = []
    for block in blocks(path, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.match(r"^[A-Z_0-9]+=", words[0]):  # VARIABLE=value before the command
                words = words[1:]
            if words:
                found.append(words)
    return found


@cache
def options_of(program: str) -> frozenset[str]:
    """The options that a program's source declares, or that of the module whose ``main`` it is."""
    source = (ROOT / program).read_text(encoding="utf-8")
    for module in re.findall(r"^from (word2mask[\w.]*) import main", source, flags=re.MULTILINE):
        source += Path(importlib.import_module(module).__file__).read_text(encoding="utf-8")
    return frozenset(re.findall(r"""["'\s(|](--?[a-z][\w-]*)""", source))


def wrong_options(program: str, words: list[str]) -> list[str]:
    given = [word.partition("=")[0] for word in words if re.match(r"^--?[a-z]", word)]
    return [f"{program} has no {option}" for option in given if option not in options_of(program)]


def problems_of(words: list[str]) -> list[str]:
    """What doesn't hold of one command: a program, an option or a config that isn't there."""
    program, rest = words[0], words[1:]
    wrong = [
        f"no such file: {word}"
        for before, word in zip(words, rest, strict=False)
        if before != "--write"
        and re.match(r"^(projects|configs|tools|benchmarks|tests|docs)/[\w./-]+\.\w+$", word)
        and not (ROOT / word).is_file()
    ]
    if wrong:
        return wrong
    if program in {"python", "bash"} and rest and rest[0].endswith((".py", ".sh")):
        if rest[0].startswith(OUTPUTS):
            return []
        called, arguments = rest[0], rest[1:]
        if called == "tools/dist.sh":
            if arguments[0] not in {"train", "test"}:
                return [f"tools/dist.sh has no {arguments[0]}"]
            return wrong_options(f"tools/{arguments[0]}.py", arguments[3:])
        if called == "tools/test.sh":
            return []  # pytest's
        return wrong_options(called, arguments)
    return problems_of_word2mask(rest) if program == "word2mask" else []


def problems_of_word2mask(arguments: list[str]) -> list[str]:
    """What the command's own parsers say of a command line."""
    from word2mask.apps.cli.program import OTHERS, parse_arguments

    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            if arguments and arguments[0] in OTHERS:
                importlib.import_module(OTHERS[arguments[0]][1]).parse_arguments(arguments[1:])
            else:
                parse_arguments(arguments)
    except SystemExit as stop:
        return [said.getvalue().splitlines()[-1]] if stop.code else []
    return []


@pytest.mark.parametrize("command", ["ask", "chat", "batch", "web"])
def test_examples_of_help_can_be_parsed(command: str) -> None:
    from word2mask.apps.cli.program import OTHERS, OWN

    module = OWN.get(command) or importlib.import_module(OTHERS[command][1])
    lines = [
        line.rpartition("| ")[2].strip() for line in module.EXAMPLES.splitlines() if f"word2mask {command}" in line
    ]
    assert lines
    wrong = [f"{line}: {problems_of_word2mask(words[1:])}" for line in lines if problems_of(words := example(line))]
    assert not wrong, "\n".join(wrong)


def example(line: str) -> list[str]:
    """The words of a line of help, without what is said of it behind three spaces."""
    return shlex.split(line.partition("   ")[0])


@pytest.mark.parametrize("path", GUIDES, ids=name_of)
def test_commands_exist(path: Path) -> None:
    wrong = [f"{shlex.join(words)}\n    {problem}" for words in commands(path) for problem in problems_of(words)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", GUIDES, ids=name_of)
def test_python_examples_name_what_exists(path: Path) -> None:
    for block in blocks(path, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "word2mask":
                module = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")


@pytest.mark.parametrize("program", sorted(path.name for path in (ROOT / "tools").glob("*.sh")))
def test_shell_programs_parse(program: str) -> None:
    run = subprocess.run(["bash", "-n", ROOT / "tools" / program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def with_doctests() -> list[str]:
    files = [path for path in LIBRARY.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]
    return sorted(".".join(path.relative_to(ROOT / "projects").with_suffix("").parts) for path in files)


@pytest.mark.parametrize("module", with_doctests())
def test_doctests(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module.removesuffix(".__init__")))
    assert result.attempted and not result.failed


def test_readme_shows_the_whole_tree() -> None:
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True).returncode:
        pytest.skip("not a git checkout")
    run = subprocess.run([sys.executable, ROOT / "tools/readme_tree.py", "--check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_readme_shows_the_committed_scores() -> None:
    page = ROOT / "benchmarks/quickstart.md"
    if not page.exists():
        pytest.skip("no committed table yet")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line for line in page.read_text(encoding="utf-8").split("## Time")[0].splitlines() if line.startswith("|")]
    assert rows
    assert "\n".join(rows) in readme, "run python benchmarks/quickstart.py … --write … --readme README.md"
