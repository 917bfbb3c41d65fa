"""Damages checkpoints: each must be refused with a typed error, or load unchanged."""

import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import tinyxp as tx
from tinyxp.core.tree import leaves
from tinyxp.errors import DataError
from tinyxp.files.state import load_state, save_state
from tinyxp.selftest.child import ChildError, Outcome, Report, result

LIMIT = 512 << 20  # bytes of memory
PORTION = 500  # files for one process
PATIENCE = 120.0  # seconds for one process


def check(tries: int, report: Report) -> Outcome:
    """Each try is one damaged file, read by a process with little memory."""
    failures, seen = [], Counter[str]()
    for first in range(0, tries, PORTION):
        last = min(first + PORTION, tries)
        try:
            found = result("fuzz", first, last, seconds=PATIENCE)
            failures += found["failures"]
            seen.update(found["seen"])
        except ChildError as error:
            failures.append(f"files {first} to {last - 1}: {error}")
        report(last)
    return Outcome(tries, failures, ", ".join(f"{n} {what}" for what, n in seen.most_common()))


def example() -> dict[str, Any]:
    """A small training state."""
    draw = tx.random.Generator(0)
    return {
        "model": {"weight": draw.normal((3, 4)), "bias": draw.normal(3)},
        "optimizer": {"state": {0: {"step": 7, "exp_avg": draw.normal((3, 4))}}},
        "random": {"seed": 3, "counter": 12},
        "best": (1.5, 30),
    }


def damage(data: bytes, draw: random.Random) -> bytes:
    """The bytes of a file with one to three faults."""
    for _ in range(draw.randint(1, 3)):
        data = draw.choice(FAULTS)(data, draw)
    return data


def change_bytes(data: bytes, draw: random.Random) -> bytes:
    """Flip a bit, cut the file off, extend it, or remove, repeat or overwrite some bytes."""
    i, n = draw.randrange(len(data) + 1), draw.choice([1, 4, 8, 64, 200, 1000])
    part = data[i : i + n]
    match draw.randrange(7):
        case 0 if part:
            part = bytes([part[0] ^ 1 << draw.randrange(8)]) + part[1:]
        case 1:
            return data[:i]
        case 2:
            part = b""
        case 3:
            part *= 2
        case 4:
            part = draw.choice([bytes(n), b"\xff" * n])
        case 5:
            part = draw.randbytes(n)
        case 6:
            return data + draw.randbytes(n)
    return data[:i] + part + data[i + n :]


def change_length(data: bytes, draw: random.Random) -> bytes:
    """Change the length of the header."""
    length = draw.choice([0, 1, len(data), 2**24, 2**32, 2**63, 2**64 - 1, draw.randrange(4096)])
    return length.to_bytes(8, "little") + data[8:]


def change_header(data: bytes, draw: random.Random) -> bytes:
    """Change the content of the header, which stays JSON in most cases."""
    n = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + n])
        name = draw.choice(sorted(header))
        entry = header[name]
        match draw.randrange(9):
            case 0:
                entry["shape"] = draw.choice([[2**62, 4], [-1], [12], [3, 4, 1], [], ["3"], 3, [0]])
            case 1:
                entry["dtype"] = draw.choice(["F64", "F16", "U8", "F8_E4M3", "BOOL", 7, None])
            case 2:
                entry["data_offsets"] = draw.choice([[0, 2**63], [8, 4], [0, 0], [-4, 4], [0], "0"])
            case 3:
                header[name + "2"] = dict(entry)
            case 4:
                del header[name]
            case 5:
                header["__metadata__"] = draw.choice([{}, None, [], {"tinyxp.state": "[" * 5000}])
            case 6:
                header[name] = draw.choice([None, 3, [], "tensor", {}])
            case 7:
                header["__metadata__"]["tinyxp.state"] = draw.choice(["null", "{}", "", "[[]]"])
            case _:
                return _replace_header(data, n, draw.choice(GIANTS))
    except (ValueError, TypeError, KeyError, RecursionError, IndexError, AttributeError):
        return data  # an earlier fault has destroyed the header
    return _replace_header(data, n, json.dumps(header).encode())


def _replace_header(data: bytes, n: int, header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + data[8 + n :]


FAULTS = (*6 * [change_bytes], change_length, *2 * [change_header])  # by their frequency
GIANTS = (
    b"[" * 200_000,
    b'{"a":' * 100_000,
    b'{"__metadata__":{"a":"' + b"x" * 2_000_000 + b'"}}',
    b'{"a":1,"a":2}',
    b'{"a":' + b"9" * 5000 + b"}",
    b"\xff\xfe{}",
    b"NaN",
)


def equal_bits(a: Any, b: Any) -> bool:
    """Whether two trees have the same leaves, bit for bit."""
    left, right = (
        [(p, x.numpy().tobytes() if isinstance(x, tx.Tensor) else x) for p, x in leaves(tree)]
        for tree in (a, b)
    )
    return left == right


def read_damaged(first: int, last: int, folder: Path) -> dict[str, Any]:
    """Read the damaged files of these numbers; return failures, and counts of the other results."""
    path, failures, seen = folder / "a.safetensors", [], Counter[str]()
    state = example()
    save_state(state, path)
    whole = path.read_bytes()
    for number in range(first, last):
        path.write_bytes(damage(whole, random.Random(number)))
        try:
            found = load_state(path)
        except DataError as error:
            seen["refused"] += 1
            if str(path) not in str(error):
                failures.append(f"file {number}: the error does not name it: {error}")
        except Exception as error:
            failures.append(f"file {number}: {type(error).__name__}: {str(error)[:80]}")
        else:
            seen["unchanged"] += 1
            if not equal_bits(found, state):
                failures.append(f"file {number}: accepted, and not what was saved")
    return {"failures": failures, "seen": seen}


if __name__ == "__main__":
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    except (ImportError, ValueError, OSError):
        pass  # Windows has no such limit
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(read_damaged(int(sys.argv[1]), int(sys.argv[2]), Path(temporary))))
