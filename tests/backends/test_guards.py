"""What stands between a caller and memory that is not his: compiled kernels trust what they get."""

import inspect

import numpy as np
import pytest

import tinyxp as tx
from tests.backends.cuda_on_cpu import COMPILER
from tests.backends.layouts import in_order
from tests.backends.test_cpu_kernels import TABLES
from tests.backends.test_layouts import CUDA, NUMPY, cases, in_precision
from tests.compare import difference
from tinyxp import nn
from tinyxp.backends import Kernel
from tinyxp.core.operation import OPS
from tinyxp.core.tensor import wrap
from tinyxp.errors import BackendError, DTypeError, ShapeError, TinyError
from tinyxp.nn import functional as F

# -- compiled functions: shapes of the arrays of a right call, by parameter ----------------------

N, ROWS = 12, (4, 3)
FLAT = dict.fromkeys(("x", "y", "g", "out", "p", "m", "v", "new", "kept"), (N,))
NORM = {"x": ROWS, "y": ROWS, "g": ROWS, "gx": ROWS, "mean": (4,), "scale": (4,)}
NORM |= dict.fromkeys(("weight", "bias", "gw", "gb"), (3,))
POOL = {"g": (2, 3, 8), "x": (4, 3, 16), "y": (2, 3, 8), "left": (4,), "gx": (4, 3, 16)}
SHAPES = {
    "_layer_norm": NORM,
    "_layer_norm_vjp": NORM,
    "softmax_rows": {"x": (2, 4, 3)},
    "softmax_rows_vjp": {"g": (2, 4, 3), "y": (2, 4, 3)},
    "_max_pool_vjp": POOL,
}
OTHERS = {
    "eps": 1e-5,
    "causal": True,
    "last": 7,
    "start": np.arange(3, dtype=np.uint64),
    "one_less_beta1": 0.1,
    "beta2": 0.9,
    "one_less_beta2": 0.1,
    "numbers": np.ones(3),
    "places": np.array([(0, 2, 0, 2), (0, 2, 1, 2), (1, 2, 0, 2), (1, 2, 1, 2)]),
}
ANY = {("_fill", "out"), ("softmax_rows", "x"), ("_max_pool_vjp", "left")}  # as long as it is


def compiled():
    """The compiled functions of the numba kernels, by name."""
    if TABLES["numba"] is None:
        return {}
    from tinyxp.backends.numpy.compiled import convolution, dense, optimizer, random, softmax

    modules = convolution, dense, optimizer, random, softmax
    return {
        name: f
        for module in modules
        for name, f in vars(module).items()
        if inspect.isfunction(f) and f.__module__ == module.__name__ and hasattr(f, "__wrapped__")
    }


def called(name, f, shapes):
    """Call a compiled function; whether it wrote outside of its arrays."""
    kinds = {"kept": np.bool_} | ({"out": np.int64} if name == "_fill" else {})
    memories, args = [], []
    for parameter in inspect.signature(f).parameters:
        if parameter in shapes:
            x = np.ones(shapes[parameter], kinds.get(parameter, np.float32))
            array, memory = in_order(x)
            memories.append((array, memory))
            args.append(array)
        else:
            args.append(1.5 if parameter == "scale" else OTHERS[parameter])
    f(*args)
    return any(set(np.delete(m, range(64, 64 + x.nbytes)).tolist()) != {0x5A} for x, m in memories)


def misfits(shape):
    """Shapes like that one, longer or shorter along one axis."""
    for axis, n in enumerate(shape):
        for other in {0, n - 1, n + 1, 3 * n}:
            yield (*shape[:axis], other, *shape[axis + 1 :])


@pytest.mark.parametrize("name", sorted(compiled()))
def test_a_compiled_kernel_refuses_arrays_that_do_not_fit(name):
    f = compiled()[name]
    given = SHAPES.get(name, FLAT)
    shapes = {p: given[p] for p in inspect.signature(f).parameters if p in given}
    assert not called(name, f, shapes)
    refused = 0
    for parameter, shape in shapes.items():
        for other in misfits(shape):
            wrong = shapes | {parameter: other}
            try:
                assert not called(name, f, wrong), f"{name} wrote beyond {wrong}"
                assert (name, parameter) in ANY, f"{name} took {wrong}"
            except ShapeError:
                refused += 1
    assert refused or name == "_fill"


# -- composites: the gradient that comes in ------------------------------------------------------

NAMES = [name for name, x in TABLES["numpy"].items() if isinstance(x, Kernel)]


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_gets_gradients_like_its_result_alone(name):
    for operands, static in cases(name):
        xs = [x if x is None else wrap(x, NUMPY) for x in in_precision(operands, "float32")]
        for x in xs:
            if x is not None and x.dtype is tx.float32:
                x.requires_grad_()
        y = OPS[name].call(tuple(xs), static)
        shape = y.shape
        if y._node.op is not OPS[name]:
            continue  # the kernel left it to the formula
        for other in ((*shape, 1), (3, *shape), (*shape[:-1], 7)):
            with pytest.raises(ShapeError, match=f"the gradient of .*{name}.* must match its"):
                y._node.op.pull(y._node, np.ones(other, "float32"), False)
        with pytest.raises(ShapeError, match="got .* float64"):
            y._node.op.pull(y._node, np.ones(shape), False)


