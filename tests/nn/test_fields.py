"""Fields: what follows from them, and what a subclass may do."""

import copy
import inspect
import pickle
from dataclasses import KW_ONLY, InitVar
from typing import ClassVar

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.core.tensor import Tensor
from tinyxp.errors import DTypeError
from tinyxp.nn.fields import FunctionalModule


def scaled(input, scale, offset=None, training=True, power=1):
    y = input * scale if offset is None else input * scale + offset
    return y if training else -y


class Base(FunctionalModule, function=scaled):
    __module__ = "tinyxp.test"  # only in the library are annotations fields

    kind: ClassVar[str] = "scaled"
    scale: float
    name: InitVar[str] = "x"
    offset: Tensor | None = None
    _: KW_ONLY
    generator: object = None

    def __post_init__(self, name: str) -> None:
        self.label = name.upper()


class Longer(Base):
    __module__ = "tinyxp.test"

    inplace: bool = False


def test_fields():
    module = Longer(2.0, "y", tx.ones(2), True)
    assert list(inspect.signature(Longer).parameters) == [
        *("scale", "name", "offset", "inplace", "generator")
    ]
    assert repr(module) == "Longer(scale=2.0, inplace=True)"
    assert repr(Longer(2.0)) == "Longer(scale=2.0)"
    assert (module.label, Longer.kind) == ("Y", "scaled")
    assert list(module.state_dict()) == ["offset"]
    assert not hasattr(Longer, "inplace")
    np.testing.assert_array_equal(module(tx.ones(2)).numpy(), [3.0, 3.0])
    np.testing.assert_array_equal(module.eval()(input=tx.ones(2)).numpy(), [-3.0, -3.0])


@pytest.mark.parametrize(
    ("args", "options", "match"),
    [
        ((), {}, "Longer cannot take nothing: .* missing"),
        ((1, 2, None, 4, 5), {}, "Longer cannot take 1, 2, None, 4, 5: .* 6 were given"),
        ((1,), {"scale": 2}, "Longer got scale twice"),
        ((1,), {"self": 2}, "Longer has no parameter 'self'; it takes scale, "),
    ],
)
def test_wrong_arguments_are_refused(args, options, match):
    with pytest.raises(DTypeError, match=match):
        Longer(*args, **options)
    with pytest.raises(DTypeError, match="'slope'"):
        nn.LeakyReLU(slope=0.1)
    with pytest.raises(DTypeError, match="offset must be a Tensor or None"):
        Longer(1.0, offset=[1.0])


@pytest.mark.parametrize(("args", "options"), [((), {}), ((1, 2), {}), ((1,), {"inplace": True})])
def test_forward_takes_the_inputs_alone(args, options):
    with pytest.raises(TypeError):
        nn.ReLU()(*args, **options)


def test_a_traceback_shows_the_generated_line():
    with pytest.raises(DTypeError) as caught:
        nn.ReLU()("text")
    lines = [str(entry.statement) for entry in caught.traceback]
    assert any(line.strip() == "return relu(input, self.inplace)" for line in lines)
    assert "self.register_buffer('weight', weight)" in inspect.getsource(nn.BCELoss.__init__)


def test_a_module_in_place_of_an_option_is_shown():
    assert "Linear" in repr(nn.Softshrink(nn.Linear(2, 3)))


def test_copies_and_subclasses():
    class Own(nn.LeakyReLU):
        note: str  # not a field

        def __init__(self):
            super().__init__(0.5)

    class Plain(nn.LeakyReLU):
        note: str

    assert repr(copy.deepcopy(Own())) == "Own(negative_slope=0.5)"
    assert repr(Plain(0.5)) == "Plain(negative_slope=0.5)"
    assert list(inspect.signature(Own).parameters) == []
    loss = pickle.loads(pickle.dumps(nn.BCELoss(tx.ones(2), reduction="sum")))
    assert (loss.reduction, loss.weight.tolist()) == ("sum", [1.0, 1.0])
    assert isinstance(loss, nn.BCELoss)


# fields that the parameters of a module follow from
SIZES = {
    "affine", "elementwise_affine", "embedding_dim", "in1_features", "in2_features", "in_features",
    "init", "num_channels", "num_embeddings", "num_parameters", "out_features",
}  # fmt: skip


def test_every_field_is_a_parameter_of_its_function():
    """Else an option would be stored and change nothing."""
    for name in dir(nn):
        cls = getattr(nn, name)
        if isinstance(cls, type) and "_function" in vars(cls):
            parameters = inspect.signature(cls._function).parameters
            stored = {n for n, f in cls._fields.items() if not isinstance(f.annotation, InitVar)}
            assert stored - SIZES <= set(parameters), name
