"""A program with ``tx.capture`` cannot be told from the program without it, or it is refused.

Each program here runs twice, with its steps plain and captured, and everything that it can see at
its end has to have the same bits.
"""

import itertools
import random
import sys
from collections import namedtuple

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tinyxp import nn
from tinyxp.core.tree import leaves
from tinyxp.errors import CaptureError, GradientError, InputsError
from tinyxp.nn import functional as F


def bits(found):
    """Everything in a tree, tensors as bytes."""
    return [
        (x.shape, x.dtype.name, x.detach().numpy().tobytes()) if isinstance(x, tx.Tensor) else x
        for _, x in leaves(found)
    ]


def both(program):
    """The program with its steps as they are, and captured; both see the same."""
    plain = bits(program(lambda step: step))
    assert bits(program(tx.capture)) == plain
    return plain


def batch(k, rows=6):
    rng = np.random.default_rng(k)
    x, y = rng.normal(size=(rows, 4)).astype("float32"), rng.integers(0, 3, rows)
    return tx.asarray(x), tx.asarray(y)


def learner(optimizer="AdamW", **options):
    tx.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.GELU(), nn.Linear(5, 3))
    options = {"lr": 0.05} | options
    return model, getattr(tx.optim, optimizer)(model.parameters(), **options)


def step_of(model, optimizer):
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def everything(model, optimizer):
    state = [list(s.values()) for s in optimizer.state_dict()["state"].values()]
    return [list(model.state_dict().values()), state, [p.grad for p in model.parameters()]]


# -- what a program holds from before a replay -----------------------------------------------------


def graph_of(w):
    """A graph that has saved the weight, and goes back through it after the replay."""
    z = tx.ones((2, w.shape[1])).requires_grad_()
    y = F.linear(z, w).sum()
    return lambda: y.backward() or z.grad


def second_order(w):
    z = tx.ones((2, w.shape[1])).requires_grad_()
    y = (F.linear(z, w) ** 3).sum()
    (g,) = tx.autograd.grad([y], [z], create_graph=True)
    return lambda: tx.autograd.grad([(g * g).sum()], [z])[0]


HOLDS = {
    "detach": lambda w: w.detach(),
    "row": lambda w: w.detach()[0],
    "rows, reversed": lambda w: w.detach()[::-2],
    "transpose": lambda w: w.detach().mT,
    "reshape": lambda w: w.detach().reshape(-1),
    "flip": lambda w: tx.flip(w.detach()),
    "split": lambda w: list(tx.split(w.detach(), 1)),
    "expand": lambda w: w.detach()[:, :1].expand(-1, 3),
    "no_grad": lambda w: tx.no_grad()(lambda: w[1:])(),
    "raw array": lambda w: (lambda array: lambda: tx.asarray(array))(w.array),
    "view of the raw array": lambda w: (lambda array: lambda: tx.asarray(array))(w.array[1:]),
    "NumPy": lambda w: (lambda array: lambda: tx.asarray(array))(np.from_dlpack(w.detach())),
    "gradient": lambda w: w.grad if w.grad is not None else tx.zeros(1),
    "graph": graph_of,
    "graph of a view": lambda w: graph_of(w[1:]),
    "second order": second_order,
}


@each("hold", HOLDS)
@each("optimizer", ["AdamW", "SGD"])
def test_what_is_held_stays_what_it_is(hold, optimizer):
    def program(capture):
        model, opt = learner(optimizer)
        step, kept = capture(step_of(model, opt)), []
        for k in range(4):
            kept.append(HOLDS[hold](model[0].weight))
            kept.append(step(*batch(k)))
            kept.append([HOLDS[hold](p) for p in (model[0].weight, model[3].weight)])
        found = [x() if callable(x) else x for _, x in leaves(kept)]
        return found, everything(model, opt)

    both(program)


def test_results_are_new_each_time():
    model, opt = learner()
    step = tx.capture(step_of(model, opt))
    losses = [step(*batch(k)) for k in range(3)]
    assert len({x.item() for x in losses}) == 3
    with pytest.raises(GradientError, match=r"call backward\(\) inside the step"):
        losses[0].backward()


# -- states that go from step to step --------------------------------------------------------------