def outcome(name, kernel, arrays, static):
    """What a composite gives with that kernel, or with none: an array, or an error of ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NUMPY.__dict__, "kernels", {name: kernel} if kernel else {})
        try:
            xs = [x if x is None else wrap(x, NUMPY) for x in arrays]
            return OPS[name].call(tuple(xs), dict(static)).array
        except TinyError as error:
            return error


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # of empty arrays
@pytest.mark.parametrize("table", ["numpy", "numba", "cuda"])
def test_a_kernel_takes_no_operands_that_do_not_fit(table):
    """It leaves them to the formula, which takes or refuses them, or refuses them itself."""
    several = "conv", "conv_transpose", "cross_entropy", "layer_norm", "max_pool"
    cuda = {name: CUDA[name] for name in several if COMPILER}  # the others would take long
    kernels = {**TABLES, "cuda": cuda}[table]
    if not kernels:
        pytest.skip("numba, or g++, is not installed")
    refused = 0
    for name, kernel in kernels.items():
        for operands, static in cases(name) if isinstance(kernel, Kernel) else ():
            arrays = in_precision(operands, "float32")
            for k, x in enumerate(arrays):
                shape = () if x is None else x.shape
                others = [*misfits(shape), (1, *shape), (*shape, 1), shape[1:]]
                for other in others if x is not None else ():
                    if min(other, default=0) < 0 or (name == "cross_entropy" and other == (5, 3)):
                        continue  # of a class that is not there, ``expect_indices`` knows
                    wrong = [*arrays[:k], np.resize(x, other), *arrays[k + 1 :]]
                    ours = outcome(name, kernel, wrong, static)
                    if isinstance(ours, TinyError):
                        refused += 1
                        continue
                    what = f"{table} {name}: {other} for {shape} of operand {k}"
                    theirs = outcome(name, None, wrong, static)
                    assert not isinstance(theirs, TinyError), f"{what}: {theirs}"
                    assert not difference(ours, theirs, 1e-4), what
    assert refused > 100


# -- hooks, which may return anything ------------------------------------------------------------


@pytest.mark.parametrize(
    "which", ["register_full_backward_hook", "register_full_backward_pre_hook"]
)
@pytest.mark.parametrize(
    ("returned", "kind", "got"),
    [
        (lambda g: tx.ones((3,)), ShapeError, r"got \(3,\) tinyxp.float32 on 'numpy'"),
        (lambda g: g[:1], ShapeError, r"got \(1, 8\)"),
        (lambda g: g[..., None], ShapeError, r"got \(2, 8, 1\)"),
        (lambda g: g.double(), DTypeError, r"got \(2, 8\) tinyxp.float64"),
        (lambda g: g.numpy(), DTypeError, "Tensors or None, got ndarray at 0"),
        (lambda g: g.to("strict"), BackendError, "on 'strict'"),
    ],
)
def test_a_hook_returns_gradients_like_its_tensors(which, returned, kind, got):
    pytest.importorskip("array_api_strict")
    gate = nn.Sequential(nn.Linear(8, 8))
    getattr(gate[0], which)(lambda m, *grads: (returned(grads[0][0]),))
    x = tx.zeros((2, 8)).requires_grad_()
    with pytest.raises(kind, match=rf"a backward hook of Linear\(in_features=8.*{got}"):
        gate(F.gelu(x)).sum().backward()
    assert x.grad is None


# -- the state of optimizers ---------------------------------------------------------------------

OPTIMIZERS = sorted(
    name
    for name, x in vars(tx.optim).items()
    if inspect.isclass(x) and issubclass(x, tx.optim.Optimizer) and x is not tx.optim.Optimizer
)
KEPT = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True}}


def stepped(optimizer, p, array):
    """A step after the parameter became that array."""
    p.array, p.grad = array, tx.asarray(array)
    optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("table", TABLES)
def test_a_parameter_of_another_shape_needs_another_state(name, table, monkeypatch):
    if TABLES[table] is None:
        pytest.skip("numba is not installed: pip install numba")
    monkeypatch.setitem(NUMPY.__dict__, "kernels", TABLES[table])
    for shape in ((40, 8), (3, 8), (8, 4), (1, 8), (4, 8, 1)):
        p, q = (tx.ones((4, 8)).requires_grad_() for _ in range(2))
        optimizer = getattr(tx.optim, name)([p, q][: 1 + (name != "Muon")], **KEPT.get(name, {}))
        q.grad = tx.ones((4, 8))
        stepped(optimizer, p, np.ones((4, 8), "float32"))
        new = np.ones(shape, "float32")
        with pytest.raises(ShapeError, match=r"has \(4, 8\): .*del optimizer.state\[p\]"):
            stepped(optimizer, p, new)
        assert p.array is new
        del optimizer.state[p]
        if len(shape) == 2:
            stepped(optimizer, p, new)
            assert p.array.shape == shape


def test_a_state_on_another_backend_is_refused():
    pytest.importorskip("array_api_strict")
    p = tx.ones((2,)).requires_grad_()
    optimizer = tx.optim.RMSprop([p])
    stepped(optimizer, p, np.ones(2, "float32"))
    moved = tx.ones((2,)).to("strict")
    p.array, p.backend, p.grad = moved.array, moved.backend, moved
    with pytest.raises(BackendError, match="on 'strict' lies on 'numpy'"):
        optimizer.step()


def test_an_average_is_not_broadcast():
    model = nn.Linear(2, 3)
    averaged = tx.optim.swa_utils.AveragedModel(model)
    averaged.update_parameters(model)
    model.weight.array = np.ones((1, 2), "float32")
    with pytest.raises(ShapeError, match=r"parameter 0 has the shape \(1, 2\) and not \(3, 2\)"):
        averaged.update_parameters(model)
