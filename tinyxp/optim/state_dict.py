"""Checks of a saved optimizer state, before any of it is loaded."""

from collections.abc import Iterable, Mapping
from typing import Any

from tinyxp.errors import ArgumentError

# options that older releases of PyTorch lack; all are off by default
LATER = frozenset(
    ("foreach", "maximize", "capturable", "differentiable", "fused", "decoupled_weight_decay")
)
# the options of all optimizers; other entries of a group belong to schedules and users, and stay
OPTIONS = set(LATER)


def expect_state(optimizer: Any, state_dict: Any) -> None:
    """Raise ArgumentError unless ``state_dict`` fits this optimizer: its numbers of parameters, its
    options and its state for each parameter."""
    kind = type(optimizer).__name__
    if not isinstance(state_dict, Mapping) or {*state_dict} != {"state", "param_groups"}:
        found = sorted(map(str, state_dict)) if isinstance(state_dict, Mapping) else state_dict
        raise ArgumentError(f"an optimizer's state has 'state' and 'param_groups', got {found!r}")
    groups, own = state_dict["param_groups"], optimizer.param_groups
    sizes = [len(group["params"]) for group in groups]
    wanted = [len(group["params"]) for group in own]
    if sizes != wanted:
        raise ArgumentError(
            f"expected groups of {wanted} parameters, got a state with {sizes}; "
            "make the optimizer with the same groups first"
        )
    for group in groups:
        options = optimizer.defaults.keys()
        if group.get("differentiable"):
            raise ArgumentError("differentiable=True is refused, as by the constructor")
        others = {"params"} | (group.keys() - OPTIONS)
        expect_names(f"{kind}: among its options", options - LATER, options | others, group)
    known = {i: n for n, group in enumerate(groups) for i in group["params"]}
    if odd := state_dict["state"].keys() - known.keys():
        raise ArgumentError(
            f"the state has entries for parameters {sorted(odd)} that are in no group"
        )
    for i, values in state_dict["state"].items():
        names = optimizer.state_names({**own[known[i]], **groups[known[i]]})
        kept = [name for name, value in values.items() if value is not None]
        if names is not None and kept:
            what = f"{kind}: among its values for parameter {i}"
            expect_names(what, names[0], names[0] | names[1], kept)


def expect_names(
    what: str, needed: Iterable[str], allowed: Iterable[str], given: Iterable[str]
) -> None:
    """Raise ArgumentError unless the names in the state of ``what`` include those ``needed``, and
    all are ``allowed``."""
    differing = {"lacks": {*needed} - {*given}, "has": {*given} - {*allowed}}
    words = [f"{verb} {', '.join(sorted(map(str, s)))}" for verb, s in differing.items() if s]
    if words:
        raise ArgumentError(
            f"this is not the state of {what} it {' and '.join(words)}; load the state_dict() of "
            "an object of the same class"
        )
