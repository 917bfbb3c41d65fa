"""Fine-tuning: a checkpoint is trained on a text, and the result writes."""

import re

import pytest

import tinyxp as tx
from tinyxp.commands import main
from tinyxp.models import gpt2
from tinyxp.random import Generator

pytest.importorskip("tokenizers", reason="pip install tokenizers")


def test_a_checkpoint_is_fine_tuned_and_written_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = "to be, or not to be: that is the question. " * 60
    tokenizer = tx.data.BPETokenizer.train(text, 270)
    config = gpt2.Config(len(tokenizer), n_positions=16, n_embd=16, n_layer=1, n_head=2)
    model = gpt2.GPT2(config, Generator(0))
    model.save_pretrained("start", tokenizer)
    (tmp_path / "text.txt").write_text(text)
    command = [
        "train",
        "finetune",
        "--from",
        "start",
        "--text",
        "text.txt",
        "--name",
        "tuned",
        "--set",
        "steps=30",
        "--set",
        "learning_rate=0.01",
        "--set",
        "sample_tokens=5",
    ]
    assert main(command) == 0
    out = capsys.readouterr().out
    (before,) = re.findall(r"validation loss before: ([\d.]+)", out)
    assert float(out.split()[-1]) < 0.5 * float(before)
    assert (
        main(["generate", "runs/tuned", "--prompt", "to be", "--tokens", "8", "--seed", "1"]) == 0
    )
    assert capsys.readouterr().out.startswith("to be")
    assert main(["resume", "runs/tuned"]) == 0  # nothing is left to do, and the result is the same
    assert capsys.readouterr().out.splitlines()[-1] == out.splitlines()[-1]
    for wrong, message in {
        "": "name its folder by --from",
        "--from nowhere": "cannot read nowhere",
    }.items():
        assert main(["train", "finetune", "--text", "text.txt", *wrong.split()]) == 2
        assert message in capsys.readouterr().err


def test_a_tokenizer_goes_with_the_model(tmp_path, capsys):
    tokenizer = tx.data.BPETokenizer.train("to be, or not to be. " * 20, 270)
    config = gpt2.Config(len(tokenizer), n_positions=16, n_embd=8, n_layer=1, n_head=2)
    gpt2.GPT2(config, Generator(0)).save_pretrained(tmp_path / "one", tokenizer)
    gpt2.GPT2.from_pretrained(tmp_path / "one").save_pretrained(tmp_path / "two")
    said = []
    for folder in ("one", "two"):
        assert main(["generate", str(tmp_path / folder), "--tokens", "9", "--seed", "2"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
