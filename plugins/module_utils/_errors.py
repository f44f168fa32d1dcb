# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How failures are told: one sentence of what happened, to which object, and what to do next.

No text of an exception and no header of a request goes into one, since both can quote the key or a password.
Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import traceback
import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

with contextlib.suppress(ImportError):  # the client reports it: importing this file never fails
    import requests

API_KEY_VARIABLES = ("PGBEAM_API_KEY", "PGBEAM_TOKEN", "PGBEAM_API_TOKEN")
RETRY_STATUSES = frozenset({408, 429, 502, 503, 504})
WORDS_SHOWN = 500  # characters
MOST_LEVELS = 100  # of objects and lists in each other, so that nothing that goes through an answer runs out of stack


class PlanError(Exception):
    """The task cannot be carried out as it stands; the text is one sentence for the user and holds no secret."""


@dataclass(frozen=True)
class Call:
    """One logical call, however many attempts it takes. ``target`` names its object in messages."""

    method: str
    path: str
    target: str
    query: dict[str, t.Any] | None = None
    body: dict[str, t.Any] | None = None
    headers: dict[str, str] | None = None


@dataclass(eq=False)  # exceptions are compared and hashed by identity
class ApiError(Exception):
    """A call that failed, told in one sentence (``str(error)``) and in parts.

    ``maybe_done`` says that the server may have acted although the call failed; ``retriable`` that another attempt may
    succeed, and ``retry_after`` in how many seconds; ``budget_spent`` that there was no time left for one.
    """

    call: Call
    reason: str
    advice: str
    status: int | None = None
    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    attempts: int = 1
    fields: list[dict[str, t.Any]] = field(default_factory=list)
    maybe_done: bool = False
    retriable: bool = False
    retry_after: float | None = None
    budget_spent: bool = False

    def __str__(self) -> str:
        details = [f"{self.attempts} attempts"] if self.attempts > 1 else []
        details += [f"request {self.request_id}"] if self.request_id else []
        told = f" ({', '.join(details)})" if details else ""
        return f"{self.call.method} {self.call.target}: {self.reason}{told}; {self.advice}"

    @property
    def begun(self) -> bool:
        """Whether anything was sent. An earlier call may have ended the run before this one."""
        return self.attempts > 0

    @property
    def ends_the_run(self) -> bool:
        """Whether every further call would fail in the same way."""
        return self.budget_spent or self.status in (401, 402, 403)

    @property
    def missing(self) -> bool:
        """Whether the API itself says that there is no such object. A gateway's 404 has no code of the API."""
        return self.status == 404 and self.code is not None

    def as_dict(self) -> dict[str, t.Any]:
        """The parts that a playbook can test; the same keys for every failure, and every text a short line."""
        return {
            "status": self.status,
            "code": line(self.code) if self.code else None,
            "message": line(self.message or self.reason),
            "method": self.call.method,
            "path": self.call.path,
            "request_id": line(self.request_id) if self.request_id else None,
            "attempts": self.attempts,
            "fields": self.fields,
            "maybe_done": self.maybe_done,
        }


