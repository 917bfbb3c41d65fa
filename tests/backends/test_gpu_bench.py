"""The GPU's benchmark at tiny sizes on the CPU: it tests the program, its numbers mean nothing."""

import argparse
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
from tinyxp.bench.contest import LATE, Result
from tinyxp.bench.gpu_parts import GPT2, crossover

ROOT = Path(__file__).parents[2]


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
        *(("GPT-2", "bfloat16"), ("GPT-2", "high"), ("characters", "high")),
        *(("GPT-2", "highest"), ("characters", "bfloat16"), ("characters", "highest")),
    ]
    for entry in found["workloads"]:
        assert "tinyxp captured" in {r["name"] for r in entry["results"]}
        for r in entry["results"]:
            assert not r["error"] and len(r["seconds"]) == 2 and r["peak_mb"] > 0
    assert [row["batch"] for row in found["ladder"]] == [1, 4]
    rates = found["limits"]
    assert {"highest", "high", "gb_per_s"} <= set(rates) and all(x > 0 for x in rates.values())
    assert found["failed"] == {} and found["left_out"] == []
    text = capsys.readouterr().out
    assert text.rstrip().splitlines()[-1].startswith("| characters | float32 | tinyxp captured |")
    assert "≤" not in text  # a rehearsal is no verdict
    assert path.read_text("utf-8").startswith(f"# {found['device']}")
    assert tx.get_float32_matmul_precision() == "highest"


def test_what_no_time_is_left_for_is_named(tmp_path):
    options = ["--device", "cpu", "--tiny", "--seconds", "0", "--report", str(tmp_path / "r.md")]
    assert gpu.main(options) == 0
    text = (tmp_path / "r.md").read_text("utf-8")
    assert "No time was left for: probe; limits; GPT-2, bfloat16; GPT-2, high;" in text
    assert "ladder" in text


def test_a_report_is_gone_on_with(tmp_path, capsys):
    """What is done is not done again; what failed or was left out is."""
    path = tmp_path / "r.md"
    options = ["--device", "cpu", "--tiny", "--rounds", "2", "--report", str(path)]
    assert gpu.main([*options, "--seconds", "0"]) == 0
    found = json.loads(path.with_suffix(".json").read_text("utf-8"))
    names = [name for name in found["left_out"] if name != "limits"]
    found |= {
        "done": names,
        "failed": {"limits": "once"},
        "ladder": [{"batch": 1, "seconds": {"a": 1.0}}],
    }
    path.with_suffix(".json").write_text(json.dumps(found), "utf-8")
    assert gpu.main(options) == 0
    again = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert again["done"] == [*names, "limits"] and again["limits"] and not again["left_out"]
    assert again["ladder"] == found["ladder"] and again["failed"] == {}
    assert "limits: done" in capsys.readouterr().out


def test_what_was_cut_off_is_not_done(tmp_path, monkeypatch):
    """And takes the place of what there is of it when it is measured again."""
    path = tmp_path / "r.md"
    options = ["--device", "cpu", "--tiny", "--rounds", "2", "--report", str(path)]
    some = gpu.Parts("cpu", True, 2)
    monkeypatch.setattr(some, "run", lambda *args: [Result("tinyxp numpy", error=LATE)])
    cut = some.timed("a, high", GPT2, "high")()
    assert cut["failed"] == {"a, high": "no time was left for tinyxp numpy"}
    found = {"workloads": [], "done": []}
    for _ in range(2):
        gpu.add(found, json.loads(json.dumps(cut)))
    assert len(found["workloads"]) == 1
    some.until = 0.0
    ladder = some.ladder(GPT2)
    assert ladder["ladder"] == [] and "batch 1" in ladder["failed"]["ladder"]
    path.with_suffix(".json").write_text(json.dumps({"failed": {"limits": "once"}}), "utf-8")
    assert gpu.main([*options, "--seconds", "0"]) == 1  # it failed, and was not tried again
    assert "Part 'limits' failed: once" in path.read_text("utf-8")


