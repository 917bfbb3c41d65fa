"""Trees: nested tuples, lists and dicts; every other object is a leaf."""

from collections.abc import Callable
from typing import Any

from tinyxp.errors import ArgumentError

BRANCHES = (tuple, list, dict)


def children(tree: Any) -> list[tuple[Any, Any]]:
    """The branches of one node of a tree, with their keys."""
    return list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree))


def rebuild(tree: Any, parts: list[Any]) -> Any:
    """``tree`` with other branches, in the order of ``children``."""
    if isinstance(tree, dict):
        return dict(zip(tree, parts, strict=True))
    if isinstance(tree, list):
        return parts
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)  # a named tuple


def tree_map(f: Callable[[Any], Any], tree: Any) -> Any:
    """The tree of ``f(leaf)``."""
    if not isinstance(tree, BRANCHES):
        return f(tree)
    return rebuild(tree, [tree_map(f, part) for _, part in children(tree)])


def leaves(tree: Any, where: str = "") -> list[tuple[str, Any]]:
    """The leaves from left to right, each with its path: ``where[0]['w']``."""
    if not isinstance(tree, BRANCHES):
        return [(where, tree)]
    return [pair for key, part in children(tree) for pair in leaves(part, f"{where}[{key!r}]")]


def leaves_of(tree: Any) -> list[Any]:
    """The leaves from left to right."""
    return [x for _, x in leaves(tree)]


def pairs(own: Any, given: Any) -> list[tuple[Any, Any]] | None:
    """The pairs of leaves of two trees, or None if the trees differ in structure, in the types of
    their branches or in the order of their keys."""
    if isinstance(own, dict):
        if not isinstance(given, dict) or list(own) != list(given):
            return None
        own, given = list(own.values()), list(given.values())
    elif isinstance(own, (tuple, list)):
        if type(own) is not type(given) or len(own) != len(given):
            return None
    else:
        return [(own, given)]
    together: list[tuple[Any, Any]] = []
    for a, b in zip(own, given, strict=True):
        found = pairs(a, b)
        if found is None:
            return None
        together += found
    return together


def fill(tree: Any, values: list[Any]) -> Any:
    """The tree with ``values`` as its leaves, from left to right."""
    rest = iter(values)
    return tree_map(lambda _: next(rest), tree)


def matching(tree: Any, other: Any, where: str) -> list[Any]:
    """The leaves of ``other``, in the order of those of ``tree``.

    Raises ArgumentError, naming the place, if the two do not have the same structure.
    """
    if not isinstance(tree, BRANCHES):
        if isinstance(other, BRANCHES):
            raise ArgumentError(f"{where} must be one Tensor, got a {type(other).__name__}")
        return [other]
    kind = next(kind for kind in BRANCHES if isinstance(tree, kind))
    keys = [key for key, _ in children(tree)]
    if not isinstance(other, kind):
        raise ArgumentError(
            f"{where} must be a {kind.__name__} with {keys}, got {type(other).__name__}"
        )
    parts: Any = dict(children(other))
    if parts.keys() != set(keys):
        raise ArgumentError(f"{where} must have the entries {keys}, got {list(parts)}")
    return [
        leaf
        for key, part in children(tree)
        for leaf in matching(part, parts[key], f"{where}[{key!r}]")
    ]
