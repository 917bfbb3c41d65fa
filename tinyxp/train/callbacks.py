"""Callbacks for a Trainer's metrics: functions of one dict, called after every logged step.

Any function works; for Weights & Biases: ``Trainer(…, callbacks=[wandb.init().log])``.
"""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from tinyxp.backends import missing
from tinyxp.files.safetensors import file_errors, write_atomically


class JSONLines:
    """Writes a line of JSON for every logged step, as a run does to its metrics.jsonl.

    >>> log = JSONLines(tmp / "a.jsonl")
    >>> log({"step": 1, "loss": 0.5})
    >>> (tmp / "a.jsonl").read_text()
    '{"step": 1, "loss": 0.5}\\n'
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __call__(self, metrics: dict[str, Any]) -> None:
        with file_errors(f"write {self.path}"), open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")


class CSV:
    """Writes a row for every logged step, with a column for every metric; new columns come last.

    >>> log = CSV(tmp / "a.csv")
    >>> log({"step": 1, "loss": 0.5})
    >>> log({"step": 2, "loss": 0.25, "validation loss": 0.5})
    >>> (tmp / "a.csv").read_text().splitlines()
    ['step,loss,validation loss', '1,0.5,', '2,0.25,0.5']
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.columns: list[str] = []

    def __call__(self, metrics: dict[str, Any]) -> None:
        with file_errors(f"write {self.path}", ValueError, csv.Error):
            if not metrics.keys() <= set(self.columns):
                self._add_columns(metrics)
            with open(self.path, "a", encoding="utf-8", newline="") as file:
                csv.DictWriter(file, self.columns).writerow(metrics)

    def _add_columns(self, metrics: dict[str, Any]) -> None:
        rows: list[dict[str, Any]] = []
        if self.path.exists():
            with open(self.path, encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                self.columns, rows = list(reader.fieldnames or []), list(reader)
        self.columns = list(dict.fromkeys([*self.columns, *metrics]))
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns)
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.path, text.getvalue().encode())


class TensorBoard:
    """Writes curves for TensorBoard into a folder. Raises BackendError without tensorboardX (the
    extra ``tensorboard``)."""

    def __init__(self, folder: str | Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise missing("tensorboardX", "tensorboard") from error
        self.writer = SummaryWriter(str(folder))

    def __call__(self, metrics: dict[str, Any]) -> None:
        for name, value in metrics.items():
            if name != "step" and isinstance(value, (int, float)) and math.isfinite(value):
                self.writer.add_scalar(name, value, metrics["step"])
        self.writer.flush()
