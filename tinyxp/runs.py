"""The folder that a training run leaves behind, and can go on from."""

import json
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from tinyxp.backends.errors import DataError
from tinyxp.callbacks import JSONLines
from tinyxp.checkpoints import Checkpoints
from tinyxp.io import remove_temporary, save, write_atomically
from tinyxp.nn.module import Module
from tinyxp.plots import Curves, show


class Run:
    """The folder of a training run: config.json, metrics.jsonl, checkpoints, model.safetensors,
    loss.png. One that is ``resumed`` goes on from its checkpoints.
    """

    def __init__(self, folder: str | Path, *, resumed: bool = False) -> None:
        self.folder, self.resumed = Path(folder), resumed
        self.configuration: dict[str, Any] = {}  # as create() got it

    @classmethod
    def create(cls, folder: "str | Path | Run | None", config: dict[str, Any]) -> "Run":
        """Make the folder (by default runs/MODEL-DATE) and write the configuration.

        A Run that is given in place of a folder is gone on with, if it has this configuration.
        Raises DataError if it has another, or if the folder exists or cannot be made.
        """
        if isinstance(folder, Run):
            folder.configuration = config
            folder._continue(config)
            return folder
        folder = folder or Path("runs") / time.strftime(f"{config['model']}-%Y%m%d-%H%M%S")
        run = cls(folder)
        run.configuration = config
        try:
            run.folder.mkdir(parents=True)
        except FileExistsError as error:
            raise DataError(f"{folder} exists already; choose another --name") from error
        except OSError as error:
            raise DataError(f"cannot make {folder}: {error.strerror or error}") from error
        run._write(config)
        return run

    def _write(self, config: dict[str, Any]) -> None:
        write_atomically(self.folder / "config.json", json.dumps(config, indent=2).encode())

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
        """The configuration as a dataclass ``kind``, of whose fields it may lack some."""
        saved = self.config()
        return kind(**{f.name: saved[f.name] for f in fields(kind) if f.name in saved})

    def _continue(self, config: dict[str, Any]) -> None:
        """Check the configuration, and drop from the metrics what will be written again."""
        if not (self.folder / "config.json").exists():  # it was killed right after the folder
            self._write(config)
        saved, wanted = self.config(), json.loads(json.dumps(config))
        if differing := sorted(k for k in saved.keys() | wanted if saved.get(k) != wanted.get(k)):
            raise DataError(
                f"{self.folder} was begun with another {', '.join(differing)}; "
                "bring it back as it was, or start a new run"
            )
        remove_temporary(self.folder)
        self._keep(lambda line: any(key.endswith("loss") for key in line))

    def checkpoints(self, label: str = "", keep: int = 3) -> Checkpoints:
        """The checkpoints of the training that has this label."""
        return Checkpoints(self.folder / "checkpoints" / label.strip(), keep)

    def rewind(self, loss: str, step: int) -> None:
        """Drop from the metrics what was written of ``loss`` after ``step``."""
        self._keep(lambda line: loss not in line or line["step"] <= step)

    def _keep(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        lines = [json.dumps(line) + "\n" for line in self.metrics() if wanted(line)]
        write_atomically(self.folder / "metrics.jsonl", "".join(lines).encode())

    def log(self, **metrics: Any) -> None:
        """Add a line to metrics.jsonl."""
        JSONLines(self.folder / "metrics.jsonl")(metrics)

    def metrics(self) -> list[dict[str, Any]]:
        """Every line of metrics.jsonl, but for a last one that was cut off in the middle."""
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
        """Draw all losses into loss.png, or print them without matplotlib (the extra ``plot``)."""
        series: dict[str, list[tuple[float, float]]] = {}
        for line in self.metrics():
            for name in line:
                if name.endswith("loss"):
                    series.setdefault(name, []).append((line["step"], line[name]))
        return show(Curves(series, self.folder.name), self.folder / "loss.png")
