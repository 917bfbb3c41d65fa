"""The selftest's checks pass, and each fails when the fault that it looks for is there."""

import io
import mmap
from pathlib import Path

import pytest

import tinyxp as tx
from tinyxp import selftest
from tinyxp.commands import main
from tinyxp.errors import ArgumentError
from tinyxp.files import safetensors as files
from tinyxp.selftest import child, disk, download, fuzz, kill, memory, threads
from tinyxp.selftest.child import Outcome

TRIES = {"kill": 4, "fuzz": 1000, "disk": 1, "threads": 5, "memory": 500, "download": 1}
TRIES |= {"mixed": 120}


@pytest.mark.parametrize("name", selftest.CHECKS)
def test_a_check_passes(name):
    (outcome,) = selftest.run([name], TRIES[name], io.StringIO())
    assert outcome.failures == []
    if outcome.tries == 0:
        pytest.skip(outcome.seen)
    if name == "kill":
        assert int(outcome.seen.split()[0]) >= TRIES["kill"] // 2


def test_the_command_prints_a_table(capsys):
    assert main(["selftest", "threads", "download", "--tries", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == [
        "check",
        "tries",
        "failed",
        "seconds",
        "result",
    ]
    assert [line.split()[:3] for line in out[1:]] == [
        ["threads", "1", "0"],
        ["download", "11", "0"],
    ]
    assert main(["selftest", "virtue"]) == 2
    assert "unknown check 'virtue'; choose among kill, fuzz" in capsys.readouterr().err


def test_failures_are_listed():
    text = selftest.table([Outcome(9, ["file 3: KeyError: 'x'"], "1 refused", "fuzz", 1.0)])
    assert text.splitlines()[1].split()[:3] == ["fuzz", "9", "1"]
    assert text.splitlines()[-1] == "fuzz: file 3: KeyError: 'x'"
    with pytest.raises(ArgumentError, match="tries must be at least 1"):
        selftest.run(["fuzz"], 0)


# -- each check finds its fault -----------------------------------------------


def test_fuzz_notices_a_loader_without_a_digest(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "digest", lambda *_: "0" * 64)
    found = fuzz.read_damaged(0, 300, tmp_path)
    assert any("accepted, and not what was saved" in line for line in found["failures"])


def test_fuzz_notices_a_foreign_error(monkeypatch, tmp_path):
    monkeypatch.setattr(fuzz, "load_state", lambda path: {}["key"])
    assert "KeyError" in fuzz.read_damaged(0, 1, tmp_path)["failures"][0]


def test_disk_notices_a_save_that_is_not_atomic(monkeypatch, tmp_path):
    pytest.importorskip("resource")

    def plain(path, data):
        with open(path, "wb") as file:
            file.write(data)

    monkeypatch.setattr(files, "write_atomically", plain)
    failures = disk.fill(tmp_path)[0]
    assert failures and "the old checkpoint is changed" in failures[-1]


def test_kill_notices_other_bits(monkeypatch, tmp_path):
    victim = kill.Victim(tmp_path / "run", 0.05, True, 0.5)
    problem, _ = victim.test("another fingerprint")
    assert problem.startswith("it ends with other bits")


def test_kill_notices_a_run_that_never_saves(tmp_path, monkeypatch):
    victim = kill.Victim(tmp_path / "run", 0.0, True, 0.5)
    monkeypatch.setattr(kill.Victim, "kill", lambda self: (self.folder.mkdir(), b".)")[1])
    assert victim.test("") == ("it was not killed at the wanted moment in 10 attempts", False)


def test_threads_notice_a_shared_generator(monkeypatch):
    shared = tx.random.Generator(0)
    monkeypatch.setattr(threads.tx, "manual_seed", lambda seed: tx.random._default.set(shared))
    assert threads.check(2, lambda done: None).failures


def test_memory_notices_a_leak(monkeypatch):
    kept = []
    step = tx.optim.AdamW.step

    def leaky(self):  # from the system, since malloc may still hold what other tests freed
        kept.append(mmap.mmap(-1, 1_000_000))
        kept[-1].write(b"x" * 1_000_000)
        step(self)

    monkeypatch.setattr(tx.optim.AdamW, "step", leaky)
    monkeypatch.setattr(memory, "WARM_UP", 5)
    before, after = memory.train(100)
    assert after.memory > before.memory + memory.LIMIT


def test_a_child_that_fails_is_a_failure(monkeypatch):
    monkeypatch.setattr(
        child, "start", lambda module, *a, **k: kill.start("fuzz", "no number", **k)
    )
    (outcome,) = selftest.run(["memory"], 3, io.StringIO())
    assert outcome.failures[0].startswith("exit code 1: ")


def test_a_child_that_hangs_or_prints_nothing_is_a_failure():
    with pytest.raises(child.ChildError, match=r"hung for 0\.2 s"):
        child.result("memory", 10**6, seconds=0.2)
    with pytest.raises(child.ChildError, match="expected JSON from child, got b''"):
        child.result("child", seconds=60)


def test_memory_notices_reference_cycles(monkeypatch):
    step = tx.optim.AdamW.step

    def circular(self):
        ring = []
        ring.append(ring)
        step(self)

    monkeypatch.setattr(memory, "WARM_UP", 5)
    assert memory.train(20)[1].cyclic == 0
    monkeypatch.setattr(tx.optim.AdamW, "step", circular)
    assert memory.train(20)[1].cyclic >= 20


def test_growth_of_any_resource_is_a_failure(monkeypatch):
    rows = [[1.0, 0, 3, 1, 0], [7.0, 10, 4, 1, 0]]
    monkeypatch.setattr(memory, "result", lambda *args, **options: rows)
    monkeypatch.setattr(memory, "STATM", Path(__file__))
    assert memory.check(10, lambda done: None).failures == [
        "memory: 1 before the steps, 7 after them",
        "cyclic: 0 before the steps, 10 after them",
        "files: 3 before the steps, 4 after them",
    ]


def test_download_notices_a_file_left_behind(monkeypatch):
    def careless(url, folder):
        (folder / "half").write_bytes(b"To be")
        return ""

    monkeypatch.setattr(download, "fetch", careless)
    failures = download.check(1, lambda done: None).failures
    assert len(failures) == len(download.FAULTS) and "left behind: ['half']" in failures[0]
