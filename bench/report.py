"""Reports of benchmarks: JSON, Markdown with a plot, comparison with an earlier report."""

import json
import math
import statistics
from pathlib import Path
from typing import Any

from tinyxp.bench import ops, scaling
from tinyxp.bench.contest import Result, table
from tinyxp.errors import DataError

REFERENCE = "PyTorch eager"


def results_of(entry: dict[str, Any]) -> list[Result]:
    return [Result(**fields) for fields in entry["results"]]


def reference(results: list[Result]) -> str:
    """The name of the reference: PyTorch if it has results, else the first that has."""
    names = [r.name for r in results if not r.error]
    if not names:
        raise DataError("no contender could take a step; see the errors above")
    return REFERENCE if REFERENCE in names else names[0]


def disagreement(results: list[Result]) -> float:
    """The largest relative difference of losses from the reference's; infinite if one is NaN or
    Inf."""
    took_part = [r for r in results if not r.error]
    base = next(r for r in took_part if r.name == reference(results))
    pairs = [(a, b) for r in took_part for a, b in zip(r.losses, base.losses, strict=True)]
    found = [abs(a - b) / abs(b) for a, b in pairs if a is not None]
    return max(found, default=0.0) if all(map(math.isfinite, found)) else math.inf


def markdown(report: dict[str, Any], picture: str | None = None) -> str:
    """The whole report."""
    machine = report["machine"]
    limits = machine["limits"]
    known = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    parts = [
        f"# Benchmark of {report['date']}",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; "
        f"{machine['threads']} threads; {known}. Measured: products of matrices "
        f"{limits['gflops']:.0f} GFLOP/s, copying {limits['gb_per_s']:.1f} GB/s.",
        "Each contender in a process of its own, stepped in turn; medians over rounds.",
    ]
    if picture:
        parts.append(f"![ratios]({picture})")
    for entry in report["workloads"]:
        results = results_of(entry)
        base = reference(results)
        parts += [
            f"## {entry['name']}: {entry['about']}",
            f"{1e-9 * entry['flops']:.3g} GFLOP a step, {entry['optimizer']}; losses agree to "
            f"{disagreement(results):.0e}.",
            table(results, base),
        ]
    if report.get("ops"):
        parts += ["## Single operations (share of the machine's limit)"]
        parts += [ops.table(report["ops"], limits)]
    if report.get("scaling"):
        parts += ["## Scaling", scaling.table(report["scaling"])]
    return "\n\n".join(parts) + "\n"


def summary(report: dict[str, Any]) -> str:
    """README's table: ratios to the reference, a line per contender and a column per workload."""
    entries = report["workloads"]
    names = list(dict.fromkeys(r["name"] for entry in entries for r in entry["results"]))
    lines = [
        f"| ratio to {REFERENCE} (lower is faster) | {' | '.join(e['name'] for e in entries)} |",
        "|---" * (1 + len(entries)) + "|",
    ]
    for name in names:
        cells = []
        for entry in entries:
            results = results_of(entry)
            base = next(r for r in results if r.name == reference(results))
            found = next((r for r in results if r.name == name and not r.error), None)
            if found is None:
                cells.append("-")
            elif found is base:
                cells.append(f"{1e3 * base.median:.3g} ms = 1")
            else:
                middle, low, high = found.spread(base)
                cells.append(f"{middle:.2f} ({low:.2f}-{high:.2f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def load(path: str | Path) -> dict[str, Any]:
    """Read an earlier report. Raises DataError."""
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(report, dict) or "workloads" not in report:
            raise ValueError("it has no workloads")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a report of tinyxp bench: {error}") from error
    return report


def slower(new: dict[str, Any], old: dict[str, Any], tolerance: float = 1.1) -> list[str]:
    """A line for each contender whose ratio to the reference grew by more than ``tolerance``. To
    exclude noise, the 10% quantile over rounds must be above the old median too."""
    known = {entry["name"]: results_of(entry) for entry in old["workloads"]}
    found = []
    for entry in new["workloads"]:
        now, before = results_of(entry), known.get(entry["name"], [])
        if not before:
            continue
        name = reference(now)
        bases = [next((r for r in some if r.name == name), None) for some in (now, before)]
        for r in now:
            then = next((x for x in before if x.name == r.name and not x.error), None)
            if r.error or then is None or r.name == name or None in bases:
                continue
            middle, low, _ = r.spread(bases[0])  # type: ignore[arg-type]
            was = then.spread(bases[1])[0]  # type: ignore[arg-type]
            if middle > tolerance * was and low > was:
                found.append(f"{entry['name']}, {r.name}: {was:.2f} -> {middle:.2f} times {name}")
    return found


def draw(report: dict[str, Any], path: Path) -> bool:
    """Draw ratios as bars and scaling as lines; False without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    entries, rows = report["workloads"], report.get("scaling") or []
    count = len(entries) + (len(scaling.SWEEPS) if rows else 0)
    if not count:
        return False
    columns = min(3, count)
    figure = Figure(figsize=(5 * columns, 3 * -(-count // columns)), layout="constrained")
    axes = [figure.add_subplot(-(-count // columns), columns, i + 1) for i in range(count)]
    for ax, entry in zip(axes, entries, strict=False):
        results = [r for r in results_of(entry) if not r.error]
        base = next(r for r in results if r.name == reference(results))
        ratios = [statistics.median(r.ratios(base)) for r in results]
        colours = ["#c44e52" if r.name.startswith("tinyxp") else "#8c8c8c" for r in results]
        ax.barh([r.name for r in results], ratios, color=colours)
        ax.axvline(1, color="black", linewidth=0.8)
        ax.set(xscale="log", title=f"{entry['name']}: time, {base.name} = 1")
        ax.invert_yaxis()
    for ax, size in zip(axes[len(entries) :], scaling.SWEEPS if rows else (), strict=False):
        some = [row for row in rows if row["size"] == size]
        for name in some[0]["seconds"]:
            ax.plot(
                [r["value"] for r in some], [r["seconds"][name] for r in some], "o-", label=name
            )
        unit = some[-1]["seconds"][next(iter(some[-1]["seconds"]))] / some[-1]["flops"]
        work = [r["flops"] * unit for r in some]
        ax.plot([r["value"] for r in some], work, "k:", label="operations")
        ax.set(xscale="log", yscale="log", title=f"seconds a step against {size}")
        ax.legend(fontsize=7)
    figure.savefig(path)
    return True
