"""The examples in docstrings run, and every public operation has one."""

import doctest
import importlib
import inspect
import math
import pkgutil
import re

import pytest

import tinyxp as tx
from tests.helpers import each
from tinyxp.core.operation import OPS
from tinyxp.errors import BackendError

# modules that import another library
BACKENDS = "tinyxp.backends.cupy.", "tinyxp.backends.torch."  # loaded by their backend.py
OTHERS = (*BACKENDS, "tinyxp.bench.peers.", "tinyxp.bench.torch_models")


def modules():
    """Every module of tinyxp that can be imported here, and the reasons for the others."""
    found, skipped = [tx], {}
    for info in pkgutil.walk_packages(tx.__path__, "tinyxp.", onerror=lambda name: None):
        if info.name.endswith("__main__"):
            continue  # importing it runs the command line
        try:
            found.append(importlib.import_module(info.name))
        except BackendError as error:  # an optional backend
            skipped[info.name] = str(error)
        except ModuleNotFoundError as error:
            if not info.name.startswith(OTHERS):
                raise
            skipped[info.name] = str(error)
    return found, skipped


MODULES, SKIPPED = modules()


def examples():
    """The doctests of everything, each found in the module that defines it.

    Not by DocTestFinder's own search: it takes @primitive's wrappers for another module's.
    """
    finder = doctest.DocTestFinder(recurse=False)
    for module in MODULES:
        things = {module.__name__: module}
        for name, thing in vars(module).items():
            if getattr(thing, "__module__", None) != module.__name__ or not callable(thing):
                continue
            things[f"{module.__name__}.{name}"] = thing
            if inspect.isclass(thing):
                for attribute, member in vars(thing).items():
                    member = getattr(member, "__func__", member)
                    if isinstance(member, property) or inspect.isroutine(member):
                        things[f"{module.__name__}.{name}.{attribute}"] = member
        for name, thing in things.items():
            yield from finder.find(thing, name, module=False, globs={**vars(module), "tx": tx})


DOCTESTS = {}  # by the module
for found in examples():
    if found.examples:
        DOCTESTS.setdefault(found.globs["__name__"], []).append(found)


class Rounding(doctest.OutputChecker):
    """Lets the last digit of a float32 differ: NumPy's exp or log has other ones on other CPUs."""

    FLOAT = re.compile(r"-?\d+\.\d*(?:e[+-]?\d+)?")

    def check_output(self, want, got, flags):
        if super().check_output(want, got, flags):
            return True
        words = ["".join(self.FLOAT.sub("#", text).split()) for text in (want, got)]
        numbers = [map(float, self.FLOAT.findall(text)) for text in (want, got)]
        return words[0] == words[1] and all(
            math.isclose(a, b, rel_tol=2e-7) for a, b in zip(*numbers, strict=True)
        )


def test_an_example_may_differ_in_its_last_digit_alone():
    def same(want, got):
        return Rounding().check_output(want, got, 0)

    assert same("tensor([0.40546513, 1.])", "tensor([0.4054651 , 1.])")
    assert not same("tensor([0.40546513])", "tensor([0.4054658])")
    assert not same("tensor([0.5])", "tensor([0.5, 0.5])") and not same("(3, 4)", "(3, 5)")


@pytest.mark.parametrize("module", DOCTESTS)
def test_examples_give_what_they_say(module, tmp_path, monkeypatch):
    said = []
    for i, test in enumerate(DOCTESTS[module]):
        folder = tmp_path / str(i)
        folder.mkdir()
        monkeypatch.chdir(folder)
        test.globs["tmp"] = folder  # where an example may write
        tx.manual_seed(0)
        with tx.backend("numpy"):
            doctest.DocTestRunner(Rounding(), verbose=False).run(test, out=said.append)
    assert not said, "".join(said)  # each failure with the file and the name


def test_only_optional_backends_are_left_out():
    assert all(name.startswith(("tinyxp.backends.", *OTHERS)) for name in SKIPPED)


def public_operations():
    return sorted(
        name for name in OPS if hasattr(tx, name) and not inspect.ismodule(getattr(tx, name))
    )


@each("name", public_operations())
def test_every_public_operation_has_an_example(name):
    assert ">>> " in (getattr(tx, name).__doc__ or ""), f"tx.{name} has no example in its docstring"
