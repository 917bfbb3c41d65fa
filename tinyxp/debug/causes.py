"""Why a gradient that is there is zero, tiny, huge or no number: what it met on its way."""

from collections.abc import Iterator
from typing import Any

from tinyxp import backends
from tinyxp.backends import Array
from tinyxp.core import Tensor
from tinyxp.debug.flow import Flow, size
from tinyxp.debug.sites import Site
from tinyxp.debug.watch import Record, Watch
from tinyxp.graph import Node, edge_of, ordered

# activations that saturate, and their largest slopes
SLOPES = {"sigmoid": "0.25", "tanh": "1", "softmax": "0.25", "hardsigmoid": "1/6", "erf": "1.13"}
STUCK, MOST = 1e-3, 0.9  # a slope below this share of the largest; the share of stuck outputs
SMALLER = (
    "make its inputs smaller: smaller initial weights, normalised data, a layer of normalisation "
    "before it, scores times 1/sqrt(d) before a softmax."
)
LIVELIER = (
    "use ReLU or GELU in place of sigmoid and tanh, normalisation, residual connections, or larger "
    "initial weights."
)
TAMER = (
    "use smaller initial weights (nn.init.xavier_uniform_, kaiming_uniform_), normalisation, or "
    "nn.utils.clip_grad_norm_."
)


class Scene:
    """What is known of nodes: their lines, their modules, and their operands."""

    def __init__(self, watch: Watch | None, names: dict[int, str], modules: dict[int, str]) -> None:
        self.watch, self.names, self.modules = watch, names, modules

    def record(self, node: Node) -> Record | None:
        return self.watch.records.get(id(node)) if self.watch else None

    def describe(self, node: Node) -> tuple[str, Site | None]:
        """An operation in words, with its module, and its line."""
        record = self.record(node)
        if record is None:
            return node.op.name, None
        path = next(
            (self.modules[id(m)] for m in reversed(record.site.modules) if id(m) in self.modules),
            "",
        )
        inside = f" in {path}" if path else ""
        return f"{node.op.name}{inside}", record.site

    def zeros_beside(self, node: Node, i: int) -> tuple[str, Record | None] | None:
        """The operand, other than i, whose values are all zero: in words, and its record."""
        record = self.record(node)
        for link in record.links if record and self.watch else ():
            source = self.watch.records.get(id(link.source))  # type: ignore[union-attr]
            thing = link.source
            array = source.array if source else thing.data if isinstance(thing, Tensor) else thing
            if link.index != i and not isinstance(array, Node) and size(array) == 0:
                return self.names.get(id(link.source), f"operand {link.index + 1}"), source
        return None


def died(scene: Scene, flow: Flow, leaf: Tensor) -> tuple[str, Site | None, str]:
    """Why the gradient of ``leaf`` is zero everywhere: a sentence, the line, how to mend it."""
    found = next(flow.lost_at(leaf), None)
    if found is None:
        return "its parts cancel to zero.", None, "check the signs in the loss."
    node, i = found
    what, site = scene.describe(node)
    at = f" at {site}" if site else ""
    zeros = scene.zeros_beside(node, i)
    record = scene.record(node)
    if zeros is not None and zeros[1] is not None and isinstance(zeros[1].thing, Node):
        node, record = zeros[1].thing, zeros[1]  # what made the zeros, instead of who met them
        what, site = scene.describe(node)
        at, zeros = f" at {site}", None
    if zeros is not None:
        name = zeros[0]
        return (
            f"{what}{at} multiplies it by {name}, which is zero everywhere.",
            site,
            f"let {name} not be zero: draw initial weights at random, as nn.init does (biases "
            "alone may start at zero), and look at masks.",
        )
    called = {node.op.name, record.site.called if record else ""}
    if not called.isdisjoint(SLOPES):
        return (
            f"{what}{at} is saturated: its inputs are so large that its slope is zero.",
            site,
            SMALLER,
        )
    return (
        f"{what}{at} is dead: it gives zero for every element, or its slope is zero there.",
        site,
        "look at what goes into it: with a smaller bias or learning rate a ReLU lives, and "
        "leaky_relu or gelu does not die; nothing gets through dropout of p=1 or an empty mask.",
    )


def changed(scene: Scene, flow: Flow, worst: Tensor, sign: int) -> tuple[str, Site | None, str]:
    """What shrinks (sign -1) or grows (+1) the gradient of ``worst`` most on its way."""
    found = flow.changed_by(worst, sign)
    if found is None:
        return "its scale is odd.", None, "check the scale of the data and of the loss."
    op, times, node = found
    what, site = scene.describe(node)
    at = f" at {site}" if site else ""
    often = f", {times} times on the way" if times > 1 else ""
    if sign > 0:
        return f"{what}{at} makes it grow{often}: weights too large.", site, TAMER
    slope = f", its slope being at most {SLOPES[op]}" if op in SLOPES else ""
    return f"{what}{at} makes it shrink{often}{slope}.", site, LIVELIER if times > 2 else SMALLER


def saturated(scene: Scene, loss: Tensor) -> Iterator[tuple[Node, str, Site]]:
    """The sigmoids and tanhs before the loss of which nearly every output is at its limit."""
    records = scene.watch.records if scene.watch else {}
    for node in ordered([edge_of(loss)]):
        record = records.get(id(node))
        if isinstance(node, Node) and record is not None and node.op.name in ("sigmoid", "tanh"):
            xp: Any = backends.of(record.array).xp  # type: ignore[union-attr]
            y = record.array if node.op.name == "tanh" else 2 * record.array - 1
            stuck = float(xp.mean(xp.astype(1 - y * y < STUCK, y.dtype)))
            if stuck > MOST:
                what, _ = scene.describe(node)
                text = f"{stuck:.0%} of the outputs of {what} at {record.site} are at their limits"
                yield node, text, record.site


def spoilt(scene: Scene, flow: Flow | None, loss: Tensor) -> tuple[str, Site | None, str]:
    """Where the first NaN or Inf came from: of the forward pass, else of the backward pass."""
    remedy = (
        "keep the operands inside its domain there: tx.clip before log and sqrt, an eps under a "
        "division, F.cross_entropy instead of log(softmax); tx.detect_anomaly() stops at the line."
    )
    records = scene.watch.records if scene.watch else {}
    for record in records.values():
        if _finite(record.array):
            continue
        sources = [records.get(id(link.source)) for link in record.links]
        if all(source is None or _finite(source.array) for source in sources):
            leaves = [link.source for link in record.links if isinstance(link.source, Tensor)]
            bad = [scene.names.get(id(p), "a leaf") for p in leaves if not _finite(p.data)]
            if bad:
                message = f"{bad[0]} itself holds a NaN or Inf, seen first at {record.site}."
            else:
                message = f"{record.name} at {record.site} made a NaN or Inf of finite numbers."
            return message, record.site, remedy
    node = flow.spoilt_at() if flow else None
    if node is None:
        return "the loss or a gradient is not a number.", None, remedy
    what, site = scene.describe(node)
    at = f" at {site}" if site else ""
    return f"the gradient of {what}{at} is NaN or Inf, though its result is finite.", site, remedy


def _finite(array: Array) -> bool:
    backend = backends.of(array)
    if backend is None or array.dtype not in backend.floating:
        return True
    return bool(backend.xp.all(backend.xp.isfinite(array)))
