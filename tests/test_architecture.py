"""The order of imports, the layout, and what may stand where: read from the source, nothing is imported."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "projects" / "word2mask"

#: Packages of word2mask from the bottom up; those of one rank don't import each other.
ORDER = [
    {"types", "errors"},
    {"ops"},
    {"text"},
    {"data"},
    {"mllms", "segmenters"},
    {"losses"},
    {"models"},
    {"metrics"},
    {"evaluation", "inference"},
    {"annotate"},
    {"engine"},
    {"export"},
    {"apps"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
PROJECTS = {"llava_sam2", "lisa"}

#: What may lie at the top of the repository, and in projects/.
TOP_LEVEL = {
    *(".ci", ".github", ".gitattributes", ".gitignore", ".pre-commit-config.yaml"),
    *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "README.md"),
    *("pyproject.toml", "requirements.txt", "setup.py"),
    *("benchmarks", "configs", "data", "docs", "pretrained", "projects", "tests", "tools"),
}

#: Never imported by the product: they break or replace a CPU build of torch (docs/architecture.md says how).
FORBIDDEN = {"torchvision", "timm", "sam2", "hydra", "omegaconf", "mmcv", "mmdet", "xtuner"}

VAGUE_NAMES = {"utils", "util", "misc", "common", "helpers", "helper", "tmp", "new", "old"}
MAX_LINES = 500


def python_files(*folders: str) -> list[Path]:
    """Every Python file below ``folders`` of the repository, without caches."""
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts
    )


PRODUCT = python_files("projects", "tools", "configs", "benchmarks")
IN_LIBRARY = [path for path in PRODUCT if path.is_relative_to(LIBRARY)]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """``(line, dotted module)`` of every absolute or relative import of a file, wherever it stands in it."""
    package = path.relative_to(ROOT / "projects").with_suffix("").parts[:-1] if "projects" in path.parts else ()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            # `from word2mask import engine` imports word2mask.engine.
            if base == ["word2mask"]:
                for alias in node.names:
                    yield node.lineno, f"word2mask.{alias.name}"
            else:
                yield node.lineno, ".".join(base)


def package_of(path: Path) -> str:
    """``data`` for projects/word2mask/data/sources/refcoco.py."""
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


def parents(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


def test_every_package_has_a_place_in_the_order() -> None:
    found = {package_of(path) for path in IN_LIBRARY} - {"__init__"}
    assert found <= set(RANK), f"no place in ORDER for {sorted(found - set(RANK))}"


@pytest.mark.parametrize("path", IN_LIBRARY, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    package = package_of(path)
    wrong = []
    for line, module in imports(path):
        parts = module.split(".")
        if parts[0] in PROJECTS:
            wrong.append(f"line {line}: word2mask imports {module}")
        if parts[0] != "word2mask" or len(parts) == 1 or package == "__init__":
            continue
        other = parts[1]
        if other not in RANK:  # a name of word2mask/__init__.py
            continue
        if other != package and RANK[other] >= RANK[package] and {other, package} != {"types", "errors"}:
            wrong.append(f"line {line}: {package} (rank {RANK[package]}) imports {module} (rank {RANK[other]})")
    assert not wrong, "\n".join(wrong)


def test_projects_do_not_know_each_other() -> None:
    wrong = []
    for project in PROJECTS:
        for path in python_files(f"projects/{project}"):
            others = PROJECTS - {project} | {"tools", "tests", "benchmarks"}
            wrong += [
                f"{name_of(path)}:{line} {module}" for line, module in imports(path) if module.split(".")[0] in others
            ]
    for path in python_files("configs"):
        wrong += [
            f"{name_of(path)}:{line} {module}" for line, module in imports(path) if module.split(".")[0] in PROJECTS
        ]
    assert not wrong, wrong


def test_only_the_engine_imports_mmengine() -> None:
    wrong = []
    for path in PRODUCT:
        if path.is_relative_to(LIBRARY / "engine"):
            continue
        for line, module in imports(path):
            is_config = "configs" in path.parts and module == "mmengine.config"
            if module.split(".")[0] == "mmengine" and not is_config:
                wrong.append(f"{name_of(path)}:{line} {module}")
    assert not wrong, wrong


def test_nothing_imports_what_breaks_a_cpu_build() -> None:
    wrong = [f"{name_of(p)}:{line} {m}" for p in PRODUCT for line, m in imports(p) if m.split(".")[0] in FORBIDDEN]
    assert not wrong, wrong


def spoken_strings(path: Path) -> Iterator[tuple[int, str]]:
    """String literals that the program works with: no docstrings, no messages of errors, logs and arguments' help,
    no pages of prose (several lines), and nothing that is quoted in backticks."""
    tree = tree_of(path)
    parent = parents(tree)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        if isinstance(parent.get(node), ast.Expr):
            continue
        above: ast.AST | None = node
        while above is not None:
            if isinstance(above, ast.Raise | ast.Assert) or (
                isinstance(above, ast.keyword) and above.arg in {"help", "description"}
            ):
                break
            if isinstance(above, ast.Call):
                function = above.func
                called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                if called in {"debug", "info", "warning", "error", "warn", "UserError", "ArgumentParser"}:
                    break
            above = parent.get(above)
        else:
            if "\n" not in node.value:
                yield node.lineno, re.sub(r"`[^`]*`", "", node.value)


def test_special_tokens_are_spelled_in_one_place() -> None:
    owner = LIBRARY / "text" / "special_tokens.py"
    wrong = []
    for path in PRODUCT:
        if path == owner:
            continue
        # Programs that write HTML have paragraphs.
        html = "tools" in path.parts or "apps" in path.parts
        tokens = ["[SEG]", "<vp>", "</vp>"] + ([] if html else ["<p>", "</p>"])
        wrong += [
            f"{name_of(path)}:{line} {text!r}" for line, text in spoken_strings(path) if any(t in text for t in tokens)
        ]
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
                if isinstance(node.operand, ast.Constant) and node.operand.value == 100:
                    wrong.append(f"{name_of(path)}:{node.lineno} -100 instead of IGNORE_INDEX")
    assert not wrong, "\n".join(wrong)


def test_no_code_from_data() -> None:
    """No remote code, no pickle that runs what it names, no device written into the code."""
    wrong = []
    for path in PRODUCT:
        for node in ast.walk(tree_of(path)):
            where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                wrong.append(f"{where} trust_remote_code")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                keywords = {keyword.arg: keyword.value for keyword in node.keywords}
                if called == "torch.load" and ast.unparse(keywords.get("weights_only", ast.Constant(None))) != "True":
                    wrong.append(f"{where} torch.load without weights_only=True")
                if called in {"pickle.load", "pickle.loads", "eval", "exec"}:
                    wrong.append(f"{where} {called}")
                if node.func.attr == "cuda" and not called.startswith("torch."):
                    wrong.append(f"{where} {called}()")
    assert not wrong, "\n".join(wrong)


def tracked() -> list[str]:
    """The files of the repository as git sees them; a copy without git is looked at whole."""
    run = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if run.returncode == 0 and run.stdout:
        return run.stdout.splitlines()
    pytest.skip("not a git checkout")


def test_top_level_layout() -> None:
    top = {name.split("/")[0] for name in tracked()}
    assert top <= TOP_LEVEL, f"not foreseen at the top: {sorted(top - TOP_LEVEL)}"
    projects = {name.split("/")[1] for name in tracked() if name.startswith("projects/")}
    assert projects <= {"word2mask", *PROJECTS}, projects


def test_names_and_sizes() -> None:
    wrong = []
    for path in PRODUCT + python_files("tests"):
        if set(path.stem.split("_")) & VAGUE_NAMES or set(path.parent.relative_to(ROOT).parts) & VAGUE_NAMES:
            wrong.append(f"{name_of(path)}: name it after what it holds")
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            wrong.append(f"{name_of(path)}: {lines} lines, over {MAX_LINES}")
    assert not wrong, "\n".join(wrong)


def test_every_module_says_what_it_is() -> None:
    wrong = [name_of(path) for path in PRODUCT if path.stat().st_size and not ast.get_docstring(tree_of(path))]
    assert not wrong, f"no docstring: {wrong}"


def test_text_hides_nothing() -> None:
    """No invisible or direction-changing characters, no marks of unfinished work, no home folder of anybody."""
    invisible = {
        chr(code)
        for code in (0x200B, 0x200C, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    }
    marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "/ho" + "me/", "/ro" + "ot/"]
    wrong = []
    for name in tracked():
        path = ROOT / name
        if path.suffix not in {".py", ".md", ".sh", ".toml", ".txt", ".yaml", ".json", ""} or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        is_weights = name.startswith("pretrained/") and path.suffix == ".json"
        for number, line in enumerate(text.splitlines(), 1):
            if set(line) & invisible and not is_weights:
                wrong.append(f"{name}:{number} invisible character")
            wrong += [f"{name}:{number} {mark}" for mark in marks if mark in line and not is_weights]
    assert not wrong, "\n".join(wrong)


def test_tests_mirror_the_library() -> None:
    """tests/<package>/ is a package of word2mask, a project, or one of the suites that look across."""
    across = {"contracts", "parity", "recipes", "tools", "configs", "benchmarks", "docs"} | PROJECTS
    found = {
        path.relative_to(ROOT / "tests").parts[0] for path in python_files("tests") if path.parent != ROOT / "tests"
    }
    assert found <= set(RANK) | across, sorted(found - set(RANK) - across)
