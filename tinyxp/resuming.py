"""What the bits of a training run depend on beside the states of its parts."""

import random
import warnings
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.nn.module import Module
from tinyxp.random import Generator, default_generator
from tinyxp.version import __version__


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
    np.random.set_state((kind, keys.numpy(), *rest))


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
