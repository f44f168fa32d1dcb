# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HTTP server that follows a script: each expected call, in order, with an answer or a lost connection.

And a proxy to it, to lose a connection between the two, and a clock for tests that do not wait.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Clock:
    """A clock that only advances by waiting."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)
    #: Called while somebody waits.
    meanwhile: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        self.meanwhile()


@dataclass
class Step:
    method: str
    path: str
    status: int = 200
    #: A dict or list is sent as JSON, text as it is.
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)
    #: The query that the call must have.
    query: dict[str, str] | None = None
    #: Close the connection instead of answering, or in the middle of the body.
    drop: bool = False
    cut: bool = False
    #: Write these bytes instead of an answer, bypassing TLS, and close the connection.
    raw: bytes = b""
    #: The number of bytes after which each is delayed, and the delay in seconds.
    slowly: int | None = None
    pause: float = 0.0
    #: Do this between the call and its answer.
    meanwhile: Callable[[], object] = lambda: None


@dataclass
class Received:
    headers: dict[str, str]
    body: Any


class ScriptedServer(ThreadingHTTPServer):
    """Serve one script. ``received`` contains the expected calls, ``problems`` the others."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.steps: list[Step] = []
        self.received: list[Received] = []
        self.problems: list[str] = []
        self.connections = 0
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_address[1]}"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def expect(self, method: str, path: str, status: int = 200, body: Any = "", **answer: Any) -> None:
        self.steps.append(Step(method, path, status, body, **answer))

    def get_request(self) -> tuple[Any, Any]:
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closes the connection; the test sees it at the client."""

    @contextmanager
    def running(self) -> Iterator[ScriptedServer]:
        """Serve inside the block. At its end, the script must be complete, without other calls."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join()
        assert not self.problems, self.problems
        assert not self.steps, "calls that were expected and did not come"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        place = urlsplit(self.path)
        query = dict(parse_qsl(place.query))
        step = self.server.steps.pop(0) if self.server.steps else None
        if step is None or (step.method, step.path) != (self.command, place.path) or step.query not in (None, query):
            self.server.problems.append(f"{self.command} {self.path} came, expected was {step}")
            step = Step("", "", 418)
        self.server.received.append(Received(dict(self.headers.items()), json.loads(sent) if sent else None))
        step.meanwhile()
        if step.drop or step.raw:
            self.close_connection = True
            at_once = len(step.raw) if step.slowly is None else step.slowly
            os.write(self.connection.fileno(), step.raw[:at_once])
            for byte in step.raw[at_once:]:
                time.sleep(step.pause)
                os.write(self.connection.fileno(), bytes([byte]))
            return
        is_text = isinstance(step.body, str)
        content = (step.body if is_text else json.dumps(step.body)).encode(errors="surrogateescape")
        self.send_response(step.status)
        for name, value in step.headers.items():
            self.send_header(name, value)
        if step.status != 204:
            self.send_header("Content-Type", "text/html" if is_text else "application/json")
            self.send_header("Content-Length", str(len(content) + step.cut))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.close_connection or step.cut

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the parent's name for it
        pass


for _method in ("GET", "POST", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler._answer)


class Proxy:
    """An HTTP proxy for one connection, which it can end."""

    def __init__(self, listener: socket.socket, answer: str) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._listener = listener
        self._answer = answer
        self._near: socket.socket | None = None

    @classmethod
    @contextmanager
    def running(cls, answer: str = "200 Connection established") -> Iterator[Proxy]:
        """Serve inside the block. The answer is that to CONNECT; an empty one closes the connection."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            proxy = cls(listener, answer)
            threading.Thread(target=proxy._serve, daemon=True).start()
            yield proxy

    def _serve(self) -> None:
        self._near = near = self._listener.accept()[0]
        with near, suppress(OSError):
            port = int(near.recv(65536).split()[1].rpartition(b":")[2])
            if self._answer:
                near.sendall(f"HTTP/1.1 {self._answer}\r\n\r\n".encode())
            if self._answer.startswith("200"):
                with socket.create_connection(("127.0.0.1", port)) as far:
                    threading.Thread(target=self._pump, args=(far, near), daemon=True).start()
                    self._pump(near, far)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def hang_up(self, reset: bool) -> None:
        """Close the client's connection, with a reset or in order."""
        assert self._near
        if reset:
            self._near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._near.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)  # also ends the wait of the pump
        self._near.close()
