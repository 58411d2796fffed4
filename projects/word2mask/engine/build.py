"""From config nodes to objects, innermost first.

A *node* is a dict with the key ``type``: a class, a classmethod such as ``InternVL.from_pretrained``, or a function;
the other keys are its arguments, which may hold nodes themselves. Nothing is built before every node has been bound
against its signature, and all errors are reported together.

Two helpers may stand as ``type``:

* :class:`Built` fetches something that has been built already:
  ``dict(type=Built, path="model.mllm.processor")``;
* :class:`Bind` makes a function of fewer arguments: ``dict(type=Bind, function=collate, pad_id=0)``.
"""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from word2mask.errors import UserError

logger = logging.getLogger(__name__)


class Built:
    """Node type: a reference to a part of what has been built before, by a dotted path of attributes.

    Args:
        path: e.g. ``"model.mllm.processor"``; the first word is a key of the ``context`` given to :func:`build`.
    """

    def __init__(self, path: str):
        self.path = path

    def resolve(self, context: Mapping[str, Any], where: str) -> Any:
        """The object that the path names.

        Raises:
            UserError: the first word is not built yet, or an attribute on the way does not exist.
        """
        first, *attributes = self.path.split(".")
        if first not in context:
            known = ", ".join(sorted(context)) or "nothing"
            raise UserError(
                f"{where}: path {self.path!r} starts with {first!r}, but only {known} is built at this point"
            )
        value = context[first]
        for attribute in attributes:
            if not hasattr(value, attribute):
                raise UserError(f"{where}: {type(value).__name__} has no {attribute!r} (path {self.path!r})")
            value = getattr(value, attribute)
        return value


class Bind:
    """Node type: ``function`` with some keyword arguments filled in. Picklable, for loader workers.

    Args:
        function: what to call.
        **arguments: its arguments that the config fixes.
    """

    def __init__(self, function: Callable[..., Any], **arguments: Any):
        self.function = function
        self.arguments = arguments

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **self.arguments, **kwargs)


def is_node(value: Any) -> bool:
    """Whether ``value`` is a dict that names what to build."""
    return isinstance(value, Mapping) and "type" in value


def suggest(word: str, known: list[str]) -> str:
    """``", did you mean X?"`` for the nearest known word; without one, the list of what is known."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f", did you mean {near[0]}?"
    return f"; known: {', '.join(known)}" if known else ""


def type_name(target: Any) -> str:
    """How to call a node's type in a message."""
    return getattr(target, "__qualname__", None) or repr(target)


def arguments_of(target: Callable[..., Any]) -> tuple[list[str], list[str], bool]:
    """Names of a callable's arguments.

    Returns:
        all names that can be given as keywords, those without a default, and whether any keyword is accepted.
    """
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return [], [], True
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = [p.name for p in named if p.default is p.empty]
    return [p.name for p in named], required, any(p.kind == p.VAR_KEYWORD for p in parameters)


def walk(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a config tree with its dotted path, parents before children."""
    yield path, tree
    if isinstance(tree, Mapping):
        children = tree.items()
    elif isinstance(tree, (list, tuple)):
        children = enumerate(tree)
    else:
        return
    for key, value in children:
        yield from walk(value, f"{path}.{key}" if path else str(key))


def check_arguments(
    path: str, target: Callable[..., Any], given: list[str], provided: tuple[str, ...] = ()
) -> list[str]:
    """Errors of calling ``target`` with the keywords ``given``, one sentence each.

    Args:
        path: where in the config, for the message.
        target: what would be called.
        given: keywords that the config gives.
        provided: arguments that the engine adds by itself.
    """
    names, required, accepts_any = arguments_of(target)
    errors = []
    for name in given:
        if name not in names and not accepts_any:
            errors.append(f"{path}.{name}: {type_name(target)} takes no {name!r}{suggest(name, names)}")
    missing = [name for name in required if name not in given and name not in provided]
    if missing:
        errors.append(f"{path}: {type_name(target)} needs {', '.join(repr(name) for name in missing)}")
    return errors


def check(tree: Any, path: str = "config", provided: Mapping[str, tuple[str, ...]] | None = None) -> list[str]:
    """Bind every node of a tree against its signature, building nothing.

    Args:
        tree: a config tree.
        path: what to call its root in messages.
        provided: path of a node → arguments that the engine adds (``"config.optimizer"`` → ``("params",)``).

    Returns:
        one sentence per error, empty when all nodes bind.
    """
    errors = []
    for where, value in walk(tree, path):
        if not is_node(value):
            continue
        target = value["type"]
        if not callable(target):
            errors.append(f"{where}.type: {target!r} is not a class or function; import it and name it without quotes")
            continue
        given = [key for key in value if key != "type"]
        extra = (provided or {}).get(where, ())
        if target is Bind:
            function = value.get("function")
            names, _, accepts_any = arguments_of(function) if callable(function) else ([], [], False)
            unknown = [key for key in given if key != "function" and key not in names and not accepts_any]
            errors += [f"{where}.{key}: {type_name(function)} takes no {key!r}{suggest(key, names)}" for key in unknown]
            if not callable(function):
                errors.append(f"{where}: Bind needs a callable 'function', got {function!r}")
            continue
        errors += check_arguments(where, target, given, extra)
    return errors


def build(node: Any, context: Mapping[str, Any] | None = None, path: str = "config", **extra: Any) -> Any:
    """Build a node, its children first.

    Args:
        node: a node, or a list or dict that holds nodes, or a literal.
        context: what :class:`Built` may refer to.
        path: what to call the node in messages.
        **extra: further arguments for this node's own callable.

    Returns:
        the object; lists and dicts keep their shape, literals are returned as they are.

    Raises:
        UserError: some node does not fit its signature (all of them are named), or a file that it reads does not exist.
    """
    errors = check(node, path, {path: tuple(extra)})
    if errors:
        raise UserError("\n".join(errors))
    return _build(node, context or {}, path, extra)


def _build(value: Any, context: Mapping[str, Any], path: str, extra: Mapping[str, Any]) -> Any:
    if isinstance(value, (list, tuple)):
        items = [_build(item, context, f"{path}.{index}", {}) for index, item in enumerate(value)]
        return type(value)(items)
    if not isinstance(value, Mapping):
        return value
    arguments = {key: _build(item, context, f"{path}.{key}", {}) for key, item in value.items() if key != "type"}
    if "type" not in value:
        return arguments
    target = value["type"]
    if target is Built:
        return Built(**arguments).resolve(context, path)
    try:
        return target(**arguments, **extra)
    except FileNotFoundError as error:
        raise UserError(f"{path}: {type_name(target)} could not find a file: {error}") from error
    except ValueError as error:
        logger.debug("%s could not be built", path, exc_info=True)
        raise UserError(f"{path}: {type_name(target)} refused its arguments: {error}") from error
