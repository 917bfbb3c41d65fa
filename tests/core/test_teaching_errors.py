"""Errors that teach: the operation, both shapes, the module's path, and what would fit."""

import copy
import pickle
import traceback

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tinyxp import nn
from tinyxp.errors import ShapeError, TinyError
from tinyxp.nn import functional as F
from tinyxp.nn.utils import weight_norm


def zeros(*shape):
    return tx.zeros(shape)


def ids(*shape):
    return tx.zeros(shape, dtype=tx.int64)


MISTAKES = {  # a call, and what its message says
    "too few features": (
        lambda: nn.Linear(128, 384)(zeros(2, 64)),
        r"linear with weight \(384, 128\) expects input \(\.\.\., 128\), got \(2, 64\); with this "
        r"x it would have to be Linear\(64, 384\)",
    ),
    "not flattened": (
        lambda: nn.Linear(400, 10)(zeros(8, 16, 5, 5)),
        r"got \(8, 16, 5, 5\); flatten it first: x\.flatten\(1\) gives \(8, 400\)",
    ),
    "not flattened, and another size": (
        lambda: nn.Linear(100, 10)(zeros(8, 16, 5, 5)),
        r"x\.flatten\(1\) would give it 400 features",
    ),
    "features elsewhere": (
        lambda: nn.Linear(7, 2)(zeros(3, 7, 4)),
        r"axis 1 has 7: tx\.moveaxis\(x, 1, -1\) makes it the last",
    ),
    "product of matrices": (
        lambda: zeros(3, 4) @ zeros(5, 4),
        r"matmul of \(3, 4\) and \(5, 4\).*x1 @ x2\.mT, \(3, 4\) @ \(4, 5\)",
    ),
    "product, the first turned": (
        lambda: zeros(3, 4) @ zeros(3, 5),
        r"matmul of \(3, 4\) and \(3, 5\).*x1\.mT @ x2, \(4, 3\) @ \(3, 5\)",
    ),
    "product of batches": (
        lambda: zeros(2, 3, 4) @ zeros(3, 4, 5),
        r"matmul.*\(2, 3, 4\).*\(3, 4, 5\).*the leading axes \(2,\) and \(3,\) do not broadcast",
    ),
    "sum along the other axis": (
        lambda: zeros(3, 4) + zeros(3),
        r"add.*\(3, 4\).*\(3,\).*axis -1 is 3 in one and 4 in the other.*to lie along axis 0, "
        r"reshape \(3,\) to \(3, 1\)",
    ),
    "sum with the transposed": (
        lambda: zeros(3, 4) * zeros(4, 3),
        r"multiply.*\(3, 4\).*\(4, 3\).*with one of them transposed, x\.T, they are equal",
    ),
    "images without channels": (
        lambda: nn.Conv2d(1, 8, 3)(zeros(28, 28)),
        r"conv2d expects input.*got \(28, 28\) and \(8, 1, 3, 3\); add a channel axis: "
        r"tx\.expand_dims\(x, axis=0\)",
    ),
    "a batch without channels": (
        lambda: nn.Conv2d(1, 8, 3)(zeros(5, 28, 28)),
        r"got input \(5, 28, 28\); add a channel axis: tx\.expand_dims\(x, axis=1\)",
    ),
    "channels last": (
        lambda: nn.Conv2d(3, 8, 3)(zeros(1, 32, 32, 3)),
        r"conv2d with weight \(8, 3, 3, 3\).*expects 3 channels, got input \(1, 32, 32, 3\); the "
        r"channels seem to be last: tx\.moveaxis\(x, -1, 1\)",
    ),
    "targets in a column": (
        lambda: F.cross_entropy(zeros(2, 3), ids(2, 1)),
        r"cross_entropy.*got \(2, 3\) and \(2, 1\).*target\.squeeze\(-1\)",
    ),
    "classes last": (
        lambda: F.cross_entropy(zeros(2, 5, 3), ids(2, 5)),
        r"got \(2, 5, 3\) and \(2, 5\); the classes seem to be last: tx\.moveaxis\(scores, -1, 1\)",
    ),
    "too many targets": (
        lambda: F.cross_entropy(zeros(4, 3), ids(5)),
        r"got \(4, 3\) and \(5,\); there are 4 samples, and 5 targets",
    ),
    "one-hot targets": (
        lambda: F.cross_entropy(zeros(2, 3), ids(2, 3)),
        r"cross_entropy.*int64.*for one-hot rows: tx\.argmax\(target, axis=1\)",
    ),
    "reshape": (
        lambda: zeros(3, 4).reshape(5, 2),
        r"reshape.*\(3, 4\).*12 elements do not fill \(5, 2\), which takes 10; \(-1, 2\) would fit",
    ),
    "reshape, the rest": (
        lambda: zeros(3, 4).reshape(5, -1),
        r"reshape.*\(3, 4\).*12 elements are not a multiple of 5",
    ),
    "concat": (
        lambda: tx.concat([zeros(2, 3), zeros(2, 4)]),
        r"concat.*\(2, 3\).*\(2, 4\).*axis 1 is 3 in operand 0 and 4 in operand 1; with axis=1 "
        r"they could be joined",
    ),
    "concat of ranks": (
        lambda: tx.concat([zeros(2, 3), zeros(3)]),
        r"concat.*operand 1 has 1 axes, operand 0 has 2; all need the same number",
    ),
    "permute_dims": (
        lambda: tx.permute_dims(zeros(2, 3), (0, 2)),
        r"permute_dims.*\(2, 3\).*each of the 2 axes once, such as \(1, 0\), got \(0, 2\)",
    ),
    "permute_dims, too few": (
        lambda: tx.permute_dims(zeros(2, 3), (0,)),
        r"permute_dims.*each of the 2 axes once, such as \(1, 0\), got \(0,\)",
    ),
    "a model for its parameters": (
        lambda: tx.optim.SGD(nn.Linear(2, 3), lr=0.1),
        r"expects an iterable of Tensors, got Linear; pass model\.parameters\(\)",
    ),
}


