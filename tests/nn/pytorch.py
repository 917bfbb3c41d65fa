"""tinyxp beside PyTorch: the same call in both, and how its values and gradients differ.

``agree`` asserts that two functions give the same; ``problem`` says in a line how tinyxp differs
on a ``Case``. The ``Translator`` makes tinyxp's arguments of PyTorch's.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import difference
from tinyxp import nn
from tinyxp.errors import TinyError
from tinyxp.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is the reference: run.py test --reference")

TOLERANCES = {"float64": 1e-10, "float32": 1e-5}  # relative to the largest element of a tensor


@dataclasses.dataclass
class Case:
    """One sample: ``ours`` and ``theirs`` return (results, tensors to differentiate by)."""

    label: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    content: Any = None  # its arguments, from which ``covering`` chooses
    exact: Callable[[], Any] | None = None  # ``theirs`` in float64, for a sample in float32


# -- translation ------------------------------------------------------------------------------

KNOWN = {
    getattr(torch, name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64", *TOLERANCES, "complex64")
} | {torch.complex128}


class Unknown(Exception):
    """A value of PyTorch that tinyxp has no word for: a dtype of half precision, a device."""


class Translator:
    """Values of PyTorch as values of tinyxp; a tensor that comes twice stays one."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[Any, Any]] = {}

    def __call__(self, value: Any) -> Any:
        if torch.is_tensor(value):
            if id(value) not in self.known:
                self.known[id(value)] = value, self.tensor(value)
            return self.known[id(value)][1]
        if isinstance(value, torch.nn.utils.rnn.PackedSequence):
            return self.packed(*map(self, value))
        if isinstance(value, dict):
            return {k: self(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
            return type(value)(map(self, value))
        return self.other(value)

    packed = staticmethod(nn.utils.rnn.PackedSequence)

    def tensor(self, value: Any) -> Any:
        if value.dtype not in KNOWN:
            raise Unknown(value.dtype)
        array = value.detach().resolve_conj().numpy()
        return tx.asarray(array, requires_grad=value.requires_grad)

    def other(self, value: Any) -> Any:
        if isinstance(value, torch.dtype):
            return getattr(tx, str(value).removeprefix("torch."))
        if isinstance(value, torch.device) or (isinstance(value, str) and value == "cpu"):
            return None
        if isinstance(value, torch.nn.Module):
            return self.module(value)
        if callable(value) and getattr(value, "__name__", "") in dir(F):
            return getattr(F, value.__name__)
        return value

    def module(self, theirs: Any) -> Any:
        kind = type(theirs).__name__
        if kind == "TransformerEncoderLayer":  # the argument of TransformerEncoder
            mine = nn.TransformerEncoderLayer(
                theirs.linear1.in_features,
                theirs.self_attn.num_heads,
                theirs.linear1.out_features,
                theirs.dropout.p,
                self(theirs.activation),
                theirs.norm1.eps,
                theirs.self_attn.batch_first,
                theirs.norm_first,
                theirs.linear1.bias is not None,
            )
        elif not list(theirs.parameters()):
            kept = {k: v for k, v in vars(theirs).items() if not k.startswith("_")}
            kept.pop("training")
            kept = {"p" if k == "norm" else k: v for k, v in kept.items()}  # of PairwiseDistance
            mine = getattr(nn, kind)(**kept)
        else:
            raise NotImplementedError(f"a {kind} as an argument")
        return mine

    def tracked(self) -> list[tuple[Any, Any]]:
        """(theirs, ours) of the tensors that require grad."""
        return [(t, x) for t, x in self.known.values() if t.requires_grad]


class Doubler(Translator):
    """The same values for PyTorch itself, in float64."""

    packed = staticmethod(torch.nn.utils.rnn.PackedSequence)

    def tensor(self, value: Any) -> Any:
        if value.dtype != torch.float32:
            return value
        return value.detach().double().requires_grad_(value.requires_grad)

    def other(self, value: Any) -> Any:
        return value


def leaves(value: Any) -> list[Any]:
    """The tensors in nested results."""
    if isinstance(value, (list, tuple)):
        return [leaf for part in value for leaf in leaves(part)]
    if hasattr(value, "data") and not torch.is_tensor(value) and not isinstance(value, tx.Tensor):
        return leaves([value.data, value.batch_sizes])  # a packed sequence
    return [] if value is None else [value]


# -- comparison -------------------------------------------------------------------------------


def problem(case: Case, dtype: str) -> str | None:
    """What tinyxp does differently on a case, or None.

    In float32 a tensor may differ by more than the tolerance where rounding does as much to
    PyTorch's: where ours lies at most twice as far from the result in float64.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        case.theirs()  # for a module's state; inputs are known after ours ran
        try:
            found, inputs = case.ours()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        torch.manual_seed(0)
        expected, references = case.theirs()
    ys, zs = leaves(found), leaves(expected)
    if len(ys) != len(zs):
        return f"{len(ys)} results instead of {len(zs)}"
    recorded = [z.requires_grad for z in zs]

    @functools.cache
    def exact() -> tuple[list[Any], list[Any]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            values, places = case.exact()
        values = leaves(values)
        return values, gradients(torch, values, recorded, places, dtype)

    for i, (y, z) in enumerate(zip(ys, zs, strict=True)):
        wrong = unlike(y, z, dtype)
        if wrong and not (case.exact and as_near(y, z, exact()[0][i])):
            return f"result {i}: {wrong}"
    try:
        gs = gradients(tx, ys, recorded, inputs, dtype)
    except TinyError as error:
        return f"{type(error).__name__}: {error}"
    hs = gradients(torch, zs, recorded, references, dtype)
    for i, (g, h) in enumerate(zip(gs, hs, strict=True)):
        wrong = unlike(g, h, dtype)
        if wrong and not (case.exact and as_near(g, h, exact()[1][i])):
            return f"gradient of input {i}: {wrong}"
    return None


def unlike(y: Any, z: Any, dtype: str) -> str | None:
    """How a result of ours differs from PyTorch's, or None."""
    if not isinstance(y, tx.Tensor):
        return f"a {type(y).__name__} instead of a tensor"
    return difference(y, z, TOLERANCES[dtype], floor=1e-3)


def gradients(library: Any, ys: Any, recorded: Any, inputs: Any, dtype: str) -> list[Any]:
    """Those of a weighted sum of all results that PyTorch records, the same for both libraries."""
    rng = np.random.default_rng(0)
    terms = [
        (y * library.asarray(rng.normal(size=tuple(y.shape)).astype(dtype))).sum()
        for y, wanted in zip(ys, recorded, strict=True)
        if wanted
    ]
    if not terms:
        return []
    with warnings.catch_warnings():  # of powers of negative numbers: PyTorch's samples have some
        warnings.simplefilter("ignore")
        gs = library.autograd.grad(sum(terms[1:], terms[0]), inputs, allow_unused=True)
    return [
        library.zeros_like(x.detach()) if g is None else g for g, x in zip(gs, inputs, strict=True)
    ]


def as_near(y: Any, z: Any, exact: Any) -> bool:
    """Whether ours is at most twice as far from the exact value as PyTorch's, by the maximum."""
    a, b = y.detach().numpy(), z.detach().numpy()
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    truth = exact.detach().numpy()
    return bool(np.abs(a - truth).max() <= 2 * np.abs(b - truth).max())


def agree(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    *values: Any,
    by: list[int] | None = None,
    modules: Any = (),
    curved: bool = False,
    dtype: str = "float64",
    what: str = "",
) -> None:
    """Both functions give the same results and gradients for the same values.

    ``values``: NumPy arrays, tensors of PyTorch or None. ``by``: the places of those to
    differentiate by, all floating ones unless given. ``modules``: one of ours and one of
    PyTorch's, whose parameters get gradients, too. ``curved``: the gradients of Σ y² are results,
    so that second derivatives are compared.
    """

    def run(f: Any, make: Any, grad: Any, module: Any) -> Any:
        xs = [None if v is None else make(v) for v in values]
        inputs = [
            x.requires_grad_()
            for i, x in enumerate(xs)
            if x is not None and "float" in str(x.dtype) and (by is None or i in by)
        ]
        ys = f(*xs)
        if curved:
            ys = leaves(ys)
            loss = sum((y * y).sum() for y in ys if "float" in str(y.dtype))
            ys += grad(loss, inputs, create_graph=True)
        return ys, [*inputs, *(module.parameters() if module else ())]

    def tensor(value: Any) -> Any:
        return tx.asarray(value.detach().numpy() if torch.is_tensor(value) else value)

    def reference(value: Any) -> Any:
        return value.detach() if torch.is_tensor(value) else torch.asarray(np.array(value))

    mine, his = modules or (None, None)
    case = Case(
        "",
        lambda: run(ours, tensor, tx.autograd.grad, mine),
        lambda: run(theirs, reference, torch.autograd.grad, his),
    )
    wrong = problem(case, dtype)
    assert wrong is None, f"{what}: {wrong}" if what else wrong


def alike(name: str, *values: Any, by: list[int] | None = None, **options: Any) -> None:
    """``agree`` for the function ``name`` of both libraries' nn.functional, with these options."""
    curved = options.pop("curved", False)
    agree(
        lambda *xs: getattr(F, name)(*xs, **options),
        lambda *ts: getattr(torch.nn.functional, name)(*ts, **options),
        *values,
        by=by,
        curved=curved,
    )
