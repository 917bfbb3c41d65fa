"""PyTorch's own sample inputs, run through tinyxp and through PyTorch.

``op_db`` and ``module_db`` of ``torch.testing._internal`` hold, for every function and module,
inputs that it must take and inputs that it must refuse. Here each becomes a :class:`Case`, and
``problem`` says in a line how tinyxp differs from PyTorch on it: in values, gradients or buffers.
"""

import copy
import dataclasses
import functools
import re
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.errors import TinyError
from tinyxp.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
pytest.importorskip("expecttest", reason="PyTorch's samples need it: pip install expecttest")

EXPLAINED = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
TOLERANCES = {"float64": 1e-10, "float32": 1e-5}  # relative to the largest element of a tensor


@dataclasses.dataclass
class Case:
    """One sample: ``ours`` and ``theirs`` return (results, tensors to differentiate by)."""

    label: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    sample: Any
    exact: Callable[[], Any] | None = None  # ``theirs`` in float64, for a sample in float32


@functools.cache
def databases() -> tuple[list[Any], list[Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal import common_utils, opinfo
        from torch.testing._internal.common_methods_invocations import op_db
        from torch.testing._internal.common_modules import module_db
    # a search for a test of PyTorch's among all callers takes longer than most samples
    common_utils.extract_test_fn = opinfo.core.extract_test_fn = lambda: None
    return op_db, module_db


@functools.cache
def functions() -> dict[str, Any]:
    """The functions of op_db that belong to nn.functional: "interpolate (bicubic)" -> its entry."""
    own = ("softmax", "log_softmax", "sigmoid", "tanh", "logsigmoid")
    found = {}
    for op in databases()[0]:
        name = op.name.removeprefix("nn.functional.")
        if (name != op.name or name in own) and torch.float64 in op.dtypes | {
            torch.int64: 1
        }.keys():
            found[f"{name} ({op.variant_test_name})" if op.variant_test_name else name] = op
    return found


@functools.cache
def modules() -> dict[str, Any]:
    return {module.name.removeprefix("nn."): module for module in databases()[1]}


# -- what is explained ------------------------------------------------------------------------


@dataclasses.dataclass
class Report:
    """What became of the cases of one function or module."""

    passed: int = 0
    explained: dict[str, int] = dataclasses.field(default_factory=dict)  # reason -> how many
    failed: list[str] = dataclasses.field(default_factory=list)

    @property
    def total(self) -> int:
        return self.passed + sum(self.explained.values()) + len(self.failed)


def report(kind: str, name: str, problems: list[tuple[str, str | None]]) -> Report:
    """Sort (label, problem) into what passed, what torch_samples.toml explains, and the rest."""
    found = Report()
    reasons = EXPLAINED.get(kind, {}).get(name.split(" ")[0], {})
    for label, wrong in problems:
        if wrong is None:
            found.passed += 1
            continue
        why = next((why for pattern, why in reasons.items() if re.search(pattern, wrong)), None)
        if why is None:
            found.failed.append(f"{label}: {wrong}")
        else:
            found.explained[why] = found.explained.get(why, 0) + 1
    return found


def samples_of(kind: str, name: str, dtype: str, most: int | None = None) -> Report:
    """What becomes of all samples, or of ``most`` of them at most, spread evenly."""
    cases = function_cases(name, dtype) if kind == "functions" else module_cases(name, dtype)
    some = cases[:: 1 if most is None else -(-len(cases) // most) or 1]
    return report(kind, name, [(case.label, problem(case, dtype)) for case in some])


def errors_of(kind: str, name: str) -> Report:
    if kind == "functions":
        problems = [function_error_problem(name, e) for e in function_errors(name)]
    else:
        problems = [module_error_problem(name, e) for e in module_errors(name)]
    return report(kind, name, [(f"{name} error #{i}", p) for i, p in enumerate(problems)])


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


# -- cases ------------------------------------------------------------------------------------


def function_cases(name: str, dtype: str) -> list[Case]:
    op, ours = functions()[name], called(name)
    if torch.float64 not in op.dtypes:
        dtype = "int64"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(
            op.sample_inputs("cpu", getattr(torch, dtype), requires_grad=dtype != "int64")
        )
    if name.startswith("fractional_max_pool"):  # so that both sides take the same random windows
        for sample in samples:
            shape = (*sample.input.shape[:2], sample.input.ndim - 2)
            drawn = torch.rand(shape, dtype=sample.input.dtype)
            sample.kwargs.setdefault("_random_samples", drawn)
    return [
        function_case(op, ours, sample, dtype, f"{name} #{i}") for i, sample in enumerate(samples)
    ]


def called(name: str) -> Any:
    """Our function; one that is not built says so when it is called."""

    def unbuilt(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("not built")

    ours = getattr(F, name.split(" ")[0], unbuilt)
    if name in ("embedding", "embedding_bag"):  # op_db has the weight first, being what has grads
        return lambda weight, input, **options: ours(input, weight, **options)
    return ours


def function_case(op: Any, ours: Any, sample: Any, dtype: str, label: str) -> Case:
    translate = Translator()

    def mine() -> Any:
        args = translate([sample.input, *sample.args])
        return ours(*args, **translate(sample.kwargs)), [x for _, x in translate.tracked()]

    def theirs() -> Any:
        y = op.op(sample.input, *sample.args, **sample.kwargs)
        return y, [t for t, _ in translate.tracked()]

    def exact() -> Any:
        double = Doubler()
        args = double([sample.input, *sample.args])
        y = op.op(*args, **double(sample.kwargs))
        return y, [t for _, t in double.tracked()]

    return Case(label, mine, theirs, sample, exact if dtype == "float32" else None)


def module_cases(name: str, dtype: str) -> list[Case]:
    info = modules()[name]
    cases = []
    for training in (True, False):
        torch.manual_seed(0)  # the same inputs in every run, as functions have
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            inputs = info.module_inputs_func(
                info,
                device="cpu",
                dtype=getattr(torch, dtype),
                requires_grad=True,
                training=training,
            )
        for i, sample in enumerate(inputs):
            mode = "train" if training else "eval"
            cases.append(module_case(name, info, sample, dtype, training, f"{name} #{i} {mode}"))
    return cases


def module_case(name: str, info: Any, sample: Any, dtype: str, training: bool, label: str) -> Case:
    make, call = sample.constructor_input, sample.forward_input
    translate = Translator()
    state: dict[str, Any] = {}

    def run(dtype: str, args: Any, kwargs: Any) -> Any:
        module = info.module_cls(*make.args, **make.kwargs).to(getattr(torch, dtype))
        if name.startswith("Lazy"):
            module(*args, **kwargs)  # before it, there is no state
        if state:
            module.load_state_dict(state)
        state.update(copy.deepcopy(module.state_dict()))
        y = module.train(training)(*args, **kwargs)
        return [y, [b for _, b in module.named_buffers()]], list(module.parameters())

    def theirs() -> Any:
        y, parameters = run(dtype, call.args, call.kwargs)
        return y, [*(t for t, _ in translate.tracked()), *parameters]

    def exact() -> Any:
        double = Doubler()
        y, parameters = run("float64", double(list(call.args)), double(call.kwargs))
        return y, [*(t for _, t in double.tracked()), *parameters]

    def mine() -> Any:
        make_ours = Translator()  # tensors of the constructor are values, not inputs
        args, kwargs = make_ours(list(make.args)), make_ours(make.kwargs)
        module = getattr(nn, name)(*args, **kwargs).to(dtype=getattr(tx, dtype)).train(training)
        module.load_state_dict(state)
        y = module(*translate(list(call.args)), **translate(call.kwargs))
        buffers = [b for _, b in module.named_buffers()]
        return [y, buffers], [*(x for _, x in translate.tracked()), *module.parameters()]

    return Case(label, mine, theirs, sample, exact if dtype == "float32" else None)


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
        wrong = difference(y, z, TOLERANCES[dtype])
        if wrong and not (case.exact and as_near(y, z, exact()[0][i])):
            return f"result {i}: {wrong}"
    try:
        gs = gradients(tx, ys, recorded, inputs, dtype)
    except TinyError as error:
        return f"{type(error).__name__}: {error}"
    hs = gradients(torch, zs, recorded, references, dtype)
    for i, (g, h) in enumerate(zip(gs, hs, strict=True)):
        wrong = difference(g, h, TOLERANCES[dtype])
        if wrong and not (case.exact and as_near(g, h, exact()[1][i])):
            return f"gradient of input {i}: {wrong}"
    return None


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


def difference(y: Any, z: Any, tolerance: float) -> str | None:
    """How a tensor of ours differs from one of PyTorch, or None."""
    if not isinstance(y, tx.Tensor):
        return f"a {type(y).__name__} instead of a tensor"
    a, b = y.detach().numpy(), z.detach().resolve_conj().numpy()
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype} {a.shape} instead of {b.dtype} {b.shape}"
    if a.size == 0:
        return None
    scale = np.abs(np.where(np.isfinite(b), b, 0)).max()
    close = np.isclose(a, b, rtol=0, atol=tolerance * max(scale, 1e-3), equal_nan=True)
    if close.all():
        return None
    place = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"{a[place]} instead of {b[place]} at {place} ({(~close).sum()} of {a.size})"


# -- errors -----------------------------------------------------------------------------------


def function_errors(name: str) -> list[Any]:
    op = functions()[name]
    if op.error_inputs_func is None:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(op.error_inputs("cpu"))


def module_errors(name: str) -> list[Any]:
    info = modules()[name]
    if info.module_error_inputs_func is None:
        return []
    return [
        error
        for training in (True, False)
        for error in info.module_error_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=False, training=training
        )
    ]


def function_error_problem(name: str, error: Any) -> str | None:
    """What tinyxp does with an input that PyTorch refuses, unless it raises a typed error."""
    sample, translate = error.sample_input, Translator()
    return not_refused(
        lambda: called(name)(*translate([sample.input, *sample.args]), **translate(sample.kwargs)),
        error,
    )


def module_error_problem(name: str, error: Any) -> str | None:
    make, call = error.module_error_input.constructor_input, error.module_error_input.forward_input
    translate = Translator()

    def run() -> Any:
        module = getattr(nn, name)(*translate(list(make.args)), **translate(make.kwargs))
        if call is not None:
            module.to(dtype=tx.float64)(*translate(list(call.args)), **translate(call.kwargs))

    return not_refused(run, error)


def not_refused(run: Callable[[], Any], error: Any) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run()
        except (TinyError, Unknown):
            return None
        except Exception as other:
            return f"{type(other).__name__} instead of a typed error: {other}"
    return f"no error instead of {error.error_type.__name__}: {error.error_regex}"
