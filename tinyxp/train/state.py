"""The state of a training run that a checkpoint saves, and how a resumed run restores it."""

import random
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.errors import DataError
from tinyxp.nn.module import Module
from tinyxp.random import Generator, default_generator
from tinyxp.train.batches import Passes
from tinyxp.train.options import Options
from tinyxp.train.parallel import Parallel
from tinyxp.version import __version__

SAVED = ("done", "validation", "best", "waited", "skipped", "good", "ended", "loss_scale")


def training_state(
    trainer: Options, passes: Passes, parallel: Parallel, setting: dict[str, str]
) -> dict[str, Any]:
    """Everything that later steps depend on."""
    return {
        "parts": {name: part.state_dict() for name, part in _parts(trainer, passes).items()},
        "trainer": {name: getattr(trainer, name) for name in SAVED},
        "passes": {
            "taken": passes.taken,
            "ended": passes.ended,
            "before": (passes.before, passes.steps_before),
        },
        "parallel": parallel.chosen if parallel.threads == "auto" else None,
        "random": random_states(trainer.model),
        "setting": setting,
        "config": trainer.run.configuration if trainer.run else {},
    }


def restore(
    trainer: Options,
    checkpoint: tuple[int, Any],
    passes: Passes,
    parallel: Parallel,
    setting: dict[str, str],
) -> Iterator[Any]:
    """Bring everything back to a checkpoint; return the remaining batches.

    Raises DataError for a checkpoint of other parts.
    """
    step, state = checkpoint
    needed = {"parts", "trainer", "passes", "parallel", "random", "setting"}
    if lacking := [*(needed - state.keys()), *({*SAVED} - state.get("trainer", {}).keys())]:
        raise DataError(
            f"the checkpoint of step {step} lacks {', '.join(sorted(lacking))}; another version of "
            "tinyxp wrote it: resume it with that version, or start a new run"
        )
    parts = _parts(trainer, passes)
    if differing := parts.keys() ^ state["parts"].keys():
        raise DataError(
            f"the checkpoint of step {step} does not fit: either it or this program alone has "
            f"{', '.join(sorted(differing))}"
        )
    same = warn_of_changes(state["setting"], setting)
    for name in SAVED:
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


def _parts(trainer: Options, passes: Passes) -> dict[str, Any]:
    """The parts that have a state of their own."""
    parts = {
        "model": trainer.model,
        "optimizer": trainer.optimizer,
        "scheduler": trainer.scheduler,
        "average": trainer.average,
        "batches": passes.place or passes.batches,
    }
    return {name: part for name, part in parts.items() if hasattr(part, "load_state_dict")}


def random_states(model: Module) -> dict[str, Any]:
    """The states of the default generator, those of modules, Python's and NumPy's."""
    return {
        "default": default_generator().state_dict(),
        "modules": {name: generator.state_dict() for name, generator in _generators(model).items()},
        "python": random.getstate(),
        "numpy": np.random.get_state(),
    }


def set_random_states(model: Module, states: dict[str, Any]) -> None:
    """Set all random generators to ``states``."""
    default_generator().load_state_dict(states["default"])
    for name, generator in _generators(model).items():
        if name in states["modules"]:
            generator.load_state_dict(states["modules"][name])
    random.setstate(states["python"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.asarray(keys), *rest))


def _generators(model: Module) -> dict[str, Generator]:
    return {
        f"{path}.{name}": value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, Generator)
    }


def current_setting(model: Module) -> dict[str, str]:
    """The versions, the backend with its kernels and threads, and the device of a model."""
    p = next(iter(model.parameters()), None)
    backend = backends.current() if p is None else p.backend
    return {
        "tinyxp": __version__,
        "NumPy": np.__version__,
        "backend": f"{backend.name}{backend.about()}",
        "device": "" if p is None else p.device,
    }


def warn_of_changes(before: dict[str, str], now: dict[str, str]) -> bool:
    """Whether two settings are equal; warns if they are not, because bits may differ then."""
    changed = [f"{k} {before.get(k)!r} is now {now[k]!r}" for k in now if before.get(k) != now[k]]
    if changed:
        warnings.warn(
            f"resumed in another setting, so last digits may differ: {'; '.join(changed)}",
            stacklevel=2,
        )
    return not changed
