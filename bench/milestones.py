"""Every milestone over several seeds: the worst and median score, control, margin and seconds.

python -m bench.milestones [--seeds 5] [--only cnn,mlp] [--text FILE] [--json FILE]
"""

import argparse
import contextlib
import importlib
import io
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from tinyxp.models import MILESTONES


def measure(name: str, seeds: int, text: str | None) -> list[Any]:
    """Train a milestone with each seed; its results."""
    module = importlib.import_module(f"tinyxp.models.{name}")
    more = {"text": text} if name == "transformer" else {}
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            quiet = io.StringIO()
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                config = module.Config(seed=seed, **more)
                results.append(module.train(config, Path(folder) / str(seed)))
    return results


def row(name: str, results: list[Any]) -> dict[str, Any]:
    """The figures of one milestone."""
    worst = max if results[0].lower else min
    scores, margins = [r.score for r in results], [r.margin for r in results]
    return {
        "milestone": name,
        "measure": results[0].measure,
        "seeds": len(results),
        "worst": worst(scores),
        "median": statistics.median(scores),
        "control": statistics.median(r.control for r in results),
        "least margin": min(margins),
        "seconds": statistics.median(r.seconds for r in results),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default=",".join(MILESTONES))
    parser.add_argument("--text", help="for the transformer")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    print("| milestone | measure | seeds | worst | median | control | least margin | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for name in args.only.split(","):
        rows.append(row(name, measure(name, args.seeds, args.text)))
        cells = [f"{x:.3f}" if isinstance(x, float) else str(x) for x in rows[-1].values()]
        print(f"| {' | '.join(cells)} |", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
