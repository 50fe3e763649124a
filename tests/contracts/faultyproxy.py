"""A proxy that misbehaves as it is told, before a real server: what networks, load balancers and servers in trouble do to clients.

It stands on a port of 127.0.0.1 from ``start`` to ``stop``; in between it can also be away.
"""

from __future__ import annotations

import http.client
import itertools
import random
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GARBAGE = b"<html><body>Please log in to the wireless network.</body></html>"
MODES = ("pass", "hang", "slow", "500", "503", "429", "garbage", "empty", "cut", "close", "500 after", "close after", "hang after")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that came to the proxy. ``number``: how many came before it."""

    number: int
    method: str
    path: str


Fault = Callable[[Request], str]


def always(mode: str) -> Fault:
    """The same for every request."""
    return lambda request: mode


def now_and_then(share: float, mode: str, seed: int = 0) -> Fault:
    """This for such a share of the requests, drawn from the seed, and the others pass."""
    choose = random.Random(seed)
    return lambda request: mode if choose.random() < share else "pass"


def once(mode: str, *endings: str) -> Fault:
    """This for the first request to each address that ends like one of these (to every address, where none are given)."""
    seen: set[str] = set()

    def fault(request: Request) -> str:
        path = request.path.partition("?")[0]
        if path in seen or (endings and not path.endswith(endings)):
            return "pass"
        seen.add(path)
        return mode

    return fault


class FaultyProxy:
    """Passes requests on to 127.0.0.1:``port``, except as ``fault`` says of each.

    ``pass``; ``hang``: no answer until ``release``; ``slow``: answered after ``seconds``; a status: that, and not passed on; ``garbage``: a
    page in place of an answer; ``empty``: ``{}`` in its place; ``cut``: the answer breaks off in the middle; ``close``: no answer, the
    connection ends; ``... after``: the same once the request was carried out. ``came`` are the requests, ``carried_out`` those that the
    server has answered.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.seconds = 0.0
        self.came: list[Request] = []
        self.carried_out: list[Request] = []
        self.authorizations: set[str] = set()
        self._fault = always("pass")
        self._released = threading.Event()
        self._numbers = itertools.count()
        self._connections: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def behave(self, fault: Fault | str = "pass") -> None:
        """From now on. What hangs is let go."""
        self._released.set()
        self._released = threading.Event()
        self._fault = always(fault) if isinstance(fault, str) else fault

    def start(self) -> None:
        """Listen."""
        proxy = self

        class Handler(_Handler):
            def handle_request(self) -> None:
                proxy._handle(self)

            def setup(self) -> None:
                proxy._connections.add(self.request)
                super().setup()

            def finish(self) -> None:
                super().finish()
                proxy._connections.discard(self.request)

        server = _Server(("127.0.0.1", self.port), Handler)
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Connections are refused, and those that there are break."""
        self.behave()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in list(self._connections):
            _break(connection)

    def _handle(self, handler: _Handler) -> None:
        request = Request(next(self._numbers), handler.command, handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.authorizations.add(handler.headers.get("Authorization", ""))
        released = self._released
        self.came.append(request)
        mode, _, after = self._fault(request).partition(" ")
        answer = self._carried_out(request, handler, body) if mode in ("pass", "slow", "cut") or after else None
        if mode in ("hang", "slow"):
            released.wait(self.seconds if mode == "slow" else None)
        if mode in ("hang", "close"):
            _break(handler.connection)
        elif mode.isdecimal():
            handler.answer(int(mode), {"Content-Type": "text/html", "Retry-After": "3600"}, b"<html>out of order</html>")
        elif mode == "garbage":
            handler.answer(200, {"Content-Type": "text/html"}, GARBAGE)
        elif mode == "empty":
            handler.answer(200, {"Content-Type": "application/json"}, b"{}")
        elif answer is not None:
            handler.answer(*answer, whole=mode != "cut")

    def _carried_out(self, request: Request, handler: _Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=60)
        try:
            connection.request(request.method, request.path, body, {**dict(handler.headers), "Host": f"127.0.0.1:{self.target}"})
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            return 502, {}, b"<html>bad gateway</html>"
        finally:
            connection.close()
        self.carried_out.append(request)
        kept = {name: value for name, value in answer.getheaders() if name.lower() in ("content-type", "location")}
        return answer.status, kept, content


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_request(self) -> None:
        raise NotImplementedError

    def answer(self, status: int, headers: dict[str, str], body: bytes, whole: bool = True) -> None:
        """Answer the request; where not ``whole``, half of the body is missing and the connection ends."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if whole else body[: len(body) // 2])
        if not whole:
            _break(self.connection)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", lambda self: self.handle_request())


def _break(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        connection.close()
