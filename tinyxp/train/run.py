"""The folder of a training run: its configuration, metrics, checkpoints and model."""

import itertools
import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

from tinyxp.errors import ArgumentError, DataError
from tinyxp.files.locks import only_writer
from tinyxp.files.safetensors import remove_temporary, save, write_atomically
from tinyxp.nn.module import Module
from tinyxp.plots import Curves, show
from tinyxp.train.callbacks import JSONLines
from tinyxp.train.checkpoints import Checkpoints


class RunExists(DataError):
    """The ``folder`` exists; ``text`` is the message without how a program continues it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = f"{folder} exists already; choose another name, or continue that run"
        super().__init__(f"{self.text}: Run({str(folder)!r}, resumed=True)")


class Run:
    """The folder of a training run: config.json, metrics.jsonl, checkpoints, model.safetensors,
    loss.png. A Trainer continues a ``resumed`` run from its checkpoints.

    Reading a run changes nothing in its folder, even while it trains; one process at a time writes
    to it.

    >>> run = Run.create(tmp / "mine", {"width": 32})
    >>> run.log(step=1, loss=0.5)
    >>> Run(tmp / "mine").config(), Run(tmp / "mine").metrics()
    ({'width': 32}, [{'step': 1, 'loss': 0.5}])
    """

    begun: "ClassVar[Run | None]" = None  # the last one of this process

    def __init__(self, folder: str | Path, *, resumed: bool = False) -> None:
        self.folder, self.resumed = Path(folder), resumed
        self.configuration: dict[str, Any] = {}  # what create() got

    @classmethod
    def create(cls, folder: "str | Path | Run | None", config: dict[str, Any]) -> "Run":
        """Make the folder (by default runs/MODEL-DATE) and write the configuration.

        Given a Run, continue it. Raises DataError if the Run has another configuration, if another
        process writes to it, or if the folder exists or cannot be made; ArgumentError for a
        configuration that is not made of names, numbers, strings and lists of them.
        """
        text = _json(config)
        if isinstance(folder, Run):
            folder.configuration = config
            with folder.writing():
                folder._continue(text)
            Run.begun = folder
            return folder
        if folder is None:
            now = time.strftime("%Y%m%d-%H%M%S")
            folder = _make_numbered(run_folder(f"{config.get('model', 'run')}-{now}"))
        else:
            if not os.fspath(folder):
                raise ArgumentError("the folder of a run has a name, got ''")
            _make(Path(folder))
        run = cls(folder)
        run.configuration = config
        run._write(text)
        Run.begun = run
        return run

    def remove_unused(self) -> None:
        """Remove the folder if it holds the configuration alone."""
        with suppress(OSError):
            if [path.name for path in self.folder.iterdir()] == ["config.json"]:
                (self.folder / "config.json").unlink()
                self.folder.rmdir()

    def _write(self, text: str) -> None:
        write_atomically(self.folder / "config.json", text.encode())

    def writing(self) -> AbstractContextManager[None]:
        """A ``with`` block in which this process alone writes to the folder. Raises DataError
        naming the other process if one writes already."""
        if not self.folder.is_dir():
            raise DataError(f"{self.folder} is not the folder of a run: it does not exist")
        return only_writer(self.folder)

    def config(self) -> dict[str, Any]:
        """The configuration. Raises DataError if this is no run's folder."""
        try:
            config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
            if not isinstance(config, dict):
                raise ValueError(f"it holds a {type(config).__name__}")
            return config
        except OSError as error:
            raise DataError(
                f"{self.folder} is not the folder of a run: {error.strerror}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.folder / 'config.json'} is damaged: {error}") from error

    def settings(self, kind: Any) -> Any:
        """The configuration as a dataclass ``kind``; missing fields have their defaults."""
        saved = self.config()
        return kind(**{f.name: saved[f.name] for f in fields(kind) if f.name in saved})

    def rename_setting(self, old: str, new: str) -> None:
        """Rename a setting in the configuration, if an earlier version wrote it as ``old``."""
        if old in (config := self.config()):
            renamed = {new if name == old else name: value for name, value in config.items()}
            with self.writing():
                self._write(_json(renamed))

    def _continue(self, text: str) -> None:
        """Check the configuration, and drop the metrics that will be written again."""
        if not (self.folder / "config.json").exists():  # killed right after making the folder
            self._write(text)
        saved, wanted = self.config(), json.loads(text)
        if differing := sorted(k for k in saved.keys() | wanted if saved.get(k) != wanted.get(k)):
            raise DataError(
                f"{self.folder} was begun with another {', '.join(differing)}; "
                "restore it, or start a new run"
            )
        remove_temporary(self.folder)
        self._keep(lambda line: any(key.endswith("loss") for key in line))

    def checkpoints(self, label: str = "", keep: int = 3) -> Checkpoints:
        """The checkpoints of the training with this label."""
        return Checkpoints(self.folder / "checkpoints" / label.strip(), keep)

    def rewind(self, loss: str, step: int) -> None:
        """Drop the metrics of ``loss`` that were written after ``step``."""
        self._keep(lambda line: loss not in line or line["step"] <= step)

    def _keep(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        lines = [json.dumps(line) + "\n" for line in self.metrics() if wanted(line)]
        write_atomically(self.folder / "metrics.jsonl", "".join(lines).encode())

    def log(self, **metrics: Any) -> None:
        """Add a line to metrics.jsonl."""
        JSONLines(self.folder / "metrics.jsonl")(metrics)

    def metrics(self) -> list[dict[str, Any]]:
        """All complete lines of metrics.jsonl."""
        path = self.folder / "metrics.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else [""]
            found = [json.loads(line) for line in lines[:-1]]
            if odd := [line for line in found if not isinstance(line, dict) or "step" not in line]:
                raise ValueError(f"a line without a step: {odd[0]!r}")
            return found
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path} is damaged: {error}") from error

    def save_model(self, model: Module) -> None:
        """Write model.safetensors."""
        save(model.state_dict(), self.folder / "model.safetensors")

    def draw(self) -> Path | None:
        """Draw all losses into loss.png; without matplotlib (the extra ``plot``), print them."""
        series: dict[str, list[tuple[float, float]]] = {}
        for line in self.metrics():
            for name in line:
                if name.endswith("loss"):
                    series.setdefault(name, []).append((line["step"], line[name]))
        return show(Curves(series, self.folder.name), self.folder / "loss.png")


def run_folder(name: str) -> Path:
    """The folder ``runs/NAME``. Raises ArgumentError for a name that leads elsewhere.

    >>> run_folder("mine").as_posix()
    'runs/mine'
    """
    path = Path(name)
    if not path.parts or path.anchor or ".." in path.parts or "\0" in name:
        raise ArgumentError(
            f"the name of a run is that of a new folder inside runs, such as 'mine'; got {name!r}"
        )
    return Path("runs") / path


def _make_numbered(folder: Path) -> Path:
    """Make a new folder, with a number if needed: two runs may begin in the same second."""
    path = folder
    for number in itertools.count(2):
        with suppress(RunExists):
            _make(path)
            break
        path = folder.with_name(f"{folder.name}-{number}")
    return path


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        if isinstance(error, FileExistsError) and folder.is_dir():
            raise RunExists(folder) from error
        raise DataError(f"cannot make {folder}: {error.strerror or error}") from error


def _json(config: dict[str, Any]) -> str:
    try:
        return json.dumps(config, indent=2)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"the configuration of a run is written as JSON: {error}; give str(path) for a path"
        ) from error
