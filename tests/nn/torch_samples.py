"""PyTorch's own sample inputs, run through tinyxp and through PyTorch.

``op_db`` and ``module_db`` of ``torch.testing._internal`` hold, for every function and module,
inputs that it must take and inputs that it must refuse. Here each becomes a Case of pytorch.py.
"""

import copy
import dataclasses
import functools
import itertools
import re
import tomllib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tinyxp as tx
from tests.nn.pytorch import Case, Doubler, Translator, Unknown, problem, torch
from tinyxp import nn
from tinyxp.errors import TinyError
from tinyxp.nn import functional as F

pytest.importorskip("expecttest", reason="PyTorch's samples need it: pip install expecttest")

EXPLAINED = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


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


def samples_of(kind: str, name: str, dtype: str, cover: int | None = None) -> Report:
    """What becomes of all samples, or of those that ``covering`` chooses."""
    cases = function_cases(name, dtype) if kind == "functions" else module_cases(name, dtype)
    some = cases if cover is None else covering(cases, cover)
    return report(kind, name, [(case.label, problem(case, dtype)) for case in some])


def covering(cases: list[Case], n: int) -> list[Case]:
    """Those that bring a combination of ``n`` features that no case before them has.

    PyTorch's samples are often every combination of all options, more than a thousand for
    ``max_pool2d``. Features are the number of axes, the dtype, empty axes, axes of length 1 and the
    order in memory of a tensor, the value of a flag or word, the sign of a number, and the length
    of a tuple, each with its place among the arguments.
    """
    seen: set[tuple[str, ...]] = set()
    chosen = []
    for case in cases:
        found = sorted(map(repr, features(case.content, ())))
        new = set(itertools.combinations(found, n)) - seen
        if new:
            chosen.append(case)
            seen |= new
    return chosen


def features(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Those of an argument, with its place."""
    if torch.is_tensor(value):
        yield place, str(value.dtype), value.ndim, 0 in value.shape, value.requires_grad
        yield place, "an axis of length 1", 1 in value.shape
        yield place, "contiguous", value.is_contiguous()
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from features(part, (*place, key))
    elif isinstance(value, (list, tuple)):
        yield place, type(value).__name__, len(value)
        for i, part in enumerate(value):
            yield from features(part, (*place, i))
    elif isinstance(value, (bool, str)) or value is None:
        yield place, value
    elif isinstance(value, (int, float)):
        yield place, type(value).__name__, (value > 0) - (value < 0)
    else:
        yield place, type(value).__name__


def errors_of(kind: str, name: str) -> Report:
    if kind == "functions":
        problems = [function_error_problem(name, e) for e in function_errors(name)]
    else:
        problems = [module_error_problem(name, e) for e in module_errors(name)]
    return report(kind, name, [(f"{name} error #{i}", p) for i, p in enumerate(problems)])


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

    content = [sample.input, sample.args, sample.kwargs]
    return Case(label, mine, theirs, content, exact if dtype == "float32" else None)


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

    content = [training, make.args, make.kwargs, call.args, call.kwargs]
    return Case(label, mine, theirs, content, exact if dtype == "float32" else None)


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
