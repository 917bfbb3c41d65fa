"""How the time of a step grows with depth, width, context and batch, relative to its FLOPs."""

from typing import Any

import numpy as np

from tinyxp.bench.contest import contest, peer
from tinyxp.bench.workloads import WORKLOADS, Workload

SWEEPS: dict[str, tuple[int, ...]] = {
    "n_layer": (1, 2, 4, 8),
    "n_embd": (64, 128, 256, 512),
    "block_size": (32, 64, 128, 256, 512),
    "batch": (3, 6, 12, 24, 48),
}


def measure(contenders: dict[str, dict[str, Any]], rounds: int) -> list[dict[str, Any]]:
    """Measure W1's step with one size changed at a time; medians."""
    rows = []
    for size, values in SWEEPS.items():
        for value in values:
            workload: Workload = WORKLOADS["W1"].sized(f"{size}={value}", **{size: value})
            made = {
                name: (peer, (), options | {"workload": workload})
                for name, options in contenders.items()
            }
            results = contest(made, rounds, steps=1, warmup=2)
            seconds = {r.name: r.median for r in results if not r.error}
            rows.append(
                {"size": size, "value": value, "flops": workload.model.flops(), "seconds": seconds}
            )
            print(f"  {size} {value}", flush=True)
    return rows


def exponent(rows: list[dict[str, Any]], size: str, name: str) -> float:
    """The slope of log time against log FLOPs over the larger half of a sweep: 1 if the cost is
    linear."""
    some = [row for row in rows if row["size"] == size and name in row["seconds"]]
    some = some[len(some) // 2 - 1 :]
    x = np.log([row["flops"] for row in some])
    y = np.log([row["seconds"][name] for row in some])
    return float(np.polyfit(x, y, 1)[0])


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: milliseconds, and GFLOP/s."""
    names = list(rows[0]["seconds"])
    lines = [f"| size | GFLOP | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for row in rows:
        gflop = 1e-9 * row["flops"]
        cells = [f"{1e3 * s:.1f} ms, {gflop / s:.0f} GFLOP/s" for s in row["seconds"].values()]
        lines.append(f"| {row['size']} {row['value']} | {gflop:.2f} | {' | '.join(cells)} |")
    for size in SWEEPS:
        cells = [f"{exponent(rows, size, name):.2f}" for name in names]
        lines.append(f"| exponent over {size} | | {' | '.join(cells)} |")
    return "\n".join(lines)