@each("name", MISTAKES)
def test_a_mistake_is_explained(name, backend):
    call, message = MISTAKES[name]
    with pytest.raises(TinyError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


FITTING = {  # what the advice says, done
    "flattened": lambda: nn.Linear(400, 10)(zeros(8, 16, 5, 5).flatten(1)),
    "moved": lambda: nn.Linear(7, 2)(tx.moveaxis(zeros(3, 7, 4), 1, -1)),
    "turned": lambda: zeros(3, 4) @ zeros(5, 4).mT,
    "the first turned": lambda: zeros(3, 4).mT @ zeros(3, 5),
    "along": lambda: zeros(3, 4) + zeros(3).reshape(3, 1),
    "channels": lambda: nn.Conv2d(1, 8, 3)(tx.expand_dims(zeros(28, 28), axis=0)),
    "channels of a batch": lambda: nn.Conv2d(1, 8, 3)(tx.expand_dims(zeros(5, 28, 28), axis=1)),
    "channels first": lambda: nn.Conv2d(3, 8, 3)(tx.moveaxis(zeros(1, 32, 32, 3), -1, 1)),
    "squeezed": lambda: F.cross_entropy(zeros(2, 3), ids(2, 1).squeeze(-1)),
    "classes first": lambda: F.cross_entropy(tx.moveaxis(zeros(2, 5, 3), -1, 1), ids(2, 5)),
    "class numbers": lambda: F.cross_entropy(zeros(2, 3), tx.argmax(ids(2, 3), axis=1)),
    "filled": lambda: zeros(3, 4).reshape(-1, 2),
    "joined": lambda: tx.concat([zeros(2, 3), zeros(2, 4)], axis=1),
}


@pytest.mark.parametrize("name", FITTING)
def test_what_is_said_to_fit_fits(name):
    FITTING[name]()


# -- where in a model ---------------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        return self.qkv(x)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = Attention()

    def forward(self, x):
        return self.attn(x)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(4))

    def forward(self, x):
        for block in self.blocks[2:]:  # the list itself is not called
            x = block(x)
        return x


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.transformer = Decoder()

    def forward(self, x):
        return self.transformer(x)


