"""The report of a GPU's measurements: Markdown that ends with a summary, and a plot."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinyxp.bench.contest import Result, table
from tinyxp.bench.report import REFERENCE, disagreement, reference

# the goals: at most so many times PyTorch eager's time
WANTED = {
    ("GPT-2", "highest"): 1.1,
    ("GPT-2", "high"): 1.1,
    ("GPT-2", "bfloat16"): 1.2,
    ("GPT-2", "captured"): 1.0,
    ("characters", ""): 0.8,
}
NAMES = {"highest": "float32", "high": "TF32", "bfloat16": "bfloat16"}


def wanted(workload: str, precision: str, contender: str) -> float | None:
    """The largest ratio to PyTorch eager that is a success; None without a goal.

    >>> wanted("GPT-2 batch 32", "bfloat16", "tinyxp cupy")
    1.2
    >>> wanted("characters", "high", "PyTorch eager")
    """
    if not contender.startswith("tinyxp"):
        return None
    name = workload.partition(" batch")[0].partition(" with")[0]
    if (name, "") in WANTED:
        return WANTED[name, ""]
    return WANTED.get((name, "captured" if contender.endswith("captured") else precision))


def markdown(found: dict[str, Any]) -> str:
    """The report; the summary comes last."""
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    rates = found.get("limits") or {}
    parts = [f"# {found['device']}, {found['date']}", f"{versions}."]
    if found.get("rehearsal"):
        parts += ["A rehearsal at tiny sizes: its numbers mean nothing."]
    if rates:
        products = ", ".join(
            f"{rates[p] / 1e3:.2f} in {name}" for p, name in NAMES.items() if p in rates
        )
        parts += [
            f"Measured here: products of matrices in TFLOP/s {products}; copying "
            f"{rates['gb_per_s']:.0f} GB/s."
        ]
    if found.get("probe"):
        parts += ["## Probe", "\n".join(f"- {line}" for line in found["probe"])]
    summary = [
        f"| workload | precision | contender | ms per step | ratio to {REFERENCE} | wanted "
        "| share of the product rate | peak MB | losses agree to |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in found["workloads"]:
        results = [Result(**fields) for fields in entry["results"]]
        name = f"{entry['name']}, {NAMES[entry['precision']]}"
        if all(r.error for r in results):
            parts += [f"## {name}", *(failed(r) for r in results)]
        else:
            parts += [f"## {name}: {entry['about']}", table(results, reference(results))]
        limit = (lambda *names: None) if found.get("rehearsal") else wanted
        summary += [line(entry, r, results, rates, limit) for r in results]
    if found["ladder"]:
        parts += ladder(found)
    if found.get("failed"):
        parts += ["\n".join(f"Part {k!r} failed: {v}." for k, v in found["failed"].items())]
    if found["left_out"]:
        parts += [f"No time was left for: {'; '.join(found['left_out'])}."]
    return "\n\n".join([*parts, "## Summary", "\n".join(summary)]) + "\n"


def failed(r: Result) -> str:
    return f"{r.name} failed: {r.error.splitlines()[0]}"


def line(
    entry: dict[str, Any],
    r: Result,
    results: list[Result],
    rates: dict[str, float],
    limit: Callable[..., float | None] = wanted,
) -> str:
    """One contender's row of the summary; ``limit`` returns its goal."""
    head = f"| {entry['name']} | {NAMES[entry['precision']]} | {r.name} |"
    if r.error:
        return f"{head} failed: {r.error.splitlines()[0][:80]} | | | | | |"
    base = next((x for x in results if x.name == REFERENCE and not x.error), None)
    ratio = r.spread(base)[0] if base else None
    rate, most = rates.get(entry["precision"]), limit(entry["name"], entry["precision"], r.name)
    cells = [
        f"{1e3 * r.median:.2f}",
        f"{ratio:.2f}" if ratio else "-",
        f"≤ {most}: {'yes' if ratio <= most else 'no'}" if ratio and most else "-",
        f"{1e-7 * entry['flops'] / r.median / rate:.0f} %" if rate else "-",
        f"{r.peak_mb:.0f}",
        "-" if "dropout" in entry["name"] else f"{disagreement(results):.0e}",  # others are dropped
    ]
    return f"{head} {' | '.join(cells)} |"


def ladder(found: dict[str, Any]) -> list[str]:
    """The time of a step by batch size, and where the device overtakes the CPU."""
    names = list(dict.fromkeys(name for row in found["ladder"] for name in row["seconds"]))
    rows = [f"| batch | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    for row in found["ladder"]:
        times = [row["seconds"].get(name) for name in names]
        cells = " | ".join("-" if t is None else f"{1e3 * t:.2f}" for t in times)
        rows.append(f"| {row['batch']} | {cells} |")
    batch = found["crossover"]
    where = f"from batch {batch} on" if batch else "at no batch that was measured"
    text = f"The device is faster than the CPU {where}."
    return ["## ms per step by batch", "\n".join(rows), text]


def draw(found: dict[str, Any], path: Path) -> bool:
    """Draw the ladder; False without matplotlib."""
    if not found["ladder"] or not importlib.util.find_spec("matplotlib"):
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.add_subplot()
    for name in found["ladder"][0]["seconds"]:
        rows = [row for row in found["ladder"] if name in row["seconds"]]
        times = [1e3 * row["seconds"][name] for row in rows]
        ax.plot([row["batch"] for row in rows], times, "o-", label=name)
    if found["crossover"]:
        ax.axvline(found["crossover"], color="grey", linestyle=":", label="faster than the CPU")
    ax.set(xscale="log", yscale="log", xlabel="batch", ylabel="ms per step", title=found["device"])
    ax.legend()
    figure.savefig(path)
    return True
