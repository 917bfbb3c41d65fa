"""Training steps on a GPU beside PyTorch on the same GPU: time, memory, share of the peak.

python -m bench.gpu --report FILE.md [--seconds 240] [--device cpu --tiny]

``--device cpu --tiny`` runs the same program without a GPU, at sizes that tell nothing of speed.
"""

import argparse
import importlib.util
import json
import statistics
import time
from pathlib import Path
from typing import Any

import tinyxp as tx
from tinyxp.backends.errors import BackendError
from tinyxp.bench import machine
from tinyxp.bench.contest import Result, contest, peer, table
from tinyxp.bench.report import REFERENCE, disagreement, reference
from tinyxp.bench.workloads import GPT, Workload
from tinyxp.random import Generator

OURS = {"cuda": "cupy", "cpu": "numpy"}
PRECISIONS = ("highest", "high")  # float32, and TF32
LADDER = (1, 4, 16, 64, 256)

GPT2 = Workload(
    "GPT-2",
    "GPT-2 of 124 million parameters, batch 8 x 1024",
    GPT(n_layer=12, n_head=12, n_embd=768, block_size=1024, batch=8, vocabulary=50257),
    steps=4,
    weight_decay=0.1,
)
CHARACTERS = Workload(
    "characters",
    "nanoGPT's character model, GPU configuration but for its dropout: batch 64 x 256",
    GPT(n_layer=6, n_head=6, n_embd=384, block_size=256, batch=64),
    steps=10,
    weight_decay=0.1,
)
STEPPED = Workload(  # from a size that a CPU does best
    "ladder",
    "GPT of 4 layers, 128 wide, context 64",
    GPT(n_layer=4, n_head=4, n_embd=128, block_size=64, batch=1),
    steps=5,
    weight_decay=0.1,
)


def tiny(workload: Workload) -> Workload:
    """The same with sizes that any machine runs in no time."""
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 8, "block_size": 4, "vocabulary": 11}
    batch = min(workload.model.batch, 2)
    return workload.sized(workload.name, **sizes, batch=batch)


def limits(device: str, n: int, rounds: int = 5) -> dict[str, float]:
    """Products of two (n, n) float32 matrices in GFLOP/s, in each precision; copying in GB/s, read
    and written."""
    wait = tx.cuda.synchronize if device == "cuda" else lambda: None
    found = {}
    with tx.backend(OURS[device]), tx.no_grad():
        a = Generator(0).uniform((n, n))

        def seconds(f: Any) -> float:
            f(), wait()
            times = []
            for _ in range(rounds):
                start = time.perf_counter()
                f(), wait()
                times.append(time.perf_counter() - start)
            return statistics.median(times)

        try:
            for precision in PRECISIONS:
                tx.set_float32_matmul_precision(precision)
                found[precision] = 2e-9 * n**3 / seconds(lambda: a @ a)
        finally:
            tx.set_float32_matmul_precision("highest")
        found["gb_per_s"] = 8e-9 * n**2 / seconds(lambda: tx.clone(a))
    return found


def contenders(device: str, precision: str) -> dict[str, dict[str, Any]]:
    """tinyxp, and PyTorch where it is installed, on one device."""
    shared = {"threads": machine.threads(), "precision": precision}
    found: dict[str, dict[str, Any]] = {}
    if importlib.util.find_spec("torch"):
        found[REFERENCE] = {"module": "torch_peer", "device": device} | shared
    name = OURS[device]
    found[f"tinyxp {name}"] = {"module": "tinyxp_peer", "backend": name} | shared
    return found


def run(workload: Workload, some: dict[str, dict[str, Any]], rounds: int) -> list[Result]:
    """A contest of ``some`` on a workload."""
    made = {name: (peer, (), options | {"workload": workload}) for name, options in some.items()}
    return contest(made, rounds, workload.steps, warmup=3)


def ladder(device: str, base: Workload, batches: tuple[int, ...], rounds: int) -> list[Any]:
    """Seconds a step by size of the batch: tinyxp on the CPU and on the device, PyTorch there."""
    some = contenders(device, "highest")
    some["tinyxp numpy"] = contenders("cpu", "highest")["tinyxp numpy"]
    rows = []
    for batch in batches:
        results = run(base.sized(f"batch {batch}", batch=batch), some, rounds)
        seconds = {r.name: r.median for r in results if not r.error}
        rows.append({"batch": batch, "seconds": seconds})
    return rows


def crossover(rows: list[dict[str, Any]], gpu: str, cpu: str) -> int | None:
    """The batch from which on ``gpu`` takes less time than ``cpu``; None if it never does.

    >>> rows = [{"batch": n, "seconds": {"a": 2, "b": n}} for n in (1, 4)]
    >>> crossover(rows, "a", "b"), crossover(rows, "b", "a")
    (4, None)
    """
    found = None
    for row in rows:
        seconds = row["seconds"]
        if gpu not in seconds or cpu not in seconds:
            continue
        if seconds[gpu] >= seconds[cpu]:
            found = None
        elif found is None:
            found = row["batch"]
    return found


