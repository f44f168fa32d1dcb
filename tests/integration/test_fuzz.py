# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the options are and whatever a server answers, a module ends with a result or a sentence of its own."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract import judge
from tests.forked import run_module
from tests.harness import API_KEY, Sandbox

Values = dict[str, Any]
MODULES = ("database", "databases", "database_info")
#: More than a few examples, and other ones each time, where FUZZ_EXAMPLES says how many.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
FUZZ = settings(
    deadline=None,
    max_examples=EXAMPLES or 80,
    derandomize=not EXAMPLES,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

numbers = st.integers(-(10**20), 10**20)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
#: Values that are nearly right find more than values that are all wrong.
LIKELY: Values = {
    "id": "db_1", "host": "db1.example.com", "port": 5432, "name": "orders", "username": "app", "password": "pw-Zq7",
    "ssl_mode": "require", "role": "replica", "pool_region": "eu-west-1", "query_timeout_ms": 0,
    "auto_read_routing": True, "cache_config": {"ttl_seconds": 5}, "pool_config": {"pool_size": 7}, "state": "present",
}  # fmt: skip
PLACE = ("host", "name", "username")
entries = st.fixed_dictionaries(
    {name: st.just(LIKELY[name]) | st.just(LIKELY[name]) | anything for name in PLACE},
    optional={name: st.just(value) | anything for name, value in LIKELY.items() if name not in PLACE},
)
connection = st.fixed_dictionaries(
    {"project_id": st.just("prj_fuzz") | st.just("prj_fuzz") | anything},
    optional={
        "timeout": st.just(5) | anything,
        "retries": st.just(0) | numbers,
        "update_password": st.sampled_from(["on_create", "always"]) | anything,
        "test_connection": st.just(False) | anything,
    },
)


def clean(result: Values) -> None:
    """Fail for a result that tells of a bug, or a failure without a sentence."""
    message = str(result.get("msg", ""))
    assert "this is a bug" not in message
    assert not result.get("failed") or message
    assert API_KEY not in json.dumps(result)


@pytest.mark.parametrize("module", MODULES)
def test_any_options(sandbox: Sandbox, tmp_path: Path, module: str) -> None:
    """No traceback, and no request that the contract does not allow."""
    project = sandbox.project()
    project.id = "prj_fuzz"
    project.settings()

    @given(connection, st.lists(entries, max_size=3) | anything, entries)
    @FUZZ
    def run(base: Values, listed: Any, single: Values) -> None:
        options = {**base, "databases": listed} if module == "databases" else {**single, **base}
        options = {"api_url": sandbox.url, "api_key": API_KEY, **options}
        with project.watched() as exchanges:
            clean(run_module(module, options, tmp_path))
        judge(exchanges)

    run()


class Wild(ThreadingHTTPServer):
    """Answers every request with what the test says."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")

    @contextmanager
    def running(self) -> Iterator[str]:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{self.server_address[1]}"
        finally:
            self.shutdown()
            self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Wild

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the parent's name for it
        pass


for _method in ("GET", "POST", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler._answer)

objects = st.fixed_dictionaries(
    {"id": st.just("db_1") | anything},
    optional={f.name: st.just(LIKELY.get(f.name)) | anything for f in DATABASE.fields if f.name != "id"},
)
problems = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("error", "code", "message", "title", "detail", "errors", "request_id"), anything)
)
bodies = st.one_of(
    st.binary(max_size=50),
    st.sampled_from(
        [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe{", b'{"databases": [], "next_page_token": "\\ud800"}']
    ),
    anything.map(json.dumps).map(str.encode),
    objects.map(json.dumps).map(str.encode),
    problems.map(lambda inner: json.dumps({"error": inner}).encode()),
    problems.map(json.dumps).map(str.encode),
    st.fixed_dictionaries({"databases": st.lists(objects, max_size=3)}, optional={"next_page_token": anything})
    .map(json.dumps)
    .map(str.encode),
)
answers = st.tuples(
    st.sampled_from([200, 200, 200, 201, 204, 206, 301, 307, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503]),
    st.fixed_dictionaries(
        {},
        optional={
            "Content-Type": st.sampled_from(["application/json", "text/html", "application/json; charset=nonsense"]),
            "Content-Encoding": st.sampled_from(["identity", "gzip"]),
            "Retry-After": st.sampled_from(["1", "-1", "Mon, 99 Foo", "1e9", "\xff", "9" * 400]),
            "Location": st.sampled_from(["https://elsewhere.example.com", "//[", "/", "\xe9"]),
            "X-Request-Id": st.sampled_from(["req_1", "\xe9\xe9", " "]),
        },
    ),
    bodies,
)


@pytest.mark.once
@pytest.mark.parametrize("module", MODULES)
def test_any_answer(tmp_path: Path, module: str) -> None:
    """No traceback, no success without an object of the API, and no path that an answer made."""
    single = {k: LIKELY[k] for k in ("host", "name", "username", "password", "cache_config")}
    options: Values = {"database": single, "databases": {"databases": [single]}, "database_info": {}}[module]
    server = Wild(("127.0.0.1", 0), _Handler)
    with server.running() as url:

        @given(answers)
        @FUZZ
        def run(answer: tuple[int, dict[str, str], bytes]) -> None:
            server.answer = answer
            given_options = {"api_url": url, "api_key": API_KEY, "project_id": "prj_1", "retries": 0, "timeout": 5}
            result = run_module(module, {**given_options, **options}, tmp_path)
            clean(result)
            if not result.get("failed") and module == "database":
                assert result["database"]["id"]

        run()
