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


def test_the_third_example_is_a_model_as_for_pytorch(capsys):
    exec(BLOCKS[2], {"__name__": "readme"})
    assert capsys.readouterr().out.splitlines()[-1].startswith("15,786 parameters")


def test_the_fourth_example_hands_tensors_to_other_libraries():
    for library in ("einops", "scipy"):
        pytest.importorskip(library, reason="the example uses it: pip install 'tinyxp[test]'")
    names = {}
    exec(BLOCKS[0] + BLOCKS[3], names)
    tx = names["tx"]
    expected = tx.asarray([[1, math.e, 1, math.e]] * 2) / (1 + math.e)
    assert tx.max(tx.abs(names["x"].grad - expected)).item() < 1e-6
