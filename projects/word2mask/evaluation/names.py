"""Benchmarks by their names: which there are, and what ``name:split@protocol`` means."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from word2mask.errors import UserError
from word2mask.evaluation.interface import Benchmark


def benchmarks() -> dict[str, type[Benchmark]]:
    """Every benchmark of this package by its name."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")
    found: dict[str, type[Benchmark]] = {}
    pending = list(Benchmark.__subclasses__())
    while pending:
        one = pending.pop()
        pending += one.__subclasses__()
        if one.__module__.startswith(f"{__package__}.") and "name" in vars(one):
            found[one.name] = one
    return dict(sorted(found.items()))


def find_benchmark(label: str) -> tuple[type[Benchmark], str]:
    """The class and the split of ``"name:split"``; a name's case, hyphens and underscores don't matter.

    Raises:
        UserError: no such benchmark or split.
    """
    known = benchmarks()
    name, _, split = label.partition(":")
    by_plain_name = {_plain(one): one for one in known}
    name = by_plain_name.get(_plain(name), name)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise UserError(f"no benchmark is called {name!r}; {hint}")
    if not split:
        raise UserError(f"--benchmarks {name} names no split; write {name}:{known[name].splits[0]}")
    if split not in known[name].splits:
        raise UserError(f"{name} has no split {split!r}; it has {', '.join(known[name].splits)}")
    return known[name], split


def split_label(label: str) -> tuple[str, str | None]:
    """``"refcoco:val@lisa"`` → ``("refcoco:val", "lisa")``; ``None`` where no protocol is named.

    >>> split_label("refcoco:val")
    ('refcoco:val', None)
    """
    name, _, protocol = label.partition("@")
    return name, protocol or None


def folder_of(label: str) -> str:
    """The name of the folder with a label's records.

    >>> folder_of("refcoco:val@lisa")
    'refcoco_val@lisa'
    """
    return label.replace(":", "_")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