def test_gradients_that_a_step_adds_to():
    """Forgotten by the program: at each step, at each second one, set to zeros, or never."""
    for forget in (1, 2, None):
        for to_none in (True, False):

            def program(capture, forget=forget, to_none=to_none):
                model, opt = learner("SGD")

                def backward(x, y):
                    loss = F.cross_entropy(model(x), y)
                    loss.backward()
                    return loss

                step, seen = capture(backward), []
                for k in range(7):
                    if forget and k % forget == 0:
                        opt.zero_grad(set_to_none=to_none)
                    seen.append(step(*batch(k)))
                    opt.step()
                    seen.append([p.grad for p in model.parameters()])
                return seen, everything(model, opt)

            both(program)


def test_gradients_set_to_zeros_inside():
    def program(capture):
        model, opt = learner("SGD", momentum=0.5)

        def inner(x, y):
            opt.zero_grad(set_to_none=False)
            F.cross_entropy(model(x), y).backward()
            opt.step()

        step = capture(inner)
        for k in range(5):
            step(*batch(k))
        return everything(model, opt)

    both(program)


class Recurrent(nn.Module):
    """Keeps its hidden state from step to step, and statistics that it binds anew."""

    def __init__(self, begun):
        super().__init__()
        self.cell, self.head = nn.RNNCell(4, 5), nn.Linear(5, 3)
        self.hidden = tx.zeros((6, 5)) if begun else None
        self.register_buffer("count", tx.zeros(1))
        self.register_buffer("mean", tx.zeros(4))

    def forward(self, x):
        self.count = self.count + 1
        self.mean = 0.9 * self.mean + 0.1 * x.mean(axis=0)
        hidden = self.cell(x - self.mean, self.hidden)
        self.hidden = hidden.detach()
        return self.head(hidden)


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("optimizer", ["AdamW", "SGD"])
def test_names_bound_to_new_tensors_are_state(begun, optimizer):
    def program(capture):
        tx.manual_seed(0)
        model = Recurrent(begun)
        opt = getattr(tx.optim, optimizer)(model.parameters(), lr=0.1)
        step, kept = capture(step_of(model, opt)), []
        for k in range(9):
            if k == 5:
                model.hidden = tx.ones((6, 5))
            if k == 6 and not begun:
                model.hidden = None
            kept += [step(*batch(k)), model.count, model.hidden, model.mean[:2]]
        return kept, everything(model, opt)

    both(program)


def test_variables_of_a_closure_are_state():
    def program(capture):
        weight = tx.asarray([1.0, -2.0]).requires_grad_()
        total = tx.zeros(2)

        def step(x):
            nonlocal total
            weight.grad = None
            (weight * x * total).sum().backward()
            total = total + x * weight.detach()
            return total

        step, kept = capture(step), []
        for k in range(5):
            kept += [step(tx.ones(2) * k), total, weight.grad]
            if k == 2:
                total = tx.asarray([5.0, 6.0])
            if k == 3:
                weight.array = weight.array + 1
        return kept

    assert len(set(map(str, both(program)))) > 5


def test_tensors_that_a_step_only_reads():
    """Bound anew, loaded, changed in place, of another order in memory, and shared."""

    def program(capture):
        teacher, scale = nn.Linear(4, 4), tx.asarray([1.0, 2.0, 3.0, 4.0])
        teacher.load_state_dict({"weight": tx.eye(4), "bias": tx.ones(4)})
        shared = scale.detach()

        def step(x):
            with tx.no_grad():
                return teacher(x) * scale + shared, teacher.bias

        step, kept = capture(step), []
        for k in range(8):
            kept += step(batch(k)[0])
            if k == 1:
                teacher.load_state_dict({"weight": 2 * tx.eye(4), "bias": tx.zeros(4)})
            if k == 2:
                teacher.weight.array *= 0.5
            if k == 3:
                scale.array = np.asarray([4.0, 0.0, 3.0, 0.0, 2.0, 0.0, 1.0, 0.0], "float32")[::2]
            if k == 4:
                scale.array[1] = 9.0
            if k == 5:
                teacher.weight.array = np.asfortranarray(
                    np.arange(16.0, dtype="float32").reshape(4, 4)
                )
            if k == 6:
                scale = tx.ones(4) * 7
        return kept

    both(program)


