# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert network failures and HTTP responses to errors.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import traceback
import typing as t
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import (
    API_KEY_VARIABLES,
    ApiError,
    Call,
    one_line,
)

with contextlib.suppress(ImportError):  # the client reports it: importing this file never fails
    import requests

RETRY_STATUSES = frozenset({408, 429, 502, 503, 504})
#: The options with the id of an object, if their names are not those of the API with ``_id``.
PARENT_OPTIONS = {"organization": "org_id"}
MAX_DEPTH = 100  # levels of nesting, so that an answer cannot exhaust the stack


def from_network_failure(exc: Exception, call: Call, api_url: str, timeout: float) -> ApiError:
    """Return the error for a network failure. Only a failure to connect proves that nothing was sent.

    The exception type is not enough: a broken answer can also raise a TLS or a proxy error.
    """
    chain = list(_chain(exc))
    kinds = {type(item).__name__ for item in chain}
    # The function of urllib3 and http.client that returns before the first byte of a request is sent.
    connecting = any(
        frame.f_code.co_name == "connect" for item in chain for frame, line in traceback.walk_tb(item.__traceback__)
    )
    # A closed connection during the handshake is not a TLS failure: a load balancer that restarts causes it.
    hung_up = kinds & {"SSLEOFError", "SSLZeroReturnError"}
    if connecting and isinstance(exc, requests.exceptions.SSLError) and not hung_up:
        return ApiError(
            call, f"no trusted TLS connection to {api_url}{_cause(exc)}",
            "check ca_path (or the environment's CA bundle) and that api_url is the right host", code="TLS",
        )  # fmt: skip
    if isinstance(exc, requests.exceptions.InvalidJSONError):
        return ApiError(call, "a value cannot be represented in JSON", "use finite numbers with fewer than 4300 digits")
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
            call, f"the proxy for {api_url} refused the connection or did not answer",
            "check HTTPS_PROXY and NO_PROXY in the environment", retriable=True,
        )  # fmt: skip
    if isinstance(exc, requests.exceptions.Timeout) or "ReadTimeoutError" in kinds:
        reason = f"{api_url} did not {'accept a connection' if connecting else 'answer'} within {timeout:.0f} s"
        advice = "check the network and the proxy, or raise timeout"
    else:
        reason = f"{'no connection to' if connecting else 'connection lost to'} {api_url}{_cause(exc)}"
        advice = "check api_url, the network and the proxy"
    return ApiError(call, reason, advice, outcome_unknown=not connecting, retriable=True)


def _chain(exc: BaseException) -> t.Iterator[BaseException]:
    """Yield the exception and its causes, which requests and urllib3 also store in ``args`` and ``reason``."""
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
    """Return the message of the operating system or of TLS as `` (…)``. It does not quote the request."""
    for item in _chain(exc):
        words = getattr(item, "verify_message", None)
        if words is None and not isinstance(item, requests.RequestException):
            words = getattr(item, "strerror", None)
        if words:
            return f" ({words})"
    return ""


def json_of(response: requests.Response) -> t.Any:
    """Return the body as JSON, or None if it is invalid or nested too deeply."""
    try:
        content = json.loads(response.content, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return content if _within_depth(content, MAX_DEPTH) else None


def _within_depth(value: t.Any, levels: int) -> bool:
    """Whether a value has at most this many levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not inner or (levels > 0 and all(_within_depth(item, levels - 1) for item in inner))


def _finite(text: str) -> float:
    """Return a number of JSON. Raises ValueError for NaN and Infinity, which could not be sent back."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def from_bad_content(
    response: requests.Response, call: Call, reason: str, api_url: str, redact: t.Callable[[str], str] = str
) -> ApiError:
    """Return the error for a success whose content is invalid. A write may still have been applied."""
    return ApiError(
        call, f"{response.status_code} with {reason}",
        f"check that api_url ({api_url}) is the PgBeam API, and that no proxy in between changes or caches its answers",
        status=response.status_code, request_id=_request_id(response, redact), outcome_unknown=True,
    )  # fmt: skip


def _request_id(response: requests.Response, redact: t.Callable[[str], str]) -> str | None:
    return one_line(response.headers.get("X-Request-Id") or "", redact) or None


