"""A kernel equals its formula, and an operation itself, however its arrays lie in memory.

Every array that a kernel gets (operands, incoming gradient, residuals) is laid out in every way
of layouts.py, one at a time and all at once; and nothing that was handed out is written to.
"""

import itertools

import numpy as np
import pytest

import tinyxp as tx
from tests.backends.cuda_on_cpu import COMPILER, on_cpu
from tests.backends.layouts import LAYOUTS, Given, arrays_in, replaced
from tests.backends.test_cpu_kernels import TABLES
from tests.compare import difference, use_kernels
from tests.conftest import reason_missing
from tests.registry import example
from tinyxp import backends
from tinyxp.backends import Kernel
from tinyxp.backends.common.adamw import AdamWStep
from tinyxp.backends.cupy.kernels.dense import Kernels
from tinyxp.backends.numpy.kernels import convolution, dense, optimizer
from tinyxp.core.exchange import import_array
from tinyxp.core.operation import OPS
from tinyxp.core.tape import fit
from tinyxp.core.tensor import wrap

NUMPY = backends.get("numpy")
OTHER_NUMBERS = ("one_row", "one_column")
CUDA = Kernels(on_cpu()).table() | Kernels(on_cpu()).functions()
PRECISIONS = {"float64": 1e-11, "float32": 5e-6}
# NumPy sums in another order where the layout is another
OF_OPERATIONS = {"float64": 1e-9, "complex128": 1e-9, "float32": 1e-5, "complex64": 1e-5}
PAIRS = (((0, 2, 4), (1, 3, 5)), ((0, 2, 4, 6), (1, 3, 5, 7)))  # windows of 2 × 2, side by side
# beside the registry's examples, which are too small for some paths: shapes of operands, options
MORE = {
    "attention": [([(2, 9, 4), (2, 7, 4), (2, 7, 3)], {"is_causal": True, "scale": 0.5})],
    "dropout": [([shape], {"seed": 3, "counter": 5, "p": 0.3}) for shape in ((), (0, 3), (9, 11))],
    "gelu": [([shape], {}) for shape in ((), (0, 3), (3, 40))],
    "layer_norm": [([(7, 33), (33,), (33,)], {}), ([(0, 4), (4,)], {}), ([(5, 3, 8)], {})],
    "linear": [([(0, 4), (5, 4), (5,)], {}), ([(2, 3, 4), (5, 4)], {})],
    "max_pool": [([(5, 2, 6, 8)], {"columns": PAIRS})],
    "relu": [([shape], {}) for shape in ((), (0, 3), (3, 64), (2, 3, 4, 5))],
    "softmax": [([(0, 4)], {"dim": -1}), ([(2, 3, 4, 5)], {"dim": 3})],
}


def cases(name):
    """Operands and options of a composite: the registry's examples, and more."""
    found = [example(name, i) for i in range(len(OPS[name].examples))]
    rng = np.random.default_rng(2)
    found += [([rng.normal(size=s) for s in shapes], o) for shapes, o in MORE.get(name, ())]
    return [(operands, OPS[name].static_defaults | static) for operands, static in found]


def in_precision(operands, dtype):
    """Operands as contiguous arrays of their own, floating ones in ``dtype``."""
    arrays = [None if x is None else np.array(x, order="C") for x in operands]
    return [x if x is None or x.dtype.kind != "f" else x.astype(dtype) for x in arrays]


def by_formula(name, arrays, static, g=None):
    """The value and the gradients that the formula gives for copies of arrays, and the g."""
    assert not NUMPY.kernels
    xs = [None if x is None else wrap(np.array(x, order="C"), NUMPY) for x in arrays]
    for x in xs:
        if x is not None and x.array.dtype.kind == "f":
            x.requires_grad_()
    y = OPS[name].call(tuple(xs), dict(static))
    if g is None:
        g = np.asarray(np.random.default_rng(1).normal(size=y.shape), y.dtype.name)
    y.backward(wrap(np.array(g, order="C"), NUMPY))
    return y.array, [None if x is None or x.grad is None else x.grad.array for x in xs], g


def by_kernel(kernel, arrays, static, g, needs, change=lambda residuals: residuals):
    """The same by a kernel, or None if it leaves the case to the formula; and what it broke."""
    found = kernel.forward(*arrays, **static)
    if found is NotImplemented:
        return None
    y, residuals = found[0], change(found[1])
    kept = [(x, x.tobytes()) for _, x in arrays_in(residuals)]
    grads = kernel.vjp(g, residuals, needs)
    broken = []
    if any(x.tobytes() != bits for x, bits in kept):
        broken.append("a residual was changed")
    given = [x for x in (*arrays, g) if x is not None]
    if any(np.may_share_memory(a, b) for a in (y, *grads) if a is not None for b in given):
        broken.append("a result shares memory with what was given")
    return y, grads, broken


