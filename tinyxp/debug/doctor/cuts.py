"""Cuts: lines where the path from a parameter to the loss loses its gradient."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tinyxp import backends
from tinyxp.backends import Array
from tinyxp.core.tensor import Tensor
from tinyxp.debug.doctor.report import Finding, group, names
from tinyxp.debug.sites import Site
from tinyxp.debug.watch import DATA, DETACH, DETOUR, NO_GRAD, Link, Record, Uses, Watch, walk

NUMBERS = ("item()", "float()", "int()", "complex()", "tolist()")  # ways out that return no array
REMEDIES = {
    DETACH: "remove detach() at {0}, or keep its result out of the loss.",
    DATA: "remove .data at {0}, or keep its result out of the loss.",
    NO_GRAD: "take {0} out of tx.no_grad(), which records nothing.",
    DETOUR: "use functions of tinyxp (tx.exp, tx.sum, tx.take ...) instead of raw arrays, so that "
    "{0} makes no new tensor.",
}


def cuts(watch: Watch, towards: Uses, leaf: Tensor) -> list[tuple[Record, Link]]:
    """The first places where the paths from ``leaf`` to the loss lose its gradient."""
    reached = walk(leaf, lambda x: (y for y, link in towards.get(id(x), ()) if not link.why))
    uses = (use for x in reached for use in towards.get(id(x), ()))
    found: Any = ((watch.record_of(thing), link) for thing, link in uses if link.why)
    return list(found)


def missing(
    watch: Watch, loss: Tensor, params: Mapping[str, Tensor], got: Collection[str]
) -> Iterator[Finding]:
    """The findings for parameters whose gradient is missing or incomplete."""
    if len(got) == len(params) and not watch.has_cuts():
        return
    towards, own = watch.towards(loss), watch.towards(loss, kept=False)
    used = watch.uses()
    lost: list[tuple[str, Any]] = []
    partial: list[tuple[str, Any]] = []
    apart: list[tuple[str, Tensor]] = []
    for name, p in params.items():
        found = cuts(watch, own if name in got else towards, p)
        if name in got:
            found = [(record, link) for record, link in found if _by_mistake(record, link)]
        sites = tuple(sorted({_lines(record, link) for record, link in found}, key=str))
        if sites:
            (partial if name in got else lost).append((name, sites))
        elif name not in got:
            apart.append((name, p))
    for some, sites in group(lost):
        yield _cut("missing", some, sites)
    for some, sites in group(partial):
        yield _cut("incomplete", some, sites)
    yield from _unconnected(watch, loss, towards, used, apart)


def _by_mistake(record: Record, link: Link) -> bool:
    """Whether this cut loses a gradient that the user wanted; a comparison, say, has none."""
    by_user = link.why in (DETACH, DATA, NO_GRAD) or link.why.endswith(DETOUR)
    return by_user and not record.on_purpose


def _lines(record: Record, link: Link) -> tuple[Any, ...]:
    """Why and where a path is cut, and the line where that began, if it is another."""
    began = [link.origin] if link.origin is not None and link.origin != record.site else []
    return link.why, record.site, *began


def _cut(kind: str, parameters: list[str], sites: tuple[Any, ...]) -> Finding:
    why, site, *left = sites[0]
    lines = [s for _, *some in sites for s in some]
    part = "a part of the gradient" if kind == "incomplete" else "the gradient"
    where = " and ".join(dict.fromkeys(str(s[1]) for s in sites[:3]))
    began = "which began" if why == NO_GRAD else "the values left tinyxp"
    out = f" ({began} at {left[0]})" if left else ""
    key = DETOUR if why.endswith(DETOUR) else why
    is_name = key in REMEDIES or why.endswith(")")  # else it is a sentence
    by = f" by {why}" if is_name else f": {why}"
    message = f"{part} is cut at {where}{by}{out}; no gradient passes that line."
    remedy = REMEDIES.get(key, "use a differentiable function at {0}: " + why + ".")
    return Finding(kind, parameters, site, message, remedy.format(where), [*dict.fromkeys(lines)])


def _unconnected(
    watch: Watch, loss: Tensor, towards: Uses, used: Uses, apart: list[tuple[str, Tensor]]
) -> Iterator[Finding]:
    """The findings for parameters from which no recorded path leads to the loss."""
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
    pairs = [(name, _exit_of(watch, towards, used, p)) for name, p in apart if name not in unused]
    for some, (way, out, returns) in group(pairs):
        if not way:
            message = f"the result computed from it at {out} does not enter the loss."
            remedy = f"use the result of {out} in the loss, or delete it."
            yield Finding("unused", some, out, message, remedy, [out])
            continue
        back = " or ".join(map(str, returns))
        then = f" and comes back at {back} as a new tensor" if back else " as a plain number"
        message = f"the gradient is cut at {out} by {way}: the value leaves tinyxp there{then}."
        remedy = f"keep it a tensor at {out}: no {way} between a parameter and the loss."
        sites = [*dict.fromkeys((*returns, out))]
        yield Finding("missing", some, sites[0], message, remedy, sites)


def _exit_of(
    watch: Watch, towards: Uses, used: Uses, leaf: Tensor
) -> tuple[str, Site, tuple[Site, ...]]:
    """How a value computed from ``leaf`` left tinyxp, the line, and the lines where it may have
    come back. The way is empty if no value left."""
    seen = {id(x) for x in walk(leaf, lambda x: (y for y, _ in used.get(id(x), ())))}
    results = [watch.records[i] for i in seen - {id(leaf)} if i in watch.records]
    entries = [
        record
        for record in watch.records.values()
        if record.name == "tensor"
        and not record.links
        and id(record.thing) in towards
        and _may_be_a_result(record.array)
    ]
    exits = [way for way in watch.exits if id(way.source) in seen]
    for out in reversed(exits):
        returns = dict.fromkeys(
            entry.site
            for entry in entries
            if entry.born > out.born and (entry.of_numbers or out.way not in NUMBERS)
        )
        if returns:
            return out.way, out.site, tuple(returns)[:3]
    if exits:
        return exits[-1].way, exits[-1].site, ()
    return "", max(results, key=lambda record: record.born).site, ()


def _may_be_a_result(array: Array) -> bool:
    """Whether it is floating and not constant, as masks are."""
    backend = backends.of(array)
    if backend is None or array.dtype not in backend.floating or 0 in array.shape:
        return False
    return array.shape == () or bool(backend.xp.max(array) != backend.xp.min(array))
