"""Annotation files: read whole or refused in one sentence. Pickles are admitted only when they hold plain values."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data import files
from word2mask.errors import UserError
from word2mask.ops.masks import segmentation_to_mask

#: What a pickle of annotations may name: values, and nothing that runs.
_PLAIN = {"dict", "list", "tuple", "set", "frozenset", "str", "bytes", "bytearray", "int", "float", "complex", "bool"}


def load_json(path: Path, kind: type[list] | type[dict]) -> Any:
    """The content of a JSON file whose outermost value is of ``kind``.

    Raises:
        UserError: when it isn't there, isn't JSON (cut short, say) or is of another kind.
    """
    text = _read_bytes(path)
    try:
        content = json.loads(text)
    except UnicodeDecodeError:
        # Some files of ReasonSeg were written on Windows.
        try:
            content = json.loads(text.decode("cp1252"))
        except ValueError as error:
            raise UserError(f"{path}: not JSON ({error}); copy the file again from its source") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON, or cut short ({error}); copy the file again from its source") from error
    if not isinstance(content, kind):
        got = f"an {_JSON_NAMES[type(content)]}" if type(content) in _JSON_NAMES else repr(content)[:40]
        raise UserError(f"{path}: expected a JSON {_JSON_NAMES[kind]}, got {got}; this is a file of another format")
    return content


def load_pickle(path: Path) -> Any:
    """The content of a pickle of plain values (RefCOCO's ``refs(unc).p``); of Python 2 too.

    Raises:
        UserError: when it isn't there, is cut short, or names anything but plain values, so that it could run code.
    """
    _require_file(path)
    try:
        with files.open_file(path) as file:
            return _PlainUnpickler(file, encoding="latin1").load()
    except _Refused as error:
        raise UserError(
            f"{path}: the pickle asks for {error}, which annotations don't need and which could run code; "
            "get the file from the data set's own site"
        ) from error
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: not a pickle, or cut short ({error or type(error).__name__}); copy the file again from its source"
        ) from error


class CocoInstances:
    """A COCO ``instances.json``: pictures, object masks and, where the file has them, categories by id.

    Args:
        path: the file, ``{"images": [{id, file_name, height, width}], "annotations": [{id, image_id, segmentation}],
            "categories": [{id, name}]}``.
    """

    def __init__(self, path: Path) -> None:
        content = load_json(path, dict)
        self.path = path
        try:
            self.images: dict[Any, dict] = {image["id"]: image for image in content["images"]}
            self.annotations: dict[Any, dict] = {entry["id"]: entry for entry in content["annotations"]}
            self.categories: dict[Any, dict] = {entry["id"]: entry for entry in content.get("categories", ())}
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{path}: not a COCO instances file: {_describe(error)}; expected images and annotations with ids"
            ) from error

    def image(self, image_id: Any) -> dict:
        """``{id, file_name, height, width}`` of a picture."""
        if image_id not in self.images:
            raise UserError(f"no picture {image_id} in {self.path}; the two annotation files don't belong together")
        return self.images[image_id]

    def mask(self, annotation_id: Any) -> np.ndarray:
        """The mask of an object, bool ``[H,W]`` at its picture's size.

        Raises:
            UserError: the file has no such object.
            ValueError: its segmentation is malformed, or lies beyond its picture; naming object and file.
        """
        if annotation_id not in self.annotations:
            raise UserError(f"no object {annotation_id} in {self.path}; the two annotation files don't belong together")
        entry = self.annotations[annotation_id]
        image = self.image(entry["image_id"])
        try:
            return segmentation_to_mask(entry["segmentation"], image["height"], image["width"])
        except ValueError as error:
            raise ValueError(f"object {annotation_id} of {self.path}: {error}") from error


def require_folder(path: Path, what: str) -> Path:
    """``path`` when it is a folder.

    Raises:
        UserError: naming ``what`` was to be there.
    """
    if not files.is_folder(path):
        raise UserError(f"{path}: no such folder; expected {what} there")
    return path


class _Refused(Exception):
    """A pickle named something that isn't a plain value."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name in _PLAIN:
            return super().find_class("builtins", name)
        raise _Refused(f"{module}.{name}")


_JSON_NAMES: dict[type, str] = {list: "array", dict: "object"}


def _require_file(path: Path) -> None:
    if not files.is_file(path):
        raise UserError(f"{path}: no such annotation file; check the data set's folder")


def _read_bytes(path: Path) -> bytes:
    _require_file(path)
    return files.read_bytes(path)


def _describe(error: BaseException) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