def from_error_response(response: requests.Response, call: Call, redact: t.Callable[[str], str] = str) -> ApiError:
    """Return the error for an error answer: ``{"error": {…}}``, an RFC 9457 problem, or any other body.

    ``redact`` masks the secrets in the server's texts before they are shortened.
    """

    def texts(values: dict[str, t.Any], *names: str) -> dict[str, str | None]:
        return {n: one_line(values[n], redact) or None if isinstance(values.get(n), str) else None for n in names}

    status = response.status_code
    content = json_of(response)
    problem = content if isinstance(content, dict) else {}
    inner: dict[str, t.Any] = problem["error"] if isinstance(problem.get("error"), dict) else problem
    parts = texts(inner, "code", "message", "detail", "title", "request_id")
    code = parts["code"]
    message = parts["message"] or parts["detail"] or parts["title"] or texts(problem, "error")["error"]
    listed = inner.get("errors")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    fields = [entry for entry in (texts(entry, "field", "detail") for entry in entries) if any(entry.values())]
    reason = " ".join(str(part) for part in (status, code) if part)
    if message:
        reason += f": {message}"
    elif not isinstance(content, dict):
        reason += " with a body that is not a JSON object" if response.content else " without an error message"
    if fields:
        reason += f" [{one_line(', '.join(': '.join(filter(None, entry.values())) for entry in fields))}]"
    if 300 <= status < 400:
        # Without user and query, which may contain a secret.
        location = re.match(r"(https?://)(?:[^/?#]*@)?([^?#]+)", response.headers.get("Location", ""))
        reason = (
            f"{status} redirects to {one_line(location.group(1) + location.group(2), redact)}" if location else reason
        )
    # With Retry-After, a 503 means that the request was not processed.
    retry_after = _retry_after(response.headers.get("Retry-After"))
    rejected = status == 503 and retry_after is not None
    return ApiError(
        call, reason, _advice(status, code, call, isinstance(content, dict) or not response.content),
        status=status, code=code, message=message, fields=fields,
        request_id=_request_id(response, redact) or parts["request_id"],
        outcome_unknown=status >= 500 and not rejected, retriable=status in RETRY_STATUSES,
        retry_after=retry_after,
    )  # fmt: skip


def _retry_after(header: str | None) -> float | None:
    """Return the seconds to wait from a Retry-After header (seconds or an HTTP date), or None if it is invalid."""
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
    """Return a path without its ids: ``/v1/projects/{id}/databases``."""
    return "/v1" + re.sub(r"(/[^/]+)/[^/]+", r"\1/{id}", path.removeprefix("/v1"))


def date_of(header: str | None) -> str | None:
    """Return the date of a Deprecation or Sunset header (``@`` and seconds, or an HTTP date), or None."""
    with contextlib.suppress(TypeError, ValueError, OverflowError, OSError):
        if header and re.fullmatch(r"@[0-9]{1,12}", header.strip()):
            return datetime.fromtimestamp(int(header.strip()[1:]), timezone.utc).date().isoformat()
        return parsedate_to_datetime(header or "").date().isoformat()
    return None


def _advice(status: int, code: str | None, call: Call, is_json: bool) -> str:
    """Return what the user can do about an error status. Answers of the API are JSON objects, or empty."""
    not_from_api = "the response is not from the PgBeam API: check api_url and any proxies in between"
    changed_on_its_way = (
        "the request was changed on its way: check the proxy between Ansible and PgBeam, then run again"
    )
    if not is_json and status in (401, 402, 403, 409, 412, 415):
        return not_from_api
    if status == 403 and code == "PLAN_LIMIT_REACHED":
        return "delete objects that are no longer needed, or upgrade the plan, then run again"
    if status == 404:
        if code is None:
            return not_from_api
        # The missing object of a path below an object, to a collection or a verb, is that object.
        parts = re.fullmatch(r"/v1/((?:[^/]+/[^/]+/)*?(?:[^/]+s/[^/]+/))(usage/agents|[^/]+)", call.path)
        above = re.findall(r"([^/]+)s/([^/]+)/", parts.group(1)) if parts else []
        if not parts or (call.method == "POST" and not parts.group(2).endswith("s")):  # a verb
            what, which = " ".join(above[-1]) if above else call.target, "the id (if set)"
        else:
            what = " of ".join(f"{noun} {identifier}" for noun, identifier in reversed(above))
            which = ", ".join(PARENT_OPTIONS.get(noun, f"{noun}_id") for noun, _id in above)
        return f"{what} not found, or not visible to this API key: check {which} and the key"
    if 300 <= status < 400:
        return "redirects are not followed: set api_url to the address of the API"
    if status >= 500 or status == 408:
        return (
            "PgBeam could not serve the request: run again later, and contact PgBeam support with the request id if "
            "the problem persists"
        )
    conflict = {
        "RESOURCE_EXISTS": "another object has the same name or identity: choose another, or manage that object",
        "CONFLICT": "another object depends on it or excludes it: delete or disable that object first, then run again",
        "INVALID_STATE": "its state does not allow this: check the object; if it was revoked or has ended, it "
        "cannot change, so create another",
        "IDEMPOTENCY_KEY_REUSED": changed_on_its_way,
    }.get(code or "", "it conflicts with the current state in PgBeam: check the object, then run again")
    return {
        401: f"the API key is not accepted: check api_key (or {API_KEY_VARIABLES[0]}) and that the key is not revoked",
        402: "payment required: pay the open invoice in the PgBeam dashboard, then run again",
        403: "this API key lacks permission: check the ids in the task, and use a key that has this permission in the "
        "organization",
        409: conflict,
        412: "another client keeps changing it: find out what else writes to it (another run, Terraform, a person), "
        "then run again",
        429: "too many requests: run again later, lower parallel (if the module has it), or raise retries and "
        "retry_budget",
        415: changed_on_its_way,
    }.get(status, "correct the reported values, then run again" if code else not_from_api)
