"""What README.md shows runs as it stands, and prints what it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), flags=re.DOTALL)
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


def needed(block):
    """The libraries that a block says it needs."""
    (line,) = re.findall(r"# needs (.*)", block) or [""]
    return [LIBRARIES[word] for word in re.findall(r"\w+", line) if word in LIBRARIES]


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What each block prints, in a process where nothing was imported or seeded before it; the
    block that chooses another backend, and what needs a library, in processes of their own."""
    folder = tmp_path_factory.mktemp("readme")
    files = [folder / f"block{i}.py" for i in range(len(BLOCKS))]
    files[3] = folder / "net.py"  # as its report says
    for file, block in zip(files, BLOCKS, strict=True):
        file.write_text(block, "utf-8")
    alone = [i for i, block in enumerate(BLOCKS) if needed(block)]
    groups = [[i for i in range(len(BLOCKS)) if i not in alone], *([i] for i in alone)]
    found = {}
    for group in groups:
        ended = subprocess.run(
            [sys.executable, "-c", RUN, *(files[i].name for i in group)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        lines = map(json.loads, ended.stdout.splitlines())
        found |= dict(zip(group, lines, strict=True))
    return found


@pytest.mark.parametrize("i", range(len(BLOCKS)))
def test_a_block_runs_as_it_stands(printed, i):
    for library in needed(BLOCKS[i]):
        pytest.importorskip(library, reason=f"the example says that it needs {library}")
    out, error = printed[i]
    assert not error
    claims = re.findall(r"^print\(.*\)  # (.*)$", BLOCKS[i], flags=re.MULTILINE)
    for claim, line in zip(claims, out.splitlines(), strict=False):
        if re.match(r"[-\d<(]|tensor", claim):  # else it is no output, but a remark
            assert claim.startswith(line), (claim, line)


def test_nothing_of_a_block_needs_another(printed):
    assert len(BLOCKS) >= 8
    assert all("import" in block for block in BLOCKS)


def test_the_first_example_learns_xor(printed):
    assert float(printed[0][0]) < 0.05


def test_the_doctor_says_what_is_shown(printed):
    shown = README.read_text("utf-8").partition("print(tx.doctor(loss, net))\n```\n\n```\n")[2]
    assert printed[3][0].splitlines() == shown.partition("\n```")[0].splitlines()


def test_the_model_as_for_pytorch(printed):
    (i,) = [i for i, block in enumerate(BLOCKS) if "nn.summary" in block]
    assert printed[i][0].splitlines()[-1].startswith("15,786 parameters")


def test_the_table_of_ratios_is_that_of_the_committed_benchmark():
    from tinyxp.bench import report

    mark = "<!-- tinyxp bench --summary bench/results/cpu.json -->"
    shown = README.read_text("utf-8").partition(mark)[2].partition("<!-- end -->")[0].strip()
    assert shown == report.summary(report.load(README.parent / "bench/results/cpu.json"))


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", README.read_text("utf-8")):
        path = link[0] or link[1]
        assert path.startswith("http") or (README.parent / path).exists(), path


def test_files_are_as_long_as_it_says():
    """To a tenth: they grow a little before somebody counts again."""
    text = README.read_text("utf-8").split("## Two commands")[0]
    named = re.findall(r"`(?:tinyxp/)?(\w+\.py)`, (\d+)", text)
    assert len(named) == 5
    for name, lines in named:
        found = len((README.parent / "tinyxp" / name).read_text("utf-8").splitlines())
        assert abs(found - int(lines)) <= 0.1 * found, name
