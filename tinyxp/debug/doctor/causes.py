"""Why a gradient is zero, tiny, huge, NaN or Inf: the operation on its path that causes it."""

from collections.abc import Iterator
from typing import Any

from tinyxp import backends
from tinyxp.backends import Array
from tinyxp.core.tape import Node, edge_of, graph_order
from tinyxp.core.tensor import Tensor
from tinyxp.debug.anomaly import state
from tinyxp.debug.doctor.flow import Flow
from tinyxp.debug.sites import Site
from tinyxp.debug.watch import Record, Watch

# activations that saturate, and their largest slopes
SLOPES = {"sigmoid": "0.25", "tanh": "1", "softmax": "0.25", "hardsigmoid": "1/6", "erf": "1.13"}
STUCK, MOST = 1e-3, 0.9  # slope over the largest slope; share of outputs with such a slope
SMALLER = (
    "make its inputs smaller: smaller initial weights, normalized data, a normalization layer "
    "before it, scores times 1/sqrt(d) before a softmax."
)
LIVELIER = (
    "use ReLU or GELU instead of sigmoid and tanh, normalization, residual connections, or larger "
    "initial weights."
)
TAMER = (
    "use smaller initial weights (nn.init.xavier_uniform_, kaiming_uniform_), normalization, or "
    "nn.utils.clip_grad_norm_."
)


class Scene:
    """The lines, modules and operands of nodes, as far as the watch knows them."""

    def __init__(self, watch: Watch | None, names: dict[int, str], modules: dict[int, str]) -> None:
        self.watch, self.names, self.modules = watch, names, modules

    def record(self, thing: Any) -> Record | None:
        return self.watch.record_of(thing) if self.watch else None

    def describe(self, thing: Any) -> tuple[str, Site | None]:
        """An operation as text, with its function, its module and its line."""
        record = self.record(thing)
        if record is None:
            return (thing.op.name if isinstance(thing, Node) else "a value"), None
        function = record.site.function_called
        of = f" of {function}" if function not in ("", record.name) else ""
        paths = [self.modules[id(m)] for m in record.site.modules if id(m) in self.modules]
        inside = f" in {paths[-1]}" if paths else ""
        return f"{record.name}{of}{inside} at {record.site}", record.site

    def zeros_beside(self, node: Node, i: int) -> Any:
        """An all-zero operand of a node, other than i, or its earliest all-zero source."""
        record = self.record(node)
        links = record.links if record else []
        thing = next((x.source for x in links if x.operand != i and self._is_zero(x.source)), None)
        while id(thing) not in self.names and (record := self.record(thing)) is not None:
            above = [x.source for x in record.links if self._is_zero(x.source)]
            above = [x for x in above if isinstance(x, Node) or id(x) in self.names]
            if not above:
                break
            thing = above[0]
        return thing

    def _is_zero(self, thing: Any) -> bool:
        record = self.record(thing)
        array = thing.array if isinstance(thing, Tensor) else record.array if record else thing
        backend = None if isinstance(array, Node) else backends.of(array)
        return backend is not None and not bool(
            backend.xp.any(backend.xp.astype(array, backend.dtypes["bool"]))
        )


def why_zero(scene: Scene, flow: Flow, leaf: Tensor) -> tuple[str, Site | None, str]:
    """Why the gradient of ``leaf`` is zero everywhere: a sentence, the line, a remedy."""
    found = next(flow.lost_at(leaf), None)
    if found is None:
        return "its parts cancel to zero.", None, "check the signs in the loss."
    node, i = found
    what, site = scene.describe(node)
    zeros = scene.zeros_beside(node, i)
    if isinstance(zeros, Node):  # name the operation that made the zeros
        node = zeros
        what, site = scene.describe(node)
    elif zeros is not None:
        name = scene.names.get(id(zeros))
        if name is None:
            remedy = "check the mask or the factor in that line: all of it is zero."
            return f"{what} multiplies it by zeros that carry no gradient.", site, remedy
        remedy = (
            f"initialize {name} with nonzero values: draw weights at random, as nn.init does "
            "(only biases may start at zero)."
        )
        return f"{what} multiplies it by zeros: {name} is zero everywhere.", site, remedy
    if node.op.name in SLOPES or (site is not None and site.function_called in SLOPES):
        why = "its inputs are so large that its slope is zero"
        return f"{what} is saturated: {why}.", site, SMALLER
    return (
        f"{what} is dead: it returns zero for every element, or its slope is zero there.",
        site,
        "check its inputs: a smaller bias or learning rate keeps a ReLU alive, leaky_relu and gelu "
        "do not die; dropout with p=1 and an empty mask pass on no gradient.",
    )


def why_scaled(scene: Scene, flow: Flow, worst: Tensor, sign: int) -> tuple[str, Site | None, str]:
    """The operation that shrinks (sign -1) or grows (+1) the gradient of ``worst`` most."""
    found = flow.strongest_change(worst, sign)
    if found is None:
        return "its scale is unusual.", None, "check the scale of the data and of the loss."
    op, times, node = found
    what, site = scene.describe(node)
    often = f", {times} times on the path" if times > 1 else ""
    if sign > 0:
        return f"{what} makes it grow{often}: the weights are too large.", site, TAMER
    slope = f", because its slope is at most {SLOPES[op]}" if op in SLOPES else ""
    return f"{what} makes it shrink{often}{slope}.", site, LIVELIER if times > 2 else SMALLER


def saturations(scene: Scene, loss: Tensor) -> Iterator[tuple[Node, str, Site]]:
    """The sigmoids and tanhs before the loss that have nearly all outputs at their limits."""
    records = scene.watch.records if scene.watch else {}
    for node in graph_order([edge_of(loss)]):
        record = records.get(id(node))
        if isinstance(node, Node) and record is not None and node.op.name in ("sigmoid", "tanh"):
            xp: Any = backends.of(record.array).xp  # type: ignore[union-attr]
            y = record.array if node.op.name == "tanh" else 2 * record.array - 1
            stuck = float(xp.mean(xp.astype(1 - y * y < STUCK, y.dtype)))
            if stuck > MOST:
                what, _ = scene.describe(node)
                text = f"{stuck:.0%} of the outputs of {what} are at their limits"
                yield node, text, record.site


def why_nonfinite(scene: Scene, flow: Flow | None) -> tuple[str, Site | None, str]:
    """Where the first NaN or Inf came from, in the forward pass or else the backward pass."""
    remedy = (
        "keep the operands inside the domain: tx.clip before log and sqrt, an eps in a divisor, "
        "F.cross_entropy instead of log(softmax); tx.detect_anomaly() stops at the line."
    )
    records = scene.watch.records if scene.watch else {}
    for record in records.values():
        if _finite(record.array):
            continue
        sources = [records.get(id(link.source)) for link in record.links]
        if all(source is None or _finite(source.array) for source in sources):
            leaves = [link.source for link in record.links if isinstance(link.source, Tensor)]
            bad = [scene.names.get(id(p), "a leaf") for p in leaves if not _finite(p.array)]
            if bad:
                message = f"{bad[0]} itself holds a NaN or Inf, first used at {record.site}."
            else:
                message = f"{record.name} at {record.site} made a NaN or Inf from finite numbers."
            return message, record.site, remedy
    node = flow.nonfinite_at() if flow else None
    if node is None:
        return "the loss or a gradient is NaN or Inf.", None, remedy
    what, site = scene.describe(node)
    return f"the gradient of {what} is NaN or Inf, though its result is finite.", site, remedy


def _finite(array: Array) -> bool:
    return state(array)[2]
