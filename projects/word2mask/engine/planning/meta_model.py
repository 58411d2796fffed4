"""The model of a config on the meta device: every parameter with its shape and type, none with values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from word2mask.engine.build import build, check, is_node
from word2mask.engine.optimizer import set_precision
from word2mask.errors import UserError
from word2mask.mllms.blueprints import blueprint as mllm_blueprint
from word2mask.mllms.interface import MLLM
from word2mask.segmenters.blueprints import blueprint as segmenter_blueprint
from word2mask.segmenters.interface import Segmenter

__all__ = ["build_on_meta"]


def build_on_meta(node: Mapping[str, Any], precision: str) -> nn.Module:
    """Builds a model node as training would, weights and files left out.

    Where a node reads an MLLM or a segmenter from disk, its blueprint stands in: the same network, from ``config.json``
    or from the published geometry of that name.

    Args:
        node: of the model.
        precision: of the run, which decides the types of the parameters.

    Raises:
        UserError: a node that doesn't bind, or a part whose size nobody knows.
    """
    errors = check(node, "config.model")
    if errors:
        raise UserError("\n".join(errors))
    sketch = _with_blueprints(node)
    try:
        with torch.device("meta"):
            model = build(sketch, path="config.model")
    except NotImplementedError:
        # Its constructor looks at values, which the meta device hasn't: such a model is built for real.
        model = build(sketch, path="config.model")
    set_precision(model, precision)
    return model


def _with_blueprints(value: Any) -> Any:
    """The tree with blueprints in the places of nodes that read from disk."""
    if isinstance(value, (list, tuple)):
        return type(value)(_with_blueprints(item) for item in value)
    if not isinstance(value, Mapping):
        return value
    if is_node(value):
        sketch = _blueprint_of(value["type"])
        if sketch is not None:
            return sketch(**{key: item for key, item in value.items() if key != "type"})
    return {key: _with_blueprints(item) for key, item in value.items()}


def _blueprint_of(target: Any) -> Callable[..., nn.Module] | None:
    """What stands in for a classmethod ``from_pretrained``; ``None`` for anything else."""
    owner = getattr(target, "__self__", None)
    if not isinstance(owner, type) or target.__name__ != "from_pretrained":
        return None
    if issubclass(owner, MLLM):
        return lambda **arguments: mllm_blueprint(owner, **arguments)
    return segmenter_blueprint if issubclass(owner, Segmenter) else None
