"""The table of the standard's tests counts outcomes, finds causes and lists what has none."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ops.array_api import table as report

JUNIT = """<testsuites><testsuite>
<testcase classname="suite.test_special_cases" name="test_unary[sin([0, 1)) -&gt; 0]">
  <failure/></testcase>
<testcase classname="suite.test_dlpack" name="test_from_dlpack"><failure/></testcase>
<testcase classname="suite.test_fft" name="test_fft"/>
<testcase classname="suite.test_fft" name="test_ifft"><skipped type="pytest.xfail"/></testcase>
<testcase classname="suite.test_fft" name="test_rfft"><skipped type="pytest.skip"/></testcase>
</testsuite></testsuites>"""
CAUSES = [{"on": ["numpy"], "tests": ["test_special_cases.py::*[sin(*"], "cause": "rounds"}]


@pytest.fixture
def tests(tmp_path):
    (tmp_path / "numpy.xml").write_text(JUNIT)
    return report.read(tmp_path / "numpy.xml")


def test_outcomes_are_counted_and_failures_grouped_by_cause(tests):
    text = report.table({"numpy": tests}, {"cupy": "no GPU"}, CAUSES, 50)
    assert "| 1 | 2 | 1 | 1 |" in text
    assert "| cupy | not run: no GPU |" in text
    assert (
        "Failed on numpy: rounds\n\n- `test_special_cases.py::test_unary[sin([0, 1)) -> 0]`" in text
    )
    assert "Failed on numpy: **unexplained**\n\n- `test_dlpack.py::test_from_dlpack`" in text


def test_a_cause_is_for_its_runs_alone(tests):
    assert set(report.failures("torch", tests, CAUSES)) == {None}
    assert set(report.failures("numpy", tests, CAUSES)) == {None, "rounds"}


def test_every_known_cause_is_about_a_run_and_its_tests():
    for known in report.known_causes():
        assert {run.partition("+")[0] for run in known["on"]} <= {*report.LIBRARIES}
        assert all(pattern.startswith("test_") and "::" in pattern for pattern in known["tests"])
        assert known["cause"].strip() == known["cause"]
        assert "\n" not in known["cause"]


def test_the_page_keeps_what_was_written_by_hand(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(f"above\n{report.START}\nold\n{report.END}\nbelow\n")
    monkeypatch.setattr(report, "PAGE", page)
    report.write("new")
    assert page.read_text() == f"above\n{report.START}\n\nnew\n\n{report.END}\nbelow\n"


def test_recording_makes_floating_tensors_require_grad():
    code = (
        "from tests.ops.array_api import recording as tx\n"
        "x = tx.ones(2)\n"
        "x += 1\n"
        "assert x.requires_grad and tx.asarray([1.0]).requires_grad\n"
        "assert not tx.ones(2, dtype=tx.int64).requires_grad\n"
        "assert tx.asarray(x, copy=None) is x\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(report.__file__).parents[3], check=True)
