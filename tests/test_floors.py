"""The house keeps its shape: folders are floors, imports go down, and files stay short."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A room is a folder or a module beside tinyxp/__init__.py, which is the room "tinyxp": the public
# face. A room imports only from the floors below its own.
FLOORS = (
    ("errors", "version"),
    ("backends",),
    ("core",),
    ("ops", "random"),
    ("autograd", "fft", "files", "linalg"),
    ("nn",),
    ("data", "debug", "interop", "optim", "plots"),
    ("amp", "capture", "cuda"),
    ("tinyxp", "train"),
    ("lessons", "models", "selftest"),
    ("bench",),
    ("commands",),
)
FLOOR_OF = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
TOP_LEVEL_MODULES = {"__init__", "__main__", "cuda", "errors", "random", "version"}
BACKENDS = {p.parent.name for p in (ROOT / "backends").glob("*/__init__.py")} - {"common"}
# Where a library beside the core's may be imported at once.
LIBRARIES = {
    "tinyxp.backends.cupy": {"cupy", "cupyx"},
    "tinyxp.backends.numpy.compiled": {"numba"},
    "tinyxp.backends.strict": {"array_api_strict"},
    "tinyxp.backends.torch": {"torch"},
    "tinyxp.bench.gpu_probe": {"cupy"},
    "tinyxp.bench.torch_models": {"torch"},
    **{
        f"tinyxp.bench.peers.{name}_peer": {name}
        for name in ("autograd", "jax", "mygrad", "tinygrad", "torch")
    },
}
CORE_LIBRARIES = {"numpy", "array_api_compat", "tinyxp"}


def module_files():
    """The file of every module of the package, by the module's name."""
    files = {}
    for folder, name in {
        "tinyxp": "tinyxp",
        **{folder: f"tinyxp.{folder}" for folder in ("backends", "bench", "models")},
    }.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if not (ROOT / folder / parts[0]).is_symlink():  # a link to a folder beside tinyxp
                files[".".join([name, *(p for p in parts if p != "__init__")])] = path
    return files


def imports(source, module, modules):
    """All modules that ``source`` imports, under TYPE_CHECKING too, and those that it imports at
    once, when it is imported itself."""
    everywhere, at_once = set(), set()

    def visit(node, later):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: write absolute imports"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else node.module for name in full]
        everywhere.update(names)
        if not later:
            at_once.update(names)
        guard = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in ast.iter_child_nodes(node):
            function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            visit(child, later or function or (guard and child in node.body))

    visit(ast.parse(source), False)
    return everywhere, at_once


def room(module):
    """The room of a module of tinyxp."""
    own = (module.split(".") + ["tinyxp"])[1]
    return "commands" if own == "__main__" else own


def not_below(module, imported):
    """What ``module`` imports from its own floor or a higher one, outside of its room."""
    ours = {name for name in imported if name.partition(".")[0] == "tinyxp"}
    own = room(module)
    assert own in FLOOR_OF, f"the room {own!r} is on no floor: add it to FLOORS"
    return sorted(
        name for name in ours if room(name) != own and FLOOR_OF[room(name)] >= FLOOR_OF[own]
    )


def insides(module, imported):
    """What ``module`` imports of the insides of a backend that it is no part of."""
    own = tuple(module.split(".")[:3])
    return sorted(
        name
        for name in imported
        if tuple(name.split(".")[:2]) == ("tinyxp", "backends")
        and len(name.split(".")) > 2
        and name.split(".")[2] in BACKENDS
        and tuple(name.split(".")[:3]) != own
    )


def foreign(module, at_once):
    """The libraries that ``module`` imports at once, though tinyxp works without them."""
    allowed = sys.stdlib_module_names | CORE_LIBRARIES
    for home, libraries in LIBRARIES.items():
        if f"{module}.".startswith(f"{home}."):
            allowed = allowed | libraries
    return sorted({name.partition(".")[0] for name in at_once} - allowed)


