"""The command line: real small runs, and one clear line with exit code 2 for each mistake."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyxp as tx
from tinyxp.commands import commands, main, parser
from tinyxp.data import BPETokenizer
from tinyxp.errors import DataError
from tinyxp.models import gpt2
from tinyxp.models.settings import parse
from tinyxp.models.transformer import Config
from tinyxp.nn.generation import generate
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
    error = capsys.readouterr().err
    assert "tinyxp: runs/a exists already; choose another name, or continue that run: " in error
    assert error.endswith("tinyxp resume runs/a\n")

    for wrong in (["--temperature", "-1"], ["--prompt", ""], ["--top-p", "2"]):
        assert main(["generate", str(run), *wrong]) == 2
        error = capsys.readouterr().err
        assert error.startswith("tinyxp: ") and error.count("\n") == 1  # and no heading


def test_ctrl_c_after_the_training_says_how_to_go_on(here, capsys, monkeypatch):
    from tinyxp.models import transformer

    def stop(*args):
        raise KeyboardInterrupt

    command = ["train", "transformer", "--text", "text.txt", "--name", "a", "--no-control", *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(transformer, "all_windows", stop)
        assert main(command) == 130
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("tinyxp: stopped; continue with: ") and said.endswith("resume runs/a")
    assert main(["resume", "runs/a"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(transformer, "load_corpus", stop)
        assert main(command) == 130  # before there is a run
    assert capsys.readouterr().err.endswith("\ntinyxp: stopped\n")


def test_a_run_of_an_earlier_version_is_resumed(here, monkeypatch):
    """It calls captured steps "graph"; the loss is that of a run without interruption."""
    from tinyxp.models import transformer

    options = ["--text", "text.txt", "--capture", "--no-control", *SMALL]
    assert main(["train", "transformer", "--name", "whole", *options]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(transformer, "all_windows", lambda *args: signal.raise_signal(signal.SIGINT))
        assert main(["train", "transformer", "--name", "a", *options]) == 130
    config = here / "runs" / "a" / "config.json"
    config.write_text(config.read_text().replace('"capture": true', '"graph": true'))
    assert main(["resume", "runs/a"]) == 0
    whole = here / "runs" / "whole"
    assert json.loads(config.read_text()) == json.loads((whole / "config.json").read_text())
    weights = [(run / "model.safetensors").read_bytes() for run in (whole, here / "runs" / "a")]
    assert weights[0] == weights[1]


def test_a_mistake_found_late_leaves_no_folder(here, capsys, monkeypatch):
    from tinyxp.models import transformer

    def fail(*args, **options):
        raise DataError("late")

    monkeypatch.setattr(transformer, "cosine_with_warmup", fail)
    assert main(["train", "transformer", "--text", "text.txt", "--name", "a", *SMALL]) == 2
    assert not (here / "runs" / "a").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "transformer", "--text", "absent.txt"], "absent.txt: "),
        (["train", "transformer", "--text", "empty.txt"], "empty.txt is empty; give a file"),
        (["train", "transformer", "--text", "binary.txt"], "binary.txt is not UTF-8 text"),
        (["train", "transformer", "--text", "short.txt"], "too few to hold out"),
        (["train", "transformer", "--set", "depth=3"], "unknown setting 'depth=3'"),
        (["train", "transformer", "--set", "n_layer=many"], "n_layer expects int, got 'many'"),
        (["train", "transformer", "--steps", "0"], "steps must be at least 1, got 0"),
        (["train", "transformer", "--backend", "cuda"], "unknown backend 'cuda'; choose one of"),
        (["generate", "nowhere"], "nowhere is not the folder of a run"),
        (
            ["summary", "resnet"],
            "expected a model perceptron, xor, mlp, cnn, transformer, gpt2, or",
        ),
        (["summary", "cnn", "--input", "3"], "--input is for a model of yours; cnn knows its own"),
        (["summary", "tinyxp.nn:ReLU", "--integers"], "--integers says what --input holds"),
        (["summary", "tinyxp.nn:ReLU", "--set", "a=1"], "--set is for the models perceptron, xor"),
        (["summary", "tinyxp.nn:Linear"], "tinyxp.nn:Linear needs in_features, out_features; give"),
        (
            ["train", "xor", "--text", "text.txt"],
            "--text applies to transformer and finetune only, not to xor",
        ),
        (["train", "xor", "--precision", "bfloat16"], "--precision applies to transformer and"),
        (["train", "xor", "--no-control"], "--no-control applies to mlp, cnn and transformer only"),
        (["train", "mlp", "--from", "a"], "--from applies to finetune only, not to mlp"),
        (["train", "xor", "--set", "hidden=0"], "hidden must be at least 1, got 0"),
        (["train", "xor", "--steps", "-3"], "steps must be at least 1, got -3"),
        (["train", "transformer", "--set", "beta2=1"], "beta2 must be from 0 up to, but not, 1"),
        (["train", "finetune", "--set", "precision=fp16"], "precision must be bfloat16 or float16"),
        (["generate", "nowhere", "--tokens", "-1"], "--tokens must be 0 or more, got -1"),
        (["doctor", ".:one_step"], "expected FILE.py:NAME or MODULE:NAME, got '.:one_step'"),
        (["doctor", "..a:f"], "expected FILE.py:NAME or MODULE:NAME"),
        (["doctor", "wrong:f"], "wrong.py:1: ZeroDivisionError"),
        (["doctor", "net.py", "--graph", "no/g.svg"], "there is no folder no for --graph no/g.svg"),
        (["train", "mlp", "--seed", "-1"], "seed must be at least 0, got -1"),
        (["summary", "cnn", "--set", "data=cats"], "unknown data 'cats'; choose digits, mnist or"),
        (["train", "cnn", "--set", "dropout=1.5"], "dropout must be from 0 to 1, got 1.5"),
        (
            ["train", "cnn", "--set", "learning_rate=nan"],
            "learning_rate must be above 0 and finite",
        ),
        (["train", "mlp", "--set", "hidden=2", "--set", "hidden=3"], "--set hidden is given twice"),
        (
            ["train", "mlp", "--steps", "2", "--set", "steps=3"],
            "steps is given twice, by --set and",
        ),
        (["summary", "nowhere:Net"], "cannot import 'nowhere:Net': No module named 'nowhere'"),
        (["summary", "tinyxp.nn:Net"], "cannot import 'tinyxp.nn:Net'"),
        (["summary", "gpt2", "--set", "n_inner=x"], "n_inner expects int, got 'x'"),
        (
            ["doctor", "net.py", "--graph", "g.png"],
            "expected a file .svg, .mmd or .dot, got 'g.png'",
        ),
        (
            ["generate", "other"],
            "expected one of the models transformer, gpt2, finetune, got 'cnn'",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(here, capsys, args, message):
    (here / "empty.txt").write_text(" \n")
    (here / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (here / "short.txt").write_text("too short")
    (here / "wrong.py").write_text("1 / 0")
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
    assert parse(gpt2.Config, ["n_inner=7"]) == {"n_inner": 7}
    found = parse(Config, ["n_layer=6", "dropout=0.1", "bias=true"])
    assert found == {"n_layer": 6, "dropout": 0.1, "bias": True}


FILE = """
import tinyxp as tx
from tinyxp import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block(3)

    def forward(self, x):
        return self.block.layer(x)
