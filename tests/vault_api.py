# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of HashiCorp Vault's HTTP API as the recipe of the AWX guide needs: a version 2 key/value engine at secret/.

It stands in for Vault, which no package registry has. It is not Vault: it knows no policies and no versions.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.local_server import LocalServer

TOKEN = "hvs.tests-only-Vv5"
WRITTEN = "/v1/secret/data/pgbeam/"


class Vault(LocalServer):
    """Keeps secrets by path until the test ends."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.secrets: dict[str, Any] = {}
        #: Whether every write is refused, as by a policy.
        self.read_only = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Vault

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, content = self._result(json.loads(body) if body else {})
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815  # as the base class calls them

    def _result(self, body: dict[str, Any]) -> tuple[int, Any]:
        if self.headers.get("X-Vault-Token") != TOKEN:
            return 403, {"errors": ["permission denied"]}
        if self.path == "/v1/auth/token/lookup-self":
            return 200, {"data": {"id": TOKEN, "policies": ["agents"]}}
        if self.command == "GET" and self.path == "/v1/secret/metadata/pgbeam?list=True":
            names = sorted(self.server.secrets)
            return (200, {"data": {"keys": names}}) if names else (404, {"errors": []})
        if self.command in ("POST", "PUT") and self.path.startswith(WRITTEN):
            if self.server.read_only:
                return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
            self.server.secrets[self.path.removeprefix(WRITTEN)] = body["data"]
            return 200, {"data": {"version": 1}}
        raise AssertionError(f"{self.command} {self.path}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        """Print nothing."""