class Complaints:
    """What is wrong with a kernel in some layout, in words; and how many trials there were.

    ``residuals``: whether these are laid out anew, too.
    """

    def __init__(self, dtypes=tuple(PRECISIONS), residuals=True):
        self.found, self.trials = [], 0
        self.dtypes, self.residuals = dtypes, residuals

    def of_kernel(self, table, name, kernel):
        for dtype in self.dtypes:
            for operands, static in cases(name):
                self.of_case(f"{table} {name} {dtype}", name, kernel, operands, static, dtype)

    def of_case(self, where, name, kernel, operands, static, dtype):
        arrays = in_precision(operands, dtype)
        *known, g = by_formula(name, arrays, static)
        needs = tuple(x is not None and x.dtype.kind == "f" for x in arrays)
        needs += OPS[name].absent[len(needs) :]

        def tried(what, xs, g, givens, known=known, needs=needs, **options):
            self.trials += 1
            try:
                found = by_kernel(kernel, xs, static, g, needs, **options)
            except Exception as error:
                self.found.append(f"{where}, {what}: {type(error).__name__}: {error}")
                return
            if found is None:
                return
            y, grads, problems = found
            problems.append((difference(y, known[0], PRECISIONS[dtype]), "the value"))
            for k, (part, right) in enumerate(zip(grads, known[1], strict=False)):
                if needs[k]:
                    part = fit(NUMPY.xp, part, right.shape, right.dtype)
                    problems.append((difference(part, right, PRECISIONS[dtype]), f"gradient {k}"))
            problems = [p if isinstance(p, str) else f"{p[1]}: {p[0]}" for p in problems if p[0]]
            problems += ["it was written to"] * any(given.changed() for given in givens)
            self.found += [f"{where}, {what}: {problem}" for problem in problems]

        for k, need in enumerate(needs):
            alone = tuple(i == k for i in range(len(needs)))
            if need:
                tried(f"gradient {k} alone", arrays, g, [], needs=alone)
        for layout in LAYOUTS:
            anew = layout in OTHER_NUMBERS
            givens = [None if x is None else Given(x, layout) for x in arrays]
            laid = [
                x if given is None or given.array is None else given.array
                for x, given in zip(arrays, givens, strict=True)
            ]
            places = [k for k, x in enumerate(arrays) if laid[k] is not x]
            for k in places:
                xs = [*arrays[:k], laid[k], *arrays[k + 1 :]]
                right = by_formula(name, xs, static, g)[:2] if anew else known
                tried(f"operand {k} {layout}", xs, g, [givens[k]], right)
            last = Given(g, layout)
            if last.array is None:
                continue
            right = by_formula(name, arrays, static, last.array)[:2] if anew else known
            tried(f"g {layout}", arrays, last.array, [last], right)
            right = by_formula(name, laid, static, last.array)[:2] if anew else known
            all_of_them = [last, *(givens[k] for k in places)]
            tried(f"all {layout}", laid, last.array, all_of_them, right)
        if self.residuals:
            self.of_residuals(kernel, arrays, static, tried, g)

    def of_residuals(self, kernel, arrays, static, tried, g):
        found = kernel.forward(*arrays, **static)
        if found is NotImplemented:
            return
        for path, _ in arrays_in(found[1]):
            for layout in LAYOUTS.keys() - OTHER_NUMBERS:
                givens = []

                def change(residuals, path=path, layout=layout, givens=givens):
                    (x,) = [x for way, x in arrays_in(residuals) if way == path]
                    given = Given(x, layout)
                    if given.array is None:
                        return residuals
                    givens.append(given)
                    return replaced(residuals, path, given.array)

                tried(f"residual {path} {layout}", arrays, g, givens, change=change)


@pytest.fixture
def formulas(monkeypatch):
    """tinyxp without kernels, which are called by themselves; with blocks so small that small
    arrays have several."""
    use_kernels(monkeypatch, {})
    monkeypatch.setattr(dense, "BLOCK", 16)
    monkeypatch.setattr(convolution, "CACHED", 64)
    if TABLES["numba"]:
        monkeypatch.setattr("tinyxp.backends.numpy.compiled.random.FEW", 8)


@pytest.mark.parametrize("table", TABLES)
def test_a_kernel_equals_its_formula_in_every_layout(table, formulas):
    if TABLES[table] is None:
        pytest.skip("numba is not installed: pip install numba")
    complaints = Complaints()
    for name, kernel in TABLES[table].items():
        if isinstance(kernel, Kernel):
            complaints.of_kernel(table, name, kernel)
    assert not complaints.found, "\n".join(complaints.found[:40])
    assert complaints.trials > 5000, f"{complaints.trials} trials are few"


