"""What a config's text shows before it is executed: calls, replaced bases, imports."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

from word2mask.engine.build import suggest

_METHODS = ("update", "append", "extend", "pop", "merge")
_BUILTIN_CALLS = ("dict", "list", "tuple", "range")


def check_source(path: Path) -> list[str]:
    """Errors that can be seen in a config's text, in it and in the files it starts from.

    Calls other than ``dict``, ``list``, ``tuple``, ``range``, ``read_base`` and dict or list methods (mmengine fails
    on them with an empty message); inherited dicts that are replaced; base files that don't exist.

    Returns:
        one sentence per error.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        return [f"config {path}, line {error.lineno}: {error.msg}"]
    errors = []
    inherited: set[str] = set()
    for statement in ast.walk(tree):
        if isinstance(statement, ast.With):
            for node in statement.body:
                base = _base_file(path, node)
                if base is None:
                    errors.append(f"config {path}, line {node.lineno}: read_base takes only `from .file import name`")
                elif not base.is_file():
                    errors.append(f"config {path}, line {node.lineno}: base {base} does not exist")
                else:
                    errors += check_source(base)
                    inherited |= _names_of(base, node)
        elif isinstance(statement, ast.Call) and not _is_allowed_call(statement):
            errors.append(
                f"config {path}, line {statement.lineno}: calls {ast.unparse(statement.func)}(...); "
                "a config holds literals and classes only: write dict(type=…, …)"
            )
    for statement in tree.body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            continue
        name = statement.targets[0].id
        if name in inherited and not _says_delete(statement.value):
            errors.append(
                f"config {path}, line {statement.lineno}: {name} = … replaces the inherited dict and drops the rest of "
                f"it; use {name}.update(dict(…)), or {name} = dict(_delete_=True, …) if that is meant"
            )
    return errors


def _base_file(path: Path, node: ast.stmt) -> Path | None:
    """The file behind ``from ..a.b import c``, or ``None`` for any other statement."""
    if not isinstance(node, ast.ImportFrom) or node.module is None or node.level == 0:
        return None
    folder = path.resolve().parent
    for _ in range(node.level - 1):
        folder = folder.parent
    return folder.joinpath(*node.module.split(".")).with_suffix(".py")


def _names_of(base: Path, node: ast.ImportFrom) -> set[str]:
    """Names with a dict as value that an import brings from a base file, its own bases included."""
    names: set[str] = set()
    for statement in ast.parse(base.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.With):
            for inner in statement.body:
                further = _base_file(base, inner)
                if further is not None and further.is_file():
                    names |= _names_of(further, inner)
        elif (
            isinstance(statement, ast.Assign)
            and isinstance(statement.targets[0], ast.Name)
            and _is_dict(statement.value)
        ):
            names.add(statement.targets[0].id)
    imported = {alias.name for alias in node.names}
    return names if "*" in imported else names & imported


def _is_dict(value: ast.expr) -> bool:
    is_call = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict"
    return is_call or isinstance(value, ast.Dict)


def _says_delete(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and any(keyword.arg == "_delete_" for keyword in value.keywords)


def _is_allowed_call(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Name):
        return call.func.id in (*_BUILTIN_CALLS, "read_base")
    return isinstance(call.func, ast.Attribute) and call.func.attr in _METHODS


def check_imports(path: Path) -> list[str]:
    """Errors of a config's imports when it is read as plain Python: modules or names that don't exist."""
    errors = []
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(statement, ast.ImportFrom) or statement.level or statement.module is None:
            continue
        try:
            module = importlib.import_module(statement.module)
        except ImportError as error:
            errors.append(f"config {path}, line {statement.lineno}: {error}")
            continue
        for alias in statement.names:
            if not hasattr(module, alias.name):
                known = [name for name in dir(module) if not name.startswith("_")]
                near = suggest(alias.name, known)
                errors.append(f"config {path}, line {statement.lineno}: {statement.module} has no {alias.name!r}{near}")
    return errors
