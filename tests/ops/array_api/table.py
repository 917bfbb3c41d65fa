"""The results of tests/array_api.sh as a table, printed, and with --page written into the docs.

Reads one JUnit file a run (NAME.xml), or why there was none (NAME.missing), and the causes in
causes.toml. Exit code 1 if a test failed on NumPy, or with recording on without a cause.
"""

import argparse
import datetime
import fnmatch
import platform
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "array_api.md"
START, END = "<!-- written by tests/array_api.sh -->", "<!-- end of what is written -->"
LIBRARIES = {
    "numpy": ("numpy", "array-api-compat"),
    "torch": ("torch", "array-api-compat"),
    "strict": ("array-api-strict", "numpy"),
    "cupy": ("cupy", "cupy-cuda12x", "cupy-cuda13x", "array-api-compat"),
}
STANDARD = "2025.12"
RECORDING = "numpy+recording"
OUTCOMES = ("passed", "failed", "xfailed", "skipped")


def outcome(case):
    """What became of a test: one of OUTCOMES."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    if skipped is None:
        return "passed"
    return "xfailed" if skipped.get("type") == "pytest.xfail" else "skipped"


def read(path):
    """The outcome of each test in a JUnit file, by test id."""
    cases = ET.parse(path).getroot().iter("testcase")
    return {
        f"{case.get('classname').rpartition('.')[2]}.py::{case.get('name')}": outcome(case)
        for case in cases
    }


def known_causes():
    return tomllib.loads((HERE / "causes.toml").read_text("utf-8"))["causes"]


def cause(test, run, causes):
    """Why ``test`` fails on ``run``, or None."""
    for known in causes:
        if run in known["on"] and any(matches(test, pattern) for pattern in known["tests"]):
            return known["cause"]
    return None


def matches(test, pattern):
    return fnmatch.fnmatchcase(test, pattern.replace("[", "[[]"))  # test ids are full of [


def versions(run):
    found = []
    for library in LIBRARIES[run.partition("+")[0]]:
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def table(runs, missing, causes, examples):
    """The page's generated part, in Markdown."""
    lines = [
        f"array-api-tests for the standard {STANDARD}, {examples} examples a test, no skip or "
        f"xfail file; {datetime.date.today()}, Python {platform.python_version()}.",
        "",
        f"| backend | libraries | {' | '.join(OUTCOMES)} |",
        f"|:--|:--|{'--:|' * len(OUTCOMES)}",
    ]
    for run, tests in runs.items():
        counts = Counter(tests.values())
        cells = " | ".join(str(counts[kind]) for kind in OUTCOMES)
        lines.append(f"| {run} | {versions(run)} | {cells} |")
    lines += [f"| {run} | not run: {why} |{' |' * len(OUTCOMES)}" for run, why in missing.items()]
    for run, tests in runs.items():
        for why, failed in failures(run, tests, causes).items():
            lines += ["", f"Failed on {run}: {why or '**unexplained**'}", ""]
            lines += [f"- `{test}`" for test in failed]
    return "\n".join(lines)


def failures(run, tests, causes):
    """The failed tests by their cause, those without one under None."""
    found = {}
    for test in sorted(test for test, what in tests.items() if what == "failed"):
        found.setdefault(cause(test, run, causes), []).append(test)
    return found


def write(text):
    """Put ``text`` between the marks of the page."""
    before, _, rest = PAGE.read_text("utf-8").partition(START)
    _, mark, after = rest.partition(END)
    if not mark:
        sys.exit(f"{Path(__file__).name}: the marks {START} and {END} are missing in {PAGE}")
    PAGE.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}", "utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--examples", type=int, required=True)
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    order = sorted(options.results.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    runs = {path.stem: read(path) for path in order if path.suffix == ".xml"}
    missing = {p.stem: p.read_text().strip() for p in order if p.suffix == ".missing"}
    causes = known_causes()
    text = table(runs, missing, causes, options.examples)
    print(text)
    if options.page:
        write(text)
    recorded = failures(RECORDING, runs.get(RECORDING, {}), causes)
    return "failed" in runs.get("numpy", {}).values() or None in recorded


if __name__ == "__main__":
    sys.exit(main())
