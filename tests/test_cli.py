"""The command line: real small runs, and one clear line with exit code 2 for each mistake."""

import json
import subprocess
import sys

import numpy as np
import pytest

import tinyxp as tx
from tinyxp.cli import main, parse_settings
from tinyxp.data import BPETokenizer
from tinyxp.generation import generate
from tinyxp.models import gpt2
from tinyxp.models.transformer import Config
from tinyxp.random import Generator

SMALL = ["--steps", "3", "--set", "n_layer=1", "--set", "n_embd=8", "--set", "block_size=8",
         "--set", "n_head=2", "--set", "sample_tokens=5", "--set", "eval_batches=1"]  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("to be, or not to be: that is the question.\n" * 20)
    return tmp_path


def test_a_precision_reaches_the_training(here, capsys):
    """Another loss, a little off; and the loss scale of float16."""
    found = []
    for options in ([], ["--precision", "float16"]):
        name = options[-1] if options else "float32"
        command = ["train", "transformer", "--text", "text.txt", "--seed", "1", "--name", name]
        assert main([*command, *SMALL, *options]) == 0
        run = here / "runs" / name
        lines = (run / "metrics.jsonl").read_text().splitlines()
        found.append(json.loads(lines[0]))
    assert found[1]["loss scale"] == 65536.0
    assert 0 < abs(found[0]["loss"] - found[1]["loss"]) < 0.01


def test_train_then_generate(here, capsys):
    command = ["train", "transformer", "--text", "text.txt", "--name", "a", "--seed", "1", *SMALL]
    assert main(command) == 0
    out = capsys.readouterr().out
    backend = tx.backends.current()
    assert out.splitlines()[0] == f"{backend.name}{backend.about()}"
    last = out.strip().splitlines()[-1]
    assert last.startswith("validation loss ")
    run = here / "runs" / "a"
    assert json.loads((run / "config.json").read_text())["n_layer"] == 1
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["step"] == 1
    (final,) = (line["final"] for line in lines if "final" in line)
    assert final == pytest.approx(float(last.split()[-1]), abs=0.005)
    assert "validation loss" in lines[1]
    assert "control validation loss" in lines[-1]

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
        (
            ["summary", "cnn"],
            "expected a model transformer, gpt2, which --set configures, or yours",
        ),
        (["summary", "nowhere:Net"], "cannot import 'nowhere:Net': No module named 'nowhere'"),
        (["summary", "tinyxp.nn:Net"], "cannot import 'tinyxp.nn:Net'"),
        (["summary", "gpt2", "--set", "n_inner=x"], "n_inner expects int, got 'x'"),
        (["generate", "other"], "expected one of the models transformer, gpt2, got 'cnn'"),
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
    named = [line.partition(":")[0] for line in lines[1:]]
    assert [name for name in named if name != "CUDA"] == ["cupy", "numpy", "strict", "torch"]
    numpy = lines[2]
    assert numpy.startswith(f"numpy: devices cpu; NumPy {np.__version__}, ")
    assert "; kernels: " in numpy


def test_summary(here, capsys, monkeypatch):
    assert main(["summary", "transformer", "--set", "n_layer=1", "--set", "n_embd=8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["token", "Embedding", "(1,", "64,", "8)", "520"]
    assert lines[-1].startswith("1,824 parameters, of which 1,824 are trained")
    assert (
        main(
            [
                "summary",
                "gpt2",
                "--set",
                "n_layer=1",
                "--set",
                "vocab_size=9",
                "--set",
                "n_positions=8",
            ]
        )
        == 0
    )
    assert "GPT2" in capsys.readouterr().out
    (here / "students_model.py").write_text(
        "from tinyxp import nn\ndef net():\n    return nn.Sequential(nn.Linear(3, 4), nn.ReLU())\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["summary", "students_model:net", "--input", "5,3"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split() == ["0", "Linear", "(5,", "4)", "16"]
    assert main(["summary", "tinyxp.nn:Identity", "--input", "2", "--integers"]) == 0


def test_generate_from_a_checkpoint_of_gpt2(here, capsys):
    tokenizer = BPETokenizer.train("to be, or not to be. " * 20, 270)
    config = gpt2.Config(len(tokenizer), n_positions=16, n_embd=8, n_layer=1, n_head=2)
    model = gpt2.GPT2(config, Generator(0))
    model.save_pretrained(here / "small")
    tokenizer.save(here / "small" / "tokenizer.json")
    command = ["generate", "small", "--prompt", "to be", "--tokens", "20", "--seed", "1"]
    assert main([*command, "--top-p", "0.9"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("to be")
    ids = generate(
        model,
        tokenizer.encode("to be").tolist(),
        20,
        temperature=0.8,
        top_p=0.9,
        generator=Generator(1),
    )
    assert text == tokenizer.decode(ids) + "\n"
    assert main(["generate", "small", "--prompt", ""]) == 2
    assert "the prompt is empty" in capsys.readouterr().err


def test_settings_are_typed():
    assert parse_settings(gpt2.Config, ["n_inner=7"]) == {"n_inner": 7}
    found = parse_settings(Config, ["n_layer=6", "dropout=0.1", "bias=true"])
    assert found == {"n_layer": 6, "dropout": 0.1, "bias": True}