def markdown(found: dict[str, Any]) -> str:
    """The report; the summary comes last."""
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    rates = found["limits"]
    parts = [
        f"# {found['device']}, {found['date']}",
        f"{versions}. Measured here: products {rates['highest'] / 1e3:.2f} TFLOP/s in float32, "
        f"{rates['high'] / 1e3:.2f} in TF32; copying {rates['gb_per_s']:.0f} GB/s.",
    ]
    summary = [
        f"| workload | precision | ms per step | ratio to {REFERENCE} | share of the product rate "
        "| peak MB | losses agree to |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in found["workloads"]:
        results = [Result(**fields) for fields in entry["results"]]
        if all(r.error for r in results):
            lines = [f"{r.name} failed: {r.error.splitlines()[0]}" for r in results]
            parts += [f"## {entry['name']}, {entry['precision']}", *lines]
            continue
        base = reference(results)
        parts += [f"## {entry['name']}, {entry['precision']}: {entry['about']}"]
        parts += [table(results, base)]
        first = next(r for r in results if r.name == base)
        for r in results:
            if r.name.startswith("tinyxp") and not r.error:
                share = 1e-9 * entry["flops"] / r.median / rates[entry["precision"]]
                ratio = f"{r.spread(first)[0]:.2f}" if base == REFERENCE else "-"
                summary.append(
                    f"| {entry['name']}, {r.name} | {entry['precision']} | {1e3 * r.median:.2f} | "
                    f"{ratio} | {100 * share:.0f} % | {r.peak_mb:.0f} | "
                    f"{disagreement(results):.0e} |"
                )
    if found["ladder"]:
        names = list(dict.fromkeys(name for row in found["ladder"] for name in row["seconds"]))
        parts += ["## ms per step by batch", "\n".join([
            f"| batch | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|",
            *(f"| {row['batch']} | " + " | ".join(
                f"{1e3 * row['seconds'][n]:.2f}" if n in row["seconds"] else "-" for n in names
            ) + " |" for row in found["ladder"]),
        ])]  # fmt: skip
        batch = found["crossover"]
        where = f"from batch {batch} on" if batch else "at no batch that was measured"
        parts += [f"The device is faster than the CPU {where}."]
    if found["left_out"]:
        parts += [f"No time was left for: {', '.join(found['left_out'])}."]
    return "\n\n".join([*parts, "## Summary", "\n".join(summary)]) + "\n"


def draw(found: dict[str, Any], path: Path) -> bool:
    """The ladder as a plot, if matplotlib is there."""
    if not found["ladder"] or not importlib.util.find_spec("matplotlib"):
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.add_subplot()
    for name in found["ladder"][0]["seconds"]:
        rows = [row for row in found["ladder"] if name in row["seconds"]]
        times = [1e3 * row["seconds"][name] for row in rows]
        ax.plot([row["batch"] for row in rows], times, "o-", label=name)
    ax.set(xscale="log", yscale="log", xlabel="batch", ylabel="ms per step", title=found["device"])
    ax.legend()
    figure.savefig(path)
    return True


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=sorted(OURS), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes that tell nothing of speed")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=240, help="begin nothing after that")
    parser.add_argument("--report", type=Path, required=True, metavar="FILE.md")
    args = parser.parse_args(argv)
    start = time.monotonic()
    try:
        device = tx.cuda.get_device_name() if args.device == "cuda" else machine.processor()
    except BackendError as error:
        print(f"bench.gpu: {error}")
        return 2
    sized = tiny if args.tiny else lambda workload: workload
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "device": device,
        "versions": machine.versions(),
        "limits": limits(args.device, 64 if args.tiny else 8192),
        "workloads": [],
        "ladder": [],
        "crossover": None,
        "left_out": [],
    }
    tx.backends.get(OURS[args.device]).empty_cache()
    for workload in map(sized, (GPT2, CHARACTERS)):
        for precision in PRECISIONS:
            if time.monotonic() - start > args.seconds:
                found["left_out"].append(f"{workload.name}, {precision}")
                continue
            results = run(workload, contenders(args.device, precision), args.rounds)
            about = {"name": workload.name, "about": workload.about, "precision": precision}
            numbers = {"flops": workload.model.flops(), "results": [vars(r) for r in results]}
            found["workloads"].append(about | numbers)
            print(f"{workload.name}, {precision}: done", flush=True)
    if time.monotonic() - start > args.seconds:
        found["left_out"].append("the ladder")
    else:
        batches = LADDER[:2] if args.tiny else LADDER
        found["ladder"] = ladder(args.device, sized(STEPPED), batches, max(3, args.rounds // 3))
        ours = f"tinyxp {OURS[args.device]}"
        found["crossover"] = crossover(found["ladder"], ours, "tinyxp numpy")
    args.report.parent.mkdir(parents=True, exist_ok=True)
    args.report.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    drawn = draw(found, args.report.with_suffix(".svg"))
    text = markdown(found)
    picture = (
        f"\n![ms per step by batch]({args.report.with_suffix('.svg').name})\n" if drawn else ""
    )
    args.report.write_text(text + picture, "utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
