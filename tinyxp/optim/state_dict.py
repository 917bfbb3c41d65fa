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
        _expect(kind, "options", options - LATER, options | (group.keys() - OPTIONS), group)
    known = {i: n for n, group in enumerate(groups) for i in group["params"]}
    if odd := state_dict["state"].keys() - known.keys():
        raise ArgumentError(
            f"the state has entries for parameters {sorted(odd)} that are in no group"
        )
    for i, values in state_dict["state"].items():
        names = optimizer.state_names({**own[known[i]], **groups[known[i]]})
        kept = [name for name, value in values.items() if value is not None]
        if names is not None and kept:
            _expect(kind, f"values for parameter {i}", names[0], names[0] | names[1], kept)


def _expect(
    kind: str, what: str, needed: Iterable[str], allowed: Iterable[str], given: Iterable[str]
) -> None:
    missing, unknown = {*needed} - {*given}, {*given} - {*allowed} - {"params"}
    if problem := difference(missing, unknown):
        raise ArgumentError(
            f"this is not the state of {kind}: among its {what} it {problem}; load the state of an "
            "optimizer of the same class"
        )


def difference(missing: Iterable[str], unknown: Iterable[str]) -> str:
    """The missing and unknown names of a state as words; empty if there are none."""
    parts = [
        f"{word} {', '.join(sorted(map(str, names)))}"
        for word, names in (("lacks", missing), ("has", unknown))
        if names
    ]
    return " and ".join(parts)
