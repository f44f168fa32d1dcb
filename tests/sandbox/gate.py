# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands before the API's operations: the key, idempotency, the faults asked for, and the record."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import json
import re
import secrets
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.sandbox.app import Project, Refusal, State, refuse
from tests.sandbox.models import INSTEAD, Fault

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
        self._state.note(entry)
        fault = project.next_fault(scope["method"], scope["path"], body) if project else None
        entry["fault"] = fault.kind if fault else None
        try:
            response = await self._respond(scope, headers, body, project, fault)
        finally:
            entry["under_way"] = False
        if response is None:
            await _hang_up(transport)
            return
        response.headers["X-Request-Id"] = entry["request_id"]
        entry["status"] = response.status_code
        entry["content_type"] = response.headers.get("content-type", "")
        # What a fault quotes of the request is a secret, and no secret is recorded.
        recorded = _refusal(project, fault) if project and fault and _quotes(fault) else response
        entry["response"] = bytes(recorded.body).decode()
        if fault and fault.kind == "drop_after":
            await _hang_up(transport)
            return
        if fault and fault.kind == "stall":
            await asyncio.sleep(fault.seconds)
        await response(scope, receive, send)

    async def _respond(
        self, scope: Scope, headers: dict[str, str], body: bytes, project: Project | None, fault: Fault | None
    ) -> Response | None:
        """The answer that goes out, by way of the fault where there is one; None for a connection that is dropped."""
        if project is None:
            return await self._answer(scope, headers, body, None)
        if project.settings.latency_ms:
            await asyncio.sleep(project.settings.latency_ms / 1000)
        if project.over_the_rate_limit():
            refusal = project.refuse(Refusal(429, "RATE_LIMITED", "Too many requests in this second."))
            refusal.headers["Retry-After"] = "1"
            return refusal
        if fault is None:
            return await self._answer(scope, headers, body, project)
        if fault.kind in INSTEAD:
            return None if fault.kind == "drop_before" else _refusal(project, _quoting(fault, headers, body))
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        response = await self._answer(scope, headers, body, project)
        if fault.kind in ("late_status", "late_html"):
            return _refusal(project, fault)
        return _spoilt(response, fault)

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


async def _hang_up(transport: asyncio.Transport) -> None:
    transport.abort()
    await asyncio.sleep(0)  # until the server knows; else it would log that no answer was given


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
        "under_way": True,
    }


def _quotes(fault: Fault | None) -> bool:
    return fault is not None and "{" in fault.message + fault.location


def _quoting(fault: Fault, headers: dict[str, str], body: bytes) -> Fault:
    """The fault with what the request carried in the place of its placeholders, as a careless server quotes it."""
    if not _quotes(fault):
        return fault
    carried = {"key": headers.get("authorization", "").removeprefix("Bearer "), "password": ""}
    if body:
        carried["password"] = str(json.loads(body).get("password", ""))
    filled = {"message": fault.message, "location": fault.location}
    for name, secret in carried.items():
        forms = {
            "": secret,
            ":json": json.dumps(secret)[1:-1],
            ":utf8json": json.dumps(secret, ensure_ascii=False)[1:-1],
            ":percent": quote(secret, safe=""),
            ":lower": re.sub("%..", lambda hit: hit.group().lower(), quote(secret, safe="")),
            ":base64": base64.b64encode(secret.encode()).decode(),
            ":html": html.escape(secret),
        }
        for kind, form in forms.items():
            filled = {place: text.replace(f"{{{name}{kind}}}", form) for place, text in filled.items()}
    return fault.model_copy(update=filled)


def _refusal(project: Project, fault: Fault) -> Response:
    """The answer that a fault puts in the place of the operation's own."""
    response: Response
    if fault.kind.endswith("html"):
        response = HTMLResponse(f"<html><body><h1>502 Bad Gateway</h1><p>{fault.message}</p></body></html>", 502)
    elif fault.kind == "redirect":
        response = JSONResponse({}, 307, headers={"Location": fault.location})
    else:
        response = project.refuse(Refusal(fault.status, fault.code, fault.message))
    if fault.retry_after is not None:
        response.headers["Retry-After"] = _retry_after(fault.retry_after)
    return response


def _retry_after(text: str) -> str:
    seconds = re.fullmatch(r"date\+([0-9]+)", text)
    return _in_seconds(int(seconds.group(1))) if seconds else text


def _in_seconds(seconds: int) -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)


def _spoilt(response: Response, fault: Fault) -> Response:
    """The operation's answer as the fault leaves it."""
    content = bytes(response.body)
    if response.status_code == 204:
        return response
    if fault.kind == "truncate":
        content = content[:-7]
    elif fault.kind == "empty":
        content = b""
    elif fault.kind == "not_object":
        content = b"[" + content + b"]"
    elif fault.kind == "same_token":
        content = json.dumps({**json.loads(content), "next_page_token": "after_-1"}).encode()
    else:
        return response
    return Response(content, response.status_code, media_type="application/json")
