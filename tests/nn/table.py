"""docs/nn.md: how many of PyTorch's samples each function and module of nn passes.

    python -m tests.nn.table

Exit code 1 if a sample fails without a reason in torch_samples.toml.
"""

import sys
from pathlib import Path

import tinyxp as tx
from tests.nn.pytorch import torch
from tests.nn.torch_samples import Report, errors_of, functions, modules, samples_of
from tinyxp import backends
from tinyxp.errors import BackendError

PAGE = Path(__file__).parents[2] / "docs" / "nn.md"
START, END = "<!-- written by python -m tests.nn.table -->", "<!-- end of what is written -->"
HEAD = """| {kind} | samples | {backends} | numpy, float32 | refusals | differs |
|:--|--:|{lines}--:|--:|:--|"""


def available() -> list[str]:
    """The backends that work on this machine, NumPy first."""
    found = []
    for name in ("numpy", "strict", "torch", "cupy"):
        try:
            found.append(backends.get(name).name)
        except BackendError as error:
            print(f"{name}: {error}", file=sys.stderr)
    return found


def reports(kind: str, name: str, names: list[str]) -> tuple[list[Report], Report]:
    """Those of the samples, by column, and that of what PyTorch refuses."""
    columns = []
    for backend in names:
        with tx.backend(backend):
            columns.append(samples_of(kind, name, "float64"))
    return [*columns, samples_of(kind, name, "float32")], errors_of(kind, name)


def row(name: str, columns: list[Report], errors: Report, notes: dict[str, int]) -> str:
    """One line of the table; the reasons that it names are numbered in ``notes``."""
    cells = [str(report.passed) for report in columns]
    refusals = f"{errors.passed} of {errors.total}" if errors.total else ""
    reasons = dict.fromkeys(why for report in [*columns, errors] for why in report.explained)
    marks = ", ".join(str(notes.setdefault(why, len(notes) + 1)) for why in reasons)
    return f"| {name} | {' | '.join([str(columns[0].total), *cells, refusals, marks])} |"


def table(kind: str, names: list[str], notes: dict[str, int], failed: list[str]) -> list[str]:
    lines = [
        HEAD.format(
            kind=kind.removesuffix("s"),
            backends=" | ".join(f"{name}, float64" for name in names),
            lines="--:|" * len(names),
        )
    ]
    total, passed, refused, refusals = 0, 0, 0, 0
    for name in functions() if kind == "functions" else modules():
        columns, errors = reports(kind, name, names)
        lines.append(row(name, columns, errors, notes))
        total += sum(report.total for report in columns)
        passed += sum(report.passed for report in columns)
        refusals, refused = refusals + errors.total, refused + errors.passed
        failed += [line for report in [*columns, errors] for line in report.failed]
    share = f"{passed:,} of {total:,} runs of samples of {kind} pass ({passed / total:.1%})"
    return [f"{share}, {refused} of {refusals} refusals.", "", *lines, ""]


def main() -> int:
    names, notes, failed = available(), {}, []
    body = [f"PyTorch {torch.__version__.partition('+')[0]}.", ""]
    for kind in ("functions", "modules"):
        body += table(kind, names, notes, failed)
    body += [f"{number}. {why}" for why, number in notes.items()]
    before, _, rest = PAGE.read_text("utf-8").partition(START)
    after = rest.partition(END)[2]
    PAGE.write_text("\n".join([f"{before}{START}", "", *body, "", f"{END}{after}"]), "utf-8")
    print("\n".join(failed) or f"written: {PAGE.name}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
