# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP and authentication for the PgBeam API: sessions, paging, time-outs, retries and errors.

Nothing in here knows Ansible, so any Python program can use it. The retry rules are those of the vendor's own clients.
Private to this collection: it may change in any release.
"""

from __future__ import annotations

import ipaddress
import os
import random
import re
import ssl
import threading
import time
import typing as t
import uuid
import warnings
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from ansible_collections.pgbeam.cloud.plugins.module_utils._version import VERSION

try:
    import requests
    from urllib3.exceptions import HTTPError

    REQUESTS_IMPORT_ERROR = None
except ImportError as exc:  # the caller reports it: importing this file never fails
    REQUESTS_IMPORT_ERROR = exc

API_KEY_VARIABLES = ("PGBEAM_API_KEY", "PGBEAM_TOKEN", "PGBEAM_API_TOKEN")
PAGE_SIZE = 100
RETRY_STATUSES = frozenset({408, 429, 502, 503, 504})
BACKOFF_FIRST = 0.5
BACKOFF_LIMIT = 30.0


class ConfigError(ValueError):
    """A connection setting cannot be used; the text is one sentence for the user and holds no secret."""


@dataclass(eq=False)  # exceptions are compared and hashed by identity
class ApiError(Exception):
    """A call that failed, told in one sentence (``str(error)``) and in parts.

    ``maybe_done`` says that the server may have acted although the call failed. ``budget_spent`` says that the call
    ended because its time ran out.
    """

    target: str
    method: str
    path: str
    reason: str
    advice: str = ""
    status: int | None = None
    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    attempts: int = 1
    fields: list[dict[str, t.Any]] = field(default_factory=list)
    maybe_done: bool = False
    budget_spent: bool = False

    def __str__(self) -> str:
        text = f"{self.method} {self.target}: {self.reason}"
        if self.request_id:
            text += f" (request {self.request_id})"
        return f"{text}; {self.advice}" if self.advice else text

    @property
    def ends_the_run(self) -> bool:
        """Whether every further call would fail in the same way."""
        return self.budget_spent or self.status in (401, 402, 403)

    def as_dict(self) -> dict[str, t.Any]:
        """The parts that a playbook can test; the same keys for every failure."""
        names = ("status", "code", "message", "method", "path", "request_id", "attempts", "fields")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Settings:
    """How to reach the API. Times are in seconds; ``ca_path`` is None for the environment's bundle.

    Raises ConfigError for a value that no call could use.
    """

    api_key: str | None
    api_url: str = "https://api.pgbeam.com"
    timeout: int = 30
    retries: int = 5
    retry_budget: int = 120
    validate_certs: bool = True
    ca_path: str | None = None

    def __post_init__(self) -> None:
        if not self.api_key:
            others = " or ".join(API_KEY_VARIABLES[1:])
            raise ConfigError(
                f"api_key: there is no API key; set api_key, or {API_KEY_VARIABLES[0]} ({others}) in the environment"
            )
        if not re.fullmatch(r"[\x21-\x7e]+", self.api_key):
            # requests would quote the whole header, key and all, in its exception.
            raise ConfigError(
                "api_key: white space or a character outside ASCII is in the key; "
                "give the key alone, without a line break at its end"
            )
        _check_url(self.api_url)
        for name, least in (("timeout", 1), ("retries", 0), ("retry_budget", 1)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"{name}: {value} is not allowed; give a whole number of {least} or more")
        if self.ca_path and not os.path.exists(self.ca_path):
            raise ConfigError(f"ca_path: {self.ca_path!r} does not exist; give a PEM file or a folder of certificates")


def _check_url(url: str) -> None:
    """Accept an https URL, or an http URL to this machine; raise ConfigError for anything else."""
    wanted = "give https://HOST[:PORT], or http:// to a loopback address only"
    # With an @ in it, some part of it may be a password, and which part is a guess.
    shown = "the value given" if "@" in url else repr(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"api_url: {shown} is not a URL; {wanted}") from None
    if parts.scheme not in ("http", "https") or not host or port == 0 or re.search(r"[\s\\\x00-\x1f]", url):
        raise ConfigError(f"api_url: {shown} is not a URL of the API; {wanted}")
    if not all(0 < len(label) < 64 for label in host.rstrip(".").split(".")):
        raise ConfigError(f"api_url: {shown} has a host name that cannot be; {wanted}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(f"api_url: {shown} has a user, a query or a fragment in it; {wanted}")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigError(f"api_url: {shown} would send the API key unencrypted; {wanted}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Client:
    """Calls to one PgBeam API with one key. Safe to share between threads: each has its own session."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._local = threading.local()
        if not settings.validate_certs:
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")

    def get(self, path: str, target: str) -> dict[str, t.Any]:
        """Read one object. Raises ApiError; its status is 404 where there is none."""
        return self._call("GET", path, target)

    def list(self, path: str, key: str, target: str) -> list[dict[str, t.Any]]:
        """Read all pages of a list whose items stand under ``key``. Raises ApiError."""
        items: list[dict[str, t.Any]] = []
        query: dict[str, t.Any] = {"page_size": PAGE_SIZE}
        seen: set[str] = set()
        while True:
            page = self._call("GET", path, target, query=query)
            found = page.get(key)
            token = page.get("next_page_token") or ""
            if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
                raise self._malformed("GET", path, target, f"the answer has no list of {key}")
            if not isinstance(token, str) or token in seen:
                raise self._malformed("GET", path, target, "its pages lead back to one already read")
            items += found
            if not token:
                return items
            seen.add(token)
            query = {"page_size": PAGE_SIZE, "page_token": token}

    def write(self, method: str, path: str, target: str, body: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """POST or PATCH under an Idempotency-Key of its own and return the object answered. Raises ApiError."""
        return self._call(method, path, target, body=body, headers={"Idempotency-Key": str(uuid.uuid4())})

    def delete(self, path: str, target: str) -> bool:
        """Delete one object. False: it was gone before this call. Raises ApiError."""
        try:
            self._call("DELETE", path, target)
        except ApiError as error:
            if error.status != 404:
                raise
            # After a lost answer the first attempt may be what deleted it.
            return error.maybe_done
        return True

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            # An explicit auth object, because without one requests lets ~/.netrc replace the header.
            session.auth = self._authorize
            session.headers.update({"Accept": "application/json", "User-Agent": f"pgbeam-ansible/{VERSION}"})
            self._local.session = session
        return session

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._settings.api_key}"
        return request

    def _call(
        self,
        method: str,
        path: str,
        target: str,
        query: dict[str, t.Any] | None = None,
        body: dict[str, t.Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, t.Any]:
        """One logical call with its retries. Returns the JSON object, ``{}`` for 204. Raises ApiError."""
        settings = self._settings
        deadline = time.monotonic() + settings.retry_budget
        maybe_done = False
        attempt = 0
        while True:
            attempt += 1
            error, delay = None, None
            try:
                response = self._send(method, path, query, body, headers, deadline - time.monotonic())
            except (requests.RequestException, HTTPError, OSError, UnicodeError) as exc:
                error = self._unanswered(exc, method, path, target)
            else:
                if 200 <= response.status_code < 300:
                    return self._content(response, method, path, target, attempt)
                error = _refused(response, method, path, target)
                delay = _retry_after(response.headers.get("Retry-After"))
                refused = response.status_code == 503 and delay is not None
                error.maybe_done = response.status_code >= 500 and not refused
            maybe_done = error.maybe_done = maybe_done or error.maybe_done
            error.attempts = attempt
            retriable = error.status in RETRY_STATUSES or (error.status is None and error.code is None)
            if not retriable or attempt > settings.retries:
                raise error
            if delay is None:
                delay = min(BACKOFF_FIRST * 2 ** (attempt - 1), BACKOFF_LIMIT) * random.uniform(0.5, 1.5)
            if time.monotonic() + delay >= deadline:
                error.budget_spent = True
                error.advice = (
                    f"waiting {delay:.0f} s more would pass retry_budget ({settings.retry_budget} s): "
                    "run again later, or raise retry_budget"
                )
                raise error
            time.sleep(delay)

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, t.Any] | None,
        body: dict[str, t.Any] | None,
        headers: dict[str, str] | None,
        time_left: float,
    ) -> requests.Response:
        settings = self._settings
        # Given with each request: a session's own `verify` loses to REQUESTS_CA_BUNDLE.
        verify: bool | str = settings.ca_path or True if settings.validate_certs else False
        response = self._session().request(
            method,
            settings.api_url.rstrip("/") + path,
            params=query,
            json=body,
            headers=headers,
            timeout=max(min(settings.timeout, time_left), 0.001),
            verify=verify,
            allow_redirects=False,
        )
        # urllib3 2 raises by itself where an answer ends before its Content-Length; 1.26 takes it as whole.
        if response.raw.length_remaining:
            raise requests.ConnectionError("the answer was cut short")
        return response

    def _content(
        self, response: requests.Response, method: str, path: str, target: str, attempts: int
    ) -> dict[str, t.Any]:
        if response.status_code == 204:
            return {}
        try:
            content = response.json()
        except ValueError:
            content = None
        if isinstance(content, dict):
            return content
        error = self._malformed(method, path, target, f"{response.status_code} with a body that is not a JSON object")
        error.status, error.attempts, error.maybe_done = response.status_code, attempts, True
        error.request_id = response.headers.get("X-Request-Id")
        raise error

    def _malformed(self, method: str, path: str, target: str, reason: str) -> ApiError:
        return ApiError(
            target, method, path, reason, f"check that api_url ({self._settings.api_url}) is the PgBeam API"
        )

    def _unanswered(self, exc: Exception, method: str, path: str, target: str) -> ApiError:
        """Tell a network failure by its kind. The exception's own text is left out: it can quote the request."""
        url, settings = self._settings.api_url, self._settings
        # A peer that hangs up in the handshake is no TLS failure: a load balancer that restarts does that.
        hung_up = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
        if any(isinstance(item, ssl.SSLError) and not isinstance(item, hung_up) for item in _chain(exc)):
            return ApiError(
                target, method, path, f"no trusted TLS connection to {url}{_cause(exc)}",
                "check ca_path (or the environment's CA bundle) and that api_url is the right host", code="TLS",
            )  # fmt: skip
        # What requests and urllib3 raise before they try to connect: a URL, a proxy or a bundle that cannot be used.
        unusable = isinstance(exc, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema))
        if unusable or not isinstance(exc, requests.RequestException):
            return ApiError(
                target, method, path, f"a request to {url} cannot be made with these settings",
                "check api_url and ca_path, and REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and HTTPS_PROXY in the environment",
                code="SETTINGS",
            )  # fmt: skip
        if isinstance(exc, requests.exceptions.ProxyError):
            return ApiError(
                target, method, path, f"the proxy to {url} refused or did not answer",
                "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY in the environment",
            )  # fmt: skip
        if isinstance(exc, requests.exceptions.Timeout):
            connecting = isinstance(exc, requests.exceptions.ConnectTimeout)
            reason = f"{url} did not {'accept a connection' if connecting else 'answer'} within {settings.timeout} s"
            advice = "check the network and the proxy, or raise timeout"
        else:
            connecting = _never_sent(exc)
            reason = f"{'no connection to' if connecting else 'connection lost to'} {url}{_cause(exc)}"
            advice = "check api_url, the network and the proxy"
        return ApiError(target, method, path, reason, advice, maybe_done=not connecting)


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


