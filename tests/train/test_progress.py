"""Progress on a terminal, in a pipe and in a notebook, and after its reader has left."""

import io
import sys
import types

import pytest

import tinyxp as tx
from tinyxp.train import Trainer, progress
from tinyxp.train.progress import Progress, counted


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def time(monkeypatch):
    """A clock that the test moves."""
    now = types.SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.seconds)
    return now


@pytest.mark.parametrize("columns", [30, 60, 80, 200])
def test_a_line_fits_the_terminal(monkeypatch, time, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    shown = Progress(2000, stream)
    for step in range(1, 2001):
        time.seconds += 0.2
        shown.update(step, "control loss 2.481 validation 2.474 33,123 tokens/s")
    lines = stream.getvalue().split("\r")[1:]
    assert len(lines) == 2000
    assert max(len(line.rstrip("\n")) for line in lines) < columns
    assert all(line.rstrip().endswith("left") for line in lines)
    assert lines[0].find("1/2000 control") >= 0
    assert lines[-1].rstrip(" \n").endswith("0:00 left") and lines[-1].endswith("\n")
    assert ("[###" in lines[-1]) == (columns == 200)


def test_a_shorter_line_leaves_nothing_of_the_one_before(time):
    stream = Terminal()
    shown = Progress(3, stream)
    for step, note in enumerate(["a long note", "short", ""], 1):
        time.seconds += 1
        shown.update(step, note)
    first, second, third = stream.getvalue().split("\r")[1:]
    assert len(second) >= len(first.rstrip()) and len(third.rstrip("\n")) >= len(second.rstrip())


def test_in_a_pipe_there_is_a_line_at_every_tenth_and_no_long_silence(time):
    stream = io.StringIO()
    shown = Progress(100, stream)
    for step in range(1, 101):
        time.seconds += 20 if step <= 3 else 0.01
        shown.update(step, "loss 1")
    lines = stream.getvalue().splitlines()
    steps = [int(line.split()[1].partition("/")[0]) for line in lines if line.startswith("step")]
    assert steps == [1, 2, 3, *range(10, 101, 10)]


def test_a_training_that_takes_very_long_says_so_once(time):
    stream = io.StringIO()
    shown = Progress(2000, stream)
    for step in range(1, 10):
        time.seconds += 6
        shown.update(step, "loss 4.1")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "step 2/2000 loss 4.1 3:19:48 left"
    assert lines[1].startswith("about 3 h 19 min to go: a smaller model or fewer steps")
    assert sum("to go" in line for line in lines) == 1


def test_a_notebook_gets_one_line_on_its_output(monkeypatch, capsys, time):
    class ZMQInteractiveShell:
        pass

    monkeypatch.setitem(
        sys.modules, "IPython", types.SimpleNamespace(get_ipython=ZMQInteractiveShell)
    )
    shown = Progress(20)
    for step in range(1, 21):
        time.seconds += 1
        shown.update(step, "loss 1")
    out, err = capsys.readouterr()
    assert (out.count("\n"), out.count("\r"), err) == (1, 20, "")


@pytest.mark.parametrize("error", [BrokenPipeError, OSError, ValueError])
def test_a_reader_that_has_gone_does_not_end_a_training(error):
    class Gone(io.StringIO):
        def write(self, text):
            raise error("gone")

    model = tx.nn.Linear(1, 1)
    trainer = Trainer(model, tx.optim.SGD(model.parameters(), lr=0.1), stream=Gone())
    trainer.fit([tx.ones((2, 1))] * 20, lambda x: model(x).sum(), 20)
    assert trainer.done == 20


def test_what_is_counted_is_only_named_where_it_takes_long(capsys, time):
    assert list(counted("abc", "validating")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
    for _ in counted("abcd", "validating"):
        time.seconds += 5
    assert capsys.readouterr().err.splitlines() == ["validating 2/4 0:10 left"]
