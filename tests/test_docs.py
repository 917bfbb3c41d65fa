"""What README.md and the pages of docs/ show runs as it stands, and prints what they say."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {path: path.read_text("utf-8") for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}
TREE = {path: path.read_text("utf-8") for path in ROOT.rglob("*.md") if ".venv" not in path.parts}
LIBRARIES = {"PyTorch": "torch", "einops": "einops", "SciPy": "scipy"}
RUN = """
import contextlib, io, json, sys, traceback
for path in sys.argv[1:]:
    out, error = io.StringIO(), ""
    with contextlib.redirect_stdout(out):
        try:
            with open(path, encoding="utf-8") as file:
                exec(compile(file.read(), path, "exec"), {"__name__": "__main__"})
        except Exception:
            error = traceback.format_exc()
    print(json.dumps([out.getvalue(), error]))
"""


class Block(NamedTuple):
    """A program on a page."""

    name: str
    source: str
    needs: tuple[str, ...]  # the libraries that it says it needs


def blocks():
    """The programs of all pages; docs/backends.md's own backend has a test of its own."""
    found = {}
    for path, text in sorted(PAGES.items()):
        sources = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
        for i, source in enumerate(sources):
            if '"second"' not in source:
                words = re.findall(r"\w+", "".join(re.findall(r"# needs (.*)", source)))
                needs = tuple(LIBRARIES[word] for word in words if word in LIBRARIES)
                found[f"{path.stem}{i}"] = Block(f"{path.stem}{i}", source, needs)
    return found


BLOCKS = blocks()


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What each program prints. Those that need a library run in processes of their own."""
    folder = tmp_path_factory.mktemp("docs")
    file_of = {name: f"{name}.py" for name in BLOCKS}
    file_of["debugging0"] = "net.py"  # as its report says
    for name, block in BLOCKS.items():
        (folder / file_of[name]).write_text(block.source, "utf-8")
    alone = [name for name, block in BLOCKS.items() if block.needs]
    groups = [[name for name in BLOCKS if name not in alone], *([name] for name in alone)]
    output = {}
    for group in groups:
        ended = subprocess.run(
            [sys.executable, "-c", RUN, *(file_of[name] for name in group)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        output |= dict(zip(group, map(json.loads, ended.stdout.splitlines()), strict=True))
    return output


@pytest.mark.parametrize("name", BLOCKS)
def test_a_program_runs_as_it_stands(printed, name):
    for library in BLOCKS[name].needs:
        pytest.importorskip(library, reason=f"the example says that it needs {library}")
    out, error = printed[name]
    assert not error
    claims = re.findall(r"^print\(.*\)  # (.*)$", BLOCKS[name].source, flags=re.MULTILINE)
    for claim, line in zip(claims, out.splitlines(), strict=False):
        assert claim.startswith(line), (claim, line)


def test_every_program_imports_what_it_uses():
    assert len(BLOCKS) >= 8
    assert all("import" in block.source for block in BLOCKS.values())


def test_the_first_example_learns_xor(printed):
    assert float(printed["README0"][0].split()[-1]) < 0.05


def test_the_doctor_says_what_is_shown(printed):
    page = PAGES[ROOT / "docs" / "debugging.md"]
    shown = page.partition("print(tx.doctor(loss, net))\n```\n\n```\n")[2].partition("\n```")[0]
    assert printed["debugging0"][0].splitlines() == shown.splitlines()


def test_the_model_as_for_pytorch(printed):
    (name,) = [name for name, block in BLOCKS.items() if "nn.summary" in block.source]
    assert printed[name][0].splitlines()[-1].startswith("15,786 parameters")


def test_the_table_of_ratios_is_that_of_the_committed_benchmark():
    from tinyxp.bench import report

    mark = "<!-- tinyxp bench --summary bench/results/cpu.json -->"
    page = PAGES[ROOT / "docs" / "speed.md"]
    shown = page.partition(mark)[2].partition("<!-- end -->")[0].strip()
    assert shown == report.summary(report.load(ROOT / "bench/results/cpu.json"))


@pytest.mark.parametrize("path", TREE, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_files_exist(path):
    text = TREE[path]
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert link.startswith("http") or (path.parent / link).exists(), link
    if path.name == "CHANGELOG.md":
        return  # it may speak of files that are gone
    for name in re.findall(r"`((?:tinyxp|backends|models|bench|tests|docs)/[\w/.-]+)`", text):
        assert (ROOT / name).exists(), name
