"""Config files: mmengine's pure-Python style, with the checks that mmengine leaves out.

A config holds literals and classes only. It starts from others by ``with read_base(): from .x import *`` and changes
them by ``name.update(dict(...))``, which merges; assigning a new dict to an inherited name would drop the rest of it in
silence and is refused (``name = dict(_delete_=True, ...)`` says that this is meant). ``name["part"] = dict(...)``
replaces one node within. Names that start with ``_`` are the file's own.

Relative paths in a config (data, weights) start at the present directory; ``tools/train.py`` makes that the
repository's root.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject

from word2mask.engine.build import arguments_of, check, is_node, suggest, type_name, walk
from word2mask.engine.config_source import check_source
from word2mask.engine.settings import DECAYS, GROUPINGS, PRECISIONS, SECTIONS, STRATEGIES, TrainSettings
from word2mask.errors import UserError

#: Starts of a string that make it a path on disk, to be checked before anything is built.
PATH_STARTS = ("data/", "pretrained/", "work_dirs/", "./", "../", "/", "~/")


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Read a config file and apply overrides.

    Args:
        path: of the file.
        overrides: ``"a.b=c"`` each, see :func:`apply_override`.

    Returns:
        plain dicts, lists, literals and the real classes; the file's own imports and ``_names`` are left out.

    Raises:
        UserError: no such file, a syntax or import error, a call in the config, a replaced base, or a bad override.
    """
    path = Path(path)
    if not path.is_file():
        near = suggest(path.name, [other.name for other in path.parent.glob("*.py")]) if path.parent.is_dir() else ""
        raise UserError(f"config {path} does not exist{near}")
    problems = check_source(path)
    if problems:
        raise UserError("\n".join(problems))
    try:
        loaded = Config.fromfile(str(path), lazy_import=True)
    except Exception as error:
        # mmengine executes the file, so whatever is wrong in it comes out here, under many types.
        raise UserError(f"config {path} can't be read: {type(error).__name__}: {error}") from error
    config = {
        name: _resolve(value, f"{path}: {name}")
        for name, value in loaded._cfg_dict._to_lazy_dict().items()
        if not isinstance(value, (LazyObject, LazyAttr, ModuleType))
        and not callable(value)
        and not name.startswith("_")
    }
    for override in overrides:
        apply_override(config, override)
    return config


def _resolve(value: Any, where: str) -> Any:
    """Lazy references replaced by what they name; tuples and lists keep their kind."""
    if isinstance(value, (LazyObject, LazyAttr)):
        try:
            return value.build()
        except Exception as error:
            raise UserError(f"{where}: {value} can't be imported: {error}") from error
    if isinstance(value, MethodType) and isinstance(value.__self__, (LazyObject, LazyAttr)):
        # `Class.build` of a lazy class gives mmengine's own method of that name instead of the class's.
        return getattr(_resolve(value.__self__, where), value.__name__)
    if isinstance(value, Mapping):
        return {key: _resolve(item, f"{where}.{key}") for key, item in value.items() if key != "_delete_"}
    if isinstance(value, (list, tuple)):
        return type(value)(_resolve(item, f"{where}.{index}") for index, item in enumerate(value))
    return value


def apply_override(config: dict[str, Any], override: str) -> None:
    """Set one value of a config tree in place.

    Args:
        config: from :func:`load_config`.
        override: ``"data.batch_size=4"``; the path names keys and list indices that exist, or an argument that the
            node's or section's class takes. The value is a Python literal (``1e-3``, ``(0.9, 0.95)``, ``None``),
            otherwise a string.

    Raises:
        UserError: malformed, an unknown name, or a literal in place of a section or node.
    """
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise UserError(f"--cfg-options {override!r}: expected KEY=VALUE, e.g. data.batch_size=4")
    *parents, last = path.split(".")
    holder: Any = config
    section: type | None = TrainSettings
    for depth, key in enumerate(parents):
        _require(holder, key, section, path, depth)
        section = SECTIONS.get(key) if depth == 0 else None
        if isinstance(holder, dict) and holder.get(key) is None:
            holder[key] = {}
        holder = holder[int(key)] if isinstance(holder, list) else holder[key]
    _require(holder, last, section, path, len(parents))
    key: Any = int(last) if isinstance(holder, list) else last
    value = parse_value(text)
    old = holder[key] if isinstance(holder, list) else holder.get(key)
    if isinstance(old, dict) and not isinstance(value, dict) and value is not None:
        inside = ", ".join(name for name in old if name != "type")
        raise UserError(f"--cfg-options {override!r}: {path} is a section; set one of its values ({inside})")
    holder[key] = value


