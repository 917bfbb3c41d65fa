"""Small whole programs, each written once for PyTorch, and the ways to run them.

A program is a file of this folder with a function ``program(run)``. It runs on PyTorch unchanged,
and on tinyxp with only its imports changed. Its results must not depend on the way in which it is
run: see WAYS. ``run`` gives it numbers, the same for both libraries, and logs everything after each
step: losses, parameters, gradients, buffers and the state of optimizers. A file may declare:

- REFUSED: the message of the CaptureError that a captured step must raise
- TRAINER_REFUSED: the message of Trainer(capture=True), if it differs
- PARTS_REFUSED: why Trainer(threads=2) must refuse to split its batches
- STILL: names of parameters that training leaves unchanged
- LEARNS = False: its loss need not fall
- ALONE: why PyTorch has other numbers, such as random numbers of its own
- TOLERANCE: relative to the largest value, if the dtype allows no 1e-5
- BACKENDS: the backends that it can run on
"""

import functools
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np

import tinyxp as tx
from tinyxp import backends
from tinyxp.backends.numpy import backend as numpy_backend
from tinyxp.errors import ArgumentError, CaptureError, TinyError
from tinyxp.train import Trainer

FOLDER = Path(__file__).parent
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


@dataclass(frozen=True)
class Way:
    """A way to run a program, and what it is compared with."""

    backend: str = "numpy"  # or "PyTorch", which is no backend of tinyxp
    kernels: str = "all"  # "all": numba's and NumPy's, "numpy": NumPy's, "none": the formulas
    captures: bool = False
    trainer: tuple[tuple[str, object], ...] | None = None  # the options of a Trainer
    dtype: str = "float32"
    like: str = "plain"
    tolerance: float | None = None  # None means bit for bit


WAYS = {
    "plain": Way(),
    "captured": Way(captures=True),
    "trainer": Way(trainer=(("threads", 1),)),
    "trainer, any threads": Way(trainer=()),
    "trainer, two threads": Way(trainer=(("threads", 2),), tolerance=1e-5),
    "trainer, captured": Way(trainer=(("capture", True),)),
    "numpy's kernels": Way(kernels="numpy", tolerance=1e-5),
    "no kernels": Way(kernels="none", tolerance=1e-5),
    "no kernels, captured": Way(kernels="none", captures=True, like="no kernels"),
    "float64": Way(dtype="float64", tolerance=1e-5),
    "on torch": Way("torch", tolerance=1e-5),
    "on strict": Way("strict", tolerance=1e-5),
    "PyTorch": Way("PyTorch", tolerance=1e-5),
    "PyTorch, float64": Way("PyTorch", dtype="float64", like="float64", tolerance=1e-10),
}


def source(name: str) -> str:
    return (FOLDER / f"{name}.py").read_text("utf-8")


@functools.cache
def loaded(name: str, library: str) -> ModuleType:
    """A program for one of the two libraries; its lines have the same numbers in both."""
    text = source(name)
    if library == "tinyxp":
        text = re.sub(r"^import torch$", "import tinyxp as torch", text, flags=re.MULTILINE)
        text = re.sub(r"^(import|from) torch\b", r"\1 tinyxp", text, flags=re.MULTILINE)
    module = ModuleType(f"{__name__}.{name}")
    exec(compile(text, str(FOLDER / f"{name}.py"), "exec"), module.__dict__)
    return module


@functools.cache
def outcome(name: str, way: str) -> "Run":
    """One run of a program."""
    how = WAYS[way]
    library = "torch" if how.backend == "PyTorch" else "tinyxp"
    with surroundings(how):
        run = Run(how)
        try:
            loaded(name, library).program(run)
        except (ArgumentError, CaptureError) as error:
            if run.fits == 0:
                raise
            run.refusals.append(error)  # by a Trainer
        run.end()
    return run


@contextmanager
def surroundings(way: Way) -> Iterator[None]:
    if way.backend == "PyTorch":
        yield
        return
    table = backends.get("numpy").__dict__
    bits = "random_bits"  # no formula's: by it the random numbers of a recorded step go on
    both = {
        "all": (table["kernels"], table["functions"]),
        "numpy": (numpy_backend.kernels(False), numpy_backend.functions(False)),
        "none": ({}, {bits: table["functions"][bits]}),
    }
    kernels, functions = both[way.kernels]
    tx.manual_seed(0)
    with patch.dict(table, kernels=kernels, functions=functions), tx.backend(way.backend):
        yield


