"""The command line: real small runs, and one clear line with exit code 2 for each mistake."""

import json
import subprocess
import sys

import pytest

from tinyxp.cli import main, parse_settings
from tinyxp.models.transformer import Config

SMALL = ["--steps", "3", "--set", "n_layer=1", "--set", "n_embd=8", "--set", "block_size=8",
         "--set", "n_head=2", "--set", "sample_tokens=5", "--set", "eval_batches=1"]  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("to be, or not to be: that is the question.\n" * 20)
    return tmp_path


def test_train_then_generate(here, capsys):
    pytest.importorskip("safetensors", reason="saving a run needs safetensors")
    command = ["train", "transformer", "--text", "text.txt", "--name", "a", "--seed", "1", *SMALL]
    assert main(command) == 0
    out = capsys.readouterr().out
    last = out.strip().splitlines()[-1]
    assert last.startswith("validation loss ")
    run = here / "runs" / "a"
    assert json.loads((run / "config.json").read_text())["n_layer"] == 1
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["step"] == 1
    assert lines[-1]["final"] == pytest.approx(float(last.split()[-1]), abs=0.005)
    assert "validation loss" in lines[-2]

    generate = ["generate", str(run), "--prompt", "to be", "--tokens", "7", "--seed", "3"]
    assert main(generate) == 0
    first = capsys.readouterr().out
    assert first.startswith("to be")
    assert len(first) == len("to be") + 7 + 1
    main(generate)
    assert capsys.readouterr().out == first

    assert main(command) == 2
    assert capsys.readouterr().err == "tinyxp: runs/a exists already; choose another --name\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "transformer", "--text", "absent.txt"], "cannot read the text absent.txt"),
        (["train", "transformer", "--text", "empty.txt"], "the text empty.txt is empty"),
        (["train", "transformer", "--text", "binary.txt"], "binary.txt is not UTF-8 text"),
        (["train", "transformer", "--text", "short.txt"], "too few to hold out"),
        (["train", "transformer", "--set", "depth=3"], "unknown setting 'depth=3'"),
        (["train", "transformer", "--set", "n_layer=many"], "n_layer expects int, got 'many'"),
        (["train", "transformer", "--steps", "0"], "steps must be at least 1, got 0"),
        (["train", "transformer", "--backend", "cuda"], "unknown backend 'cuda'; choose one of"),
        (["generate", "nowhere"], "nowhere is not the folder of a run"),
        (["generate", "other"], "other holds no transformer's run, but 'cnn'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(here, capsys, args, message):
    (here / "empty.txt").write_text(" \n")
    (here / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (here / "short.txt").write_text("too short")
    (here / "other").mkdir()
    (here / "other" / "config.json").write_text('{"model": "cnn"}')
    assert main(args) == 2
    error = capsys.readouterr().err
    assert error.startswith("tinyxp: ")
    assert error.count("\n") == 1
    assert message in error


def test_python_m_tinyxp_has_the_same_manners(here):
    command = [sys.executable, "-m", "tinyxp", "train", "transformer", "--set", "x=1"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert found.stderr.startswith("tinyxp: unknown setting 'x=1'")
    assert "Traceback" not in found.stderr


def test_an_unknown_backend_in_the_environment_is_named(here, monkeypatch, capsys):
    monkeypatch.setenv("TINY_BACKEND", "cuda")
    assert main(["train", "transformer", "--text", "text.txt", *SMALL]) == 2
    assert "unknown backend 'cuda'" in capsys.readouterr().err


def test_info_names_every_backend(capsys):
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[1:]] == ["cupy", "numpy", "strict", "torch"]
    assert "numpy: devices cpu" in lines


def test_settings_are_typed():
    found = parse_settings(Config, ["n_layer=6", "dropout=0.1", "bias=true"])
    assert found == {"n_layer": 6, "dropout": 0.1, "bias": True}


def test_a_missing_library_is_named_before_training(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    assert main(["train", "transformer", "--text", "text.txt", "--name", "b", *SMALL]) == 2
    expected = "tinyxp: the library safetensors is not installed; pip install 'tinyxp[io]'\n"
    assert capsys.readouterr().err == expected
    assert not (here / "runs").exists()