def unanswered(exc: Exception, call: Call, api_url: str, timeout: float) -> ApiError:
    """Tell a network failure. What failed while connecting was certainly not sent, all else may have been.

    The exception's kind alone proves nothing: a broken answer can end as a TLS error or as a proxy's error, too.
    """
    chain = list(_chain(exc))
    kinds = {type(item).__name__ for item in chain}
    # What urllib3 and http.client call their part that ends before the first byte of a request.
    connecting = any(
        frame.f_code.co_name == "connect" for item in chain for frame, line in traceback.walk_tb(item.__traceback__)
    )
    # A peer that hangs up in the handshake is no TLS failure: a load balancer that restarts does that.
    hung_up = kinds & {"SSLEOFError", "SSLZeroReturnError"}
    if connecting and isinstance(exc, requests.exceptions.SSLError) and not hung_up:
        return ApiError(
            call, f"no trusted TLS connection to {api_url}{_cause(exc)}",
            "check ca_path (or the environment's CA bundle) and that api_url is the right host", code="TLS",
        )  # fmt: skip
    if isinstance(exc, requests.exceptions.InvalidJSONError):
        return ApiError(
            call, "its values cannot be sent as JSON", "give numbers that are finite and have less than 4300 digits"
        )
    # What requests and urllib3 raise before they try to connect: a URL, a proxy or a bundle that cannot be used.
    unusable = isinstance(exc, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema))
    if unusable or not isinstance(exc, requests.RequestException):
        return ApiError(
            call, f"a request to {api_url} cannot be made with these settings",
            "check api_url and ca_path, and REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and HTTPS_PROXY in the environment",
            code="SETTINGS",
        )  # fmt: skip
    if connecting and isinstance(exc, requests.exceptions.ProxyError):
        return ApiError(
            call, f"the proxy to {api_url} refused or did not answer",
            "check HTTPS_PROXY and NO_PROXY in the environment", retriable=True,
        )  # fmt: skip
    if isinstance(exc, requests.exceptions.Timeout) or "ReadTimeoutError" in kinds:
        reason = f"{api_url} did not {'accept a connection' if connecting else 'answer'} within {timeout:.0f} s"
        advice = "check the network and the proxy, or raise timeout"
    else:
        reason = f"{'no connection to' if connecting else 'connection lost to'} {api_url}{_cause(exc)}"
        advice = "check api_url, the network and the proxy"
    return ApiError(call, reason, advice, maybe_done=not connecting, retriable=True)


def _chain(exc: BaseException) -> t.Iterator[BaseException]:
    """The exception and what it wraps; requests and urllib3 hand causes on in ``args`` and ``reason``, too."""
    queue: list[t.Any] = [exc]
    seen: set[int] = set()
    while queue:
        item = queue.pop(0)
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        queue += [*item.args, getattr(item, "reason", None), item.__cause__, item.__context__]


def _cause(exc: BaseException) -> str:
    """The operating system's or TLS's own words for a failure, as `` (…)``; they name no request."""
    for item in _chain(exc):
        words = getattr(item, "verify_message", None)
        if words is None and not isinstance(item, requests.RequestException):
            words = getattr(item, "strerror", None)
        if words:
            return f" ({words})"
    return ""


