"""docs/backends.md: its backend, installed as it says, runs its program."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "backends.md"


def test_the_whole_example(tmp_path):
    pytest.importorskip("array_api_strict", reason="pip install array-api-strict")
    text = PAGE.read_text("utf-8")
    *_, backend, program = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (project,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    project = tomllib.loads(project)
    # what pip would unpack
    info = tmp_path / "tinyxp_second-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tinyxp-second\nVersion: 0.1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items())
        for group, points in project["project"]["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("".join(lines))
    (module,) = project["tool"]["setuptools"]["py-modules"]
    (tmp_path / f"{module}.py").write_text(backend)
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    expected = re.findall(r"print\(.*\)  # (.*)", program)
    assert found.stdout.splitlines() == expected
