"""Gradients that are zero, vanishing, exploding, NaN or Inf."""

import tinyxp as tx
from tests.debug.gallery import broken, points, squares
from tests.debug.gallery.detours import FIRST, Two, two
from tinyxp import nn
from tinyxp.nn import functional as F


@broken("zero", FIRST, "second.weight", "zero everywhere")
def a_second_layer_of_zeros():
    model, x = Two(tx.tanh), points(6, 4)
    nn.init.zeros_(model.second.weight)
    return model, lambda: squares(model(x))


@broken("zero", FIRST, "second.weight is zero everywhere")
def zeros_written_within_the_pass():
    model, x = Two(tx.tanh), points(6, 4)

    def run():
        with tx.no_grad():
            model.second.weight.zero_()
        return squares(model(x))

    return model, run


@broken("zero", "first.weight first.bias second.weight", "zeros")
def all_weights_zero():
    model, x = Two(tx.tanh), points(6, 4)
    for p in model.parameters():
        nn.init.zeros_(p)
    return model, lambda: squares(model(x))


@broken("zero", "first.weight first.bias second.weight", "relu", "dead")
def a_dead_relu():
    model, x = Two(F.relu), points(6, 4)
    nn.init.constant_(model.first.bias, -100.0)
    return model, lambda: squares(model(x))


@broken("vanishing", FIRST, "sigmoid", "smaller")
def a_saturated_sigmoid():
    model, x = Two(tx.sigmoid), points(6, 4)
    nn.init.normal_(model.first.weight, std=100.0)
    return model, lambda: squares(model(x))


@broken("zero", FIRST, "tanh", "saturated")
def a_saturated_tanh():
    return two(lambda h: tx.tanh(h + 1000.0))  # CUT


@broken("vanishing", "0.weight 0.bias 2.weight 2.bias", "sigmoid", "at most 0.25", "ReLU")
def thirty_sigmoids():
    layers = [layer for _ in range(30) for layer in (nn.Linear(8, 8), nn.Sigmoid())]
    model, x = nn.Sequential(*layers), points(6, 8)
    return model, lambda: squares(model(x))


@broken("exploding", "0.weight 1.weight 2.weight", "linear", "too large")
def weights_too_large():
    model, x = nn.Sequential(*(nn.Linear(8, 8) for _ in range(12))), points(6, 8)
    for layer in model:
        nn.init.normal_(layer.weight, std=3.0)
    return model, lambda: squares(model(x))


@broken("nan", "first.weight first.bias second.weight second.bias", "log", "NaN")
def the_log_of_a_negative():
    return two(lambda h: tx.log(h))  # CUT


@broken("nan", "first.weight first.bias second.weight second.bias", "divide", "NaN")
def zero_by_zero():
    def normalised(h):
        rest = h - h
        return rest / rest.sum(axis=-1, keepdims=True)  # CUT

    return two(normalised)


@broken("nan", FIRST, "the gradient of sqrt", "finite")
def the_slope_of_a_root_at_zero():
    return two(lambda h: tx.sqrt(h - h))  # CUT


@broken("zero", "first.weight first.bias", "softmax", "saturated")
def scores_too_large_for_a_softmax():
    return two(lambda h: tx.softmax(1e5 * h, dim=-1))  # CUT


@broken("zero", FIRST, "dropout")
def dropout_of_everything():
    model, x = Two(nn.Dropout(1.0)), points(6, 4)
    return model, lambda: squares(model(x))


@broken("zero", FIRST, "multiply", "zeros")
def an_empty_mask():
    mask = tx.zeros(4)
    return two(lambda h: h * mask)  # CUT
