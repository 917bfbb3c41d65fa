"""Downloads from a server on this machine that does everything wrong: no file is left."""

import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tinyxp.data.download import download
from tinyxp.errors import DataError
from tinyxp.files.safetensors import write_atomically
from tinyxp.selftest.outcome import Outcome, Report

Answer = Callable[[BaseHTTPRequestHandler], object]
DATA = b"To be, or not to be, that is the question:\n" * 500
PATIENCE, LIMIT = 0.4, 0.8  # seconds without a byte, and in all


def check(tries: int, report: Report) -> Outcome:
    """Each try goes through all faults."""
    failures = []
    for i in range(tries):
        for done, (name, answer) in enumerate(FAULTS.items(), 1):
            with tempfile.TemporaryDirectory() as temporary, serving(answer) as url:
                problem = fetch(url, Path(temporary))
                left = [path.name for path in Path(temporary).iterdir()]
            if problem or left:
                failures.append(f"{name}: {problem}; left behind: {left}")
            report(i * len(FAULTS) + done, tries * len(FAULTS))
    return Outcome(tries * len(FAULTS), failures, f"{len(FAULTS)} faults of a server")


def fetch(url: str, folder: Path) -> str:
    """What is wrong with how a faulty download ends."""
    start = time.monotonic()
    try:
        sha = hashlib.sha256(DATA).hexdigest()
        data = download(url, len(DATA), sha, patience=PATIENCE, limit=LIMIT)
        write_atomically(folder / "data", data)
    except DataError:
        late = time.monotonic() - start > 4 * LIMIT
        return "given up late" if late else ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """The URL of a server that lets ``answer(handler)`` do the talking."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/input.txt"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client hangs up on purpose


def reply(body: bytes, status: int = 200, length: int | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(3 * LIMIT)


def stalled(handler: BaseHTTPRequestHandler) -> None:
    reply(DATA[:1000], length=len(DATA))(handler)
    time.sleep(3 * LIMIT)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(DATA)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(300):
        handler.wfile.write(b".")
        time.sleep(0.01)


def hung_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


FAULTS: dict[str, Answer] = {
    "cut off": reply(DATA[:1000], length=len(DATA)),
    "too short": reply(DATA[:1000]),
    "other content": reply(DATA[::-1]),
    "a page instead": reply(b"<html>please log in</html>"),
    "not there": reply(b"gone", status=404),
    "out of order": reply(b"oops", status=500),
    "silent": silent,
    "stalled": stalled,
    "dripping": dripping,
    "endless": endless,
    "hung up": hung_up,
}