@pytest.mark.skipif(COMPILER is None, reason="g++ is not installed")
@pytest.mark.parametrize("name", [name for name in CUDA if isinstance(CUDA[name], Kernel)])
def test_a_cuda_kernel_equals_its_formula_in_every_layout(name, formulas):
    """On the CPU. Its residuals are its own, which it makes in order."""
    complaints = Complaints(("float32",), residuals=False)
    complaints.of_kernel("cuda", name, CUDA[name])
    assert not complaints.found, "\n".join(complaints.found[:40])
    assert complaints.trials > 50, f"{complaints.trials} trials are few"


STEP = AdamWStep(0.9, 0.99, 1e-8, lr=0.1, weight_decay=0.1, step=3)


@pytest.mark.parametrize("table", ["numpy", "numba", "cuda"])
def test_adamw_in_every_layout(table):
    """Its state changes in place, whatever its order, and nothing beside it."""
    kernels = {**TABLES, "cuda": CUDA if COMPILER else None}[table]
    if kernels is None:
        pytest.skip("numba, or g++, is not installed")
    for dtype, tolerance in PRECISIONS.items():
        rng = np.random.default_rng(5)
        plain = [np.asarray(rng.uniform(size=(5, 3, 4)), dtype) for _ in "pgmv"]
        right = [x.copy() for x in plain]
        (new,) = optimizer.adamw(*[[x] for x in right], STEP)
        for layout, k in itertools.product(LAYOUTS.keys() - OTHER_NUMBERS, range(4)):
            given = Given(plain[k], layout)
            if given.array is None or (layout == "read_only" and k > 1):
                continue
            xs = [given.array if i == k else x.copy() for i, x in enumerate(plain)]
            (found,) = kernels["adamw"](*[[x] for x in xs], STEP)
            what = f"{table} adamw {dtype}, {'pgmv'[k]} {layout}"
            for a, b in zip([found.reshape(new.shape), *xs[2:]], [new, *right[2:]], strict=True):
                assert not difference(a, b, tolerance), what
            if k > 1:
                given.array[...] = plain[k]
            assert not given.changed(), what


# -- mutants, wrong for some layouts alone: the harness is worth what it catches ------------------


def lost_in_a_copy(relu):
    """A gradient filled through a flat view, which is a copy if it does not lie in order."""

    def vjp(g, y, needs):
        gx = np.zeros_like(y)
        gx.reshape(-1)[...] += np.where(y == 0, 0, g).reshape(-1)
        return (gx,)

    return Kernel(relu.forward, vjp)


def without_sign(kernel):
    """An operand read as if no stride were negative."""

    def forward(x, **static):
        turned = tuple([slice(None, None, -1 if step < 0 else 1) for step in x.strides])
        return kernel.forward(x[turned], **static)

    return Kernel(forward, kernel.vjp)


def in_its_own_g(kernel):
    """A right gradient, and a write to the caller's where one row stands for all."""

    def vjp(g, residuals, needs):
        grads = kernel.vjp(g, residuals, needs)
        if 0 in g.strides and g.flags.writeable:
            g[...] = 7
        return grads

    return Kernel(kernel.forward, vjp)


@pytest.mark.parametrize(
    ("name", "mutant", "where"),
    [
        ("relu", lost_in_a_copy, "residual () fortran: gradient 0: "),
        ("relu", lost_in_a_copy, "operand 0 fortran: gradient 0: "),
        ("softmax", without_sign, "operand 0 backwards: the value: "),
        ("gelu", in_its_own_g, "g one_row: it was written to"),
    ],
)
def test_a_kernel_wrong_for_one_layout_is_caught_and_named(name, mutant, where, formulas):
    complaints = Complaints()
    complaints.of_kernel("numpy", name, mutant(TABLES["numpy"][name]))
    found = "\n".join(complaints.found)
    assert f"numpy {name} float32, {where}" in found, found
    assert "in_order" not in found and "inner" not in found


# -- operations -----------------------------------------------------------------------------------


