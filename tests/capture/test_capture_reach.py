"""What steers a captured step by name: every place where a program keeps its settings is seen."""

import argparse
import copy
import functools
import io
import operator
import os
import pickle
import threading
import types
from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.errors import CaptureError
from tinyxp.nn import functional as F


class Config:
    beta = 1.0


class Slotted:
    __slots__ = ("beta",)


@dataclass
class Data:
    beta: float = 1.0


class AttributeDict(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def with_beta(x):
    x.beta = 1.0
    return x


def function():
    """Holds an attribute."""


BETA = 1.0
MODULE = with_beta(types.ModuleType("settings_of_a_test"))
WORDS = {f"word {i}": i for i in range(20_000)}
PAIR = namedtuple("Pair", "cfg other")({"beta": 1.0}, 0)
OBJECT, SHADOWED = with_beta(Config()), Config()
NAMESPACE, SIMPLE = argparse.Namespace(beta=1.0), types.SimpleNamespace(beta=1.0)
SLOTTED, DATA, ATTRIBUTES = with_beta(Slotted()), Data(), AttributeDict(beta=1.0)
ORDERED, DEFAULT = OrderedDict(beta=1.0), defaultdict(float, beta=1.0)
QUEUE, NAMES, NUMBERS = deque([1.0]), {"beta"}, np.ones(3)
HIDDEN = with_beta(function)


def set_global(value):
    globals()["BETA"] = value


# how a step reads a number, and how the program changes it
SETTINGS = {
    "global": (lambda: BETA, set_global),
    "class": (lambda: Config.beta, lambda v: setattr(Config, "beta", v)),
    "object": (lambda: OBJECT.beta, lambda v: setattr(OBJECT, "beta", v)),
    "over a class's": (lambda: SHADOWED.beta, lambda v: setattr(SHADOWED, "beta", v)),
    "module": (lambda: MODULE.beta, lambda v: setattr(MODULE, "beta", v)),
    "argparse": (lambda: NAMESPACE.beta, lambda v: setattr(NAMESPACE, "beta", v)),
    "SimpleNamespace": (lambda: SIMPLE.beta, lambda v: setattr(SIMPLE, "beta", v)),
    "slots": (lambda: SLOTTED.beta, lambda v: setattr(SLOTTED, "beta", v)),
    "dataclass": (lambda: DATA.beta, lambda v: setattr(DATA, "beta", v)),
    "dict with attributes": (lambda: ATTRIBUTES.beta, lambda v: ATTRIBUTES.update(beta=v)),
    "OrderedDict": (lambda: ORDERED["beta"], lambda v: ORDERED.update(beta=v)),
    "defaultdict": (lambda: DEFAULT["beta"], lambda v: DEFAULT.update(beta=v)),
    "named tuple": (lambda: PAIR.cfg["beta"], lambda v: PAIR.cfg.update(beta=v)),
    "deque": (lambda: QUEUE[0], lambda v: QUEUE.__setitem__(0, v)),
    "set": (lambda: len(NAMES), lambda v: NAMES.add(str(v))),
    "array": (lambda: float(NUMBERS[0]), lambda v: NUMBERS.fill(v)),
    "function": (lambda: HIDDEN.beta, lambda v: setattr(HIDDEN, "beta", v)),
    "getattr": (lambda: getattr(OBJECT, "be" + "ta"), lambda v: setattr(OBJECT, "beta", v)),
    "many words": (lambda: WORDS["word 7"], lambda v: WORDS.update({"word 7": v})),
}


@pytest.mark.parametrize("place", SETTINGS)
def test_a_setting_that_changes_is_seen(place):
    read, change = SETTINGS[place]
    step = tx.capture(lambda x: x * read())
    for value in (1.0, 1.0, 2.0, 3.0, 3.0, 3.0, -0.0, 0.0):
        change(value)
        expected = (tx.ones(2) * read()).numpy().tobytes()
        assert step(tx.ones(2)).numpy().tobytes() == expected, value


class Net(nn.Module):
    scale = 1.0

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
        nn.init.ones_(self.layers[0].weight)

    def forward(self, x):
        return self.layers(x) * self.scale


CHANGES = {
    "over the class": lambda net: setattr(net, "scale", 2.0),
    "forward of an object": lambda net: net.__dict__.update(forward=lambda x: x - 7),
    "forward of a layer": lambda net: net.layers[1].__dict__.update(forward=lambda x: 3 * x),
    "layer": lambda net: net.layers.__setitem__(1, nn.ReLU()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_changes_is_seen(change):
    def by_default(x, net):
        return net(x)

    for make in (lambda net: net, lambda net: functools.partial(by_default, net=net)):
        net = Net()
        step = tx.capture(make(net))
        for k in range(6):
            if k == 2:
                CHANGES[change](net)
            with tx.no_grad():
                assert step(tx.ones((1, 2))).tolist() == net(tx.ones((1, 2))).tolist(), k


def test_default_arguments_are_seen():
    net = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.9))

    def step(x, net=net, *, also=net):
        return net(x) + also(x)

    fast = tx.capture(step)
    fast(tx.ones((1, 2)))
    net.eval()
    assert fast(tx.ones((1, 2))).tolist() == step(tx.ones((1, 2))).tolist()


# -- numbers that a recording might take for constant ----------------------------------------------

TABLE = [0.5, 1.0, 1.5, 2.0]
LOOKUPS = {
    "take": lambda t: tx.take(tx.tensor(TABLE), t),
    "index": lambda t: tx.tensor(TABLE)[t],
    "arange": lambda t: tx.arange(4)[t] * 2,
    "embedding": lambda t: F.embedding(t, tx.eye(4)),
    "class weights": lambda t: F.cross_entropy(tx.eye(4), t, weight=tx.tensor(TABLE)),
    "nll": lambda t: F.nll_loss(tx.eye(4), t, weight=tx.tensor(TABLE)),
    "in place": lambda t: tx.ones_like(t).add_(t),
}


@pytest.mark.parametrize("name", LOOKUPS)
def test_tables_made_in_the_step(name):
    """Also where the first batch is one class alone, so that trials on it say nothing."""
    step = tx.capture(LOOKUPS[name])
    for labels in ([0, 0, 0, 0], [1, 0, 1, 2], [2, 2, 2, 2], [3, 1, 0, 2]):
        expected = LOOKUPS[name](tx.tensor(labels))
        assert step(tx.tensor(labels)).tolist() == expected.tolist(), labels


def test_lengths_of_ctc_are_read_again():
    logits = F.log_softmax(tx.asarray(np.random.default_rng(0).normal(size=(6, 2, 4))), dim=2)
    targets, step = tx.asarray([[1, 2], [2, 3]]), lambda n: F.ctc_loss(logits, targets, n, (2, 2))
    fast = tx.capture(step)
    for lengths in ([6, 6], [6, 4], [3, 5]):
        assert fast(tx.asarray(lengths)).item() == step(tx.asarray(lengths)).item()


def test_the_order_of_sums_follows_the_inputs_order_in_memory():
    rng = np.random.default_rng(0)
    x = tx.asarray(rng.normal(size=(300, 300)).astype("float32"))
    fast = tx.capture(lambda x: x.sum())
    for y in (x, x.mT, tx.flip(x), x[::2], x.mT, x):
        if y.shape == x.shape:
            assert fast(y).item() == y.sum().item()


# -- threads, copies, methods, errors --------------------------------------------------------------


def test_threads_get_their_own_results():
    net = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
    fast, wrong = tx.capture(lambda x: net(x).detach()), []
    inputs = [tx.ones((4, 8)) * k for k in range(4)]
    expected = [net(x).tolist() for x in inputs]

    def run(k):
        wrong.extend(k for _ in range(50) if fast(inputs[k]).tolist() != expected[k])

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


class Learner(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.fast = tx.capture(self.slow)

    def slow(self, x):
        """The slow way."""
        return self.layer(x).sum()

    @tx.capture
    def method(self, x):
        return self.layer(x).sum()


def test_captured_steps_are_copied_and_are_methods():
    learner, x = Learner(), tx.ones((3, 2))
    expected = learner.slow(x).item()
    assert learner.fast(x).item() == learner.method(x).item() == expected
    twin = copy.deepcopy(learner)
    with tx.no_grad():
        learner.layer.weight.zero_()
    assert twin.fast(x).item() == twin.method(x).item() == expected != learner.fast(x).item()
    assert learner.fast.__name__ == "slow" and learner.fast.__doc__ == "The slow way."
    assert pickle.loads(pickle.dumps(tx.capture(F.relu)))(tx.ones(1)).item() == 1.0


def test_errors_of_a_replay_are_those_of_the_step():
    weight = tx.eye(2).requires_grad_()

    def step(x):
        weight.grad = None
        y = tx.linalg.inv(x @ weight)
        y.sum().backward()
        return y

    fast = tx.capture(step)
    fast(tx.eye(2))
    with pytest.raises(tx.errors.TinyError):
        fast(tx.zeros((2, 2)))
    assert weight.grad is None
    with tx.detect_anomaly(), pytest.raises(tx.errors.AnomalyError):
        tx.capture(lambda x: tx.log(x))(-tx.ones(2))
    anything = tx.capture(lambda x: tx.log(x).sum())
    anything(tx.ones(2))
    with tx.detect_anomaly(), pytest.raises(tx.errors.AnomalyError):
        anything(-tx.ones(2))
    with pytest.raises(tx.errors.InputsError, match="is a Tensor, got a NumPy array"):
        tx.capture(step)(np.eye(2))


UNSEEN = {
    "environ": lambda x: x * float(os.environ.get("BETA", 1)),
    "globals": lambda x: x * globals()["BETA"],
    "attrgetter": functools.partial(lambda get, x: x * get(OBJECT), operator.attrgetter("beta")),
    "open file": functools.partial(lambda file, x: file.write("x") and x, io.StringIO()),
}


@pytest.mark.parametrize("place", UNSEEN)
def test_what_cannot_be_compared_is_refused(place):
    with pytest.raises(CaptureError, match="and a replay would not see changes in it"):
        tx.capture(UNSEEN[place])(tx.ones(2))


def test_an_error_after_the_optimizer_leaves_what_the_step_leaves():
    def run(capture):
        weight = tx.ones(2).requires_grad_()
        optimizer, seen = tx.optim.Adam([weight], lr=0.1), []

        def step(x, a):
            optimizer.zero_grad()
            (weight * x).sum().backward()
            optimizer.step()
            return tx.linalg.inv(a)

        step = capture(step)
        for k in range(5):
            try:
                step(tx.ones(2) * k, tx.eye(2) * (k != 3))
            except tx.errors.TinyError as error:
                seen.append(type(error))
            seen.append([weight.tolist(), weight.grad.tolist()])
        return seen

    assert run(tx.capture) == run(lambda step: step)
