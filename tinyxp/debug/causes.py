"""Why a gradient is missing, incomplete, or lost on its way: from a watch and a measured pass."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tinyxp import backends
from tinyxp.backends import Array
from tinyxp.core import Tensor
from tinyxp.debug.flow import Flow, size
from tinyxp.debug.report import Finding, names
from tinyxp.debug.sites import Site
from tinyxp.debug.watch import DETACH, DETOUR, NO_GRAD, Link, Record, Uses, Watch
from tinyxp.graph import Node

# activations that saturate, and their largest slopes
SLOPES = {"sigmoid": "0.25", "tanh": "1", "softmax": "0.25", "hardsigmoid": "1/6", "erf": "1.13"}
REMEDIES = {
    DETACH: "remove detach() at {0}, or use what it gives only beside the loss.",
    NO_GRAD: "take {0} out of tx.no_grad(): there, nothing is recorded.",
    DETOUR: "use functions of tinyxp (tx.exp, tx.sum, tx.take ...) in place of raw arrays, so that "
    "{0} makes no new tensor.",
}
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


def group(pairs: list[tuple[str, Any]]) -> Iterator[tuple[list[str], Any]]:
    """The names of equal things together."""
    found: dict[Any, list[str]] = {}
    for name, thing in pairs:
        found.setdefault(thing, []).append(name)
    yield from ((some, thing) for thing, some in found.items())


# -- cut: the way from a parameter to the loss loses its gradient -----------------------------


def cuts(watch: Watch, towards: Uses, leaf: Tensor) -> list[tuple[Record, Link]]:
    """Where the ways from ``leaf`` to the loss lose its gradient first."""
    found, stack, seen = [], [leaf], {id(leaf)}
    while stack:
        for thing, link in towards.get(id(stack.pop()), ()):
            if link.why:
                found.append((watch.records[id(thing)], link))
            elif id(thing) not in seen:
                seen.add(id(thing))
                stack.append(thing)
    return found


def missing(
    watch: Watch, loss: Tensor, params: Mapping[str, Tensor], got: Collection[str]
) -> Iterator[Finding]:
    """The findings for parameters without a gradient, and for those that lack a part of theirs."""
    if len(got) == len(params) and not watch.has_cuts():
        return
    towards = watch.towards(loss)
    used = watch.uses()
    lost: list[tuple[str, Any]] = []
    partial: list[tuple[str, Any]] = []
    apart: list[tuple[str, Tensor]] = []
    for name, p in params.items():
        found = cuts(watch, towards, p)
        if name in got:
            found = [(record, link) for record, link in found if _by_mistake(record, link)]
        sites = tuple(sorted({(link.why, record.site, *_ways_out(watch, record, link))
                              for record, link in found}, key=str))  # fmt: skip
        if sites:
            (partial if name in got else lost).append((name, sites))
        elif name not in got:
            apart.append((name, p))
    for some, sites in group(lost):
        yield _cut("missing", some, sites)
    for some, sites in group(partial):
        yield _cut("incomplete", some, sites)
    yield from _apart(watch, loss, towards, used, apart)


def _by_mistake(record: Record, link: Link) -> bool:
    """Whether a part of a gradient that is cut here is missed: a comparison has none to miss."""
    return link.why in (DETACH, NO_GRAD, DETOUR) and not record.on_purpose


def _ways_out(watch: Watch, record: Record, link: Link) -> list[Site]:
    """Where the value left tinyxp before ``record``, or after it, if it then came back."""
    return [link.left] if link.left is not None and link.left != record.site else []


def _cut(kind: str, parameters: list[str], sites: tuple[Any, ...]) -> Finding:
    why, site, *left = sites[0]
    lines = [s for _, *some in sites for s in some]
    part = "a part of the gradient" if kind == "incomplete" else "the gradient"
    where = " and ".join(dict.fromkeys(str(s[1]) for s in sites[:3]))
    out = f" (the values left tinyxp at {left[0]})" if left else ""
    message = f"{part} is cut at {where} by {why}{out}; no gradient comes past that line."
    remedy = REMEDIES.get(why, "{0} needs a differentiable function in its place: " + why + ".")
    return Finding(kind, parameters, site, message, remedy.format(where), [*dict.fromkeys(lines)])


def _apart(
    watch: Watch, loss: Tensor, towards: Uses, used: Uses, apart: list[tuple[str, Tensor]]
) -> Iterator[Finding]:
    """Parameters from which no recorded way leads to the loss."""
    unused = [name for name, p in apart if id(p) not in used]
    if unused:
        yield Finding(
            "unused",
            unused,
            None,
            "no operation of this forward pass uses it: its layer is never called, or not in this "
            "branch.",
            f"call the layer of {names(unused)} in forward(), or delete it.",
        )
    pairs = [(name, _gone(watch, towards, used, p)) for name, p in apart if name not in unused]
    for some, (way, out, back) in group(pairs):
        if not way:
            message = f"what is computed from it at {out} does not go into the loss."
            remedy = f"use the result of {out} in the loss, or delete it."
            yield Finding("unused", some, out, message, remedy, [out])
            continue
        site = back or out
        then = f" and comes back at {back} as a new tensor" if back else " as a plain number"
        message = f"the gradient is cut at {out} by {way}: the value leaves tinyxp there{then}."
        remedy = f"keep it a tensor at {out}: no {way} between a parameter and the loss."
        sites = [*dict.fromkeys(s for s in (site, out) if s)]
        yield Finding("missing", some, site, message, remedy, sites)


def _gone(watch: Watch, towards: Uses, used: Uses, leaf: Tensor) -> tuple[str, Site, Site | None]:
    """How the last value computed from ``leaf`` got lost: the way out, its line, that of the
    return. The way is empty if it did not leave tinyxp."""
    stack, seen, last = [leaf], {id(leaf)}, None
    while stack:
        for thing, _ in used.get(id(stack.pop()), ()):
            if id(thing) not in seen:
                seen.add(id(thing))
                stack.append(thing)
                record = watch.records.get(id(thing))
                if record and (last is None or record.born > last.born):
                    last = record
    entries = [
        record
        for record in watch.records.values()
        if record.name == "tensor" and not record.links and id(record.thing) in towards
        and _floating(record.array)
    ]  # fmt: skip
    exits = [way for way in watch.exits if id(way.source) in seen]
    for out in reversed(exits):
        back = next((entry for entry in entries if entry.born > out.born), None)
        if back is not None:
            return f"{out.way.strip('_')}()", out.site, back.site
    if exits:
        return f"{exits[-1].way.strip('_')}()", exits[-1].site, None
    assert last is not None  # it is used
    return "", last.site, None


def _floating(array: Array) -> bool:
    backend = backends.of(array)
    return backend is not None and array.dtype in backend.floating


# -- lost: the gradient is there, and zero, tiny, huge or no number ---------------------------


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
            array = source.array if source else getattr(link.source, "data", link.source)
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


def changed(
    scene: Scene, flow: Flow, worst_first: Sequence[tuple[str, Tensor]], sign: int
) -> Iterator[tuple[list[str], tuple[str, Site | None, str]]]:
    """What shrinks (sign -1) or grows (+1) gradients most on their way, with whose they are."""
    found = [(name, flow.changed_by(p, sign)) for name, p in worst_first]
    for some, op in group([(name, change[0] if change else "") for name, change in found]):
        change = next(change for name, change in found if name == some[0])
        if change is None:
            yield some, ("its scale is odd.", None, "check the scale of the data and of the loss.")
            continue
        _, times, node = change
        what, site = scene.describe(node)
        at = f" at {site}" if site else ""
        often = f", {times} times on the way" if times > 1 else ""
        if sign > 0:
            yield some, (f"{what}{at} makes it grow{often}: weights too large.", site, TAMER)
            continue
        slope = f", its slope being at most {SLOPES[op]}" if op in SLOPES else ""
        remedy = LIVELIER if times > 2 else SMALLER
        yield some, (f"{what}{at} makes it shrink{often}{slope}.", site, remedy)


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
