# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The middleware before the operations of the API: authentication, idempotency, faults and the record."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import html
import json
import re
import secrets
import socket
import struct
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from tests.sandbox.declaration import Item
from tests.sandbox.kinds import KINDS, Place, place_of
from tests.sandbox.models import AROUND, INSTEAD, Fault
from tests.sandbox.refusals import Refusal, forbidden, not_found
from tests.sandbox.state import Organization, Project, Request, Scope, State, tag

RECORDED_HEADERS = ("idempotency-key", "if-match", "user-agent", "content-type", "host")
NOT_RECORDED = "(not recorded)"
#: The fields of bodies that contain secrets.
WRITE_ONLY = frozenset(name for kind in KINDS.values() for name in kind.write_only)
#: The fields that are added to every object of an answer if a scope asks for unknown fields.
EXTRA_FIELDS: dict[str, Any] = {"shard": {"number": 7}, "labels": ["a"]}


@dataclass(frozen=True)
class Call:
    """One complete request."""

    connection: Connection
    body: bytes

    @functools.cached_property
    def headers(self) -> dict[str, str]:
        return {key.decode("latin-1"): value.decode("latin-1") for key, value in self.connection["headers"]}

    @functools.cached_property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.connection["query_string"].decode()).items()}

    @functools.cached_property
    def content(self) -> Any:
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return "(not JSON)"

    @property
    def method(self) -> str:
        return str(self.connection["method"])

    @property
    def path(self) -> str:
        return str(self.connection["path"])

    @functools.cached_property
    def place(self) -> Place | None:
        return place_of(self.path)

    @property
    def declares_key(self) -> bool:
        """Whether the contract declares an Idempotency-Key: for creates and for issuing secrets."""
        of = self.place
        if self.method != "POST" or of is None:
            return False
        return bool(of.kind.once) and bool(of.action) if of.item else of.kind.keyed

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class Middleware:
    """ASGI middleware over the API. The control API bypasses it."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app, self._state = app, state
        self._replies: dict[str, tuple[str, Response]] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        if connection["type"] != "http" or connection["path"].startswith("/_sandbox/"):
            await self._app(connection, receive, send)
            return
        # The only access to the connection.
        transport = receive.__self__.transport  # type: ignore[attr-defined]  # uvicorn's is a method of the cycle
        call = Call(connection, await _read(receive))
        scope = self._scope(call)
        entry = _entry(call, scope)
        self._state.note(entry)
        target = self._state.target(call.place)
        request = Request(call.method, call.path, call.body, target)
        fault = scope.next_fault(request, INSTEAD + AROUND)
        other_writer = scope.next_fault(request, ("other_writer",))
        announced = scope.next_fault(request, ("headers",))
        entry["fault"] = fault.kind if fault else None
        entry["other_writer"] = other_writer.change if other_writer else None
        entry["in_contract"] = not scope.settings.left_out
        entry["extra_fields"] = scope.settings.extra_fields
        try:
            if other_writer and target:
                target.change(other_writer.change)
            response = await self._respond(call, scope, fault)
        finally:
            entry["under_way"] = False
        if response is None:
            await _hang_up(transport, fault)
            return
        if scope.settings.extra_fields:
            response = _extended(response)
        if fault:
            response = _corrupted(call, response, fault)
        response.headers["X-Request-Id"] = entry["request_id"]
        if response.status_code == 412 and target and scope.settings.etag:
            response.headers["ETag"] = scope.etag(target.show())
        for name, value in (announced.headers if announced else {}).items():
            response.headers.append(name, value)
        entry["status"] = response.status_code
        entry["content_type"] = response.headers.get("content-type", "")
        entry["etag"] = response.headers.get("etag")
        # A fault may quote secrets of the request, and no secret is recorded.
        recorded = _refusal(call, scope, fault) if fault and _quotes(fault) else response
        entry["response"] = _without_secrets(bytes(recorded.body).decode(), call.place)
        if fault and fault.kind in ("drop_after", "reset_after"):
            await _hang_up(transport, fault)
            return
        if fault and fault.kind == "stall":
            await asyncio.sleep(fault.seconds)
        await response(connection, receive, send)

    def _scope(self, call: Call) -> Organization | Project:
        """Return the scope of a request: the default organization if it is about no organization or project."""
        kind, name = (*call.path.split("/"), "", "")[2:4]
        found: Organization | Project | None = None
        if kind == "projects" and name:
            found = self._state.projects.get(name)
        elif kind == "projects":
            named = call.content if call.method == "POST" else call.query
            found = self._state.organizations.get(str(named.get("org_id")) if isinstance(named, dict) else "")
        elif kind == "organizations":
            found = self._state.organizations.get(name)
        elif kind == "databases":
            found = self._state.owners.get(name)
        return found or self._state.default

    async def _respond(self, call: Call, scope: Organization | Project, fault: Fault | None) -> Response | None:
        """Return the answer, with the effect of the fault; None if the connection is dropped."""
        if scope.settings.latency_ms:
            await asyncio.sleep(scope.settings.latency_ms / 1000)
        if scope.over_the_rate_limit():
            refusal = scope.refuse(Refusal(429, "RATE_LIMITED", "Too many requests in this second."))
            refusal.headers["Retry-After"] = "1"
            return refusal
        if fault is None:
            return await self._answer(call, scope)
        if fault.kind in INSTEAD:
            return (
                None
                if fault.kind in ("drop_before", "reset_before")
                else _refusal(call, scope, _quoting(fault, call, scope))
            )
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        response = await self._answer(call, scope)
        return _refusal(call, scope, fault) if fault.kind in ("late_status", "late_html") else response

    async def _answer(self, call: Call, scope: Organization | Project) -> Response:
        if not re.fullmatch(r"Bearer pb[uo]_[\x21-\x7e]+", call.headers.get("authorization", "")):
            return scope.refuse(Refusal(401, "UNAUTHORIZED", "The API key is missing or not valid."))
        if scope.organization.id not in self._state.visible(call.key):
            project = isinstance(scope, Project)
            return scope.refuse(not_found("project", scope.id) if project else forbidden(scope.id))
        if call.body and not call.headers.get("content-type", "").startswith("application/json"):
            return scope.refuse(Refusal(415, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json."))
        key = call.headers.get("idempotency-key")
        if not key or not (call.declares_key or (scope.settings.undeclared_keys and call.method in ("POST", "PATCH"))):
            return await self._run(call, scope)
        fingerprint = hashlib.sha256(f"{call.method} {call.path} ".encode() + call.body).hexdigest()
        async with self._locks[key]:
            if key in self._replies:
                first, response = self._replies[key]
                if first == fingerprint:
                    # Only status, type and content are stored; the rest belongs to one answer.
                    return Response(response.body, response.status_code, media_type=response.headers["content-type"])
                reused = "The key came with another request before."
                return scope.refuse(Refusal(409, "IDEMPOTENCY_KEY_REUSED", reused))
            response = await self._run(call, scope)
            if response.status_code < 500 and response.status_code not in (408, 429):
                self._replies[key] = (fingerprint, response)
            return response

    async def _run(self, call: Call, scope: Scope) -> Response:
        """Run the operation and return its answer."""
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": call.body, "more_body": False}

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app({**call.connection, "envelope": scope.settings.envelope}, receive, collect)
        content = b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body")
        start = next(m for m in messages if m["type"] == "http.response.start")
        response = Response(content, start["status"])
        response.raw_headers = list(start["headers"])
        return _read_answer(call, scope, response) if (call.method, response.status_code) == ("GET", 200) else response


def _read_answer(call: Call, scope: Scope, response: Response) -> Response:
    """Return the answer to a GET with its entity tag and the link to the next page, or 304 if the client has it."""
    representation = json.loads(bytes(response.body))
    if scope.settings.etag:
        held = re.findall('"([^"]*)"', call.headers.get("if-none-match", ""))
        if tag(representation) in held or call.headers.get("if-none-match") == "*":
            response = Response(status_code=304)
        response.headers["ETag"] = scope.etag(representation)
        response.headers["Cache-Control"] = "private, no-cache"
    if "next_page_token" in representation:
        query = urlencode({**call.query, "page_token": representation["next_page_token"]})
        response.headers["Link"] = f'<{call.path}?{query}>; rel="next"'
    return response


async def _hang_up(transport: asyncio.Transport, fault: Fault | None) -> None:
    if fault and fault.kind.startswith("reset"):
        # Without lingering, the system drops unsent data and sends RST instead of FIN.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await asyncio.sleep(0)  # until the server notices; otherwise it would log a missing answer


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if not message.get("more_body"):
            return body


def _entry(call: Call, scope: Scope) -> Item:
    return {
        "scope": scope.id,
        "method": call.method,
        "path": call.path,
        "query": call.query,
        "headers": {name: call.headers[name] for name in RECORDED_HEADERS if name in call.headers},
        "key_digest": key_digest(call.key),
        "body": _without_passwords(call.content),
        "fault": None,
        "status": None,
        "request_id": f"req_{secrets.token_hex(13)}",
        "arrived": time.monotonic(),
        "under_way": True,
    }


def key_digest(key: str) -> str:
    """Return the digest of an API key for the record, which distinguishes keys."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _without_passwords(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_passwords(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {k: NOT_RECORDED if k in WRITE_ONLY else _without_passwords(v) for k, v in value.items()}