def _never_sent(exc: BaseException) -> bool:
    names = {type(item).__name__ for item in _chain(exc)}
    return bool(names & {"NewConnectionError", "NameResolutionError"})


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


def _refused(response: requests.Response, method: str, path: str, target: str) -> ApiError:
    """Read an error answer: ``{"error": {…}}``, an RFC 9457 problem, or a body that is neither."""
    status = response.status_code
    try:
        content = response.json()
    except ValueError:
        content = None
    problem = content if isinstance(content, dict) else {}
    inner: dict[str, t.Any] = problem["error"] if isinstance(problem.get("error"), dict) else problem
    texts = {key: value for key, value in inner.items() if isinstance(value, str) and value}
    code = texts.get("code")
    bare = problem.get("error")
    message = (
        texts.get("message") or texts.get("detail") or texts.get("title") or (bare if isinstance(bare, str) else None)
    )
    listed = inner.get("errors")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    fields = [{"field": entry.get("field"), "detail": entry.get("detail")} for entry in entries]
    reason = " ".join(str(part) for part in (status, code) if part)
    if message:
        reason += f": {message}"
    elif not isinstance(content, dict):
        reason += " with a body that is not a JSON object" if response.content else " without an error message"
    if fields:
        reason += f" [{', '.join(': '.join(str(v) for v in entry.values() if v) for entry in fields)}]"
    if 300 <= status < 400:
        # Without its user and its query, which may hold a secret.
        place = re.match(r"(https?://)(?:[^/?#]*@)?([^?#]+)", response.headers.get("Location", ""))
        reason = f"{status} redirects to {place.group(1)}{place.group(2)}" if place else reason
    request_id = response.headers.get("X-Request-Id") or texts.get("request_id")
    return ApiError(
        target, method, path, reason, _advice(status, code, target, path), status=status, code=code, message=message,
        request_id=request_id, fields=fields,
    )  # fmt: skip


def _advice(status: int, code: str | None, target: str, path: str) -> str:
    """What the user can do about a refusal, or nothing where the server's words say it all."""
    project = re.match(r"/v1/projects/([^/]+)/[^/]+$", path)
    if status == 403 and code == "PLAN_LIMIT_REACHED":
        return "delete registrations that are no longer needed, or move to a larger plan, then run again"
    if status == 404:
        what = f"project {project.group(1)}" if project else target
        return (
            f"{what} not found, or this key may not see it: check {'project_id' if project else 'the id'} and the key"
        )
    if 300 <= status < 400:
        return "redirects are not followed: set api_url to the address that answers"
    if status >= 500 or status == 408:
        return (
            "PgBeam could not serve the request: run again later, and quote the request id to its support if it stays"
        )
    return {
        401: f"the API key is not accepted: check api_key (or {API_KEY_VARIABLES[0]}) and that the key is not revoked",
        402: "a payment is due: settle it in the PgBeam dashboard, then run again",
        403: "this API key may not do that: use a key whose organization owns the project",
        429: "too many requests: run again later, lower parallel, or raise retries and retry_budget",
    }.get(status, "")
