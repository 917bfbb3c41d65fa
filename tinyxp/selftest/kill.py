"""Kills training runs at random moments: the resumed runs must end with the same bits."""

import hashlib
import random
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tinyxp.files.safetensors import DIGEST, read
from tinyxp.selftest.child import ChildError, Outcome, Report, finish, start
from tinyxp.selftest.training import STEPS

PATIENCE = 60.0  # seconds for a whole run
ATTEMPTS = 10  # to kill one run at the wanted moment
SAVE_SECONDS = 0.01  # an estimate, until a save has been timed


def check(tries: int, report: Report) -> Outcome:
    """Each try kills a run at a random moment, every second one inside a save, and resumes it.

    Its last checkpoint, its model and its metrics must be those of an undisturbed run.
    """
    draw, failures, inside = random.Random(0), [], 0
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(2) as pool:
        folder = Path(temporary)
        process = start_run(folder / "whole")
        begin = time.monotonic()
        finish(process, PATIENCE)
        seconds = time.monotonic() - begin
        expected = fingerprint(folder / "whole")
        futures = []
        for i in range(tries):
            victim = Victim(folder / str(i), seconds * draw.random(), i % 2 == 0, draw.random())
            futures.append(pool.submit(victim.test, expected))
        for i, future in enumerate(futures):
            problem, in_save = future.result()
            inside += in_save
            failures += [f"run {i}: {problem}"] if problem else []
            report(i + 1)
    return Outcome(tries, failures, f"{inside} of {tries} killed inside a save")


@dataclass
class Victim:
    """A run to kill after ``seconds`` of training, or ``inside`` the next save after them, when
    this ``fraction`` of the save is over."""

    folder: Path
    seconds: float
    inside: bool
    fraction: float

    def test(self, expected: str) -> tuple[str, bool]:
        """Kill and resume the run; return the problem, if any, and whether a save was hit."""
        for _ in range(ATTEMPTS):
            output = self.kill()
            in_save = output.endswith(b"(")
            if output and (in_save or not self.inside):
                break
            # the run or its save had ended before: try again, earlier
            self.seconds, self.fraction = self.seconds / 2, self.fraction / 2
            shutil.rmtree(self.folder)
        else:
            return f"it was not killed at the wanted moment in {ATTEMPTS} attempts", False
        try:
            finish(start_run(self.folder), PATIENCE)
        except ChildError as error:
            return f"it cannot be resumed: {error}", in_save
        found = fingerprint(self.folder)
        return "" if found == expected else f"it ends with other bits: {found}", in_save

    def kill(self) -> bytes:
        """Start and kill the run. Return its output, "(" and ")" for each save, or nothing if the
        run ended before."""
        process = start_run(self.folder)
        end = time.monotonic() + self.seconds
        output, save_start, save_seconds = b".", 0.0, SAVE_SECONDS
        while self.inside and process.stdout and (byte := process.stdout.read(1)):
            output += byte
            if byte == b"(":
                save_start = time.monotonic()
                if save_start > end:
                    time.sleep(self.fraction * save_seconds)
                    break
            else:
                save_seconds = time.monotonic() - save_start
        if not self.inside:
            time.sleep(max(0.0, end - time.monotonic()))
        process.kill()
        output += process.communicate()[0]
        return output if process.returncode != 0 else b""


def start_run(folder: Path) -> subprocess.Popen[bytes]:
    """Start or resume a run, and wait until it has imported everything."""
    process = start("training", folder, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    process.stdout.read(1)
    return process


def fingerprint(folder: Path) -> str:
    """A hash of the results of a run, or the names of temporary files in its folder."""
    last = folder / "checkpoints" / f"step-{STEPS:08d}.safetensors"
    if strays := [path.name for path in folder.rglob(".*")]:
        return f"temporary files: {', '.join(strays)}"
    sums = [read(path)[1][DIGEST] for path in (last, folder / "model.safetensors")]
    return " ".join([*sums, hashlib.sha256((folder / "metrics.jsonl").read_bytes()).hexdigest()])
