# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP relay that counts connections and records the bytes sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.harness import Sandbox


@dataclass
class Relay:
    """Forwards and records bytes: to one port, or as a proxy to the target of a CONNECT."""

    port: int = 0
    to: int | None = None
    connections: int = 0
    seen: bytearray = field(default_factory=bytearray)

    @classmethod
    @contextmanager
    def start(cls, to: int | None = None) -> Iterator[Relay]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            relay = cls(listener.getsockname()[1], to)
            threading.Thread(target=relay._accept, args=(listener,), daemon=True).start()
            yield relay

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection = listener.accept()[0]
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, suppress(OSError):
            port = self.to
            if port is None:
                head = near.recv(65536)
                self.seen += head
                if not head.startswith(b"CONNECT 127.0.0.1:"):
                    return
                port = int(head.split(b":")[1].split()[0])
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with socket.create_connection(("127.0.0.1", port)) as far:
                for side in (near, far):  # otherwise a request in two writes waits for a delayed acknowledgement
                    side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()
                self._pump(near, far, True)

    def _pump(self, source: socket.socket, sink: socket.socket, keep: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    self.seen += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def port_of(sandbox: Sandbox) -> int:
    return int(sandbox.url.rpartition(":")[2])