class OnBackend:
    """A backend to which NumPy's memory comes as it lies, and the layouts that it takes."""

    def __init__(self, name):
        self.backend, self.bring, self.layouts = backends.get(name), lambda x: x, tuple(LAYOUTS)
        if name == "strict":
            self.bring = pytest.importorskip("array_api_strict").asarray
            self.layouts = "fortran", "backwards", "one_column"
        if name == "torch":
            self.bring = pytest.importorskip("torch").from_numpy
            self.layouts = "fortran", "last_first", "stepped", "one_row"

    def plain(self, x):
        """A copy of an array, in order."""
        return self.bring(np.array(self.backend.to_numpy(x), order="C"))

    def all_of(self, name, operands, static, g=None):
        """All values and gradients of an operation as NumPy's arrays; and the g of its results."""
        xs = [wrap(x, self.backend) if self.backend.owns(x) else x for x in operands]
        leaves = [x for x in xs if isinstance(x, tx.Tensor) and x.dtype.kind.endswith("floating")]
        for x in leaves:
            x.requires_grad_()
        y = OPS[name].call(tuple(xs), dict(static))
        ys = [part for part in ([y] if isinstance(y, tx.Tensor) else y) if part is not None]
        live = [part for part in ys if part.requires_grad]
        if g is None:
            rng = np.random.default_rng(3)
            kinds = [(part.shape, part.dtype.name) for part in live]
            g = [self.bring(np.asarray(rng.normal(size=s)).astype(kind)) for s, kind in kinds]
        seeds = [wrap(x, self.backend) for x in g]
        grads = tx.autograd.grad(live, leaves, seeds, allow_unused=True) if live else ()
        tensors = [*(part.detach() for part in ys), *(x for x in grads if x is not None)]
        return [self.backend.to_numpy(x.array) for x in tensors], g


def complaints_of_operation(on, name, operands, static, each):
    """What is wrong with an operation whose operands, or whose g, lie in another layout; how many
    trials there were. ``each``: operands one by one, too."""
    found, trials = [], 0
    given = [on.bring(np.array(x, order="C")) if isinstance(x, np.ndarray) else x for x in operands]
    known, g = on.all_of(name, given, static)
    arrays = [k for k, x in enumerate(operands) if isinstance(x, np.ndarray)]
    for layout in on.layouts:
        anew = layout in OTHER_NUMBERS
        if anew and OPS[name].fn.__module__.startswith("tinyxp.linalg"):
            continue  # of a singular matrix nothing is well defined
        own = {k: Given(operands[k], layout) for k in arrays}
        own |= {-1 - k: Given(np.array(on.backend.to_numpy(x)), layout) for k, x in enumerate(g)}
        # of other integers other shapes may come, as of counts
        own = {
            k: x
            for k, x in own.items()
            if x.array is not None and not (anew and x.array.dtype.kind not in "fc")
        }
        places = sorted(own)
        for some in ([places] * (len(own) > 1)) + ([[k] for k in places] if each else []):
            xs = [on.bring(own[k].array) if k in some else x for k, x in enumerate(given)]
            gs = [on.bring(own[-1 - k].array) if -1 - k in some else x for k, x in enumerate(g)]
            trials += 1
            right = known
            if anew:
                copies = [on.plain(x) if on.backend.owns(x) else x for x in xs]
                right, _ = on.all_of(name, copies, static, [on.plain(x) for x in gs])
            results, _ = on.all_of(name, xs, static, gs)
            problems = []
            for i, (a, b) in enumerate(zip(results, right, strict=True)):
                if text := difference(a, b, OF_OPERATIONS.get(b.dtype.name, 0)):
                    problems.append(f"result {i}: {text}")
            problems += ["it was written to"] * any(own[k].changed() for k in some)
            found += [f"{on.backend.name} {name}, {some} {layout}: {what}" for what in problems]
    return found, trials


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # of numbers outside a domain
@pytest.mark.parametrize("name", ["numpy", "strict", "torch"])
def test_an_operation_is_the_same_in_every_layout(name):
    if (why := reason_missing(name)) is not None:
        pytest.skip(why)
    found, trials = [], 0
    with tx.backend(name):
        on = OnBackend(name)
        for op in sorted(OPS):
            for i in range(len(OPS[op].examples)):
                more, n = complaints_of_operation(on, op, *example(op, i), name == "numpy")
                found, trials = found + more, trials + n
    assert not found, "\n".join(found[:40])
    assert trials > (8000 if name == "numpy" else 500), f"{trials} trials are few"


# -- PyTorch's views that are computed when they are read ------------------------------------------


@pytest.mark.parametrize("view", [lambda z: z.conj(), lambda z: z.conj().imag])
def test_conjugated_and_negated_views_of_pytorch_keep_their_signs(view):
    """DLPack knows neither: handed over as they lie in memory they would be other numbers."""
    z = pytest.importorskip("torch").tensor([1 + 2j, 3 - 1j])
    right = np.asarray(view(z).resolve_conj().resolve_neg())
    assert np.array_equal(import_array(view(z), np.from_dlpack), right)
    with tx.backend("torch"):
        assert np.array_equal(tx.asarray(view(z)).numpy(), right)
        assert np.array_equal(tx.from_dlpack(view(z)).numpy(), right)