def packages_of(modules):
    """The folders that hold modules, one whose ``__init__.py`` was forgotten included."""
    return {
        name if path.name == "__init__.py" else name.rpartition(".")[0]
        for name, path in modules.items()
    }


def circle(graph):
    """A circle in a graph of imports, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node) :]
        if node in done:
            return None
        path.append(node)
        closed = next(filter(None, map(visit, sorted(graph.get(node, ())))), None)
        path.pop()
        done.add(node)
        return closed

    return next(filter(None, map(visit, sorted(graph))), None)


MODULES = module_files()
IMPORTS = {name: imports(path.read_text("utf-8"), name, MODULES) for name, path in MODULES.items()}


def test_imports_go_down():
    wrong = {name: not_below(name, IMPORTS[name][0]) for name in MODULES}
    assert not {name: found for name, found in wrong.items() if found}
    assert len(FLOORS) <= 12


def test_nothing_knows_the_insides_of_a_backend():
    # the probe of a GPU looks into the backend on purpose
    names = [name for name in MODULES if name != "tinyxp.bench.gpu_probe"]
    wrong = {name: insides(name, IMPORTS[name][0]) for name in names}
    assert not {name: found for name, found in wrong.items() if found}


def test_only_core_libraries_at_once():
    wrong = {name: foreign(name, IMPORTS[name][1]) for name in MODULES}
    assert not {name: found for name, found in wrong.items() if found}


def test_files_are_short():
    lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert not {name: n for name, n in lines.items() if n > 400}


def test_no_circles():
    # a module may ask the face for a sibling: `from tinyxp import nn`
    graph = {
        name: {n for n in everywhere if n in MODULES and n not in ("tinyxp", name)}
        for name, (everywhere, _) in IMPORTS.items()
    }
    assert circle(graph) is None


def test_the_top_level_holds_folders():
    top = {path.stem for path in (ROOT / "tinyxp").glob("*.py")}
    assert top == TOP_LEVEL_MODULES


def test_pyproject_lists_every_package():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    assert set(listed["packages"]) == packages_of(MODULES)


def test_the_checks_can_fail():
    source = "def f():\n    from tinyxp import train"
    everywhere, at_once = imports(source, "tinyxp.core.tape", {"tinyxp.train"})
    assert not_below("tinyxp.core.tape", everywhere) == ["tinyxp.train"]
    assert not at_once
    guarded = "if TYPE_CHECKING:\n    import tinyxp.train\nelse:\n    import torch"
    everywhere, at_once = imports(guarded, "tinyxp.core.tape", set())
    assert not_below("tinyxp.core.tape", everywhere) == ["tinyxp.train"]
    assert foreign("tinyxp.core.tape", at_once) == ["torch"]
    assert not foreign("tinyxp.backends.torch.backend", at_once)
    assert not_below("tinyxp.train.run", {"tinyxp"}) == ["tinyxp"]
    assert not_below("tinyxp", {"tinyxp.commands"}) == ["tinyxp.commands"]
    assert not_below("tinyxp.fft.dft", {"tinyxp.linalg.norms"}) == ["tinyxp.linalg.norms"]
    with pytest.raises(AssertionError, match="add it to FLOORS"):
        not_below("tinyxp.attic.box", set())
    inside = {"tinyxp.backends.numpy.memory", "tinyxp.backends.common.philox"}
    assert insides("tinyxp.optim.sgd", inside) == ["tinyxp.backends.numpy.memory"]
    assert insides("tinyxp.backends.cupy.kernels.dense", inside) == ["tinyxp.backends.numpy.memory"]
    assert not insides("tinyxp.backends.numpy.kernels.dense", inside)
    assert packages_of({"tinyxp.attic.box": Path("box.py")}) == {"tinyxp.attic"}
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c"]
    assert circle({"a": {"b"}, "b": {"c"}}) is None
