"""The folder of a run: who reads changes nothing, one process writes, names stay inside runs."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.commands import main
from tinyxp.errors import ArgumentError, DataError
from tinyxp.files.locks import NAME
from tinyxp.train import Trainer
from tinyxp.train.interrupts import Interrupts, Stopped
from tinyxp.train.run import Run, run_folder

WRITER = """
import io, sys, tinyxp as tx
from tinyxp import nn
from tinyxp.train import Run
from tinyxp.train import Trainer
tx.manual_seed(0)
model = nn.Linear(200, 200)
run = Run.create(sys.argv[1], {"model": "mine"})
trainer = Trainer(model, tx.optim.AdamW(model.parameters()), run=run, save_every=1,
                  stream=io.StringIO())
trainer.fit([tx.ones((1, 200))], lambda x: model(x).mean(), steps=100000)
"""


@pytest.fixture
def writer(tmp_path):
    """A process that trains in ``tmp_path / "run"``, and saves all the time."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "run")],
        env=os.environ | {"TINY_BACKEND": "numpy", "TINY_FAST": "0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(tmp_path.glob("run/checkpoints/step-*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()
    process.stderr.close()


@pytest.mark.filterwarnings("ignore:resumed in another setting")
def test_looks_do_not_disturb_a_run_that_trains(writer, tmp_path):
    """A second writer is refused with the process of the first, and changes nothing."""
    folder, end = tmp_path / "run", time.monotonic() + 1.5
    model = nn.Linear(200, 200)
    refused = f"{folder} is being written to by process {writer.pid}"
    while time.monotonic() < end:
        run = Run(folder, resumed=True)
        assert run.checkpoints().latest() is not None
        assert run.metrics() and run.config() == {"model": "mine"}
        trainer = Trainer(
            model, tx.optim.AdamW(model.parameters()), run=run, stream=io.StringIO()
        )  # fmt: skip
        for begin in (
            lambda run=run: Run.create(run, {"model": "mine"}),
            lambda trainer=trainer: trainer.fit([tx.ones((1, 200))], lambda x: model(x).mean(), 9),
        ):
            with pytest.raises(DataError, match=refused):
                begin()
        assert writer.poll() is None
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert (folder / NAME).exists()  # of a dead process, so it is ignored
    run = Run.create(Run(folder, resumed=True), {"model": "mine"})
    assert not (folder / NAME).exists()
    step = run.checkpoints().latest()[0]
    trainer = Trainer(model, tx.optim.AdamW(model.parameters()), run=run, stream=io.StringIO())
    found = trainer.fit([tx.ones((1, 200))], lambda x: model(x).mean(), step + 3)
    assert found.steps == step + 3
    assert [path.name for path in folder.rglob(".*")] == []


def test_who_only_reads_leaves_all_files_as_they_are(tmp_path):
    run = Run.create(tmp_path / "run", {"model": "mine"})
    run.checkpoints().save(3, {"a": 1})
    run.log(step=1, loss=0.5)
    stray = run.folder / "checkpoints" / f".step-00000004.safetensors.{'0a' * 16}"
    stray.write_text("x")

    def seen():
        return {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} | {
            p: p.stat().st_mtime_ns for p in (run.folder, run.folder / "checkpoints")
        }

    before = seen()
    for resumed in (False, True):
        again = Run(run.folder, resumed=resumed)
        assert again.checkpoints().latest() == (3, {"a": 1})
        assert again.checkpoints("control").steps() == []
        assert again.config() and again.metrics()
    assert seen() == before


def test_one_process_may_train_several_labels_at_once(tmp_path):
    run = Run.create(tmp_path / "run", {})
    with run.writing(), run.writing():
        assert (run.folder / NAME).read_text() == str(os.getpid())
    assert not (run.folder / NAME).exists()
    with pytest.raises(DataError, match="is not the folder of a run: it does not exist"):
        Run(tmp_path / "absent", resumed=True).writing()


def test_runs_that_begin_in_one_second_have_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda form: "now")
    folders = [Run.create(None, {"model": "mlp"}).folder for _ in range(3)]
    assert [f.as_posix() for f in folders] == ["runs/mlp-now", "runs/mlp-now-2", "runs/mlp-now-3"]
    assert Run.create(None, {}).folder.as_posix() == "runs/run-now"