def json_of(response: requests.Response) -> t.Any:
    """The body as JSON, None where it is none, or none that can be handled."""
    try:
        content = json.loads(response.content, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return content if _fits(content, MOST_LEVELS) else None


def _fits(value: t.Any, levels: int) -> bool:
    """Whether a value has no more levels than this."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not inner or (levels > 0 and all(_fits(item, levels - 1) for item in inner))


def _finite(text: str) -> float:
    """A number of JSON. Python reads NaN and Infinity too, and could not send them back."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def line(value: t.Any, conceal: t.Callable[[str], str] = str) -> str:
    """A server's words as part of a sentence: without secrets, in one line, and not too long."""
    line = " ".join(conceal(str(value)).split())
    return line if len(line) <= WORDS_SHOWN else line[: WORDS_SHOWN - 1] + "…"


def malformed(
    response: requests.Response, call: Call, reason: str, api_url: str, conceal: t.Callable[[str], str] = str
) -> ApiError:
    """Tell a success whose content is not what the API answers. A write may have been made all the same."""
    return ApiError(
        call, f"{response.status_code} with {reason}", f"check that api_url ({api_url}) is the PgBeam API",
        status=response.status_code, request_id=_request_id(response, conceal), maybe_done=True,
    )  # fmt: skip


def _request_id(response: requests.Response, conceal: t.Callable[[str], str]) -> str | None:
    return line(response.headers.get("X-Request-Id") or "", conceal) or None


def refused(response: requests.Response, call: Call, conceal: t.Callable[[str], str] = str) -> ApiError:
    """Read an error answer: ``{"error": {…}}``, an RFC 9457 problem, or a body that is neither.

    ``conceal`` masks the secrets in the server's words, which are shortened here.
    """

    def texts(values: dict[str, t.Any], *names: str) -> dict[str, str | None]:
        return {n: line(values[n], conceal) or None if isinstance(values.get(n), str) else None for n in names}

    status = response.status_code
    content = json_of(response)
    problem = content if isinstance(content, dict) else {}
    inner: dict[str, t.Any] = problem["error"] if isinstance(problem.get("error"), dict) else problem
    told = texts(inner, "code", "message", "detail", "title", "request_id")
    code = told["code"]
    message = told["message"] or told["detail"] or told["title"] or texts(problem, "error")["error"]
    listed = inner.get("errors")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    fields = [entry for entry in (texts(entry, "field", "detail") for entry in entries) if any(entry.values())]
    reason = " ".join(str(part) for part in (status, code) if part)
    if message:
        reason += f": {message}"
    elif not isinstance(content, dict):
        reason += " with a body that is not a JSON object" if response.content else " without an error message"
    if fields:
        reason += f" [{line(', '.join(': '.join(filter(None, entry.values())) for entry in fields))}]"
    if 300 <= status < 400:
        # Without its user and its query, which may hold a secret.
        place = re.match(r"(https?://)(?:[^/?#]*@)?([^?#]+)", response.headers.get("Location", ""))
        reason = f"{status} redirects to {line(place.group(1) + place.group(2), conceal)}" if place else reason
    # With Retry-After, a 503 says that the request was not begun.
    retry_after = _retry_after(response.headers.get("Retry-After"))
    turned_away = status == 503 and retry_after is not None
    return ApiError(
        call, reason, _advice(status, code, call), status=status, code=code, message=message, fields=fields,
        request_id=_request_id(response, conceal) or told["request_id"],
        maybe_done=status >= 500 and not turned_away, retriable=status in RETRY_STATUSES,
        retry_after=retry_after,
    )  # fmt: skip


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait by a Retry-After header (seconds or an HTTP date), None where it says nothing usable."""
    if not header:
        return None
    if re.fullmatch(r"[0-9]{1,9}", header.strip()):
        return float(header)
    try:
        when = parsedate_to_datetime(header)
    except (TypeError, ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max((when - datetime.now(timezone.utc)).total_seconds(), 0.0)


def operation(path: str) -> str:
    """The path of an operation without the ids in it: ``/v1/projects/{id}/databases``."""
    return "/v1" + re.sub(r"(/[^/]+)/[^/]+", r"\1/{id}", path.removeprefix("/v1"))


def date_of(header: str | None) -> str | None:
    """The date of a Deprecation or Sunset header (``@`` and seconds, or an HTTP date), None if it has none."""
    with contextlib.suppress(TypeError, ValueError, OverflowError, OSError):
        if header and re.fullmatch(r"@[0-9]{1,12}", header.strip()):
            return datetime.fromtimestamp(int(header.strip()[1:]), timezone.utc).date().isoformat()
        return parsedate_to_datetime(header or "").date().isoformat()
    return None


def _advice(status: int, code: str | None, call: Call) -> str:
    """What the user can do about a refusal."""
    if status == 403 and code == "PLAN_LIMIT_REACHED":
        return "delete registrations that are no longer needed, or move to a larger plan, then run again"
    if status == 404:
        if code is None:
            return "that is no answer of the PgBeam API: check api_url and what stands between"
        # A call below an object, to a collection or a verb, misses that object.
        parent = re.match(r"/v1/(?:[^/]+/[^/]+/)*([^/]+)s/([^/]+)/([^/]+)$", call.path)
        what = f"{parent.group(1)} {parent.group(2)}" if parent else call.target
        which = f"{parent.group(1)}_id" if parent and parent.group(3).endswith("s") else "the id"
        return f"{what} not found, or this key may not see it: check {which} and the key"
    if 300 <= status < 400:
        return "redirects are not followed: set api_url to the address that answers"
    if status >= 500 or status == 408:
        return (
            "PgBeam could not serve the request: run again later, and quote the request id to its support if it stays"
        )
    return {
        401: f"the API key is not accepted: check api_key (or {API_KEY_VARIABLES[0]}) and that the key is not revoked",
        402: "a payment is due: settle it in the PgBeam dashboard, then run again",
        403: "this API key may not do that: use a key of the organization that owns it",
        409: "something else changed it at the same time, or its state does not allow this: look at it, then run again",
        412: "something else keeps changing it: find out what else writes to it (another run, Terraform, a person), "
        "then run again",
        429: "too many requests: run again later, lower parallel, or raise retries and retry_budget",
    }.get(status, "correct what it names, then run again")


def unexpected(error: Exception) -> tuple[str, str]:
    """What happened and what to do, for a fault of our own, by type and place; its text may quote a secret."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    return f"unexpected {type(error).__name__} at {place}", "this is a bug in pgbeam.cloud, please report it"
