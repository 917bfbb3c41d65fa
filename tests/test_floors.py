"""The house keeps its shape: imports go down, none in circles, files stay short."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "tinyxp.backends": 0,
    "tinyxp.dtypes": 1,
    "tinyxp.exchange": 1,
    "tinyxp.core": 1,
    "tinyxp.gradients": 1,
    "tinyxp.tape": 1,
    "tinyxp.autocasting": 1,
    "tinyxp.advice": 1,
    "tinyxp.operation": 1,
    "tinyxp.vjp": 1,
    "tinyxp.views": 1,
    "tinyxp.lanes": 1,
    "tinyxp.primitive": 1,
    "tinyxp.composite": 1,
    "tinyxp.autograd": 1,
    "tinyxp.tree": 1,
    "tinyxp.threads": 1,
    "tinyxp.transforms": 1,
    "tinyxp.ops": 2,
    "tinyxp.fft": 2,
    "tinyxp.linalg": 2,
    "tinyxp.info": 2,
    "tinyxp.interop": 2,
    "tinyxp.nn": 3,
    "tinyxp.optim": 3,
    "tinyxp.data": 3,
    "tinyxp.random": 3,
    "tinyxp.cuda": 3,
    "tinyxp.graphs": 3,
    "tinyxp.recorded": 3,
    "tinyxp.trials": 3,
    "tinyxp.reach": 3,
    "tinyxp.ran": 3,
    "tinyxp.holders": 1,
    "tinyxp.proof": 3,
    "tinyxp.touched": 1,
    "tinyxp.away": 1,
    "tinyxp.io": 3,
    "tinyxp.locks": 3,
    "tinyxp.state": 3,
    "tinyxp.version": 0,
    "tinyxp.spelling": 3,
    "tinyxp.inplace": 3,
    "tinyxp.gradcheck": 3,
    "tinyxp.checkpointing": 3,
    "tinyxp.debug": 3,
    "tinyxp.plots": 4,
    "tinyxp.parallel": 4,
    "tinyxp.splitting": 4,
    "tinyxp.passes": 4,
    "tinyxp.plan": 4,
    "tinyxp.attempts": 4,
    "tinyxp.train": 4,
    "tinyxp.runs": 4,
    "tinyxp.checkpoints": 4,
    "tinyxp.resuming": 4,
    "tinyxp.finite": 4,
    "tinyxp.amp": 4,
    "tinyxp.interrupts": 4,
    "tinyxp.progress": 4,
    "tinyxp.settings": 4,
    "tinyxp.output": 4,
    "tinyxp.targets": 4,
    "tinyxp.invocation": 1,
    "tinyxp.callbacks": 4,
    "tinyxp.milestone": 4,
    "tinyxp.generation": 4,
    "tinyxp.lessons": 5,
    "tinyxp.selftest": 5,
    "tinyxp.bench": 5,
    "tinyxp.cli": 5,
    "tinyxp.__main__": 5,
    "tinyxp.models": 5,
    "tinyxp": 4.5,  # the public face: it shows all floors but the uppermost, which alone sees it
}
CORE_LIBRARIES = {"numpy", "array_api_compat", "tinyxp"}
TYPE_CHECKING = ("TYPE_CHECKING", "typing.TYPE_CHECKING")
HOMES = {
    "tinyxp.backends.torch_backend": {"torch"},
    "tinyxp.backends.torch_mends": {"torch"},
    "tinyxp.backends.cublas": {"cupy"},
    "tinyxp.backends.cupy_backend": {"cupy", "cupyx"},
    "tinyxp.backends.cupy_device": {"cupy"},
    "tinyxp.backends.cupy_graph": {"cupy"},
    "tinyxp.backends.cupy_matmul": {"cupy"},
    "tinyxp.backends.strict_backend": {"array_api_strict"},
    "tinyxp.backends.numba_functions": {"numba"},
    "tinyxp.bench.gpu_probe": {"cupy"},
    "tinyxp.bench.torch_models": {"torch"},
    **{
        f"tinyxp.bench.peers.{name}_peer": {name}
        for name in ("autograd", "jax", "mygrad", "tinygrad", "torch")
    },
}


def module_files():
    """Every module of the package, by name."""
    found = {}
    homes = {"tinyxp": "tinyxp"}
    homes |= {folder: f"tinyxp.{folder}" for folder in ("backends", "bench", "models")}
    for folder, name in homes.items():
        base = ROOT / folder
        for path in base.rglob("*.py"):
            parts = path.relative_to(base).with_suffix("").parts
            if folder == "tinyxp" and parts[0] in homes:
                continue  # links to folders beside it
            found[".".join([name, *(p for p in parts if p != "__init__")])] = path
    return found


def imports(source, module, modules):
    """The modules that ``source`` imports, and those of them at its top level."""
    deep, top = set(), set()
    tree = ast.parse(source)

    def visit(node, inside):
        if isinstance(node, ast.If) and ast.unparse(node.test) in TYPE_CHECKING:
            for child in node.orelse:
                visit(child, inside)
            return
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: write absolute imports"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.append(full if full in modules else node.module)
        deep.update(names)
        if not inside:
            top.update(names)
        for child in ast.iter_child_nodes(node):
            visit(child, inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))

    visit(tree, False)
    return deep, top


def floor(module):
    name = module
    while name not in FLOORS:
        name, dot, _ = name.rpartition(".")
        assert dot, f"{module} is on no floor: add it to FLOORS"
    assert name != "tinyxp" or module == "tinyxp", f"{module} is on no floor: add it to FLOORS"
    return FLOORS[name]


def upward(module, deep):
    """What ``module`` imports from a higher floor."""
    ours = {name for name in deep if name.partition(".")[0] == "tinyxp"}
    return sorted(name for name in ours if floor(name) > floor(module))


def foreign(module, top):
    """The libraries that ``module`` imports at once, though tinyxp works without them."""
    allowed = sys.stdlib_module_names | CORE_LIBRARIES | HOMES.get(module, set())
    return sorted({name.partition(".")[0] for name in top} - allowed)


def packages_of(modules):
    """The folders that hold modules, also one whose ``__init__.py`` was forgotten."""
    return {
        name if path.name == "__init__.py" else name.rpartition(".")[0]
        for name, path in modules.items()
    }


def cycle(graph):
    """A circle in a graph of imports, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node) :]
        if node in done:
            return None
        path.append(node)
        found = next(filter(None, map(visit, sorted(graph.get(node, ())))), None)
        path.pop()
        done.add(node)
        return found

    return next(filter(None, map(visit, sorted(graph))), None)


