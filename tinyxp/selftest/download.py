"""Downloads from a faulty server on this machine: none may leave a file."""

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
from tinyxp.selftest.child import Outcome, Report

Answer = Callable[[BaseHTTPRequestHandler], object]
DATA = b"To be, or not to be, that is the question:\n" * 500
PATIENCE, LIMIT = 0.4, 0.8  # seconds for one read, and for the whole download


def check(tries: int, report: Report) -> Outcome:
    """Each try downloads once with each fault."""
    failures = []
    for i in range(tries):
        for name, answer in FAULTS.items():
            with tempfile.TemporaryDirectory() as temporary, local_server(answer) as url:
                problem = fetch(url, Path(temporary))
                left = [path.name for path in Path(temporary).iterdir()]
            if problem or left:
                failures.append(f"{name}: {problem}; left behind: {left}")
        report(i + 1)
    return Outcome(tries * len(FAULTS), failures, f"{len(FAULTS)} faults of a server")


def fetch(url: str, folder: Path) -> str:
    """Download from a faulty server; return the problem if that does not fail as it should."""
    start = time.monotonic()
    try:
        sha = hashlib.sha256(DATA).hexdigest()
        data = download(url, len(DATA), sha, patience=PATIENCE, limit=LIMIT)
        write_atomically(folder / "data", data)
    except DataError:
        late = time.monotonic() - start > 4 * LIMIT
        return "it failed too late" if late else ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


@contextmanager
def local_server(answer: Answer) -> Iterator[str]:
    """The URL of a server that answers each request by ``answer(handler)``."""

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


def reply(
    body: bytes, status: int = 200, length: int | None = None, times: int = 1, pause: float = 0.0
) -> Answer:
    """An answer that sends this body ``times`` often with a ``pause`` after each; its header gives
    ``length``, or else the length of a body that is sent once."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        if times == 1:
            handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        for _ in range(times):
            handler.wfile.write(body)
            time.sleep(pause)

    return answer


FAULTS: dict[str, Answer] = {
    "cut off": reply(DATA[:1000], length=len(DATA)),
    "too short": reply(DATA[:1000]),
    "other content": reply(DATA[::-1]),
    "login page": reply(b"<html>please log in</html>"),
    "not found": reply(b"gone", status=404),
    "server error": reply(b"oops", status=500),
    "silent": lambda handler: time.sleep(3 * LIMIT),
    "stalled": reply(DATA[:1000], length=len(DATA), pause=3 * LIMIT),
    "dripping": reply(b".", times=300, pause=0.01),
    "endless": reply(DATA, times=10**9),
    "hung up": lambda handler: handler.connection.close(),
}
