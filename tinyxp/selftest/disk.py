"""Fills the disk at each byte of a write: the old checkpoint must stay, and no other file."""

import json
import tempfile
from pathlib import Path

from tinyxp.errors import DataError
from tinyxp.files.state import save_state
from tinyxp.selftest.child import Outcome, Report, result
from tinyxp.selftest.fuzz import example

PATIENCE = 120.0  # seconds


def check(tries: int, report: Report) -> Outcome:
    """Each try saves with a disk that is full at byte 0, 1, 2 … of the file."""
    try:
        import resource  # noqa: F401
    except ImportError:
        return Outcome(0, [], "not available: this system cannot limit the size of files")
    failures: list[str] = []
    positions = 0
    for i in range(tries):
        found, positions = result("disk", seconds=PATIENCE)
        failures += found
        report(i + 1)
    return Outcome(tries, failures, f"a full disk at each of {positions} positions")


def fill(folder: Path) -> tuple[list[str], int]:
    """Save over a checkpoint with room for 0, 1, 2 … bytes; return the failures and the size."""
    import resource

    path, new, failures = folder / "a.safetensors", example(), []
    save_state(new, path)
    size = path.stat().st_size
    save_state({"old": 1}, path)
    old = path.read_bytes()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in range(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
        problem = "no error"
        try:
            save_state(new, path)
        except DataError as error:
            problem = "" if str(path) in str(error) else f"an error without the path: {error}"
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        if path.read_bytes() != old:
            problem += "; the old checkpoint is changed"
        if strays := [p.name for p in folder.iterdir() if p != path]:
            problem += f"; left behind: {strays}"
        failures += [f"full at byte {room}: {problem}"] if problem else []
    return failures, size


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(fill(Path(temporary))))
