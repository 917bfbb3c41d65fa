"""Training steps of tinyxp and PyTorch on a GPU: time, memory, share of the peak.

python -m bench.gpu --report FILE.md [--seconds 540] [--device cpu --tiny]
python -m bench.gpu --char-run [--text FILE] [--seconds 540]

Parts run in order of importance, each in a separate process with a time limit, and the report is
written after each. An existing report is continued: parts in it are not measured again, unless they
failed; to start over, delete its JSON. ``--device cpu --tiny`` runs the same program without a GPU,
in one process, at sizes too small to measure speed. ``--char-run`` trains nanoGPT's character model
at its GPU configuration.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tinyxp as tx
from tinyxp.bench import machine
from tinyxp.bench.gpu_parts import OURS, Parts
from tinyxp.bench.gpu_report import draw, markdown
from tinyxp.errors import BackendError
from tinyxp.files.safetensors import write_atomically

PART_SECONDS = 240.0  # limit of one part
NEEDED = 20.0  # the least time to start a part
ENDING = 12.0  # of these, for starting and ending its processes


def add(found: dict[str, Any], part: dict[str, Any]) -> None:
    """Add the results of a part to the report; a workload replaces an earlier one."""
    new = part.pop("workloads", [])
    names = [(entry["name"], entry["precision"]) for entry in new]
    kept = [x for x in found["workloads"] if (x["name"], x["precision"]) not in names]
    found |= part | {"workloads": kept + new}


def run_apart(name: str, args: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """The results of a part in a separate process, which ends in time with all its children."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "part.json")
        command = [sys.executable, "-m", "tinyxp.bench.gpu", "--part", name]
        command += ["--device", args.device, "--rounds", str(args.rounds), "--report", str(path)]
        command += ["--seconds", str(seconds - ENDING)]
        process = subprocess.Popen(command, start_new_session=True)
        try:
            code = process.wait(seconds)
            problem = f"it ended with {code}"
        except subprocess.TimeoutExpired:
            problem = f"stopped after {seconds:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if path.exists():
            part: dict[str, Any] = json.loads(path.read_text("utf-8"))
            return part
        return {"failed": {name: problem}}


def write(found: dict[str, Any], report: Path) -> str:
    """Write the report as JSON and Markdown, and the plot; return the Markdown."""
    report.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(found, indent=1) + "\n"
    write_atomically(report.with_suffix(".json"), data.encode("utf-8"))
    picture = report.with_suffix(".svg")
    drawn = f"\n![ms per step by batch]({picture.name})\n" if draw(found, picture) else ""
    text = markdown(found)
    report.write_text(text + drawn, "utf-8")
    return text


def measure(args: argparse.Namespace, device: str, until: float) -> int:
    """Run all parts for which there is time."""
    parts = dict(Parts(args.device, args.tiny, args.rounds).named)
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "device": device,
        "versions": machine.versions(),
        "limits": {},
        "workloads": [],
        "ladder": [],
        "crossover": None,
        "failed": {},
        "done": [],
        "rehearsal": args.tiny,
    }
    if (earlier := args.report.with_suffix(".json")).exists():
        found |= json.loads(earlier.read_text("utf-8"))
    found["left_out"] = []
    if args.probed is not None and args.probed.exists():
        found["probe"] = args.probed.read_text("utf-8").splitlines()
        del parts["probe"]
    for name, part in parts.items():
        if name in found["done"]:
            continue
        left = until - time.monotonic()
        if left < NEEDED:
            found["left_out"].append(name)
            continue
        new = part() if args.tiny else run_apart(name, args, min(left, PART_SECONDS))
        failures = new.pop("failed", {})
        found["failed"].pop(name, None)  # of an earlier call
        found["failed"] |= failures
        add(found, new)
        found["done"] += [] if failures else [name]
        print(f"{name}: {found['failed'].get(name, 'done')}", flush=True)
        text = write(found, args.report)
    text = write(found, args.report)
    print(text)
    return int(bool(found["failed"]))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=sorted(OURS), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes too small to measure speed")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=540.0, help="start no part after that")
    parser.add_argument("--report", type=Path, metavar="FILE.md")
    parser.add_argument("--part", help="only this part; write its numbers as JSON")
    parser.add_argument("--probed", type=Path, help="the earlier output of `--part probe`")
    parser.add_argument("--char-run", action="store_true", help="train the character model")
    parser.add_argument("--text", help="its training text, UTF-8 (default: Shakespeare)")
    args = parser.parse_args(argv)
    until = time.monotonic() + args.seconds
    try:
        device = tx.cuda.get_device_name() if args.device == "cuda" else machine.processor()
    except BackendError as error:
        print(f"bench.gpu: {error}")
        return 2
    if args.char_run:
        from tinyxp.bench.char_run import run

        return run(args.device, args.tiny, args.text, args.seconds)
    if args.part:
        part = Parts(args.device, args.tiny, args.rounds, until).named[args.part]()
        if args.report:
            args.report.write_text(json.dumps(part), "utf-8")
        return 0
    if args.report is None:
        parser.error("--report FILE.md is needed")
    if not args.tiny:  # so that its processes end with it
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return measure(args, device, until)


if __name__ == "__main__":
    raise SystemExit(main())