"""


@pytest.mark.parametrize("name", ["perceptron", "xor", "mlp", "cnn", "transformer"])
def test_every_story_has_a_summary(capsys, name):
    assert main(["summary", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["module", "kind", "output", "parameters"]
    assert "(1" in lines[1]


@pytest.mark.parametrize("target", ["mine.py", "mine.py:Net", "mine:Net"])
def test_a_summary_of_a_file(here, capsys, monkeypatch, target):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (here / "mine.py").write_text(FILE)
    assert main(["summary", target, "--input", "5,3"]) == 0
    assert "block.layer  Linear  (5, 3)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "target", "message"),
    [
        ("class Other(Net): pass", "mine.py", "say which: mine.py:Net, mine.py:Other"),
        ("", "mine.py:Block", "mine.py:Block needs width; give them defaults"),
        ("", "mine.py:block", "mine.py has no 'block'; it has Block, Net"),
        ("1 / 0", "mine.py", "mine.py:18: ZeroDivisionError: division by zero (1 / 0)"),
        ("raise SystemExit", "mine.py", "put what does so under if __name__ == '__main__'"),
        ("def f(:", "mine.py", "mine.py:18: SyntaxError: invalid syntax"),
        ("tx.ones(2) + tx.ones(3)", "mine.py", "mine.py:18: ShapeError: add cannot take (2,)"),
        ("def net(): return nope", "mine.py:net", "mine.py:18: NameError: name 'nope' is not"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(here, capsys, monkeypatch, more, target, message):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (here / "mine.py").write_text(FILE + "\n" + more)
    assert main(["summary", target]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error


def test_a_help_has_defaults_settings_and_examples(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = capsys.readouterr().out
    assert "  xor: hidden=8, points=200, steps=400" in out
    assert "n_layer=4" in out and "--no-control" in out and "examples:" in out
    assert "tinyxp train transformer --steps 200 --name quick" in out
    assert max(map(len, out.splitlines())) <= 79


SUBPARSERS = (a for a in parser(commands())._actions if isinstance(a, argparse._SubParsersAction))
COMMANDS = next(SUBPARSERS).choices


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_examples_and_the_defaults_of_its_options(name):
    text = COMMANDS[name].format_help()
    assert f"tinyxp {name} " in text and "examples:" in text
    for action in COMMANDS[name]._actions:
        takes_a_value = action.option_strings and action.nargs != 0
        if takes_a_value and (action.default or action.type in (int, float)):
            assert "default" in action.help, action.option_strings


def test_the_help_imports_neither_models_nor_benchmarks():
    program = (
        "import sys\nfrom tinyxp.commands import main\ntry:\n    main(['--help'])\nfinally:\n"
        "    print([m for m in sys.modules if m.startswith(('tinyxp.bench', 'tinyxp.models'))])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.splitlines()[-1] == "[]", found.stderr


def test_a_command_is_one_file(tmp_path, monkeypatch, capsys):
    (tmp_path / "hello.py").write_text(
        "HELP = 'greet somebody'\nEXAMPLES = ('tinyxp hello Ada',)\n"
        "def arguments(command):\n    command.add_argument('name')\n"
        "def run(args):\n    print('hello', args.name)\n"
    )
    package = sys.modules["tinyxp.commands"]
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    assert main(["hello", "Ada"]) == 0
    assert capsys.readouterr().out == "hello Ada\n"
    with pytest.raises(SystemExit):
        main(["--help"])
    assert re.search(r"info  .*\n +hello  +greet somebody\n", capsys.readouterr().out)
    del sys.modules["tinyxp.commands.hello"]


def test_a_model_alone(here, capsys):
    command = ["train", "transformer", "--text", "text.txt", "--name", "a", "--seed", "1", *SMALL]
    assert main([*command, "--no-control"]) == 0
    out = capsys.readouterr().out
    assert "control" not in out and out.splitlines()[-1].startswith("validation loss ")
    assert "MB of memory" in out
    losses = (here / "runs" / "a" / "metrics.jsonl").read_text()
    assert "validation loss" in losses and "control" not in losses
    assert main(["train", "mlp", "--no-control", "--set", "hidden=32"]) == 0
    assert "control" not in capsys.readouterr().out


def test_what_the_end_of_a_training_advises_works_as_it_stands(here, capsys):
    command = ["train", "transformer", "--text", "text.txt", "--name", "my run", *SMALL]
    assert main([*command, "--no-control"]) == 0
    (advised,) = (s for s in capsys.readouterr().out.splitlines() if " generate " in s)
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "80"}  # as before an activation
    advised = advised.replace("ROMEO:", "'to be'")
    found = subprocess.run(
        advised + " --tokens 5", shell=True, capture_output=True, text=True, check=False,
        env=environment,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("to be") and len(found.stdout) == 11
    assert found.stderr == "runs/my run continues 'to be' with 5 symbols:\n"


# -- readers that leave -------------------------------------------------------------------------


def piped(command, reader, **more):
    """A command whose output ``reader`` reads, in a shell that tells the codes of both."""
    line = f"{sys.executable} -m tinyxp {command} {reader}"
    script = f"{line}; echo codes ${{PIPESTATUS[@]}} >&2"
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, **more
    )


needs_bash = pytest.mark.skipif(sys.platform == "win32", reason="it asks a Unix shell")


@needs_bash
@pytest.mark.parametrize("command", ["info", "--help"])
def test_a_reader_that_leaves_ends_a_command_quietly(command):
    found = piped(command, "| true")
    assert found.stderr == "codes 141 0\n"


@needs_bash
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize("command", ["info", "--help"])
def test_a_full_disk_is_one_line(command):
    found = piped(command, "> /dev/full")
    lines = ["tinyxp: cannot write the output: No space left on device", "codes 2"]
    assert found.stderr.splitlines() == lines


@needs_bash
def test_a_training_survives_its_reader(here):
    command = "train xor --name a"
    found = piped(command, "| true", cwd=here)
    assert "Traceback" not in found.stderr
    assert "the output is lost (Broken pipe); training continues" in found.stderr
    assert found.stderr.endswith("codes 0 0\n")
    assert (here / "runs" / "a" / "config.json").is_file()
    found = piped(command.replace("--name a", "--name b"), "2>&1 | true", cwd=here)
    assert (here / "runs" / "b" / "metrics.jsonl").is_file()


def test_an_installation_takes_no_further_words(here):
    script = Path(__file__).parents[2] / "run.py"
    words = ["install", "--venv", str(here / "new"), "--bogus"]
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "install takes --venv FOLDER and nothing else, got --bogus" in done.stderr
    assert not (here / "new").exists()
