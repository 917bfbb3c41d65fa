"""Gradients cut inside tinyxp: by detach, no_grad, and operations without a derivative."""

import tinyxp as tx
from tests.debug.gallery import broken, points, squares
from tests.debug.gallery.detours import FIRST, Two, two
from tinyxp import nn
from tinyxp.nn import functional as F


@broken("missing", FIRST, "detach()", "remove detach()")
def detach_in_the_middle():
    return two(lambda h: tx.tanh(h).detach())  # CUT


@broken("incomplete", "w.weight w.bias u.weight u.bias", "a part of the gradient", "detach()")
def detach_of_a_hidden_state():
    class RNN(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.u, self.head = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            h = tx.zeros((len(x), 4))
            for t in range(x.shape[1]):
                h = tx.tanh(self.w(x[:, t]) + self.u(h.detach()))  # CUT
            return self.head(h)

    model, x = RNN(), points(5, 6, 3)
    return model, lambda: squares(model(x))


@broken("missing", FIRST, "no_grad()", "out of tx.no_grad()")
def no_grad_around_a_part():
    class Net(Two):
        def encode(self, x):
            with tx.no_grad():
                return tx.tanh(self.first(x))  # CUT

        def forward(self, x):
            return self.second(self.encode(x))

    model, x = Net(None), points(6, 4)
    return model, lambda: squares(model(x))


@broken("missing", FIRST, "no_grad()")
def written_to_a_buffer():
    model, x = Two(tx.tanh), points(6, 4)
    buffer = tx.zeros_like(model.first(x)).detach()

    def run():
        with tx.no_grad():
            buffer[...] = model.first(x)  # CUT
        return squares(model.second(buffer))

    return model, run


@broken("missing", FIRST, "no_grad()")
def no_grad_as_a_decorator():
    class Net(Two):
        @tx.no_grad()
        def encode(self, x):
            return self.first(x)  # CUT

        def forward(self, x):
            return self.second(F.relu(self.encode(x)))

    model, x = Net(None), points(6, 4)
    return model, lambda: squares(model(x))


@broken("missing", "first.weight first.bias second.weight second.bias", "no_grad()")
def no_grad_around_all():
    model, x = Two(tx.tanh), points(6, 4)

    def run():
        with tx.no_grad():  # CUT
            y = model(x)
        return squares(y)

    return model, run


@broken("missing", FIRST, ": argmax is not differentiable: its result")
def argmax_in_the_way():
    def through(h):
        best = tx.argmax(h, axis=-1)  # CUT
        return F.one_hot(best, 4).astype(tx.float32)

    return two(through)


@broken("missing", FIRST, "greater is not differentiable")
def a_comparison_in_the_way():
    return two(lambda h: (h > 0).astype(tx.float32))  # CUT


@broken("zero", FIRST, "round")
def rounding_in_the_way():
    return two(lambda h: tx.round(3 * h) / 3)  # CUT


@broken("zero", FIRST, "sign")
def sign_in_the_way():
    return two(tx.sign)


@broken("missing", FIRST, "astype()")
def a_cast_to_integers():
    def through(h):
        steps = (h * 10).astype(tx.int64)  # CUT
        return steps.astype(tx.float32) / 10

    return two(through)


@broken("missing", FIRST, "tensor()")
def a_tensor_of_a_tensor():
    return two(lambda h: tx.tensor(h))  # CUT


@broken("missing", "first.weight first.bias second.weight second.bias", "requires_grad")
def a_new_leaf_instead_of_the_loss():
    model, x = Two(tx.tanh), points(6, 4)

    def run():
        loss = squares(model(x))
        return tx.tensor(loss.item(), requires_grad=True)  # CUT

    return model, run
