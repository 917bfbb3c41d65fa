"""Losses that get probabilities instead of logits: a model with two softmaxes learns badly."""

from collections.abc import Iterator
from typing import Any

from tinyxp import backends
from tinyxp.backends import Array
from tinyxp.core.tape import Node, edge_of, graph_order
from tinyxp.core.tensor import Tensor
from tinyxp.debug.doctor.causes import Scene
from tinyxp.debug.doctor.report import Finding
from tinyxp.debug.sites import Site
from tinyxp.debug.watch import Record

# by the name of a loss: what it expects, and the function that must not precede it
EXPECTED = {
    "cross_entropy": ("logits: it takes the softmax itself", "softmax"),
    "nll_loss": ("logarithms of probabilities, as F.log_softmax gives them", "softmax"),
    "binary_cross_entropy_with_logits": ("logits: it takes the sigmoid itself", "sigmoid"),
}
REMEDY = {
    "cross_entropy": "remove the softmax before F.cross_entropy; for a prediction use argmax.",
    "nll_loss": "use F.log_softmax instead, or pass the scores to F.cross_entropy.",
    "binary_cross_entropy_with_logits": "remove the sigmoid, or use F.binary_cross_entropy.",
}
SAME = ("reshape", "permute_dims", "matrix_transpose", "squeeze", "expand_dims", "astype",
        "getitem")  # fmt: skip
FAR = 6  # at most so many operations between the two
CLOSE = 1e-3


def probabilities(scene: Scene, loss: Tensor) -> Iterator[Finding]:
    """A finding for each loss that gets probabilities, with the line that makes them."""
    if scene.watch is not None:
        told = set()
        for record in scene.watch.records.values():
            name = record.site.function_called
            for link in record.links if name in EXPECTED else ():
                source = scene.record(link.source)
                if link.why or source is None or not isinstance(source.thing, Node):
                    continue
                maker = _maker(scene, source, EXPECTED[name][1])
                # being between 0 and 1 is not enough, because logits may be
                softmax = EXPECTED[name][1] == "softmax"
                is_probability = _adds_up(source.array) if softmax else maker is not None
                made = maker or source
                inner = source.site.function_called == name
                if is_probability and not inner and (name, made.site) not in told:
                    told.add((name, made.site))
                    yield _finding(name, made.site)
        return
    for node in graph_order([edge_of(loss)]):
        if isinstance(node, Node) and node.op.name in EXPECTED and node.parents:
            before: Any = node.parents[0]
            for _ in range(FAR):
                if isinstance(before, Node) and before.op.name in SAME and before.parents:
                    before = before.parents[0]
            if isinstance(before, Node) and before.op.name == EXPECTED[node.op.name][1]:
                yield _finding(node.op.name, None)


def _finding(name: str, site: Site | None) -> Finding:
    expected, before = EXPECTED[name]
    where = f" at {site}" if site else ""
    message = f"F.{name} gets the result of {before}{where}, but expects {expected}."
    return Finding("probabilities", [], site, message, REMEDY[name])


def _adds_up(array: Array) -> bool:
    """Whether values along the axis of classes are at least 0 and sum to 1."""
    backend = backends.of(array)
    if backend is None or array.dtype not in backend.floating or 0 in array.shape:
        return False
    axis = min(1, array.ndim - 1)
    if axis < 0 or array.shape[axis] < 2:
        return False
    xp: Any = backend.xp
    sums = xp.sum(array, axis=axis)
    return bool(xp.all(array >= 0)) and bool(xp.all(xp.abs(sums - 1) < CLOSE))


def _maker(scene: Scene, record: Record | None, name: str) -> Record | None:
    """The record of the operation or function ``name``, at most a few steps before a value."""
    for _ in range(FAR):
        if record is None or name in (record.name, record.site.function_called):
            return record
        same = record.name in SAME and record.links
        record = scene.record(record.links[0].source) if same else None
    return None
