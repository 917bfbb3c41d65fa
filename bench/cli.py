"""``tinyxp bench``: training steps of tinyxp and of other libraries, timed in turn."""

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

from tinyxp import backends
from tinyxp.bench import machine, ops, report, scaling
from tinyxp.bench.contest import contest, peer, table
from tinyxp.bench.workloads import WORKLOADS
from tinyxp.errors import ArgumentError, TinyError

# name on the command line -> name in a report, library, module, options
PEERS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "torch": (report.REFERENCE, "torch", "torch_peer", {}),
    "compiled": ("PyTorch compiled", "torch", "torch_peer", {"compiled": True}),
    "jax": ("JAX jit", "jax", "jax_peer", {}),
    "autograd": ("HIPS/autograd", "autograd", "autograd_peer", {}),
    "mygrad": ("MyGrad", "mygrad", "mygrad_peer", {}),
    "tinygrad": ("tinygrad TinyJit", "tinygrad", "tinygrad_peer", {}),
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    names = ",".join(WORKLOADS)
    command.add_argument(
        "--workload", default=names, help=f"some of {names}, with commas (default: all)"
    )
    command.add_argument(
        "--peers", help=f"some of {','.join(PEERS)}, or none (default: all that are installed)"
    )
    command.add_argument(
        "--backends", default="numpy", help="tinyxp's, as numpy,torch,strict (default: numpy)"
    )
    command.add_argument("--device", default="cpu", help="of PyTorch: cpu or cuda (default: cpu)")
    command.add_argument("--threads", type=int, default=0, help="on the CPU (default: 0, all)")
    command.add_argument("--rounds", type=int, default=20, help="of each workload (default: 20)")
    command.add_argument("--keep-memory", action="store_true", help="also with tx.keep_memory()")
    command.add_argument("--ops", action="store_true", help="single operations too")
    command.add_argument(
        "--scaling", action="store_true", help="sweep depth, width, context, batch"
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    command.add_argument(
        "--report",
        type=Path,
        metavar="FILE.md",
        help="write a report, a plot and a .json beside it",
    )
    command.add_argument("--compare", metavar="OLD.json", help="end with 1 if anything is slower")
    command.add_argument("--summary", metavar="FILE.json", help="only print the table of a report")


def chosen(args: argparse.Namespace, threads: int) -> dict[str, dict[str, Any]]:
    """The contenders by name, each with its peer's module and options."""
    wanted = [name for name in (args.peers or "").split(",") if name and name != "none"]
    unknown = set(wanted) - PEERS.keys()
    if unknown:
        raise ArgumentError(f"unknown peers {sorted(unknown)}; choose among {', '.join(PEERS)}")
    found: dict[str, dict[str, Any]] = {}
    for key, (name, library, module, options) in PEERS.items():
        here = importlib.util.find_spec(library) is not None
        if key in wanted and not here:
            raise ArgumentError(f"the peer {key!r} is not installed; pip install {library}")
        if here and (key in wanted or args.peers is None):
            found[name] = {"module": module, "threads": threads} | options
            if library == "torch":
                found[name]["device"] = args.device
    for name in filter(None, args.backends.split(",")):
        backends.get(name)  # reports a missing backend before anything runs
        shared = {"module": "tinyxp_peer", "backend": name, "threads": threads}
        found[f"tinyxp {name}"] = shared | {"fast": False}
        if name != "numpy":
            continue
        found["tinyxp numpy, captured"] = shared | {"fast": False, "capture": True}
        if importlib.util.find_spec("numba"):
            found["tinyxp numpy + fast"] = shared
            found["tinyxp numpy + fast, captured"] = shared | {"capture": True}
            if args.keep_memory:
                found["tinyxp numpy + fast, memory kept"] = shared | {"keep_memory": True}
    return found


def run(args: argparse.Namespace) -> int:
    """Measure, print tables, write the report; return 1 if something got slower."""
    if args.summary:
        print(report.summary(report.load(args.summary)))
        return 0
    names = [name for name in args.workload.split(",") if name]
    if unknown := set(names) - WORKLOADS.keys():
        raise ArgumentError(
            f"unknown workloads {sorted(unknown)}; choose among {', '.join(WORKLOADS)}"
        )
    if args.rounds < 1 or args.threads < 0:
        raise ArgumentError("--rounds must be at least 1 and --threads at least 0")
    old = report.load(args.compare) if args.compare else None
    threads = args.threads or machine.threads()
    contenders = chosen(args, threads)
    if not contenders:
        raise ArgumentError("there is no contender; give --backends or --peers")
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine.describe(threads),
        "workloads": [],
    }
    print(f"{found['machine']['processor']}, {threads} threads", flush=True)
    for name in names:
        workload = WORKLOADS[name]
        made = {
            who: (peer, (), options | {"workload": workload}) for who, options in contenders.items()
        }
        results = contest(made, args.rounds, workload.steps, warmup=5)
        entry = {
            "name": name,
            "about": workload.about,
            "optimizer": workload.optimizer,
            "flops": workload.model.flops(),
            "results": [vars(result) for result in results],
        }
        found["workloads"].append(entry)
        print(
            f"\n{name}: {workload.about}\n{table(results, report.reference(results))}", flush=True
        )
    if args.ops:
        print("\nsingle operations", flush=True)
        fast = importlib.util.find_spec("numba") is not None
        found["ops"] = ops.measure(threads, args.rounds, fast)
        print(ops.table(found["ops"], found["machine"]["limits"]))
    if args.scaling:
        print("\nscaling", flush=True)
        some = {k: v for k, v in contenders.items() if k.startswith(("tinyxp", report.REFERENCE))}
        found["scaling"] = scaling.measure(some, max(3, args.rounds // 4))
        print(scaling.table(found["scaling"]))
    write(args, found)
    lines = report.slower(found, old) if old else []
    print(
        "\n".join(["", "slower than before:", *lines]) if lines else "", end="\n" if lines else ""
    )
    return 1 if lines else 0


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark without the other commands: ``python -m bench``."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    add_arguments(parser)
    try:
        return run(parser.parse_args(argv))
    except TinyError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


def write(args: argparse.Namespace, found: dict[str, Any]) -> None:
    """Write the requested files."""
    paths = [args.json] if args.json else []
    if args.report:
        paths.append(args.report.with_suffix(".json"))
        args.report.parent.mkdir(parents=True, exist_ok=True)
        picture = args.report.with_suffix(".svg")
        drawn = report.draw(found, picture)
        text = report.markdown(found, picture.name if drawn else None)
        args.report.write_text(text, encoding="utf-8")
        print(f"\nreport: {args.report}")
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
