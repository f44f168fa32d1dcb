# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP and authentication for the PgBeam API: sessions, paging, timeouts and retries.

This package does not depend on Ansible. The retry rules are those of the vendor's own clients.
Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import os
import random
import re
import threading
import time
import typing as t
import uuid
import warnings
from concurrent import futures
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

from ansible_collections.pgbeam.cloud.plugins.module_utils._http import responses
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import (
    API_KEY_VARIABLES,
    ApiError,
    Call,
    one_line,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.throttle import Throttle
from ansible_collections.pgbeam.cloud.plugins.module_utils._version import VERSION

try:
    import requests
    from urllib3.exceptions import HTTPError

    REQUESTS_IMPORT_ERROR = None
except ImportError as exc:  # the caller reports it: importing this file never fails
    REQUESTS_IMPORT_ERROR = exc

PAGE_SIZE = 100
MAX_PAGES = 10_000  # a million objects
MAX_BYTES = 16 * 2**20  # of one answer, a hundred times a usual page of a list
CHUNK_SIZE = 2**16
BACKOFF_BASE = 0.5
BACKOFF_LIMIT = 30.0
MIN_TIMEOUT = 1.0
GRACE = 0.5  # seconds for requests to report which step timed out
EXCHANGE = "pgbeam exchange"  # the name of the threads that send requests
ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class ConfigError(ValueError):
    """A connection setting is invalid. The text is one sentence for the user and contains no secret."""


#: The least and the most of the numbers among the settings.
LIMITS = {"timeout": (1, 86_400), "retries": (0, 100), "retry_budget": (1, 86_400)}


@dataclass(frozen=True)
class Settings:
    """How to reach the API. Times are in seconds; without ``ca_path``, the environment's bundle is used.

    Raises ConfigError if a value is invalid.
    """

    api_key: str | None
    api_url: str = "https://api.pgbeam.com"
    timeout: int = 30
    retries: int = 5
    retry_budget: int = 120
    validate_certs: bool = True
    ca_path: str | None = None

    @property
    def base_url(self) -> str:
        """The URL to prefix paths with. Paths begin with the version of the API, which ``api_url`` may end with."""
        parts = urlsplit(self.api_url)
        return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1').rstrip('/')}"

    def __post_init__(self) -> None:
        if not self.api_key:
            others = " or ".join(API_KEY_VARIABLES[1:])
            raise ConfigError(f"api_key: missing; set api_key, or {API_KEY_VARIABLES[0]} ({others}) in the environment")
        if not re.fullmatch(r"[\x21-\x7e]+", self.api_key):
            # requests would quote the header with the key in its exception.
            raise ConfigError(
                "api_key: the key contains whitespace or a non-ASCII character; "
                "set the key alone, without a trailing line break"
            )
        _check_url(self.api_url)
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                shown = value if abs(value) < 2**63 else "a number of that size"  # Python cannot convert it to text
                raise ConfigError(f"{name}: {shown} is not allowed; it must be a whole number from {least} to {most}")
        if self.ca_path and not os.path.exists(self.ca_path):
            raise ConfigError(
                f"ca_path: {self.ca_path!r} does not exist; set a PEM file or a directory of certificates"
            )


def _check_url(url: str) -> None:
    """Raise ConfigError unless the URL is https, or http to a loopback address."""
    wanted = "set https://HOST[:PORT], or http:// with a loopback address"
    # A URL with an @ may contain a password, and which part that is cannot be known.
    shown = "the value" if "@" in url else repr(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"api_url: {shown} is not a URL; {wanted}") from None
    if parts.scheme not in ("http", "https") or not host or port == 0 or re.search(r"[\s\\\x00-\x1f]", url):
        raise ConfigError(f"api_url: {shown} is not an API URL; {wanted}")
    if not all(0 < len(label) < 64 for label in host.rstrip(".").split(".")):
        raise ConfigError(f"api_url: {shown} has an invalid host name; {wanted}")
    if "@" in url or parts.query or parts.fragment:
        raise ConfigError(f"api_url: {shown} contains a user, a query or a fragment; {wanted}")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigError(f"api_url: {shown} would send the API key unencrypted; {wanted}")


def _links(response: requests.Response) -> list[dict[str, str]]:
    """Return the links of a Link header; none if it is invalid."""
    try:
        return requests.utils.parse_header_links(response.headers.get("Link", ""))
    except ValueError:
        return []


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Answer:
    """The answer of a successful call: the JSON object, and its entity tag if it is valid."""

    content: dict[str, t.Any]
    etag: str | None = None


@dataclass(frozen=True)
class Deprecation:
    """The deprecation of an operation that the API announces: its dates, and where to read about it."""

    operation: str
    since: str | None
    until: str | None
    link: str | None

    def __str__(self) -> str:
        facts = (("deprecated since", self.since), ("ends on", self.until), ("see", self.link))
        return f"{self.operation} ({', '.join(f'{words} {fact}' for words, fact in facts if fact) or 'deprecated'})"


#: The idle sessions, to be reused by this process with the same settings and environment.
_idle: dict[t.Hashable, list[requests.Session]] = {}


def _idle_sessions(settings: Settings) -> list[requests.Session]:
    """Return the idle sessions of these settings, and close those of other settings."""
    trusted = (settings.validate_certs, settings.ca_path)
    which = (settings.base_url, settings.api_key, trusted, frozenset(os.environ.items()))
    for other in [key for key in _idle if key != which]:
        for session in _idle.pop(other):
            session.close()
    return _idle.setdefault(which, [])


#: Returns what is wrong with an object in an answer, None if it is valid.
Check = t.Callable[[dict[str, t.Any]], "str | None"]


class Client:
    """Calls to one PgBeam API with one key, for one run. Safe to share between threads: each has its own session.

    Every call raises ApiError. ``check`` returns what is wrong with an object in an answer, None if it is valid.
    ``redact`` masks the secrets in a server's messages before they are shortened, which would hide them from a search.
    """

    def __init__(self, settings: Settings, redact: t.Callable[[str], str] = str) -> None:
        self.settings = settings
        #: The error that every further call would meet too, so that no further write is sent.
        self.fatal_error: ApiError | None = None
        self._cancelled = False
        #: The operations in use that the API announces as deprecated.
        self.deprecations: dict[str, Deprecation] = {}
        self._redact = redact
        self._idle = _idle_sessions(settings)
        self._throttle = Throttle(settings.retry_budget)
        if not settings.validate_certs:
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")

    def get(self, path: str, target: str, check: Check | None = None, query: dict[str, t.Any] | None = None) -> Answer:
        """Read one object. If it does not exist, the error has the status 404."""
        return self._call(Call("GET", path, target, query, headers={"Cache-Control": "no-cache"}), check)

    def list_all(
        self,
        path: str,
        key: str,
        target: str,
        check: Check | None = None,
        query: dict[str, t.Any] | None = None,
        paged: bool = True,
    ) -> list[dict[str, t.Any]]:
        """Read all pages of a list whose items are under ``key``. ``paged``: the listing accepts a page size."""
        items: list[dict[str, t.Any]] = []
        seen: set[str] = set()
        token = ""

        def check_page(page: dict[str, t.Any]) -> str | None:
            found, following = page.get(key), page.get("next_page_token") or ""
            if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
                return f"no list of {key}"
            if not isinstance(following, str) or re.search(r"[\ud800-\udfff]", following):
                return "a next page token that cannot be sent back"
            if following in seen or len(seen) == MAX_PAGES:
                return "a next page token that repeats, or a list that does not end"
            return next(filter(None, map(check, found)), None) if check else None

        while True:
            params = {**(query or {}), **({"page_size": PAGE_SIZE} if paged else {})}
            params.update({"page_token": token} if token else {})
            page = self._call(Call("GET", path, target, params), check_page).content
            items += page[key]
            token = page.get("next_page_token") or ""
            if not token:
                return items
            seen.add(token)

    def write(
        self,
        method: str,
        path: str,
        target: str,
        body: dict[str, t.Any] | None = None,
        check: Check | None = None,
        etag: str | None = None,
        keyed: bool = True,
    ) -> Answer:
        """Send a write with its own Idempotency-Key and return the answer.

        With an entity tag, the write fails with 412 if the object has changed since. If not ``keyed``, it has no
        Idempotency-Key and is not sent again if the server may have received it.
        """
        headers = {"Idempotency-Key": str(uuid.uuid4())} if keyed else {}
        headers |= {"If-Match": etag} if etag else {}
        return self._call(Call(method, path, target, None, body, headers, repeatable=keyed), check)

    def delete(self, path: str, target: str, query: dict[str, t.Any] | None = None) -> bool:
        """Delete the object that the path or the query identifies. Return False if it did not exist before."""
        try:
            self._call(Call("DELETE", path, target, query))
        except ApiError as error:
            if not error.not_found:
                raise
            # If an answer was lost, an earlier attempt may have deleted it.
            return error.outcome_unknown
        return True

    def _call(self, call: Call, check: Check | None = None) -> Answer:
        """Make the attempts of one call. The content of the answer to a DELETE is ``{}``."""
        started = 0.0
        outcome_unknown = False
        attempt = 0
        error: ApiError | None = None
        while True:
            attempt += 1
            with self._throttle.slot(attempt, started) as in_time:
                if self._cancelled:
                    raise error or ApiError(
                        call, "not attempted: the task was stopped", "run the task again", attempts=0
                    )
                if error and not in_time:
                    self._give_up(error, "waiting for the other calls")
                if attempt == 1:
                    self._skip_if_aborted(call)
                sent = time.monotonic()
                started = sent if attempt == 1 else started
                remaining = self.settings.retry_budget if attempt == 1 else self._throttle.remaining(started)
                try:
                    answer = self._attempt(call, check, remaining)
                    error = None
                except ApiError as exc:
                    error = exc
            if error is None:
                self._throttle.succeeded()
                return answer
            if error.retriable or error.status is None:
                self._throttle.failed(sent)
            else:
                self._throttle.succeeded()
            outcome_unknown = error.outcome_unknown = outcome_unknown or (
                error.outcome_unknown and call.method != "GET"
            )
            error.attempts = attempt
            self._wait_before_retry(error, started)

    def cancel(self, then: t.Callable[[], None]) -> None:
        """Start no further attempts, and call ``then`` once the attempts in flight have ended."""
        self._cancelled = True
        in_flight = [thread for thread in threading.enumerate() if thread.name == EXCHANGE]

        def wait() -> None:
            deadline = time.monotonic() + self.settings.timeout + GRACE
            for thread in in_flight:
                thread.join(max(0, deadline - time.monotonic()))
            then()

        threading.Thread(target=wait).start()

    def _skip_if_aborted(self, call: Call) -> None:
        if self.fatal_error and call.method != "GET":
            failed = self.fatal_error.call
            reason = f"not attempted: the run stopped after {failed.method} {failed.target} failed"
            raise ApiError(call, reason, self.fatal_error.advice, attempts=0)

    def _wait_before_retry(self, error: ApiError, started: float) -> None:
        """Wait until the next attempt of a call started at ``started``; raise the error if there is none."""
        delay = error.retry_after
        if delay is None or (delay == 0 and error.attempts > 1):  # a slow clock would ask for "now" for ever
            delay = min(BACKOFF_BASE * 2 ** (error.attempts - 1), BACKOFF_LIMIT) * random.uniform(0.5, 1.5)
        in_time = delay < self._throttle.remaining(started)
        limited = error.status in (429, 503)
        if limited and in_time:
            self._throttle.back_off(delay)  # even if this call ends here, the others wait
        repeatable = error.retriable and (error.call.repeatable or not error.outcome_unknown)
        if not repeatable or error.attempts > self.settings.retries:
            self._fail(error)
        if not in_time:
            self._give_up(error, f"waiting another {math.ceil(delay)} s")
        if not limited:
            time.sleep(delay)

    def _give_up(self, error: ApiError, waiting: str) -> t.NoReturn:
        budget = self.settings.retry_budget
        error.budget_spent = True
        error.advice = f"{waiting} would exceed retry_budget ({budget} s): run again later, or raise retry_budget"
        self._fail(error)

    def _fail(self, error: ApiError) -> t.NoReturn:
        if error.fatal:
            self.fatal_error = self.fatal_error or error
        raise error

    def _attempt(self, call: Call, check: Check | None, time_left: float) -> Answer:
        """Make one attempt in a separate thread, which is abandoned if it takes too long.

        The timeout of requests only limits single steps such as one read, so a slow answer might never end.
        """
        timeout = max(min(self.settings.timeout, time_left), MIN_TIMEOUT)
        session = self._take_session()
        response: futures.Future[requests.Response] = futures.Future()

        def exchange() -> None:
            try:
                response.set_result(self._exchange(session, call, timeout))
            except BaseException as exc:
                response.set_exception(exc)

        threading.Thread(target=exchange, daemon=True, name=EXCHANGE).start()
        try:
            failure = response.exception(timeout + GRACE)
        except futures.TimeoutError:
            failure = requests.ReadTimeout()
        else:  # not after a timeout, when the other thread still uses it
            self._idle.append(session)
        if failure is None:
            return self._content(response.result(), call, check)
        if not isinstance(failure, (requests.RequestException, HTTPError, OSError, UnicodeError)):
            raise failure
        # Not in an except block: the exception, whose text can quote the request, must not become this one's context.
        raise responses.from_network_failure(failure, call, self.settings.api_url, timeout)

    def _exchange(self, session: requests.Session, call: Call, timeout: float) -> requests.Response:
        """Send the request and read the answer."""
        settings = self.settings
        # Given with each request: a session's own `verify` loses to REQUESTS_CA_BUNDLE.
        verify: bool | str = settings.ca_path or True if settings.validate_certs else False
        with session.request(
            call.method,
            settings.base_url + call.path,
            params=call.query,
            json=call.body,
            headers=call.headers,
            timeout=timeout,
            verify=verify,
            allow_redirects=False,
            stream=True,
        ) as response:
            content = bytearray()
            for chunk in response.iter_content(CHUNK_SIZE):
                content += chunk
                if len(content) > MAX_BYTES:
                    break
            # urllib3 2 raises if an answer ends before its Content-Length; 1.26 accepts it as complete.
            if response.raw.length_remaining and len(content) <= MAX_BYTES:
                raise requests.ConnectionError("the answer was cut short")
            response._content = bytes(content)
        return response

    def _content(self, response: requests.Response, call: Call, check: Check | None) -> Answer:
        self._record_deprecation(response, call)
        if len(response.content) > MAX_BYTES:
            reason = f"a body of more than {MAX_BYTES // 2**20} MiB"
            raise responses.from_bad_content(response, call, reason, self.settings.api_url, self._redact)
        if not 200 <= response.status_code < 300:
            raise responses.from_error_response(response, call, self._redact)
        if call.method == "DELETE":
            return Answer({})  # the object no longer exists
        content = responses.json_of(response)
        problem = (
            (check(content) if check else None) if isinstance(content, dict) else "a body that is not a JSON object"
        )
        if problem:
            raise responses.from_bad_content(response, call, problem, self.settings.api_url, self._redact)
        tag = response.headers.get("ETag", "").strip()
        return Answer(t.cast("dict[str, t.Any]", content), tag if ETAG.fullmatch(tag) else None)

    def _record_deprecation(self, response: requests.Response, call: Call) -> None:
        """Record that the API announces an operation as deprecated: RFC 9745 and RFC 8594."""
        since, until = response.headers.get("Deprecation"), response.headers.get("Sunset")
        if since is None and until is None:
            return
        links = {rel: link["url"] for link in _links(response) for rel in link.get("rel", "").split()}
        link = next((links[rel] for rel in ("deprecation", "sunset", "successor-version") if rel in links), None)
        operation = f"{call.method} {responses.operation(call.path)}"
        shown = one_line(link, self._redact) if link else None
        self.deprecations.setdefault(
            operation, Deprecation(operation, responses.date_of(since), responses.date_of(until), shown)
        )

    def _take_session(self) -> requests.Session:
        """Return a session for exclusive use: an idle one with an open connection if possible, otherwise a new one."""
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        session = requests.Session()
        key = self.settings.api_key

        def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {key}"
            return request

        # An explicit auth object, because otherwise ~/.netrc would replace the header.
        session.auth = authorize
        session.headers.update({"Accept": "application/json", "User-Agent": f"pgbeam-ansible/{VERSION}"})
        # The API needs no cookies, and those of one task must not reach the next.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        # requests prepares even a redirect that it does not follow, and fails if it is not a URL.
        session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]  # for this session alone
        # Plain http is for this machine only: through a proxy from the environment, the key would leave it.
        session.trust_env = urlsplit(self.settings.api_url).scheme == "https"
        return session
