"""Parameters that are unregistered, unused, or not updated."""

import copy

import tinyxp as tx
from tests.debug.gallery import broken, points, squares
from tests.debug.gallery.detours import Two
from tinyxp import nn

ALL = "first.weight first.bias second.weight second.bias"


@broken("unregistered", "layers[0].weight layers[0].bias layers[1].weight layers[1].bias",
        "nn.ModuleList")  # fmt: skip
def layers_in_a_list():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(4, 4), nn.Linear(4, 4)]
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            for layer in self.layers:
                x = tx.tanh(layer(x))
            return self.head(x)

    model, x = Net(), points(6, 4)
    return model, lambda: squares(model(x))


@broken("unregistered", "parts['in'].weight parts['in'].bias", "nn.ModuleDict")
def layers_in_a_dict():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = {"in": nn.Linear(4, 4)}
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(tx.tanh(self.parts["in"](x)))

    model, x = Net(), points(6, 4)
    return model, lambda: squares(model(x))


@broken("unregistered", "gains[0]", "nn.ParameterList")
def a_parameter_in_a_list():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.gains = [nn.Parameter([1.0, 2.0, 3.0, 4.0])]
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(x * self.gains[0])

    model, x = Net(), points(6, 4)
    return model, lambda: squares(model(x))


@broken("unregistered", "w", "nn.Parameter")
def a_tensor_as_an_attribute():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = points(4, 4).requires_grad_()
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(x @ self.w)

    model, x = Net(), points(6, 4)
    return model, lambda: squares(model(x))


@broken("unregistered", "?", "no optimizer updates it", "__init__")
def a_parameter_made_in_forward():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            gain = nn.Parameter([1.0, 2.0, 3.0, 4.0])  # CUT
            return self.head(x * gain)

    model, x = Net(), points(6, 4)
    return model, lambda: squares(model(x))


@broken("unused", "extra.weight extra.bias", "no operation", "forward()")
def a_layer_that_is_never_called():
    class Net(Two):
        def __init__(self):
            super().__init__(tx.tanh)
            self.extra = nn.Linear(4, 4)

    model, x = Net(), points(6, 4)
    return model, lambda: squares(model(x))


@broken("unused", "other.weight other.bias", "branch")
def a_branch_not_taken():
    class Net(Two):
        def __init__(self):
            super().__init__(tx.tanh)
            self.other = nn.Linear(4, 4)

        def forward(self, x, deep=False):
            return self.other(x) if deep else super().forward(x)

    model, x = Net(), points(6, 4)
    return model, lambda: squares(model(x))


@broken("unused", "second.weight second.bias", "does not enter the loss")
def a_result_that_is_dropped():
    class Net(Two):
        def forward(self, x):
            h = self.first(x)
            self.second(h)  # CUT
            return h

    model, x = Net(None), points(6, 4)
    return model, lambda: squares(model(x))


@broken("unused", ALL, "no operation")
def a_loss_without_the_model():
    model, x = Two(tx.tanh), points(6, 4)
    return model, lambda: squares(x * 2)


@broken("stale optimizer", "second.weight second.bias", "not the model's")
def an_optimizer_from_before_a_layer_was_replaced():
    model, x = Two(tx.tanh), points(6, 4)
    optimizer = tx.optim.SGD(model.parameters(), lr=0.1)
    model.second = nn.Linear(4, 4)
    return model, lambda: squares(model(x)), optimizer


@broken("stale optimizer", ALL, "another model")
def an_optimizer_of_a_copy():
    model, x = Two(tx.tanh), points(6, 4)
    optimizer = tx.optim.Adam(copy.deepcopy(model).parameters(), lr=0.1)
    return model, lambda: squares(model(x)), optimizer


@broken("stale optimizer", "first.weight first.bias", "does not hold")
def an_optimizer_of_the_last_layer_alone():
    model, x = Two(tx.tanh), points(6, 4)
    return model, lambda: squares(model(x)), tx.optim.SGD(model.second.parameters(), lr=0.1)


@broken("lr", ALL, "learning rate is 0")
def a_learning_rate_of_zero():
    model, x = Two(tx.tanh), points(6, 4)
    return model, lambda: squares(model(x)), tx.optim.SGD(model.parameters(), lr=0.0)


@broken("frozen", ALL, "requires_grad=False")
def everything_frozen():
    model, x = Two(tx.tanh), points(6, 4)
    model.requires_grad_(False)
    return model, lambda: squares(model(x))
