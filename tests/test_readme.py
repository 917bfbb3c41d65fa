"""What README.md shows runs, and does what it says."""

import math
import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), flags=re.DOTALL)


def test_the_first_example_learns_xor(capsys):
    names = {}
    exec(BLOCKS[0], names)
    assert names["loss"].item() < 0.05
    assert ((names["net"](names["x"]) > 0) == (names["y"] > 0)).all()


def test_the_second_example_differentiates_and_moves():
    pytest.importorskip("torch", reason="the example moves a model to PyTorch's arrays")
    names = {}
    exec(BLOCKS[0] + BLOCKS[1], names)
    assert names["slope"](names["tx"].asarray(0.0)).item() == 1
    assert names["curvature"](names["tx"].asarray(0.0)).item() == 0
    assert {p.backend.name for p in names["net"].parameters()} == {"torch"}


def test_the_third_example_is_understood_by_the_doctor(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(BLOCKS[2])
    exec(compile(BLOCKS[2], str(tmp_path / "net.py"), "exec"), {"__name__": "readme"})
    said = capsys.readouterr().out.splitlines()
    shown = README.read_text("utf-8").partition("print(tx.doctor(loss, net))\n```\n\n```\n")[2]
    shown = shown.partition("\n```")[0].splitlines()
    assert [(line.split()[0], line.split()[-1]) for line in said[:5]] == [
        (line.split()[0], line.split()[-1]) for line in shown[:5]
    ]  # the numbers between are of weights drawn at random
    assert said[5:] == shown[5:]


def test_the_fourth_example_is_a_model_as_for_pytorch(capsys):
    exec(BLOCKS[3], {"__name__": "readme"})
    assert capsys.readouterr().out.splitlines()[-1].startswith("15,786 parameters")


def test_the_fifth_example_hands_tensors_to_other_libraries():
    for library in ("einops", "scipy"):
        pytest.importorskip(library, reason="the example uses it: pip install 'tinyxp[test]'")
    names = {}
    exec(BLOCKS[0] + BLOCKS[4], names)
    tx = names["tx"]
    expected = tx.asarray([[1, math.e, 1, math.e]] * 2) / (1 + math.e)
    assert tx.max(tx.abs(names["x"].grad - expected)).item() < 1e-6


def test_the_table_of_ratios_is_that_of_the_committed_benchmark():
    from tinyxp.bench import report

    mark = "<!-- tinyxp bench --summary bench/results/cpu.json -->"
    shown = README.read_text("utf-8").partition(mark)[2].partition("<!-- end -->")[0].strip()
    assert shown == report.summary(report.load(README.parent / "bench/results/cpu.json"))
