"""What the bits of a training run depend on beside the states of its parts."""

import random
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyxp import backends
from tinyxp.errors import DataError
from tinyxp.nn.module import Module
from tinyxp.random import Generator, default_generator
from tinyxp.version import __version__

if TYPE_CHECKING:
    from tinyxp.train.batches import Passes
    from tinyxp.train.parallel import Parallel
    from tinyxp.train.trainer import Trainer

KEPT = ("done", "validation", "best", "waited", "skipped", "good", "ended", "loss_scale")


def training_state(trainer: "Trainer", passes: "Passes", parallel: "Parallel") -> dict[str, Any]:
    """All that the steps to come depend on."""
    return {
        "parts": {name: part.state_dict() for name, part in _parts(trainer, passes).items()},
        "trainer": {name: getattr(trainer, name) for name in KEPT},
        "passes": {
            "taken": passes.taken,
            "ended": passes.ended,
            "before": (passes.before, passes.steps_before),
        },
        "parallel": parallel.chosen if parallel.threads == "auto" else None,
        "random": random_states(trainer.model),
        "setting": trainer.setting,
        "config": trainer.run.configuration if trainer.run else {},
    }


def resumed(
    trainer: "Trainer", found: tuple[int, Any], passes: "Passes", parallel: "Parallel"
) -> Iterator[Any]:
    """Bring everything back to a checkpoint; the batches that are still to come.

    Raises DataError for a checkpoint of other parts.
    """
    step, state = found
    needed = {"parts", "trainer", "passes", "parallel", "random", "setting"}
    if lacking := [*(needed - state.keys()), *({*KEPT} - state.get("trainer", {}).keys())]:
        raise DataError(
            f"the checkpoint of step {step} lacks {', '.join(sorted(lacking))}; another version of "
            "tinyxp wrote it: resume it with that, or begin anew"
        )
    parts = _parts(trainer, passes)
    if len(missing := parts.keys() ^ state["parts"].keys()) > 0:
        raise DataError(
            f"the checkpoint of step {step} does not fit: {', '.join(sorted(missing))} only here "
            "or only there"
        )
    same = warn_of_changes(state["setting"], trainer.setting)
    for name in KEPT:
        setattr(trainer, name, state["trainer"][name])
    if same and parallel.threads == "auto" and state["parallel"] is not None:
        parallel.choose(state["parallel"])
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
    passes.before, passes.steps_before = state["passes"].get("before", (0, 0))
    passes.taken, passes.ended = state["passes"]["taken"], state["passes"]["ended"]
    source = iter(passes)
    if "batches" not in parts and not passes.over():
        passes.taken = passes.ended = 0
        for _ in islice(source, state["passes"]["taken"]):
            pass
    set_random_states(trainer.model, state["random"])
    return source


def _parts(trainer: "Trainer", passes: "Passes") -> dict[str, Any]:
    """All that has a state of its own."""
    parts = {"model": trainer.model, "optimizer": trainer.optimizer}
    parts |= {"scheduler": trainer.scheduler, "average": trainer.average}
    parts |= {"batches": passes.place or passes.batches}
    return {name: part for name, part in parts.items() if hasattr(part, "load_state_dict")}


def random_states(model: Module) -> dict[str, Any]:
    """The state of every source of random numbers: tinyxp's default one, those that modules hold,
    Python's and NumPy's."""
    return {
        "default": default_generator().state_dict(),
        "modules": {name: generator.state_dict() for name, generator in _held(model).items()},
        "python": random.getstate(),
        "numpy": np.random.get_state(),
    }


def set_random_states(model: Module, states: dict[str, Any]) -> None:
    """Bring them all back to ``states``."""
    default_generator().load_state_dict(states["default"])
    for name, generator in _held(model).items():
        if name in states["modules"]:
            generator.load_state_dict(states["modules"][name])
    random.setstate(states["python"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.asarray(keys), *rest))


def _held(model: Module) -> dict[str, Generator]:
    return {
        f"{path}.{name}": value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, Generator)
    }


def setting(model: Module) -> dict[str, str]:
    """The versions, the backend with its kernels and threads, and the device that a model is
    trained with."""
    p = next(iter(model.parameters()), None)
    backend = backends.current() if p is None else p.backend
    return {
        "tinyxp": __version__,
        "NumPy": np.__version__,
        "backend": f"{backend.name}{backend.about()}",
        "device": "" if p is None else p.device,
    }


def warn_of_changes(before: dict[str, str], now: dict[str, str]) -> bool:
    """Whether two settings are the same; warns if not, because then bits may differ."""
    changed = [f"{k} {before.get(k)!r} is now {now[k]!r}" for k in now if before.get(k) != now[k]]
    if changed:
        warnings.warn(
            f"resumed in another setting, so that last digits may differ: {'; '.join(changed)}",
            stacklevel=2,
        )
    return not changed