class Run:
    """The environment of a program: numbers, a way to take its steps, and a log."""

    def __init__(self, way: Way) -> None:
        self.way = way
        if way.backend == "PyTorch":
            import torch

            self.library = torch
        else:
            self.library = tx
        self.dtype = getattr(self.library, way.dtype)
        self.rng = np.random.default_rng(0)
        self.watched: dict[str, object] = {}
        self.first: dict[str, np.ndarray] = {}
        self.steps: list[dict[str, np.ndarray | None]] = []
        self.kept: list[tuple[object, np.ndarray]] = []
        self.refusals: list[TinyError] = []
        self.fits = 0

    # -- numbers, which do not depend on the library ------------------------------------------

    def tensor(self, array):
        """A tensor of numbers; real numbers have the dtype of the run."""
        array = np.array(array)
        dtype = self.dtype if array.dtype.kind == "f" else getattr(self.library, str(array.dtype))
        return self.library.asarray(array.tolist(), dtype=dtype).reshape(array.shape)

    def normal(self, *shape):
        return self.tensor(self.rng.normal(size=shape).astype("float32"))

    def integers(self, below, *shape):
        return self.tensor(self.rng.integers(0, below, size=shape))

    def begin(self, module, name="model"):
        """A module with initial weights that do not depend on the library; the log shows it."""
        if self.way.dtype == "float64":
            module.double()
        state = module.state_dict()
        parameters = dict(module.named_parameters(remove_duplicate=False))
        drawn = {}
        for key, p in parameters.items():
            if (number := id(p)) not in drawn:
                fan_in = int(np.prod(p.shape[1:])) if len(p.shape) > 1 else 100
                center = 1.0 if len(p.shape) == 1 and key.endswith("weight") else 0.0
                values = center + self.rng.normal(size=tuple(p.shape)) / np.sqrt(fan_in)
                drawn[number] = self.tensor(values.astype("float32"))
            state[key] = drawn[number]
        module.load_state_dict(state)
        return self.watch(module, name)

    # -- the log ------------------------------------------------------------------------------

    def watch(self, thing, name="optimizer"):
        """A module, an optimizer or a tensor that the log shows at each step."""
        self.watched[name] = thing
        if not hasattr(thing, "param_groups"):
            self.first |= snapshot(name, thing)
        return thing

    def log(self, **values):
        """Log these values, and the current state of everything that is watched."""
        found = {name: numbers(value) for name, value in values.items()}
        for name, thing in self.watched.items():
            found |= snapshot(name, thing)
        self.steps.append(found)

    def keep(self, *tensors):
        """Keep tensors until the end, when their values must be unchanged."""
        self.kept += [(x, numbers(x)) for x in tensors]

    def end(self):
        if self.library is not tx:  # a snapshot of PyTorch's shares its memory with the parameter
            return
        for x, then in self.kept:
            assert numbers(x).tobytes() == then.tobytes(), "a tensor that was kept has changed"

    # -- ways to take steps -------------------------------------------------------------------

    def capture(self, step):
        """The step, captured or plain; a step that cannot be captured runs plain."""
        if not self.way.captures:
            return step
        graph = tx.capture(step)

        def taken(*args):
            nonlocal graph
            try:
                return graph(*args)
            except CaptureError as error:
                self.refusals.append(error)
                graph = step
                return step(*args)

        return taken

    def fit(self, model, optimizer, loss_of, batches, **options):
        """Whether a Trainer has done the training; if not, the program's own loop does it."""
        if self.way.trainer is None:
            return False
        self.fits += 1
        trainer = Trainer(
            model, optimizer, stream=io.StringIO(), log_every=1, callbacks=[self._told],
            **dict(self.way.trainer), **options,
        )  # fmt: skip
        steps = len(batches) // trainer.accumulate
        trainer.fit(batches, lambda batch: loss_of(*batch), steps=steps)
        return True

    def _told(self, metrics):
        told = {"loss": metrics["loss"]}
        if "validation loss" in metrics:
            told["validation"] = metrics["validation loss"]
        self.log(**told)


def numbers(x) -> np.ndarray:
    """A copy of the values of a tensor or number, as an array."""
    if isinstance(x, float | int):
        return np.asarray(x, dtype="float64")
    x = x.detach()
    if str(x.dtype).rpartition(".")[2] == "bfloat16":
        x = x.float()
    array = np.array(x.numpy())
    return array.astype("float64") if array.ndim == 0 else array


def snapshot(name: str, thing) -> dict[str, np.ndarray | None]:
    """The whole state of a module, an optimizer or a tensor."""
    found = {}
    if hasattr(thing, "param_groups"):
        for i, state in thing.state_dict()["state"].items():
            found |= {f"{name}.{i}.{k}": numbers(v) for k, v in state.items() if v is not None}
        return found
    if hasattr(thing, "state_dict"):
        found = {f"{name}.{k}": numbers(v) for k, v in thing.state_dict().items()}
        leaves = {f"{name}.{k}": p for k, p in thing.named_parameters()}
    else:
        found[name] = numbers(thing)
        leaves = {name: thing} if thing.is_leaf else {}
    for key, p in leaves.items():
        found[f"∂{key}"] = None if p.grad is None else numbers(p.grad)
    return found