@pytest.mark.parametrize("name", ["", ".", "..", "../evil", "a/../../evil", "/evil", "a\0b"])
def test_names_that_lead_elsewhere_are_refused(name, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ArgumentError, match="the name of a run is that of a new folder inside"):
        run_folder(name)
    with pytest.raises(ArgumentError, match="the name of a run|the folder of a run has a name"):
        Run.create(None, {"model": name}) if name.strip(".") else Run.create("", {})
    assert main(["train", "mlp", "--steps", "1", "--name", name]) == 2
    assert "the name of a run is that of a new folder inside runs" in capsys.readouterr().err
    assert [p.name for p in tmp_path.rglob("*")] == ["here"]
    assert run_folder("a/b") == Path("runs/a/b")


def test_a_configuration_that_json_cannot_hold_is_refused(tmp_path):
    for config in ({"text": Path("a")}, {"f": print}, {(1, 2): 3}):
        with pytest.raises(ArgumentError, match="the configuration of a run is written as JSON"):
            Run.create(tmp_path / "run", config)
    assert list(tmp_path.iterdir()) == []


def test_a_text_is_found_again_from_another_folder(tmp_path, monkeypatch):
    """A relative --text, and resume from elsewhere."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("to be or not to be, that is the question " * 20, encoding="utf-8")
    sizes = ["n_layer=1", "n_head=1", "n_embd=8", "block_size=8", "batch_size=2", "sample_tokens=1"]
    options = [part for size in sizes for part in ("--set", size)]
    command = ["train", "transformer", "--text", "text.txt", "--steps", "2", "--name", "a"]
    assert main([*command, *options]) in (0, 1)
    assert json.loads(Path("runs/a/config.json").read_text())["text"] == str(tmp_path / "text.txt")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["resume", str(tmp_path / "runs" / "a")]) in (0, 1)


# -- signals ---------------------------------------------------------------------------------------


def test_impatience_loses_nothing():
    """The first Ctrl-C waits for the step, the second does not, more change nothing."""
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def pressed():
        with Interrupts(lambda number: Stopped("stopped at once", number, "runs/a")) as asked:
            signal.raise_signal(signal.SIGINT)
            assert asked.signal == signal.SIGINT
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                for _ in range(2):
                    signal.raise_signal(signal.SIGINT)
                    seen.append(1)

    with pytest.raises(Stopped) as caught:
        pressed()
    assert len(seen) == 2 and caught.value.text == "stopped at once"
    assert str(caught.value).endswith("Trainer(…, run=Run('runs/a', resumed=True))")
    assert signal.getsignal(signal.SIGINT) is before


def test_at_last_a_signal_does_what_it_does_elsewhere():
    with Interrupts(lambda number: Stopped("stopped", number, "runs/a")):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_second_ctrl_c_stops_within_the_step(tmp_path):
    model = nn.Linear(3, 1)
    run = Run.create(tmp_path / "run", {})
    trainer = Trainer(
        model, tx.optim.SGD(model.parameters()), run=run, save_every=2, stream=io.StringIO()
    )

    def loss_of(x):
        if trainer.done == 4:
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
            pytest.fail("it went on")
        return model(x).mean()

    with pytest.raises(
        Stopped, match="stopped at once in step 5; the last checkpoint is that of st"
    ):
        trainer.fit([tx.ones((2, 3))], loss_of, 9)
    assert run.checkpoints().latest()[0] == 4
    again = Trainer(
        model,
        tx.optim.SGD(model.parameters()),
        run=Run(run.folder, resumed=True),
        stream=io.StringIO(),
    )
    assert again.fit([tx.ones((2, 3))], lambda x: model(x).mean(), 9).steps == 9


def test_a_checkpoint_of_another_version_is_named(tmp_path):
    run = Run.create(tmp_path / "run", {})
    run.checkpoints().save(3, {"parts": {}, "trainer": {"done": 3}})
    model = nn.Linear(3, 1)
    again = Run(run.folder, resumed=True)
    trainer = Trainer(model, tx.optim.SGD(model.parameters()), run=again, stream=io.StringIO())
    with pytest.raises(DataError, match="step 3 lacks best, .*passes, .*another version of tinyxp"):
        trainer.fit([tx.ones((2, 3))], lambda x: model(x).mean(), 9)
