"""The benchmarks: every peer computes the same, and reports show the measurements."""

import importlib.util
import json
import math
import os
import time
from dataclasses import replace

import numpy as np
import pytest

import tinyxp as tx
from tinyxp.bench import machine, ops, report, scaling
from tinyxp.bench.contest import Result, contest, peer, table
from tinyxp.bench.tinyxp_models import build
from tinyxp.bench.workloads import CNN, GPT, MLP, WORKLOADS, Workload
from tinyxp.commands import main
from tinyxp.nn import functional as F

SMALL = {
    "gpt": Workload("gpt", "", GPT(2, 2, 16, 8, batch=3, vocabulary=11), 1, weight_decay=0.1),
    "mlp": Workload("mlp", "", MLP((6, 8, 8, 4), batch=5), 1),
    "cnn": Workload("cnn", "", CNN((2, 8, 8), (3, 4), batch=4), 1),
}
PEERS = {
    "torch_peer": "torch",
    "jax_peer": "jax",
    "autograd_peer": "autograd",
    "mygrad_peer": "mygrad",
    "tinygrad_peer": "tinygrad",
}


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Peers set the environment, the backend and threads of their process, here this one's."""
    monkeypatch.setenv("TINY_FAST", os.environ.get("TINY_FAST", "1"))
    threads = tx.get_num_threads()
    with tx.backend("numpy"):
        yield
    with tx.backend("numpy"):
        if tx.backends.get("numpy").get_threads() is not None:
            tx.set_num_threads(threads)


@pytest.mark.parametrize("kind", SMALL)
def test_a_step_learns_and_is_that_of_every_backend(kind):
    options = {"workload": SMALL[kind], "threads": 1}
    found = {}
    for backend in ("numpy", "strict", "torch"):
        if backend == "torch" and not importlib.util.find_spec("torch"):
            continue
        step = peer("tinyxp_peer", backend=backend, **options)
        found[backend] = [step() for _ in range(8)]
    assert found["numpy"][-1] < found["numpy"][0]
    for losses in found.values():
        assert losses == pytest.approx(found["numpy"], rel=1e-5)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("module", PEERS)
@pytest.mark.filterwarnings("ignore")  # other libraries' own
def test_a_peer_computes_the_same(kind, module):
    if not importlib.util.find_spec(PEERS[module]):
        pytest.skip(f"{PEERS[module]} is not installed: pip install -e '.[bench]'")
    options = {"workload": SMALL[kind], "threads": 1}
    ours = peer("tinyxp_peer", backend="numpy", **options)
    expected = [ours() for _ in range(6)]
    try:
        theirs = peer(module, **options)
        found = [theirs() for _ in range(6)]
    except RuntimeError as error:
        if "no usable devices" not in str(error):
            raise
        pytest.skip("tinygrad has no device here: it needs clang")
    assert found == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_gradient_of_the_workloads_is_pytorchs(name):
    """In float32, to 1e-5 of the largest element of each."""
    torch = pytest.importorskip("torch", reason="PyTorch is the reference: run.py test --reference")
    from tinyxp.bench import torch_models

    workload = WORKLOADS[name]
    if name == "W2":  # two of its six blocks: as wide, and quicker
        workload = replace(workload, model=replace(workload.model, n_layer=2))
    state, (x, y) = workload.weights(), workload.data()
    model, reference = build(workload.model), torch_models.build(workload.model)
    model.load_state_dict(state, strict=False)
    reference.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    logits = model(tx.asarray(x))
    loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), tx.asarray(y).reshape(-1))
    loss.backward()
    theirs = reference(torch.from_numpy(x)).flatten(0, -2)
    expected = torch.nn.functional.cross_entropy(theirs, torch.from_numpy(y).flatten())
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    grads = {k: p.grad.numpy() for k, p in reference.named_parameters()}
    for key, p in model.named_parameters():
        g = grads[key]
        assert np.abs(p.grad.numpy() - g).max() <= 1e-5 * np.abs(g).max(), key


def test_operations_are_counted():
    mlp = MLP((3, 5, 2), batch=7)  # forward 3·5 + 5·2 products, backward twice but for the data
    assert mlp.flops() == 7 * 2 * (3 * 5 * 2 + 5 * 2 * 3)
    assert WORKLOADS["W1"].model.flops() == pytest.approx(4.0e9, rel=0.05)
    double = replace(WORKLOADS["W1"].model, batch=24)
    assert double.flops() == 2 * WORKLOADS["W1"].model.flops()


# -- the contest --------------------------------------------------------------------------------


def sleeper(seconds):
    return lambda: time.sleep(seconds) or seconds


def faulty(when):
    steps = iter(range(100))

    def step():
        if next(steps) == when:
            raise ValueError("out of order")

    return step


def dying():
    return lambda: os._exit(3)


def test_ratios_are_those_of_the_sleepers():
    results = contest(
        {"short": (sleeper, (0.01,)), "long": (sleeper, (0.03,))}, rounds=5, steps=2, warmup=1
    )
    assert [r.name for r in results] == ["short", "long"]
    middle, low, high = results[1].spread(results[0])
    assert 1.5 < middle < 4 and low <= middle <= high
    assert results[0].losses == [0.01, 0.01] and results[0].peak_mb > 1


def test_one_that_fails_says_why_and_the_others_go_on():
    some = {"good": (sleeper, (0.0,)), "bad": (faulty, (1,)), "gone": (dying, ())}
    some["late"] = (faulty, (3,))  # after the first step, the warm-up and a round
    results = contest(some, rounds=2, steps=1, warmup=1)
    good, bad, gone, late = results
    assert len(good.seconds) == 2 and not good.error
    assert late.error == "ValueError: out of order" and len(late.seconds) == 1
    assert bad.error == "ValueError: out of order" and gone.error == "its process died"
    assert "failed: ValueError" in table(results, "good")


