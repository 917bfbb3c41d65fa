"""What an installed wheel must be: every module imports, and nothing but tinyxp came along.

A script for an environment that holds the wheel and its dependencies alone; ``.ci/run`` calls it.
"""

import importlib
import pkgutil
import sys
import sysconfig
from pathlib import Path

import tinyxp
from tinyxp.errors import BackendError

site = Path(sysconfig.get_paths()["purelib"])
assert Path(tinyxp.__file__).is_relative_to(site), f"imported from {tinyxp.__file__}"
strangers = [name for name in ("backends", "models", "tests", "bench") if (site / name).exists()]
assert not strangers, f"the wheel brought {strangers} to the top level"
assert (site / "tinyxp" / "py.typed").is_file(), "py.typed is missing"
assert list((site / "tinyxp" / "backends" / "cupy" / "src").glob("*.cu")), (
    "the CUDA sources are missing"
)

imported, refused = [], []
for module in pkgutil.walk_packages(tinyxp.__path__, "tinyxp.", onerror=lambda name: None):
    if module.name == "tinyxp.__main__":
        continue
    try:
        importlib.import_module(module.name)
        imported.append(module.name)
    except ModuleNotFoundError as error:  # a program for another library
        backends = ("tinyxp.backends.cupy.", "tinyxp.backends.torch.")  # after their backend.py
        others = (*backends, "tinyxp.bench.peers.", "tinyxp.bench.torch_models")
        assert module.name.startswith(others), error
    except BackendError as error:  # our own words for an optional library that is not here
        assert "pip install" in str(error), error
        refused.append(module.name)
optional = ("cupy.", "torch.", "strict.", "numpy.compiled")
strangers = [n for n in refused if not n.removeprefix("tinyxp.backends.").startswith(optional)]
assert not strangers, f"refused {strangers}"
names = {f"tinyxp.backends.{name}.backend" for name in ("cupy", "strict", "torch")}
assert names <= set(refused), f"refused {refused}, and not all of {sorted(names)}"
assert len(imported) > 30, f"only {len(imported)} modules: does pyproject.toml lack a package?"

heavy = {"torch", "cupy", "matplotlib", "safetensors"} & set(sys.modules)
assert not heavy, f"importing tinyxp imported {heavy}"
x = tinyxp.asarray([1.0, 2.0], requires_grad=True)
(x * x).sum().backward()
assert x.grad.tolist() == [2.0, 4.0]
train, _ = tinyxp.data.load_digits()
assert len(train) == 1437, "the digits did not come along"
print(f"wheel: {len(imported)} modules import, {len(refused)} name their missing library")