PATH = r"\(in transformer\.blocks\.2\.attn\.qkv, a Linear\(in_features=8, .*\) of Model\)$"


def test_the_path_of_the_module_stands_at_the_end(backend):
    model = Model()
    with pytest.raises(ShapeError, match=r"got \(2, 5, 9\).*" + PATH) as caught:
        model(zeros(2, 5, 9))
    assert str(caught.value) == str(caught.value)
    assert str(caught.value).count("(in ") == 1


def test_the_path_in_other_calls():
    model = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.ReLU(), nn.Linear(7, 2)))
    with pytest.raises(ShapeError, match=r"\(in 1\.1, a Linear\(.*\) of Sequential\)$"):
        model(zeros(3, 4))
    with pytest.raises(ShapeError, match=r"\(in Linear\(in_features=7, .*\)\)$"):
        model[1][1](zeros(3, 4))
    model[1][1].register_forward_hook(lambda *_: None)
    with pytest.raises(ShapeError, match=r"\(in 1\.1, a Linear"):
        model(zeros(3, 4))
    copied = copy.deepcopy(model)
    with pytest.raises(ShapeError, match=r"\(in 1\.1, a Linear"):
        copied(zeros(3, 4))
    layer = weight_norm(nn.Linear(3, 2))
    with pytest.raises(ShapeError, match=r"\(in 0, a Linear"):
        nn.Sequential(layer)(zeros(1, 4))
    with pytest.raises(ShapeError, match=PATH):
        tx.recompute(Model(), zeros(2, 5, 9))


def test_errors_of_other_libraries_pass_as_they_are():
    class Odd(nn.Module):
        def forward(self, x):
            return np.zeros(2) + np.zeros(3)

    with pytest.raises(ValueError, match="could not be broadcast") as caught:
        nn.Sequential(Odd())(zeros(1))
    assert not isinstance(caught.value, TinyError)
    assert "(in " not in str(caught.value)


def test_an_error_that_was_caught_on_its_way_starts_anew():
    class Second(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(2, 2), nn.Linear(5, 2)

        def forward(self, x):
            try:
                return self.first(x)
            except ShapeError:
                return self.second(x)

    with pytest.raises(ShapeError, match=r"\(in second, a Linear\(in_features=5"):
        Second()(zeros(1, 4))


def test_an_error_travels_between_processes():
    with pytest.raises(ShapeError) as caught:
        Model()(zeros(2, 9))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_on_the_command_line_it_is_one_line(tmp_path, monkeypatch, capsys):
    from tinyxp.commands import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(
        "import tinyxp as tx\nfrom tinyxp import nn\n"
        "def f():\n    net = nn.Sequential(nn.Linear(2, 3))\n"
        "    return net(tx.ones((1, 4))).sum(), net\n"
    )
    assert main(["doctor", "net.py:f"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tinyxp: net.py:5: ShapeError: linear with weight (3, 2)")
    assert "(in 0, a Linear" in line


@pytest.mark.parametrize("name", MISTAKES)
def test_a_wrong_shape_is_one_traceback(name):
    """Not that of the library, of the fast lane and of the general one, one after another."""
    with pytest.raises(TinyError) as caught:
        MISTAKES[name][0]()
    text = "".join(traceback.format_exception(caught.value))
    assert text.count("Traceback (most recent call last)") == 1, text


def test_a_cause_that_our_words_do_not_cover_is_kept():
    with pytest.raises(TinyError) as caught:
        tx.linalg.inv(tx.zeros((2, 2)))
    assert isinstance(caught.value.__cause__, np.linalg.LinAlgError)
    assert "Singular matrix" in str(caught.value)