def test_writes_in_place_are_seen_by_views():
    """Those that the program holds when the replay comes, of what the step writes to."""

    def program(capture):
        total, row = tx.zeros((3, 4)), tx.zeros((2, 4))
        first = row[0]

        def step(x):
            with tx.no_grad():
                total.add_(1) if hasattr(total, "add_") else total.__iadd__(1)
                total[1] += x
                first.__imul__(2.0)
                row[1] = x
            return total.sum()

        step, views, kept = capture(step), [total[0], total.detach()[:, 1]], []
        for k in range(6):
            views += [total[k % 3], row.mT, total.detach()]
            kept.append(total + 0)
            kept.append(step(tx.ones(4) * k))
            kept += [x + 0 for x in views]
            if k == 2:
                row[0] = 3.0
            if k == 3:
                first += 1
            if k == 4:
                views[0][1] = 9.0
        return kept, views, total, row, first

    both(program)


def test_arrays_of_numpy_are_read_again():
    def program(capture):
        mask, other = np.ones(3, "float32"), np.arange(3)

        def step(x):
            return x * mask + tx.asarray(other, dtype=tx.float32) * tx.tensor(mask)

        step, kept = capture(step), []
        for k in range(5):
            kept.append(step(tx.ones(3) * k))
            mask[k % 3] = k
            other += 1
            if k == 3:
                mask = mask[::-1].copy()
        return kept

    both(program)


def test_two_captures_of_one_model_and_steps_outside():
    def program(capture):
        model, opt = learner("SGD", momentum=0.9)
        other = tx.optim.AdamW(model[3].parameters(), lr=0.01)
        first, second = capture(step_of(model, opt)), capture(step_of(model, other))
        seen = []
        for k in range(8):
            seen.append((first, second, step_of(model, opt))[k % 3](*batch(k)))
            if k == 4:
                model.eval()
                with tx.no_grad():
                    seen.append(model(batch(99)[0]))
                model.train()
            seen.append([p.grad for p in model.parameters()])
        return seen, everything(model, opt)

    both(program)


def test_an_exception_between_and_inside():
    def program(capture):
        model, opt = learner()
        step, seen = capture(step_of(model, opt)), []
        for k in range(6):
            x, y = batch(k)
            if k in (0, 3):
                y = y + 7  # classes that there are not
            try:
                seen.append(step(x, y))
            except tx.errors.IndexingError as error:
                seen.append(str(error))
        return seen, everything(model, opt)

    assert "out of range" in str(both(program))


def test_inside_autocast_and_without_gradients():
    def program(capture):
        model, opt = learner()
        step, x, seen = capture(step_of(model, opt)), batch(50)[0], []
        for k in range(6):
            with tx.autocast(dtype=tx.bfloat16):
                seen.append(model[0](x).float())
                seen.append(step(*batch(k)).float())
                seen.append(model[0](x).float())
            seen.append(step(*batch(k)))
        return seen, everything(model, opt)

    both(program)


def test_a_step_within_a_step():
    def program(capture):
        model, opt = learner()
        inner = capture(step_of(model, opt))
        outer = capture(lambda x, y: inner(x, y) + 1)
        return [[inner(*batch(k)), outer(*batch(k + 10))] for k in range(3)], everything(model, opt)

    both(program)


# -- what is refused -------------------------------------------------------------------------------

KEPT, COUNT = [], 0
RNG, ENDLESS, BAG = np.random.default_rng(0), itertools.count(), set()
PAIR = namedtuple("Pair", "a b")({"n": 1}, 2)


def counting(x):
    global COUNT
    COUNT += 1
    return x + 1


class Counting:
    steps = 0

    def __call__(self, x):
        self.steps = self.steps + 1
        return x * 2


