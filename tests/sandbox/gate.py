# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands before the API's operations: the key, idempotency, the faults asked for, and the record."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.sandbox.app import Project, Refusal, State, refuse
from tests.sandbox.models import Fault

RECORDED_HEADERS = ("idempotency-key", "user-agent", "content-type")


class Gate:
    """ASGI middleware over the API; the sandbox's own door passes by it."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app, self._state = app, state
        self._replies: dict[str, tuple[str, Response]] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox/"):
            await self._app(scope, receive, send)
            return
        # The one way to the connection from inside.
        transport = receive.__self__.transport  # type: ignore[attr-defined]  # uvicorn's is a method of the cycle
        body = await _read(receive)
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        match = re.match(r"/v1/projects/([^/]+)", scope["path"])
        project = self._state.projects.get(match.group(1)) if match else None
        entry = _entry(scope, headers, body)
        self._state.record.append(entry)
        if project and project.settings.latency_ms:
            await asyncio.sleep(project.settings.latency_ms / 1000)
        fault = _next_fault(project, scope["method"], scope["path"], body)
        if fault:
            entry["fault"] = fault.kind
        if fault and fault.kind == "drop_before":
            transport.abort()
            return
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        response = _faulty(project, fault) if project else None
        if response is None:
            response = await self._answer(scope, headers, body, project)
        response.headers["X-Request-Id"] = entry["request_id"]
        entry["status"] = response.status_code
        entry["content_type"] = response.headers.get("content-type", "")
        entry["response"] = bytes(response.body).decode()
        if fault and fault.kind == "drop_after":
            transport.abort()
            return
        if fault and fault.kind == "truncate":
            response = Response(bytes(response.body)[:-7], response.status_code, media_type="application/json")
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, headers: dict[str, str], body: bytes, project: Project | None) -> Response:
        if not re.fullmatch(r"Bearer pb[uo]_[\x21-\x7e]+", headers.get("authorization", "")):
            refusal = Refusal(401, "UNAUTHORIZED", "The API key is missing or not valid.")
            return project.refuse(refusal) if project else refuse(refusal)
        if body and not headers.get("content-type", "").startswith("application/json"):
            return refuse(Refusal(415, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json."))
        key = headers.get("idempotency-key")
        if not key or scope["method"] not in ("POST", "PATCH"):
            return await self._run(scope, body)
        fingerprint = hashlib.sha256(f"{scope['method']} {scope['path']} ".encode() + body).hexdigest()
        async with self._locks[key]:
            if key in self._replies:
                first, response = self._replies[key]
                if first == fingerprint:
                    return response
                return refuse(Refusal(409, "IDEMPOTENCY_KEY_REUSED", "The key came with another request before."))
            response = await self._run(scope, body)
            if response.status_code < 500 and response.status_code not in (408, 429):
                self._replies[key] = (fingerprint, response)
            return response

    async def _run(self, scope: Scope, body: bytes) -> Response:
        """The operation's own answer, collected."""
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, collect)
        content = b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body")
        start = next(m for m in messages if m["type"] == "http.response.start")
        response = Response(content, start["status"])
        response.raw_headers = list(start["headers"])
        return response


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if not message.get("more_body"):
            return body


def _entry(scope: Scope, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body) if body else None
    except ValueError:
        content = "(not JSON)"
    if isinstance(content, dict) and "password" in content:
        content["password"] = "(not recorded)"
    match = re.match(r"/v1/projects/([^/]+)", scope["path"])
    return {
        "project": match.group(1) if match else "",
        "method": scope["method"],
        "path": scope["path"],
        "query": {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()},
        "headers": {name: headers[name] for name in RECORDED_HEADERS if name in headers},
        "body": content,
        "fault": None,
        "status": None,
        "request_id": f"req_{secrets.token_hex(13)}",
    }


def _next_fault(project: Project | None, method: str, path: str, body: bytes) -> Fault | None:
    for fault in project.faults if project else []:
        fits = fault.method in (None, method) and path.endswith(fault.path_ends) and fault.body_has.encode() in body
        if fits and fault.times > 0:
            fault.times -= 1
            return fault
    return None


def _faulty(project: Project, fault: Fault | None) -> Response | None:
    """The answer that a fault puts in the place of the operation's own, None where the operation runs."""
    if fault is None or fault.kind not in ("status", "html", "redirect"):
        return None
    response: Response
    if fault.kind == "html":
        response = HTMLResponse("<html><body><h1>502 Bad Gateway</h1></body></html>", 502)
    elif fault.kind == "redirect":
        response = JSONResponse({}, 307, headers={"Location": "https://elsewhere.example.com/v1"})
    else:
        response = project.refuse(Refusal(fault.status, fault.code, fault.message))
    if fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    return response
