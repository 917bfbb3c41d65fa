"""Views: tensors that show elements of another tensor, and writes in place that all of them see.

No array is ever written to: a write computes new values, and the Tensor object takes them. A view
remembers its root (the tensor that is not a view) and the path of steps that led from the root to
it. A write to the view goes back along this path into the root, differentiably, and then every
tensor that shows elements of the root takes its new ones. A result is a view wherever it is one in
PyTorch, on every backend.
"""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinyxp.core.access import access_log
from tinyxp.core.dtypes import RANK
from tinyxp.core.tape import is_grad_enabled, no_grad, set_grad_enabled
from tinyxp.core.tensor import Tensor, namespace, wrap
from tinyxp.errors import ArgumentError, DTypeError, GradientError, ShapeError

Path = tuple["Path | None", "Lens", Any]  # the path so far and the last step: a lens and its key


class Lens:
    """How to take a view of x (``get``), and how x changes when the view gets new values (``put``).

    ``key`` says which elements the view shows. ``layout`` takes the view of a NumPy array without
    reading it. ``dense``: whether the view of a contiguous tensor is contiguous. ``may_copy``: the
    result is a copy where the elements do not lie at regular distances.
    """

    def __init__(self, get: Callable[[Tensor, Any], Tensor], layout: Callable[[Any, Any], Any]):
        self.get, self.layout = get, layout
        self.dense: Callable[[Any], bool] = lambda key: False
        self.may_copy = False

    put: Callable[[Tensor, Tensor, Any], Tensor]  # x with v in the place of the view

    def putting(self, rule: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Declare ``put`` of a primitive; the key holds its static parameters."""
        self.put = lambda x, v, key: rule(x, v, **key)
        return rule


class View(weakref.ref[Tensor]):
    """The link from a view to its root; the root finds its views by these weak references to it.

    A view keeps its root alive, as in PyTorch. The result of ``detach()`` does not, because the
    root may hold a graph or gradients.
    """

    __slots__ = ("cut", "path", "root", "seen", "tensor")

    root: Tensor | None
    path: Path
    seen: Any  # the array of the root that this view shows
    tensor: "weakref.ref[Tensor]"  # the view
    cut: bool  # the view shares the root's values, but not its graph


_ref = weakref.ref


def link_view(y: Tensor, x: Tensor, lens: Lens, key: Any) -> Tensor:
    """y, which ``lens`` got from x, as a view of x."""
    old = x._view
    if old is None or old.cut:  # the result of detach() has its own graph and views
        root, before, seen = x, None, x.array
    else:
        root, before, seen = old.root, old.path, old.seen
    if lens.may_copy and ((key.get("copy")) or not _strided(root, before, lens, key)):
        return y
    y._view = link = View(root)
    link.root = root  # one by one: an assignment of four would make a tuple first
    link.path = before, lens, key
    link.seen = seen
    link.tensor = _ref(y)
    link.cut = False
    return y


def detach(x: Tensor) -> Tensor:
    """The same values, cut from the graph. A write in place to either tensor changes both.

    >>> x = tx.asarray([1.0, 2.0], requires_grad=True)
    >>> x.detach()
    tensor([1., 2.])
    """
    y = wrap(x.array, x.backend)
    old = x._view
    root = None if old is None else old()
    if root is None:
        root, before, seen = x, None, x.array
    else:
        before, seen = old.path, old.seen
    outer = None if root._view is None else root._view.path
    y._view = link = View(root)
    link.root = None if root.requires_grad else root
    link.path = before, DETACH, (seen.shape, seen.dtype, outer)
    link.seen, link.tensor = seen, _ref(y)
    link.cut = True
    return y


def own(y: Any, operands: tuple[Any, ...]) -> Any:
    """The result of a formula as an independent value: neither an operand nor a view."""
    if isinstance(y, Tensor):
        if any(y is x for x in operands):
            return namespace().clone(y)
        y._view = None
    return y


DETACH = Lens(lambda x, key: wrap(x.array, x.backend), lambda a, key: a)
DETACH.put = lambda x, v, key: v
DETACH.dense = lambda key: True
Tensor.detach = detach  # type: ignore[method-assign, assignment]


# -- writing --------------------------------------------------------------------------------------


def rebind(x: Tensor, value: Tensor, what: str) -> Tensor:
    """Give ``x``, and every tensor that shows x, the values of ``value``, as in-place syntax asks.

    Under ``no_grad`` only the values change, and the graph stays. ``value`` may have a wider dtype
    of the same kind, and is cast to the dtype of x. Raises GradientError for a leaf that requires
    grad, or a view of one, outside of ``no_grad``; ShapeError; DTypeError; and ArgumentError for a
    view whose root has changed since other than by a write in place.
    """
    recording = is_grad_enabled()
    view = x._view
    root = None if view is None else view()
    of_leaf = root is not None and root._leaf and not view.cut
    if recording and (x._leaf or of_leaf):
        raise GradientError(
            f"{what} on a {'view of a ' if of_leaf else ''}leaf that requires grad would lose it; "
            "work on a new tensor (y = x + …), or change the leaf under tx.no_grad()"
        )
    if value.dtype is not x.dtype and RANK[value.dtype.kind] <= RANK[x.dtype.kind]:
        value = value.astype(x.dtype)
    if value.shape != x.shape or value.dtype is not x.dtype:
        raise (DTypeError if value.shape == x.shape else ShapeError)(
            f"{what} must keep shape and dtype, {x.shape} {x.dtype!r}, "
            f"got {value.shape} {value.dtype!r}; write x = x + … to get a new tensor"
        )
    below = x
    while root is not None:
        if not _current(below._view, below, root):
            raise ArgumentError(
                f"{what} on a view of a tensor that has changed since the view was taken (by an "
                "optimizer step, for example); take the view again, or a copy: y.clone()"
            )
        below, root = root, None if root._view is None else root._view()
    _store(x, value, recording)
    return x


def shows(x: Tensor, y: Any, get: Callable[[], Tensor]) -> bool:
    """Whether y is the view of x that ``get`` takes, so that writing y there changes nothing."""
    view, own = y._view if isinstance(y, Tensor) else None, x._view
    root, before = (x, None) if own is None or own.cut else (own.root, own.path)
    if view is None or view.root is not root or view.path[0] is not before:
        return False
    now = get()._view
    same = now is not None and now.path[1] is view.path[1] and now.path[2] == view.path[2]
    return same and not view.cut and view.seen is root.array


def _store(x: Tensor, value: Tensor, recording: bool, by: Tensor | None = None) -> None:
    """Give x, and all that show it, new values and graph; ``by`` is the tensor written to."""
    view = x._view
    root = None if view is None else view()
    if root is not None:
        inner = recording and not view.cut
        with set_grad_enabled(inner):
            whole = _put_at(root, view.path, value)
        _store(root, whole, inner, x)
        if not view.cut:
            return  # refresh() of the root has updated x
    if (log := access_log()) is not None:
        log.note_write(x)
    shown = shown_of(x, by)
    _take(x, value, recording)
    refresh(x, shown, recording)


def _take(x: Tensor, value: Tensor, recording: bool) -> None:
    x.array = value.array
    if recording and not x._leaf:
        x._node, x._cut = value._node, value._cut


def shown_of(root: Tensor, by: Tensor | None = None) -> list[tuple[Tensor, View]]:
    """The living views that show the current root, ``by`` included. While a step is captured, only
    the views that it made: each replay finds other views from outside."""
    if weakref.getweakrefcount(root) == 0:
        return []
    found, log = [], access_log()
    for link in weakref.getweakrefs(root):
        y = link.tensor() if type(link) is View else None
        if y is None or not (log is None or y is by or id(y) in log.made):
            continue
        if y is by or _current(link, y, root):
            found.append((y, link))
    return found


def refresh(root: Tensor, shown: list[tuple[Tensor, View]], recording: bool) -> None:
    """Give views the current elements of their root."""
    known: dict[bool, dict[int, Tensor]] = {True: {}, False: {}}  # by whether they are recorded
    for y, link in shown:
        inner = recording and not link.cut
        with set_grad_enabled(inner):
            value = _view_at(root, link.path, known[inner])
        below = shown_of(y) if link.cut else []
        _take(y, value, inner)
        link.seen = root.array
        refresh(y, below, inner)


def _current(view: View, y: Tensor, root: Tensor) -> bool:
    """Whether y shows the current root: the same array, or one with the same bits."""
    if view.seen is root.array:
        return True
    with no_grad():
        now = _view_at(root, view.path, {})
    to_numpy = y.backend.to_numpy
    same = now.shape == y.shape and now.array.dtype == y.array.dtype
    if same and to_numpy(now.array).tobytes() == to_numpy(y.array).tobytes():
        view.seen = root.array
        return True
    return False


# -- paths ----------------------------------------------------------------------------------------


def _steps(path: Path | None) -> list[Path]:
    """The prefixes of a path, the shortest first."""
    found = []
    while path is not None:
        found.append(path)
        path = path[0]
    return found[::-1]


def _view_at(root: Tensor, path: Path | None, known: dict[int, Tensor]) -> Tensor:
    """The view of ``root`` at the end of a path; ``known`` caches views by the id of their path."""
    x = root
    for step in _steps(path):
        y = known.get(id(step))
        if y is None:
            y = known[id(step)] = step[1].get(x, step[2])
        x = y
    return x


def _put_at(root: Tensor, path: Path, value: Tensor) -> Tensor:
    """``root`` with ``value`` at the end of a path."""
    known: dict[int, Tensor] = {}
    for before, lens, key in reversed(_steps(path)):
        value = lens.put(_view_at(root, before, known), value, key)
    return value


def _full_path(root: Tensor, path: Path | None) -> tuple[Any, Any, list[Path]]:
    """The shape and dtype of the tensor in which a view's memory begins, past any ``detach()``, and
    the steps that lead from there to the view."""
    steps, shape, dtype = _steps(path), root.array.shape, root.array.dtype
    outer = None if root._view is None else root._view.path
    while outer is not None:
        steps = _steps(outer) + steps
        shape, dtype, outer = outer[2]
    return shape, dtype, steps


@functools.lru_cache(maxsize=256)
def _rows(shape: tuple[int, ...], complex: bool) -> Any:
    """A contiguous NumPy array that holds one element only; nothing but its strides may be read."""
    one = np.empty(1, np.complex128 if complex else np.uint8)
    strides, step = [], one.itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return as_strided(one, shape, strides[::-1])


def _layout_of(x: Tensor, shape: Any, dtype: Any, steps: list[Path]) -> Any:
    """A NumPy array with the strides of the view, if its memory begins as a contiguous tensor."""
    a = _rows(tuple(shape), dtype in x.backend.complex_floating)
    for _, lens, key in steps:
        a = lens.layout(a, key)
    return a


def _strided(root: Tensor, path: Path | None, lens: Lens, key: Any) -> bool:
    """Whether one more step gives a view in PyTorch, which copies where strides are irregular."""
    last = path
    while last is not None and last[1].dense(last[2]):
        last = last[0]
    if last is None and root._view is None:
        return True
    shape, dtype, steps = _full_path(root, path)
    try:
        lens.layout(_layout_of(root, shape, dtype, steps), key)
    except ValueError:
        return False
    return True


def is_contiguous(x: Tensor) -> bool:
    """Whether x is contiguous, assuming that its root is; backends may lay arrays out differently.

    >>> x = tx.zeros((2, 3))
    >>> x.is_contiguous(), x.mT.is_contiguous()
    (True, False)
    """
    view = x._view
    root, path = (x, None) if view is None or view.cut else (view.root, view.path)
    return bool(_layout_of(x, *_full_path(root, path)).flags.c_contiguous)
