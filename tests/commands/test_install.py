"""An installed checkout is found from everywhere, the folder that holds the checkout included."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import editable

PROGRAM = """
import site, sys
site.addsitedir(sys.argv[1])
import tinyxp as tx
from tinyxp import models
import tinyxp.backends
print(tx.__file__)
print(tx.ones(3).sum().item(), len(tx.models.__path__))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """What ``pip install --editable`` unpacks."""
    pytest.importorskip("setuptools", "77", reason="it builds the package")
    folder, before = tmp_path_factory.mktemp("site"), os.getcwd()
    os.chdir(editable.PACKAGE.parent)
    try:
        built = subprocess.run(
            [sys.executable, "-c", "import sys, editable; editable.build_editable(sys.argv[1])"]
            + [str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.chdir(before)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        assert file.testzip() is None
        file.extractall(folder)
    return folder


@pytest.mark.parametrize("shadowed", [True, False], ids=["above a clone", "elsewhere"])
def test_a_clone_named_as_the_package_does_not_hide_it(site, tmp_path, shadowed):
    if shadowed:
        (tmp_path / "tinyxp" / "tinyxp").mkdir(parents=True)
    (tmp_path / "mine.py").write_text(PROGRAM)
    found = subprocess.run(
        [sys.executable, "mine.py", str(site)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == [str(editable.PACKAGE / "__init__.py"), "3.0", "1"]


def test_another_package_of_that_name_comes_before_it_as_usual(site, tmp_path):
    """As in a second working tree: the package in the current folder wins."""
    (tmp_path / "tinyxp").mkdir()
    (tmp_path / "tinyxp" / "__init__.py").write_text("print('this one')\nraise SystemExit")
    (tmp_path / "mine.py").write_text(PROGRAM)
    command = [sys.executable, "mine.py", str(site)]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.stdout == "this one\n"


def test_every_file_of_the_wheel_is_on_its_record(site):
    (record,) = site.glob("*.dist-info/RECORD")
    named = {line.split(",")[0] for line in record.read_text().splitlines()}
    assert "tinyxp/__init__.py" in named
    assert all((site / Path(name)).exists() for name in named)
