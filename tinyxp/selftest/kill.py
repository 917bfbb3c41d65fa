"""Kill a training run at a random moment; what is resumed must end with the same bits."""

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
from tinyxp.selftest.child import ChildError, finish, start
from tinyxp.selftest.outcome import Outcome, Report
from tinyxp.selftest.training import STEPS

PATIENCE = 60.0  # seconds for a whole run
ATTEMPTS = 10  # to kill one run where it should be killed
SAVING = 0.01  # seconds of a save, before one was timed


def check(tries: int, report: Report) -> Outcome:
    """Each try: a run killed at a random moment, every second one inside a save, then resumed to
    its end. Its last checkpoint, which holds all states, its model and its metrics must be those
    of a run left in peace."""
    draw, failures, inside = random.Random(0), [], 0
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(2) as pool:
        folder = Path(temporary)
        process = begun(folder / "whole")
        start = time.monotonic()
        finish(process, PATIENCE)
        seconds = time.monotonic() - start
        expected = fingerprint(folder / "whole")
        futures = []
        for i in range(tries):
            victim = Victim(folder / str(i), seconds * draw.random(), i % 2 == 0, draw.random())
            futures.append(pool.submit(victim.run, expected))
        for i, future in enumerate(futures):
            problem, saving = future.result()
            inside += saving
            failures += [f"run {i}: {problem}"] if problem else []
            report(i + 1, tries)
    return Outcome(tries, failures, f"{inside} of {tries} killed inside a save")


@dataclass
class Victim:
    """A run to be killed after ``seconds`` of training; or ``inside`` the save that comes next, of
    which the ``fraction`` is over."""

    folder: Path
    seconds: float
    inside: bool
    fraction: float

    def run(self, expected: str) -> tuple[str, bool]:
        """What went wrong, if anything, and whether it was killed inside a save."""
        for _ in range(ATTEMPTS):
            said = self.kill()
            saving = said.endswith(b"(")
            if said and (saving or not self.inside):
                break
            # it was faster, or its save was: once more, earlier
            self.seconds, self.fraction = self.seconds / 2, self.fraction / 2
            shutil.rmtree(self.folder)
        else:
            return f"in {ATTEMPTS} attempts it was not killed where it should be", False
        try:
            finish(begun(self.folder), PATIENCE)
        except ChildError as error:
            return f"it cannot be resumed: {error}", saving
        found = fingerprint(self.folder)
        return "" if found == expected else f"it ends with other bits: {found}", saving

    def kill(self) -> bytes:
        """What it said until it was killed: "(" and ")" for every save; nothing if it was not."""
        process = begun(self.folder)
        end = time.monotonic() + self.seconds
        said, opened, took = b".", 0.0, SAVING
        while self.inside and process.stdout and (byte := process.stdout.read(1)):
            said += byte
            if byte == b"(":
                opened = time.monotonic()
                if opened > end:
                    time.sleep(self.fraction * took)
                    break
            else:
                took = time.monotonic() - opened
        if not self.inside:
            time.sleep(max(0.0, end - time.monotonic()))
        process.kill()
        said += process.communicate()[0]
        return said if process.returncode != 0 else b""


def begun(folder: Path) -> subprocess.Popen[bytes]:
    """A run, begun or resumed, that has imported everything."""
    process = start("training", folder, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    process.stdout.read(1)
    return process


def fingerprint(folder: Path) -> str:
    """A hash of what a run ends with."""
    last = folder / "checkpoints" / f"step-{STEPS:08d}.safetensors"
    if strays := [path.name for path in folder.rglob(".*")]:
        return f"temporary files: {', '.join(strays)}"
    sums = [read(path)[1][DIGEST] for path in (last, folder / "model.safetensors")]
    return " ".join([*sums, hashlib.sha256((folder / "metrics.jsonl").read_bytes()).hexdigest()])