def test_what_the_probe_found_before_is_taken_over(tmp_path):
    path = tmp_path / "probe.txt"
    path.write_text("CuPy refuses: yes\n", "utf-8")
    options = ["--device", "cpu", "--tiny", "--seconds", "0", "--report", str(tmp_path / "r.md")]
    for known, words in ((path, "- CuPy refuses: yes"), (tmp_path / "none", "left for: probe;")):
        assert gpu.main([*options, "--probed", str(known)]) == 0
        text = (tmp_path / "r.md").read_text("utf-8")
        assert words in text and ("left for: probe" in text) == (known is not path)


def test_a_part_that_dies_or_takes_too_long_is_named():
    args = argparse.Namespace(device="cpu", rounds=1)
    assert gpu.run_apart("limits", args, 0.05) == {"failed": {"limits": "stopped after 0 s"}}
    assert gpu.run_apart("no such part", args, 60) == {
        "failed": {"no such part": "it ended with 1"}
    }


def test_the_character_run_at_tiny_sizes(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 40, "utf-8")
    options = ["--char-run", "--device", "cpu", "--tiny", "--text", str(tmp_path / "text.txt")]
    assert gpu.main(options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("3 of 3 steps in")
    assert 0 < float(lines[-1].removeprefix("validation loss ")) < 5


def test_the_size_from_which_on_the_gpu_is_faster():
    def rows(*pairs):
        return [{"batch": 4**i, "seconds": {"g": g, "c": c}} for i, (g, c) in enumerate(pairs)]

    assert crossover(rows((2, 1), (2, 3), (2, 9)), "g", "c") == 4
    assert crossover(rows((2, 3), (4, 3), (2, 9)), "g", "c") == 16  # for good
    assert crossover(rows((2, 1), (3, 2)), "g", "c") is None
    assert crossover([{"batch": 1, "seconds": {"c": 1}}], "g", "c") is None


def test_one_contender_that_fails_is_named():
    error = {"name": "tinyxp cupy", "error": "OutOfMemoryError: too much"}
    entry = {"name": "GPT-2", "precision": "high", "about": "", "flops": 1.0, "results": [error]}
    found = {"date": "", "device": "d", "versions": {}, "workloads": [entry], "ladder": []}
    rates = {"highest": 1.0, "high": 1.0, "gb_per_s": 1.0}
    text = gpu.markdown(found | {"limits": rates, "left_out": [], "crossover": None})
    assert "tinyxp cupy failed: OutOfMemoryError: too much" in text


def test_what_is_asked_for_stands_beside_each_ratio():
    """Of the contenders' own times: a device that never was."""
    times = {"PyTorch eager": 2.0, "tinyxp cupy": 2.1, "tinyxp captured": 2.1}
    results = [
        {"name": k, "seconds": [t, t], "losses": [1.0, 1.0], "peak_mb": 5.0}
        for k, t in times.items()
    ]
    entry = {"name": "GPT-2", "precision": "high", "about": "", "flops": 4.2e9, "results": results}
    characters = entry | {"name": "characters"}
    found = {"date": "", "device": "d", "versions": {}, "workloads": [entry, characters]}
    rates = {"highest": 1.0, "high": 4.0, "gb_per_s": 1.0}
    rest = {"limits": rates, "ladder": [], "left_out": [], "crossover": None}
    text = gpu.markdown(found | rest | {"failed": {"probe": "stopped after 3 s"}})
    assert "| GPT-2 | TF32 | tinyxp cupy | 2100.00 | 1.05 | ≤ 1.1: yes | 50 % | 5 |" in text
    assert "| GPT-2 | TF32 | tinyxp captured | 2100.00 | 1.05 | ≤ 1.0: no |" in text
    assert "| characters | TF32 | tinyxp cupy | 2100.00 | 1.05 | ≤ 0.8: no |" in text
    assert "Part 'probe' failed: stopped after 3 s." in text


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
