"""The comparison with PyTorch's samples can fail, and its table counts what it is given."""

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import difference
from tests.nn import table
from tests.nn.pytorch import torch, unlike
from tests.nn.torch_samples import (
    Report,
    errors_of,
    functions,
    modules,
    report,
    samples_of,
)
from tinyxp.nn import functional as F


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: F.relu(x) * (1 + 1e-4),
        lambda x: F.relu(x).detach(),
        lambda x: F.relu(x) + (x - x.detach()),  # the right value, a wrong gradient
        lambda x: F.relu(x).flatten(),
        lambda x: tx.astype(F.relu(x), tx.float64 if x.dtype is tx.float32 else tx.float32),
        lambda x: x.nonsense,
    ],
    ids=["value", "cut", "gradient", "shape", "dtype", "error"],
)
def test_a_wrong_function_is_found(wrong, dtype, monkeypatch):
    assert not samples_of("functions", "relu", dtype).failed
    monkeypatch.setattr(F, "relu", lambda x, inplace=False: wrong(x))
    assert samples_of("functions", "relu", dtype).failed


def test_a_wrong_module_is_found(monkeypatch):
    assert not samples_of("modules", "Linear", "float64").failed
    linear = tx.nn.Linear.forward
    monkeypatch.setattr(tx.nn.Linear, "forward", lambda self, input: linear(self, input).detach())
    assert samples_of("modules", "Linear", "float64").failed


def test_what_is_not_refused_is_found(monkeypatch):
    assert not errors_of("functions", "gelu").failed
    monkeypatch.setattr(F, "gelu", lambda *args, **kwargs: None)
    found = errors_of("functions", "gelu")
    assert (len(found.failed), found.passed) == (1, 0)
    monkeypatch.setattr(F, "gelu", lambda *args, **kwargs: {}["nothing"])
    assert "KeyError instead of a typed error" in errors_of("functions", "gelu").failed[0]


def test_differences():
    y, z = tx.asarray([1.0, 2.0]), torch.tensor([1.0, 2.0])
    assert difference(y, z, 1e-5) is None
    assert difference(y, z * (1 + 1e-4), 1e-5) is not None
    assert difference(y, z[:1], 1e-5) is not None
    assert difference(y, z.double(), 1e-5) is not None
    assert unlike(3.0, z, "float32") == "a float instead of a tensor"
    nans = np.asarray([np.nan, np.inf])
    assert difference(tx.asarray(nans), torch.tensor(nans), 1e-10) is None
    assert difference(tx.asarray(nans), torch.tensor([1.0, np.inf]).double(), 1e-10) is not None


def test_only_what_is_explained_passes(monkeypatch):
    monkeypatch.setitem(table.samples_of.__globals__["EXPLAINED"], "functions", {"f": {"^a": "w"}})
    found = report("functions", "f (variant)", [("1", None), ("2", "a b"), ("3", "b a")])
    assert (found.passed, found.explained, found.failed, found.total) == (
        1,
        {"w": 1},
        ["3: b a"],
        3,
    )


def test_a_row():
    notes = {"other": 1}
    columns = [Report(3), Report(2, {"why": 1})]
    assert table.row("f", columns, Report(1, {}, ["x"]), notes) == "| f | 3 | 3 | 2 | 1 of 2 | 2 |"
    assert notes == {"other": 1, "why": 2}


def test_the_page_names_every_function_and_module():
    page = table.PAGE.read_text("utf-8")
    for name in [*functions(), *modules()]:
        assert f"| {name} |" in page, f"run python -m tests.nn.table: {name} is missing"