def test_one_that_takes_too_long_is_left_behind():
    (slow,) = contest({"slow": (sleeper, (60.0,))}, patience=0.5)
    assert slow.error.startswith("no answer within 0") and not slow.seconds


def test_a_contest_ends_in_time():
    """No contender starts after that, and those that have started run two rounds."""
    one = {"a": (sleeper, (0.0,))}
    assert contest(one, until=time.monotonic() - 1)[0].error == "no time was left"
    (result,) = contest(one, 50, 1, 1, until=time.monotonic() + 30)
    assert len(result.seconds) == 50 and not result.error
    starting = {"a": (sleeper, (0.6,))}
    (result,) = contest(starting, 50, 1, 1, until=time.monotonic() + 4)
    assert result.error or 2 <= len(result.seconds) < 50


def test_a_loss_of_nan_is_no_agreement():
    a, b = Result("a", losses=[4.0, 2.0]), Result("b", losses=[4.0, 2.2])
    assert report.disagreement([a, b]) == pytest.approx(0.1)
    for worst in (math.nan, math.inf):
        assert report.disagreement([a, Result("b", losses=[4.0, worst])]) == math.inf


def test_each_can_run_alone():
    results = contest(dict.fromkeys(("a", "b"), (sleeper, (0.0,))), 2, 1, 1, alone=True)
    assert all(len(r.seconds) == 2 and not r.error and r.peak_mb > 1 for r in results)


# -- reports ------------------------------------------------------------------------------------


def made(ratio=0.5):
    """A report with figures of which the table is known."""
    fast = [0.01 * ratio * k for k in (1.0, 1.1, 0.9)]
    results = [
        {"name": report.REFERENCE, "seconds": [0.01] * 3, "first": 0.1, "peak_mb": 300.0},
        {"name": "tinyxp numpy", "seconds": fast, "first": 0.02, "peak_mb": 100.0},
        {"name": "tinygrad", "seconds": [], "first": 0.0, "peak_mb": 0.0, "error": "no device"},
    ]
    results[0]["losses"] = results[1]["losses"] = [2.0, 1.0]
    entry = {"name": "W3", "about": "an MLP", "optimizer": "Adam", "flops": 1e7}
    return {
        "date": "2026-11-24",
        "machine": {
            "processor": "abacus",
            "cores": 2,
            "system": "Linux",
            "threads": 2,
            "versions": {"numpy": "2.4"},
            "limits": {"gflops": 100.0, "gb_per_s": 10.0},
        },
        "workloads": [entry | {"results": results}],
        "scaling": [
            {"size": size, "value": n, "flops": 1e6 * n, "seconds": {"tinyxp numpy": 1e-3 * n}}
            for size in scaling.SWEEPS
            for n in (1, 2, 4, 8)
        ],
        "ops": [
            {"op": "matmul", "pass": "forward", "unit": "GFLOP/s",
             "results": {"tinyxp numpy": {"us": 10.0, "rate": 50.0}}},
        ],
    }  # fmt: skip


def test_a_report_says_what_was_measured(tmp_path):
    text = report.markdown(made())
    assert "abacus, 2 cores" in text and "100 GFLOP/s" in text
    assert "| tinyxp numpy | 5.000 | 0.50 (0.45-0.55)" in text
    assert "| tinygrad | failed: no device" in text
    assert "| matmul | forward | 10 us, 50.0 GFLOP/s (50%) |" in text
    assert "| exponent over n_layer | | 1.00 |" in text
    assert "| tinyxp numpy | 0.50 (0.45-0.55) |" in report.summary(made())
    pytest.importorskip("matplotlib")
    assert report.draw(made(), tmp_path / "x.svg")
    assert "<svg" in (tmp_path / "x.svg").read_text(encoding="utf-8")


def test_what_got_slower_is_found_and_noise_is_not():
    assert report.slower(made(0.5), made(0.5)) == []
    assert report.slower(made(0.54), made(0.5)) == []  # within the tolerance
    (line,) = report.slower(made(0.8), made(0.5))
    assert line.startswith("W3, tinyxp numpy: 0.50 -> 0.80")
    assert report.slower(made(0.3), made(0.5)) == []


def test_the_command_writes_a_report_and_compares(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(machine, "limits", lambda threads: {"gflops": 1.0, "gb_per_s": 1.0})
    arguments = ["bench", "--workload", "W3", "--peers", "none", "--rounds", "1", "--threads", "1"]
    file = tmp_path / "reports" / "x.md"
    assert main([*arguments, "--report", str(file)]) == 0
    found = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert found["workloads"][0]["results"][0]["name"] == "tinyxp numpy"
    assert "W3: MLP" in capsys.readouterr().out and "# Benchmark of" in file.read_text("utf-8")
    assert main(["bench", "--summary", str(file.with_suffix(".json"))]) == 0
    assert "| tinyxp numpy |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--workload", "W9"], "unknown workloads"),
        (["--peers", "caffe"], "unknown peers"),
        (["--backends", "", "--peers", "none"], "no contender"),
        (["--backends", "cuda"], "unknown backend"),
        (["--rounds", "0"], "--rounds must be at least 1"),
        (["--summary", "nowhere.json"], "not a report of tinyxp bench"),
        (["--compare", "pyproject.toml"], "not a report of tinyxp bench"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(arguments, problem, capsys):
    assert main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert problem in error and error.count("\n") == 1


def test_single_operations_run_in_both_libraries():
    libraries = ["tinyxp"] + (["torch"] if importlib.util.find_spec("torch") else [])
    for name in ops.OPS:
        for library in libraries:
            assert ops.start(library, name, backward=True, threads=1)() is None
