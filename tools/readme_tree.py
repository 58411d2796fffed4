"""Writes the README's tree: every program file with the first sentence of its own docstring, so that neither drifts.

python tools/readme_tree.py            # rewrites the tree in README.md
python tools/readme_tree.py --check    # exit code 1 where README.md would change
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
MARKS = ("<!-- tree: tools/readme_tree.py writes it -->", "<!-- end of tree -->")
FOLDERS = ("projects", "tools", "configs", "benchmarks")
WIDTH = 150
COLUMN = 36


def program_files() -> list[str]:
    """Python and shell files of the folders, as git sees them: tracked, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS]
    names = set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines())
    files = [name for name in names if name.endswith((".py", ".sh")) and (ROOT / name).is_file()]
    return sorted(files, key=lambda name: (FOLDERS.index(name.split("/")[0]), name))


def clause(path: Path) -> str:
    """The first sentence of a file's docstring, or of a shell program's first comment; cut where it is too long."""
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sh":
        text = next((line[2:] for line in text.splitlines() if line.startswith("# ")), "")
    else:
        text = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].replace("\n", " ")
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", text).replace("``", "")
    text = re.split(r"(?<=[\w`)\]])[.;] ", text + " ")[0].strip().rstrip(".:")
    while len(text) > WIDTH - COLUMN and re.search(r"[,:;(]", text):
        text = re.split(r"[,:;(][^,:;(]*$", text)[0].rstrip(" ,:;(")
    return text


def tree() -> str:
    """The tree, one line a folder or file, indented by two spaces a level."""
    lines, seen = [], set()
    for name in program_files():
        *folders, file = name.split("/")
        for depth, folder in enumerate(folders):
            path = "/".join(folders[: depth + 1])
            if path not in seen:
                seen.add(path)
                lines.append((f"{'  ' * depth}{folder}/", clause(ROOT / path / "__init__.py")))
        if file != "__init__.py":
            lines.append((f"{'  ' * len(folders)}{file}", clause(ROOT / name)))
    return "\n".join(f"{left:<{COLUMN - 1}} {right}".rstrip() for left, right in lines)


def with_tree(readme: str) -> str:
    """The README with the present tree between its marks.

    Raises:
        ValueError: the marks aren't there.
    """
    before, first, rest = readme.partition(MARKS[0])
    _, second, after = rest.partition(MARKS[1])
    if not (first and second):
        raise ValueError(f"README.md has no line {MARKS[0]!r} followed by {MARKS[1]!r}")
    return f"{before}{first}\n\n```text\n{tree()}\n```\n\n{second}{after}"


def main() -> int:
    """Writes, or checks."""
    parser = argparse.ArgumentParser(description="Writes the README's tree from the files' docstrings.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where README.md would change")
    arguments = parser.parse_args()
    present = README.read_text(encoding="utf-8")
    wanted = with_tree(present)
    if arguments.check:
        if wanted != present:
            sys.stderr.write("README.md's tree is not that of the files; run python tools/readme_tree.py\n")
        return int(wanted != present)
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