def _without_secrets(text: str, of: Place | None) -> str:
    """Mask the secrets that are shown once in the text of an answer, which may be truncated."""
    names = of.kind.once.secrets if of and of.kind.once else ()
    for name in names:
        text = re.sub(rf'("{name}": ?")(?:[^"\\]|\\.)*', rf"\1{NOT_RECORDED}", text)
    return text


def _password(content: Any) -> str:
    """Return the secret in a body, such as the password of a database or of a project's first database."""
    if not isinstance(content, dict):
        return ""
    held = [str(content[name]) for name in WRITE_ONLY if name in content]
    return held[0] if held else _password(content.get("database"))


def _quotes(fault: Fault) -> bool:
    return "{" in fault.message + fault.location


def _quoting(fault: Fault, call: Call, scope: Scope) -> Fault:
    """Fill the placeholders of a fault with secrets, as a careless server quotes them."""
    if not _quotes(fault):
        return fault
    kept = scope.secrets.get(call.place.item, {}) if call.place else {}
    passwords = [_password(call.content), *kept.values()]
    carried = {"key": call.key, "password": next(filter(None, passwords), "")}
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


def _refusal(call: Call, scope: Scope, fault: Fault) -> Response:
    """Return the answer of a fault, which replaces that of the operation."""
    response: Response
    if fault.kind.endswith("html"):
        response = HTMLResponse(f"<html><body><h1>502 Bad Gateway</h1><p>{fault.message}</p></body></html>", 502)
    elif fault.kind == "redirect":
        response = JSONResponse({}, 307, headers={"Location": fault.location})
    elif fault.kind == "failed_test":
        assert call.place, "only an operation on an object can have failed"
        operation = call.place.kind.actions[call.place.action]
        response = JSONResponse(operation.failed(fault.message), operation.status)
    else:
        response = scope.refuse(Refusal(fault.status, fault.code, fault.message))
    if fault.retry_after is not None:
        response.headers["Retry-After"] = _retry_after(fault.retry_after)
    return response


