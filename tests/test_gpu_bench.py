"""The GPU's benchmark at tiny sizes on the CPU: it tests the program, its numbers mean nothing."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tinyxp as tx
from tests.conftest import reason_missing
from tinyxp.bench import gpu

ROOT = Path(__file__).parent.parent


@pytest.fixture
def quick_processes(monkeypatch):
    """Processes that find all imported, of one thread each: to start 12 from nothing takes most of
    a minute."""
    monkeypatch.setenv("TINY_FAST", "0")
    monkeypatch.setattr(gpu.machine, "threads", lambda: 1)
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        peers = ["tinyxp.bench.peers.torch_peer", "tinyxp.bench.peers.tinyxp_peer"]
        context.set_forkserver_preload(["torch._dynamo", *peers])
        monkeypatch.setattr(multiprocessing, "get_context", lambda method: context)


def test_the_whole_program_on_a_cpu(tmp_path, capsys, quick_processes):
    path = tmp_path / "deep" / "report.md"
    options = ["--device", "cpu", "--tiny", "--rounds", "2", "--report", str(path)]
    assert gpu.main(options) == 0
    found = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert [(entry["name"], entry["precision"]) for entry in found["workloads"]] == [
        (name, precision) for name in ("GPT-2", "characters") for precision in gpu.PRECISIONS
    ]
    for entry in found["workloads"]:
        assert not [r["error"] for r in entry["results"] if r["error"]]
        assert all(len(r["seconds"]) == 2 and r["peak_mb"] > 0 for r in entry["results"])
    assert [row["batch"] for row in found["ladder"]] == [1, 4]
    assert set(found["limits"]) == {"highest", "high", "gb_per_s"}
    assert all(rate > 0 for rate in found["limits"].values())
    text = capsys.readouterr().out
    assert text.rstrip().splitlines()[-1].startswith("| characters, tinyxp numpy | high |")
    assert path.read_text("utf-8").startswith(f"# {found['device']}")
    assert tx.get_float32_matmul_precision() == "highest"


def test_what_no_time_is_left_for_is_named(tmp_path):
    options = ["--device", "cpu", "--tiny", "--seconds", "0", "--report", str(tmp_path / "r.md")]
    assert gpu.main(options) == 0
    text = (tmp_path / "r.md").read_text("utf-8")
    assert "No time was left for: GPT-2, highest, GPT-2, high, characters, highest" in text
    assert "the ladder" in text


def test_the_size_from_which_on_the_gpu_is_faster():
    def rows(*pairs):
        return [{"batch": 4**i, "seconds": {"g": g, "c": c}} for i, (g, c) in enumerate(pairs)]

    assert gpu.crossover(rows((2, 1), (2, 3), (2, 9)), "g", "c") == 4
    assert gpu.crossover(rows((2, 3), (4, 3), (2, 9)), "g", "c") == 16  # for good
    assert gpu.crossover(rows((2, 1), (3, 2)), "g", "c") is None
    assert gpu.crossover([{"batch": 1, "seconds": {"c": 1}}], "g", "c") is None


def test_one_contender_that_fails_is_named():
    error = {"name": "tinyxp cupy", "error": "OutOfMemoryError: too much"}
    entry = {"name": "GPT-2", "precision": "high", "about": "", "flops": 1.0, "results": [error]}
    found = {"date": "", "device": "d", "versions": {}, "workloads": [entry], "ladder": []}
    rates = {"highest": 1.0, "high": 1.0, "gb_per_s": 1.0}
    text = gpu.markdown(found | {"limits": rates, "left_out": [], "crossover": None})
    assert "tinyxp cupy failed: OutOfMemoryError: too much" in text


@pytest.mark.skipif(reason_missing("cupy") is None, reason="there is a GPU here")
def test_without_a_gpu_both_end_with_one_line(tmp_path, capsys):
    assert gpu.main(["--report", str(tmp_path / "r.md")]) == 2
    assert len(capsys.readouterr().out.splitlines()) == 1
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    (tmp_path / "python3").symlink_to(sys.executable)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OUT": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = ["bash", str(ROOT / "bench" / "gpu_check.sh")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2, done.stderr
    assert done.stdout == "" and done.stderr.startswith("gpu_check: ")
    assert len(done.stderr.splitlines()) == 1
