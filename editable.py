"""The build backend: setuptools', with an editable install that a folder's name cannot hide.

Setuptools installs a checkout by a finder that Python asks last. So where the checkout is called
``tinyxp``, Python in the folder above it takes the checkout itself, which has no ``__init__.py``,
for an empty package of that name. A package that stands among the installed ones comes before such
a folder; the one that is added here has a single file, which hands over to the checkout.
"""

import base64
import hashlib
import zipfile
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  (the other functions of a build backend)

PACKAGE = Path(__file__).resolve().parent / "tinyxp"
STUB = f'''"""tinyxp is installed from a checkout: this hands over to it."""

import sys
from importlib.util import module_from_spec, spec_from_file_location

spec = spec_from_file_location(
    "tinyxp", {str(PACKAGE / "__init__.py")!r}, submodule_search_locations=[{str(PACKAGE)!r}]
)
sys.modules["tinyxp"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["tinyxp"])
'''.encode()


def build_editable(folder, settings=None, metadata=None):
    """Setuptools' wheel for ``pip install --editable``, with the package that hands over."""
    name = build_meta.build_editable(folder, settings, metadata)
    path = Path(folder, name)
    with zipfile.ZipFile(path) as wheel:
        files = {item: wheel.read(item) for item in wheel.namelist()}
    files["tinyxp/__init__.py"] = STUB
    digest = base64.urlsafe_b64encode(hashlib.sha256(STUB).digest()).rstrip(b"=").decode()
    record = next(item for item in files if item.endswith(".dist-info/RECORD"))
    files[record] += f"tinyxp/__init__.py,sha256={digest},{len(STUB)}\n".encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for item, data in files.items():
            wheel.writestr(item, data)
    return name