REFUSED = {
    "a list": (lambda x: KEPT.append(x * 2), r"KEPT\[0\]"),
    "a global": (counting, r"COUNT \(test_capture_law.py:\d+\)"),
    "an attribute": (Counting(), r"steps \(test_capture_law.py:\d+\)"),
    "a mode": (lambda x: (tx.set_grad_enabled(False), x * 2)[1], "leaves another mode behind"),
    "an input": (lambda x: x.__iadd__(1), "writes in place to its input"),
    "a number read": (lambda x: x * x.sum().item(), r"reads numbers .*test_capture_law.py:\d+"),
    "Python's random": (lambda x: x * random.random(), "draws Python's or NumPy's random numbers"),
    "NumPy's": (lambda x: x * float(RNG.random() < 2), r"uses RNG \(Generator\)"),
    "an iterator": (lambda x: x * (next(ENDLESS) >= 0), r"uses ENDLESS \(count\)"),
    "NumPy's array of it": (lambda x: x * tx.asarray(np.asarray(x) * 2), "reads numbers out"),
    "a set": (lambda x: x if BAG.add(len(BAG)) else x * 2, "something else in BAG"),
    "a named tuple's dict": (lambda x: PAIR.a.update(n=PAIR.a["n"] + 1) or x * 2, r"PAIR.*'n'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_recording_holds_is_refused_with_its_line(case):
    step, words = REFUSED[case]
    with pytest.raises(CaptureError, match=words):
        tx.capture(step)(tx.ones(3))
    assert KEPT == [] and COUNT == 0 and Counting.steps == 0


def test_a_tensor_hidden_from_names_is_refused():
    def step(x):
        sys.hidden = x * 2
        return x + 1

    with pytest.raises(CaptureError, match=r"this step keeps .* which a replay would not replace"):
        tx.capture(step)(tx.ones(3))
    del sys.hidden


def test_a_graph_from_step_to_step_is_refused():
    model = Recurrent(True)

    def step(x):
        model.hidden = model.cell(x, model.hidden)
        return model.hidden.sum()

    with pytest.raises(CaptureError, match="graph of a tensor in .*hidden.*; detach it"):
        tx.capture(step)(batch(0)[0])


def test_inputs_of_another_form_are_told():
    model, opt = learner()
    step = tx.capture(step_of(model, opt))
    step(*batch(0))
    before = bits(everything(model, opt))
    with pytest.raises(InputsError, match=r"captured with \(6, 4\)"):
        step(*batch(0, rows=5))
    assert bits(everything(model, opt)) == before


# -- programs at random ----------------------------------------------------------------------------


def acts(model, opt, kept, rng):
    """What a program may do between two steps."""
    p = list(model.parameters())[rng.integers(6)]
    return [
        lambda: None,
        lambda: kept.append(p.detach()),
        lambda: kept.append(p.detach().mT if p.ndim == 2 else p.detach()[::-1]),
        lambda: kept.append(graph_of(model[0].weight)),
        lambda: kept.append([p.grad for p in model.parameters()]),
        lambda: kept.append(model.state_dict()),
        lambda: opt.zero_grad(),
        lambda: opt.param_groups[0].update(lr=float(rng.uniform(0.01, 0.1))),
        lambda: setattr(p, "array", p.array * 0.9),
        lambda: p.array.__imul__(0.9),
        lambda: model.load_state_dict({k: 0.5 * v for k, v in model.state_dict().items()}),
        lambda: opt.load_state_dict(opt.state_dict()),
        lambda: step_of(model, opt)(*batch(77)),
        lambda: model.train(not model.training),
        lambda: model[1].train(not model[1].training),
        lambda: p.requires_grad_(not p.requires_grad),
        lambda: setattr(p, "grad", None),
        lambda: model.__setitem__(2, nn.GELU() if isinstance(model[2], nn.Tanh) else nn.Tanh()),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_programs_at_random(seed):
    def program(capture):
        rng = np.random.default_rng(seed)
        model, opt = learner(("AdamW", "SGD", "RMSprop")[seed % 3])
        steps, kept = [capture(step_of(model, opt)) for _ in range(2)], []
        for k in range(30):
            for i in rng.integers(18, size=rng.integers(3)):
                acts(model, opt, kept, rng)[i]()
            kept.append(steps[int(rng.random() < 0.2)](*batch(k)))
        kept = [x() if callable(x) else x for _, x in leaves(kept)]
        return kept, everything(model, opt)

    both(program)