def _retry_after(text: str) -> str:
    seconds = re.fullmatch(r"date([+-][0-9]+)", text)
    return _in_seconds(int(seconds.group(1))) if seconds else text


def _in_seconds(seconds: int) -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)


def _extended(response: Response) -> Response:
    """Add unknown fields to each object of an answer."""
    if "json" not in response.headers.get("content-type", "") or not response.body:
        return response
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Response(json.dumps(_with_more(json.loads(bytes(response.body)))), response.status_code, headers)


def _with_more(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_more(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {**{name: _with_more(item) for name, item in value.items()}, **EXTRA_FIELDS}


def _corrupted(call: Call, response: Response, fault: Fault) -> Response:
    """Return the answer of the operation as the fault corrupts it."""
    content = bytes(response.body)
    if response.status_code == 204:
        return response
    if fault.kind == "truncate":
        content = content[:-7]
    elif fault.kind == "empty":
        content = b""
    elif fault.kind == "not_object":
        content = b"[" + content + b"]"
    elif fault.kind == "same_token" and "page_size" in call.query:  # of one object, it would be a field
        content = json.dumps({**json.loads(content), "next_page_token": "after_-1"}).encode()
    else:
        return response
    # The entity tag is kept: without it, the update would be that of a server without tags.
    headers = {name: value for name, value in response.headers.items() if name == "etag"}
    return Response(content, response.status_code, headers, media_type="application/json")