def _require(holder: Any, key: str, section: type | None, path: str, depth: int) -> None:
    """Raise unless ``key`` exists in ``holder`` or is an argument that it may have."""
    if isinstance(holder, list):
        if not key.isdigit() or int(key) >= len(holder):
            raise UserError(f"--cfg-options {path}: {key!r} is not an index of a list of {len(holder)}")
        return
    if not isinstance(holder, dict):
        above = ".".join(path.split(".")[:depth])
        raise UserError(f"--cfg-options {path}: {above} is {holder!r}, it has no {key!r} inside")
    known = [name for name in holder if name != "type"]
    if is_node(holder) and callable(holder["type"]):
        names, _, accepts_any = arguments_of(holder["type"])
        if accepts_any:
            return
        known += [name for name in names if name not in known]
    if section is not None:
        known += [field.name for field in fields(section) if field.name not in known]
    elif not known and not is_node(holder):
        return
    if key not in known and key != "type":
        raise UserError(f"--cfg-options {path}: unknown key {key!r}{suggest(key, known)}")


def parse_value(text: str) -> Any:
    """A Python literal, ``true``/``false``/``null``, or the text itself."""
    words = {"true": True, "false": False, "null": None, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def check_settings(config: Mapping[str, Any], name: str = "config") -> TrainSettings:
    """Check a whole training config against the schema and every node against its signature, building nothing.

    Args:
        config: from :func:`load_config`.
        name: what to call it in messages.

    Raises:
        UserError: all errors, one a line.
    """
    known = [field.name for field in fields(TrainSettings)]
    required = [
        field.name for field in fields(TrainSettings) if field.default is MISSING and field.default_factory is MISSING
    ]
    errors = [f"{name}: unknown setting {key!r}{suggest(key, known)}" for key in config if key not in known]
    errors += [f"{name}: {key!r} is missing" for key in required if key not in config]
    for key, section in SECTIONS.items():
        value = config.get(key)
        if value is None:
            continue
        if not isinstance(value, Mapping):
            errors.append(f"{name}.{key}: expected a dict, got {value!r}")
            continue
        names = [field.name for field in fields(section)]
        errors += [
            f"{name}.{key}.{inner}: unknown setting{suggest(inner, names)}" for inner in value if inner not in names
        ]
        needed = [
            field.name for field in fields(section) if field.default is MISSING and field.default_factory is MISSING
        ]
        errors += [f"{name}.{key}: {inner!r} is missing" for inner in needed if inner not in value]
    for key in ("model", "optimizer"):
        if key in config and not is_node(config[key]):
            errors.append(f"{name}.{key}: expected dict(type=…, …), got {config[key]!r}")
    errors += _check_values(config, name)
    errors += check(config, name, {f"{name}.optimizer": ("params",)})
    if errors:
        raise UserError("\n".join(errors))
    return TrainSettings(**config)


#: Settings that count something: the smallest value that makes sense.
_SMALLEST = {
    "data.batch_size": 1,
    "data.num_workers": 0,
    "data.prefetch": 1,
    "schedule.max_iters": 1,
    "checkpoint.interval": 1,
    "checkpoint.keep": 0,
    "log.interval": 1,
    "log.flops_interval": 0,
    "log.pictures_interval": 1,
    "validation.interval": 1,
    "sharding.bucket_size": 1,
    "sharding.prefetch_size": 0,
    "sharding.persistent_size": 0,
    "accumulate": 1,
    "seed": 0,
}


def _check_values(config: Mapping[str, Any], name: str) -> list[str]:
    """Errors in the literals: whole numbers that are none or too small, an unknown precision or strategy."""
    errors = []
    for path, smallest in _SMALLEST.items():
        section, _, key = path.rpartition(".")
        holder = config.get(section) if section else config
        if not isinstance(holder, Mapping) or key not in holder:
            continue
        value = holder[key]
        if path == "schedule.max_iters" and value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
            errors.append(f"{name}.{path}: expected a whole number from {smallest} up, got {value!r}")
    schedule = config.get("schedule")
    if isinstance(schedule, Mapping):
        given = [key for key in ("max_iters", "epochs") if schedule.get(key) is not None]
        epochs = schedule.get("epochs")
        if len(given) != 1:
            got = "both" if given else "neither"
            errors.append(f"{name}.schedule: expected either max_iters or epochs, got {got} (None stands for absent)")
        elif epochs is not None and (isinstance(epochs, bool) or not isinstance(epochs, (int, float)) or epochs <= 0):
            errors.append(f"{name}.schedule.epochs: expected a number above 0, got {epochs!r}")
        if schedule.get("decay", "cosine") not in DECAYS:
            known = ", ".join(DECAYS)
            errors.append(f"{name}.schedule.decay: expected one of {known}, got {schedule['decay']!r}")
    errors += _check_log(config.get("log"), f"{name}.log")
    if config.get("precision", "fp32") not in PRECISIONS:
        errors.append(f"{name}.precision: expected one of {', '.join(PRECISIONS)}, got {config['precision']!r}")
    strategy = config.get("strategy", "ddp")
    if strategy not in STRATEGIES:
        errors.append(f"{name}.strategy: unknown {strategy!r}{suggest(str(strategy), list(STRATEGIES))}")
    return errors


def _check_log(log: Any, name: str) -> list[str]:
    """Errors in the literals of ``log`` that count nothing."""
    if not isinstance(log, Mapping):
        return []
    by, peak, wandb, pictures = (log.get(key) for key in ("by", "peak_tflops", "wandb", "pictures"))
    errors = []
    if by is not None and (isinstance(by, str) or not set(by) <= set(GROUPINGS)):
        errors.append(f"{name}.by: expected a list of {' and '.join(map(repr, GROUPINGS))}, got {by!r}")
    if peak is not None and (isinstance(peak, bool) or not isinstance(peak, (int, float)) or peak <= 0):
        errors.append(f"{name}.peak_tflops: expected TFLOP/s above 0, or None, got {peak!r}")
    if wandb is not None and not isinstance(wandb, Mapping):
        errors.append(f'{name}.wandb: expected the arguments of wandb.init, e.g. dict(project="words"), got {wandb!r}')
    chosen = pictures if isinstance(pictures, (list, tuple)) else [pictures or 0]
    if not all(isinstance(index, int) and not isinstance(index, bool) and index >= 0 for index in chosen):
        errors.append(f"{name}.pictures: expected how many, or a list of indices from 0 up, got {pictures!r}")
    return errors


def missing_paths(config: Mapping[str, Any]) -> list[str]:
    """Paths named in a config that are not on disk, as ``"model.mllm.folder: pretrained/x"``.

    A string counts as a path when it starts as in :data:`PATH_STARTS`; the run makes the folder of cached features.
    """
    missing = []
    for where, value in walk({key: value for key, value in config.items() if key != "cache_features"}):
        if isinstance(value, str) and value.startswith(PATH_STARTS) and not os.path.exists(os.path.expanduser(value)):
            missing.append(f"{where}: {value}")
    return missing


def config_text(settings: TrainSettings) -> str:
    """The flattened config, one ``path = value`` a line, classes by their import path: for reading, not for loading."""
    lines = []
    for path, value in walk(vars(settings)):
        if isinstance(value, Mapping) or (isinstance(value, (list, tuple)) and value):
            continue
        shown = (
            f"{value.__module__}.{type_name(value)}"
            if callable(value) and hasattr(value, "__module__")
            else repr(value)
        )
        lines.append(f"{path} = {shown}")
    return "\n".join(lines) + "\n"