MODULES = module_files()
IMPORTS = {name: imports(path.read_text("utf-8"), name, MODULES) for name, path in MODULES.items()}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module):
    assert not upward(module, IMPORTS[module][0])


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_core_libraries_at_the_top_level(module):
    assert not foreign(module, IMPORTS[module][1])


@pytest.mark.parametrize("module", sorted(MODULES))
def test_files_are_short(module):
    assert len(MODULES[module].read_text("utf-8").splitlines()) <= 400


def test_no_import_cycle():
    packages = {"tinyxp"}  # a module below may ask its package for a sibling
    graph = {
        name: {n for n in deep if n in MODULES and n not in packages and n != name}
        for name, (deep, _) in IMPORTS.items()
    }
    assert cycle(graph) is None


def test_pyproject_lists_every_package():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    assert set(listed["packages"]) == packages_of(MODULES)


def test_the_checks_can_fail():
    deep, top = imports("def f():\n    from tinyxp import train", "tinyxp.core", {"tinyxp.train"})
    assert upward("tinyxp.core", deep) == ["tinyxp.train"]
    assert not top
    deep, _ = imports("from tinyxp import asarray", "tinyxp.train", set())
    assert upward("tinyxp.train", deep) == ["tinyxp"]
    assert upward("tinyxp", {"tinyxp.cli"}) == ["tinyxp.cli"]
    guarded = "if TYPE_CHECKING:\n    import cupy\nelse:\n    import torch"
    assert imports(guarded, "tinyxp.core", set()) == ({"torch"}, {"torch"})
    _, top = imports("class A:\n    import torch.nn, os, numpy", "tinyxp.core", set())
    assert foreign("tinyxp.core", top) == ["torch"]
    assert not foreign("tinyxp.backends.torch_backend", top)
    assert packages_of({"tinyxp.attic.box": Path("box.py")}) == {"tinyxp.attic"}
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c"]
    assert cycle({"a": {"b"}, "b": {"c"}}) is None
    with pytest.raises(AssertionError, match="add it to FLOORS"):
        floor("tinyxp.attic")
