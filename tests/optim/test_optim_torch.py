"""Every optimizer beside PyTorch's, over the options that PyTorch's own tests give it."""

import copy
import functools
import inspect
import warnings

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.nn.pytorch import Translator
from tinyxp import optim
from tinyxp.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    ShapeError,
    TinyError,
)

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_optimizers import optim_db

INFOS = {info.optim_cls.__name__: info for info in optim_db}
LEFT_OUT = {"LBFGS", "SparseAdam", "Adafactor"}  # not built
BUILT = sorted(INFOS.keys() - LEFT_OUT)
EXACT = [name for name in BUILT if name != "Muon"]  # Muon: PyTorch's iterates in bfloat16
MORE = {  # what PyTorch's tests leave out
    "SGD": [{"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1, "maximize": True}],
    "Adam": [{"betas": (0.5, 0.9), "eps": 1e-3}, {"amsgrad": True}]
    + [{"decoupled_weight_decay": True, "weight_decay": 0.3}],
    "AdamW": [{"maximize": True, "amsgrad": True}],
    "ASGD": [{"t0": 5, "lambd": 0.1, "alpha": 0.5, "lr": 0.05}],
    "RAdam": [{"betas": (0.9, 0.5)}, {"betas": (0.8, 0.99)}],
    "RMSprop": [{"momentum": 0.9}, {"alpha": 0.5, "eps": 1e-3}],
    "Rprop": [{"step_sizes": (1e-3, 0.05), "lr": 0.02}],
    "Adadelta": [{"lr": 0.5, "eps": 1e-3, "maximize": True}],
    "Adagrad": [{"eps": 0.1}],
    "Adamax": [{"eps": 0.1, "betas": (0.8, 0.9)}],
    "NAdam": [{"eps": 0.1}],
}
SHAPES = [(4, 3), (3,), (), (2, 0), (2, 2)]
MATRICES = [(4, 3), (3, 5), (2, 2), (6, 1), (3, 3)]


def inputs(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [x.kwargs for x in INFOS[name].optim_inputs_func("cpu")]
    return found + MORE.get(name, [])


CASES = [(name, i) for name in EXACT for i in range(len(inputs(name)))]


class Run:
    """Parameters that an optimizer moves: PyTorch's if ``module`` is torch.optim, else ours.

    Two groups of different options; the third comes at step 10. Each gradient follows from the
    parameter's present value, so that no difference is forgotten (but Muon's gradients are drawn:
    it brings the smallest singular values up to 1, and a gradient that feels that would be chaos).
    Parameter 1 has a gradient from step 3 on only, and then not at every fifth.
    """

    def __init__(self, module, name, kwargs, dtype="float64"):
        rng = np.random.default_rng(0)
        self.ours, self.forced = module is optim, name == "Muon"
        values = [rng.normal(size=shape) for shape in (MATRICES if self.forced else SHAPES)]
        if dtype.startswith("complex"):
            values = [x + 1j * rng.normal(size=x.shape) for x in values]
        make = tx.asarray if self.ours else torch.tensor
        self.params = [make(np.asarray(x, dtype)).requires_grad_() for x in values]
        kwargs = Translator()(kwargs) if self.ours else kwargs
        self.slope = -1 if kwargs.get("maximize") else 1  # a bowl, or a hill
        self.other = {"lr": 0.5 * float(kwargs.get("lr", 0.02))}
        if "weight_decay" in kwargs:
            self.other["weight_decay"] = 0.05
        self.optimizer = getattr(module, name)(
            [{"params": self.params[:2]}, {"params": self.params[2:4]} | self.other], **kwargs
        )
        self.step = 0

    def values(self):
        return [np.asarray(p.detach().numpy()) for p in self.params]

    def go(self, steps):
        for _ in range(steps):
            i = self.step
            if i == 10:
                self.optimizer.add_param_group({"params": self.params[4]} | self.other)
            for group in self.optimizer.param_groups[: 2 * (i in (40, 60))]:
                group["lr"] = group["lr"] * (0.5 if i == 40 else 3)
            for k, (p, x) in enumerate(zip(self.params, self.values(), strict=True)):
                g = (k + 1) * (x - np.cos(i + k)) + 0.1 * np.sin(7 * x.real)
                if self.forced:
                    g = np.random.default_rng((i, k)).normal(size=x.shape)
                g = np.asarray(self.slope * g, x.dtype) if k != 1 or (i >= 3 and i % 5) else None
                p.grad = g if g is None else tx.asarray(g) if self.ours else torch.tensor(g)
            self.optimizer.step()
            self.step += 1
        return self


def assert_equal(ours, theirs, tolerance):
    theirs = theirs if isinstance(theirs, list) else theirs.values()
    for p, q in zip(ours.values(), theirs, strict=True):
        assert p.dtype == q.dtype
        np.testing.assert_allclose(p, q, rtol=tolerance, atol=tolerance)


def both(name, kwargs, steps, dtype="float64"):
    return [Run(module, name, kwargs, dtype).go(steps) for module in (optim, torch.optim)]


@functools.cache
def reached(name, i, steps, dtype="float64"):
    """Where PyTorch's parameters are."""
    return Run(torch.optim, name, inputs(name)[i], dtype).go(steps).values()


def test_every_optimizer_of_pytorch_is_known():
    assert {name for name in dir(optim) if name in INFOS} == set(BUILT)
    assert INFOS.keys() >= LEFT_OUT


@each(("name", "i"), CASES)
def test_200_steps(name, i, backend):
    # the rules are one for all backends: 20 steps pass every branch that a step number chooses
    steps = 200 if backend == "numpy" else 20
    assert_equal(Run(optim, name, inputs(name)[i]).go(steps), reached(name, i, steps), 1e-6)


@each(("name", "i"), CASES)
def test_steps_in_float32(name, i):
    # the long way is float64's above; a wrong precision shows in the first steps
    assert_equal(*both(name, inputs(name)[i], 50, "float32"), 1e-6)


@each("name", EXACT)
def test_complex_parameters(name, backend):
    for kwargs in inputs(name)[1:4] + MORE.get(name, []):
        assert_equal(*both(name, kwargs, 12, "complex128"), 1e-6)


@pytest.mark.parametrize("name", EXACT)
def test_state_has_pytorchs_layout(name):
    for kwargs in inputs(name):
        if torch.is_tensor(kwargs.get("lr")):
            continue
        ours, theirs = (run.optimizer.state_dict() for run in both(name, kwargs, 12))
        assert ours["param_groups"] == theirs["param_groups"]
        assert ours["state"].keys() == theirs["state"].keys()
        for i, state in theirs["state"].items():
            assert ours["state"][i].keys() == state.keys()
            for key, value in state.items():
                mine = ours["state"][i][key]
                mine = mine.numpy() if isinstance(mine, tx.Tensor) else mine
                np.testing.assert_allclose(mine, value, rtol=1e-6, err_msg=f"{i} {key}")


@each("name", EXACT)
def test_state_moves_both_ways(name, backend):
    """Steps 0 to 12 in one library, 12 to 24 in the other: the same as all of them in one."""
    for kwargs in inputs(name) if backend == "numpy" else inputs(name)[3:5]:
        ours, theirs = both(name, kwargs, 12)
        heirs = Run(torch.optim, name, kwargs), Run(optim, name, kwargs)
        for heir, source in zip(heirs, (ours, theirs), strict=True):
            heir.optimizer.add_param_group({"params": heir.params[4]} | heir.other)
            state = copy.deepcopy(source.optimizer.state_dict())
            for values in state["state"].values() if source is ours else ():
                for key, value in values.items():
                    if isinstance(value, tx.Tensor):
                        values[key] = torch.tensor(value.numpy())
            heir.optimizer.load_state_dict(state)
            with torch.no_grad():
                for p, value in zip(heir.params, source.values(), strict=True):
                    p.data = tx.asarray(value) if heir.ours else torch.tensor(value)
            heir.step = source.step
            heir.go(12)
            assert_equal(heir, source.go(12), 1e-6)


def one_step(module, name, **options):
    p = (torch.ones((2, 2)) if module is torch.optim else tx.ones((2, 2))).requires_grad_(True)
    optimizer = getattr(module, name)([p], lr=0.1, **options)
    (p * p).sum().backward()
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("module", [optim, torch.optim], ids=["ours", "PyTorch's"])
def test_a_state_is_loaded_whole_or_refused(module):
    """That of each class by each: Adam and AdamW differ in an option, which goes with it."""
    kinds = [*EXACT, "Muon"]
    states = {name: one_step(module, name).state_dict() for name in kinds}
    for name in kinds:
        for other, state in states.items():
            heir = one_step(optim, name)
            before = repr(heir.state_dict())
            if name == other or {name, other} == {"Adam", "AdamW"}:
                heir.load_state_dict(state)
                decoupled = state["param_groups"][0].get("decoupled_weight_decay")
                assert heir.param_groups[0].get("decoupled_weight_decay") is decoupled
                continue
            with pytest.raises(ArgumentError, match=f"this is not the state of {name}: among its"):
                heir.load_state_dict(state)
            assert repr(heir.state_dict()) == before, (name, other)


def test_a_state_with_too_much_or_too_little_is_refused():
    heir = one_step(optim, "Adam")
    state = one_step(torch.optim, "Adam").state_dict()
    group, values = state["param_groups"][0], state["state"][0]

    def changed(of=group, **more):
        return {"state": {0: values}, "param_groups": [of | more]}

    lacking = {k: v for k, v in values.items() if k != "exp_avg_sq"}
    for wrong, message in (
        (changed(amsgrad=True), "values for parameter 0 it lacks max_exp_avg_sq"),
        (state | {"state": {0: lacking}}, "values for parameter 0 it lacks exp_avg_sq"),
        (
            state | {"state": {0: values | {"max_exp_avg_sq": values["exp_avg"]}}},
            "it has max_exp_a",
        ),
        (state | {"state": {0: values, 7: values}}, r"entries for parameters \[7\] that are in no"),
        (state | {"more": 1}, "'state' and 'param_groups', got"),
        (
            changed({k: v for k, v in group.items() if k != "betas"}),
            "among its options it lacks bet",
        ),
        (changed(momentum=0.9), "among its options it has momentum"),
        (changed(lr=-1.0), r"lr expects a number in \[0, inf\)"),
        (changed(differentiable=True), "differentiable=True is refused"),
        (None, "an optimizer's state has 'state' and 'param_groups', got None"),
    ):
        with pytest.raises(ArgumentError, match=message):
            heir.load_state_dict(wrong)
    heir.load_state_dict(changed(initial_lr=0.5, mine="a"))  # a schedule's, and the user's
    assert heir.param_groups[0]["initial_lr"] == 0.5 and heir.param_groups[0]["mine"] == "a"
    climbing = one_step(optim, "Adam", maximize=True)
    climbing.load_state_dict(changed({k: v for k, v in group.items() if k != "maximize"}))
    assert climbing.param_groups[0]["maximize"] is False  # an earlier release did not climb


# -- what is refused --------------------------------------------------------------------------

EXPLAINED = {
    "lr as Tensor doesn't work with foreach & not capturable": "foreach chooses nothing here, and "
    "a Tensor lr counts by its value",
}


def errors():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            (name, error)
            for name in BUILT
            for error in INFOS[name].optim_error_inputs_func("cpu", torch.float64)
        ]


@each(("name", "error"), errors())
def test_what_pytorch_refuses(name, error):
    case, translate = error.optimizer_error_input, Translator()
    params = case.params if case.params is not None else [torch.ones(2, 2, requires_grad=True)]
    params = translate(params)
    for theirs, p in translate.known.values():
        p.grad = None if theirs.grad is None else tx.asarray(theirs.grad.numpy())
    if case.desc in EXPLAINED:
        assert getattr(optim, name)(params, **translate(case.kwargs)).param_groups[0]["lr"] > 0
        return
    with pytest.raises(TinyError):
        getattr(optim, name)(params, **translate(case.kwargs)).step()


def test_options_of_implementations():
    p = tx.asarray([1.0], requires_grad=True)
    with pytest.raises(ArgumentError, match="differentiable=True is refused"):
        optim.SGD([p], differentiable=True)
    for options in ({"foreach": True}, {"fused": True}, {"capturable": True}):
        q = tx.asarray([1.0], requires_grad=True)
        optimizer = optim.Adam([q], lr=0.5, **options)
        q.grad = tx.asarray([2.0])
        optimizer.step()
        assert q.tolist() == [0.5]


def test_groups_with_names():
    model = tx.nn.Linear(2, 1)
    optimizer = optim.SGD(model.named_parameters(), lr=0.1)
    theirs = torch.optim.SGD(torch.nn.Linear(2, 1).named_parameters(), lr=0.1)
    assert optimizer.state_dict() == theirs.state_dict()
    assert optimizer.param_groups[0]["params"] == [model.weight, model.bias]
    with pytest.raises(ArgumentError, match="have names or none"):
        optimizer.add_param_group({"params": tx.asarray([1.0])})
    with pytest.raises(DTypeError, match="got a set; pass a list"):
        optimizer.add_param_group({"params": {("a", tx.asarray([1.0]))}})
    with pytest.raises(ArgumentError, match="lr expects a number"):
        optimizer.add_param_group({"params": [("a", tx.asarray([1.0]))], "lr": -1.0})
    with pytest.raises(ShapeError, match=r"expects matrices, got a parameter of shape \(3,\)"):
        optim.Muon([tx.zeros((2, 2))]).add_param_group({"params": tx.zeros(3)})
    with pytest.raises(GradientError, match="leaves only"):
        optim.SGD([("a", tx.asarray([1.0], requires_grad=True) * 2)])


@pytest.mark.parametrize("name", BUILT)
def test_signature_is_pytorchs(name):
    ours = inspect.signature(getattr(optim, name)).parameters.values()
    theirs = inspect.signature(getattr(torch.optim, name)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


def test_closure(backend):
    p = tx.asarray([2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tx.no_grad():  # the closure records all the same
        assert optimizer.step(closure).item() == 4.0
    assert p.tolist() == [1.0]
    assert optimizer.step() is None


# -- Lion and Muon ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"betas": (0.8, 0.95), "weight_decay": 0.3, "lr": 0.01}, {"maximize": True, "lr": 0.01}],
)
def test_lion_is_the_papers(options, backend):
    """Chen et al. 2023, algorithm 2, line by line on PyTorch's tensors."""
    ours = Run(optim, "Lion", options)
    theirs = Run(optim, "Lion", options)
    beta1, beta2 = options.get("betas", (0.9, 0.99))
    sign = -1 if options.get("maximize") else 1
    m = {}

    def step():
        for group in theirs.optimizer.param_groups:
            eta, decay = group["lr"], group["weight_decay"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                theta, g = torch.tensor(p.detach().numpy()), sign * torch.tensor(p.grad.numpy())
                before = m.get(p, torch.zeros_like(theta))
                c = beta1 * before + (1 - beta1) * g
                p.array = tx.asarray((theta - eta * (torch.sign(c) + decay * theta)).numpy()).array
                m[p] = beta2 * before + (1 - beta2) * g

    theirs.optimizer.step = step
    steps = 50 if backend == "strict" else 200
    assert_equal(ours.go(steps), theirs.go(steps), 1e-10)


def muon_step(p, g, b, lr, o):
    """Jordan et al. 2024 in PyTorch's operations, in the dtype of p: the new p and b."""
    b = o["momentum"] * b + (1 - o["momentum"]) * g
    u = torch.lerp(g, b, o["momentum"]) if o["nesterov"] else b
    x = u / torch.linalg.matrix_norm(u).clamp(min=o["eps"])
    if p.shape[0] > p.shape[1]:
        x = x.T
    for _ in range(o["ns_steps"]):
        s = x @ x.T
        a1, a2, a3 = o["ns_coefficients"]
        x = a1 * x + a2 * (s @ x) + a3 * (s @ s @ x)
    if p.shape[0] > p.shape[1]:
        x = x.T
    rows, columns = p.shape
    size = {
        None: max(1.0, rows / columns) ** 0.5,
        "original": max(1.0, rows / columns) ** 0.5,
        "match_rms_adamw": 0.2 * max(rows, columns) ** 0.5,
    }[o["adjust_lr_fn"]]
    return p - lr * o["weight_decay"] * p - lr * size * x, b


MUON = [*inputs("Muon"), {"nesterov": False}, {"adjust_lr_fn": "match_rms_adamw"}]
MUON += [{"adjust_lr_fn": "original", "momentum": 0.5, "lr": 0.02}]


@each("options", MUON)
def test_muon_is_its_formula(options, backend):
    ours = Run(optim, "Muon", options)
    theirs = Run(optim, "Muon", options)
    buffers = {}

    def step():
        for group in theirs.optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    q, g = torch.tensor(p.detach().numpy()), torch.tensor(p.grad.numpy())
                    b = buffers.get(p, torch.zeros_like(q))
                    new, buffers[p] = muon_step(q, g, b, group["lr"], group)
                    p.array = tx.asarray(new.numpy()).array

    theirs.optimizer.step = step
    steps = 200 if backend == "numpy" else 20  # as in test_200_steps
    assert_equal(ours.go(steps), theirs.go(steps), 1e-8)


@pytest.mark.parametrize("options", MUON, ids=str)
def test_muon_is_pytorchs_up_to_bfloat16(options):
    """Each step from the same values. PyTorch's iteration rounds to 8 bits (0.4%), 3 times in each
    of 5 steps, and each step brings the error of a small singular value to 3.4 times as much: so
    a step usually differs by 1 to 2%, by more where the matrix is nearly singular."""
    ours = Run(optim, "Muon", options)
    theirs = Run(torch.optim, "Muon", options)
    errors = []
    for _ in range(30):
        before = ours.values()
        ours.go(1)
        theirs.go(1)
        for p, q, x in zip(ours.values(), theirs.values(), before, strict=True):
            errors.append(np.linalg.norm(p - q) / (np.linalg.norm(p - x) or 1.0))
        with torch.no_grad():
            for p, q in zip(ours.values(), theirs.params, strict=True):
                q.copy_(torch.tensor(p))
    assert np.median(errors) < 0.03
    assert max(errors) < 0.25
    kept = theirs.optimizer.state_dict()
    mine = ours.optimizer.state_dict()
    assert [g.keys() for g in mine["param_groups"]] == [g.keys() for g in kept["param_groups"]]
    for i, state in kept["state"].items():
        np.testing.assert_allclose(
            mine["state"][i]["momentum_buffer"].numpy(), state["momentum_buffer"], rtol=1e-6
        )


# -- averages of weights ----------------------------------------------------------------------


def networks(backend):
    """The same small network in both libraries."""
    nets = []
    for nn in (tx.nn, torch.nn):
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        make = tx.asarray if nn is tx.nn else torch.tensor
        net.register_buffer("mean", make([0.5, 1.5]))
        net.register_buffer("count", make([3, 7]))
        nets.append(net)
    state = {k: v.numpy() for k, v in nets[1].state_dict().items()}
    nets[0].load_state_dict(state)
    return nets


def lean(module):
    """An average as a user may write it."""
    return lambda average, current, n: average + (current - average) * (0.5 / (n + 2))


def in_place(module):
    def update(averages, currents, n):
        for a, b in zip(averages, currents, strict=True):
            a += 0.25 * (b - a)

    return update


AVERAGES = {
    "equal": lambda m: {},
    "equal, in one": lambda m: {"multi_avg_fn": m.get_swa_multi_avg_fn()},
    "equal, one by one": lambda m: {"avg_fn": m.get_swa_avg_fn()},
    "ema": lambda m: {"multi_avg_fn": m.get_ema_multi_avg_fn(0.9)},
    "ema by default": lambda m: {"avg_fn": m.get_ema_avg_fn()},
    "ema with buffers": lambda m: {"avg_fn": m.get_ema_avg_fn(0.7), "use_buffers": True},
    "ema in one, with buffers": lambda m: {
        "multi_avg_fn": m.get_ema_multi_avg_fn(0.7),
        "use_buffers": True,
    },
    "equal with buffers": lambda m: {"use_buffers": True},
    "the user's": lambda m: {"avg_fn": lean(m)},
    "the user's, in place": lambda m: {"multi_avg_fn": in_place(m)},
}


@each("name", AVERAGES)
def test_averaged_model(name, backend):
    """50 updates of a moving model, with PyTorch's state and outputs at each."""
    models = networks(backend)
    averaged = [
        module.AveragedModel(net, **AVERAGES[name](module))
        for module, net in zip((optim.swa_utils, torch.optim.swa_utils), models, strict=True)
    ]
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = {k: rng.normal(size=tuple(v.shape)) for k, v in models[1].state_dict().items()}
        values["count"] = rng.integers(0, 100, size=2)
        models[0].load_state_dict(
            {
                k: tx.asarray(np.asarray(v, "i8" if k == "count" else "f4"))
                for k, v in values.items()
            }
        )
        models[1].load_state_dict({k: torch.tensor(v) for k, v in values.items()})
        for average, model in zip(averaged, models, strict=True):
            average.update_parameters(model)
        ours, theirs = (average.state_dict() for average in averaged)
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            np.testing.assert_allclose(
                ours[key].detach().numpy(), value.numpy(), rtol=1e-5, atol=1e-6, err_msg=key
            )
    x = rng.normal(size=(5, 3)).astype("f4")
    y, z = averaged[0](tx.asarray(x)), averaged[1](torch.tensor(x))
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-5, atol=1e-6)
    for p in averaged[0].parameters():
        assert p.backend.name == backend


def test_update_bn(backend):
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(n, 3)).astype("f4") for n in (4, 7, 5)]
    norms = []
    for library, utils in ((tx, optim.swa_utils), (torch, torch.optim.swa_utils)):
        nn = library.nn
        model = nn.Sequential(nn.BatchNorm1d(3), nn.Tanh(), nn.BatchNorm1d(3, momentum=0.3))
        utils.update_bn([library.asarray(x) for x in batches[:1]], model.eval())
        utils.update_bn([(library.asarray(x), "label") for x in batches], model)
        assert not model.training
        assert [model[0].momentum, model[2].momentum] == [0.1, 0.3]
        norms.append([b.detach().numpy() for b in model.buffers()])
        utils.update_bn([], nn.Linear(3, 3))
    for a, b in zip(*norms, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_averaged_model_is_apart():
    """The average does not move with the model, nor does an update change a saved graph."""
    model = tx.nn.Linear(2, 1, dtype=tx.float64)
    ema = optim.swa_utils.AveragedModel(model, avg_fn=optim.swa_utils.get_ema_avg_fn(0.5))
    start = ema.module.weight.detach().numpy()
    x = tx.asarray([[1.0, 2.0]], dtype=tx.float64)
    ema.update_parameters(model)
    loss = ema(x).sum() ** 2
    expected = 2 * ema(x).sum().item() * x.numpy()
    model.weight.array = model.weight.array + 1.0
    np.testing.assert_array_equal(ema.module.weight.detach().numpy(), start)
    ema.update_parameters(model)
    np.testing.assert_allclose(ema.module.weight.detach().numpy(), start + 0.5, rtol=1e-12)
    loss.backward()
    np.testing.assert_allclose(ema.module.weight.grad.numpy(), expected, rtol=1e-12)
    assert ema.n_averaged.item() == 2
    with pytest.raises(ArgumentError, match="avg_fn or multi_avg_fn, got both"):
        optim.swa_utils.AveragedModel(model, avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ArgumentError, match=r"decay expects a number in \[0, 1\], got 1.5"):
        optim.swa_utils.get_ema_multi_avg_fn(1.5)


# -- clipping ---------------------------------------------------------------------------------


@each("dtype", ["float32", "float64", "complex128"])
@each("norm_type", [1, 2, 2.0, 3.5, float("inf"), float("-inf"), 0])
def test_norms(norm_type, dtype, backend):
    rng = np.random.default_rng(0)
    grads = [rng.normal(size=shape) for shape in [(4, 3), (3,), ()]]
    grads = [np.asarray(g * (1 + 1j) if dtype.startswith("complex") else g, dtype) for g in grads]
    if norm_type == 0:  # PyTorch counts complex numbers with a warning
        grads = [g.real for g in grads]
    ours, theirs = ([make(g) for g in grads] for make in (tx.asarray, torch.tensor))
    for foreach in (None, False, True):
        found = optim.get_total_norm(ours, norm_type, foreach=foreach)
        expected = torch.nn.utils.get_total_norm(theirs, norm_type, foreach=foreach or False)
        assert found.item() == pytest.approx(expected.item(), rel=1e-6)
        assert found.dtype.name == str(expected.dtype).removeprefix("torch.")
    for maximum in (0.5, 100.0):
        for xs, utils, make in ((ours, optim, tx.zeros), (theirs, torch.nn.utils, torch.zeros)):
            norm = utils.get_total_norm(xs, norm_type)
            params = []
            for x in xs:
                p = make(tuple(x.shape), dtype=x.dtype)
                p.grad = x + 0
                params.append(p)
            utils.clip_grads_with_norm_(iter(params), maximum, norm)
            xs.append([p.grad for p in params])
        for g, h in zip(ours.pop(), theirs.pop(), strict=True):
            np.testing.assert_allclose(g.numpy(), h.numpy(), rtol=1e-6)
    assert optim.get_total_norm([]).item() == 0.0
    assert optim.get_total_norm(ours[0], norm_type).item() == pytest.approx(
        torch.nn.utils.get_total_norm(theirs[0], norm_type).item()
    )
