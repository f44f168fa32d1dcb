# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against a real HTTP server that follows a script. No test waits: the client's clock is a fake."""

from __future__ import annotations

import datetime as dt
import os
import random
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from ansible_collections.pgbeam.cloud.plugins.module_utils._http import client as client_file
from ansible_collections.pgbeam.cloud.plugins.module_utils._http import responses, throttle
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.client import Client, ConfigError, Settings
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import ApiError, Call
from ansible_collections.pgbeam.cloud.plugins.module_utils._version import VERSION

from tests.certificate import self_signed
from tests.unit.scripted import Clock, Proxy, ScriptedServer

KEY = "pbu_0aB9-tests-only-Kk7"
LIST = "/v1/projects/prj_1/databases"
ITEM = f"{LIST}/db_1"
NOW = dt.datetime(2028, 1, 1, tzinfo=dt.timezone.utc)
NO_NEXT_PAGE = "a next page token that repeats, or a list that does not end"
NO_TOKEN = "a next page token that cannot be sent back"
HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"


class FixedDate(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> FixedDate:
        return cls.fromtimestamp(NOW.timestamp(), tz)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    """A fake clock, back-off without its random part, and an environment without the developer's own settings."""
    fake = Clock()
    monkeypatch.setattr(client_file, "time", fake)
    monkeypatch.setattr(throttle, "time", fake)
    monkeypatch.setattr(responses, "datetime", FixedDate)
    monkeypatch.setattr(random, "uniform", lambda low, high: 1.0)
    for name in [name for name in os.environ if name.lower().endswith(("_proxy", "_ca_bundle"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    return fake


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer().running() as running:
        yield running


def client(server: ScriptedServer, **settings: Any) -> Client:
    return Client(Settings(KEY, server.url, **settings))


def failure(call: Callable[[], object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call()
    assert KEY not in f"{caught.value} {caught.value.as_dict()}"
    return caught.value


def create(server: ScriptedServer, **settings: Any) -> dict[str, Any]:
    return client(server, **settings).write("POST", LIST, "database orders", {"name": "orders"}).content


# Requests


@pytest.mark.parametrize("netrc", ["", "machine 127.0.0.1", "default"], ids=["no netrc", "the host's", "all hosts'"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_request_carries_the_key(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str, netrc: str
) -> None:
    """Over https, where requests reads the environment, only an auth object keeps ~/.netrc out."""
    if netrc:
        (tmp_path / "netrc").write_text(f"{netrc} login someone password else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server: ScriptedServer = request.getfixturevalue("server" if scheme == "http" else "tls_server")
    server.expect("GET", ITEM, body={"id": "db_1"})
    server.expect("PATCH", ITEM, body={"id": "db_1"})
    server.expect("DELETE", ITEM, 204)
    api = client(server, ca_path=str(request.getfixturevalue("certificate")))
    assert api.get(ITEM, "database db_1").content == {"id": "db_1"}
    assert api.write("PATCH", ITEM, "database db_1", {"role": "replica"}).content == {"id": "db_1"}
    assert api.delete(ITEM, "database db_1") is True
    assert [received.headers["Authorization"] for received in server.received] == [f"Bearer {KEY}"] * 3
    assert {received.headers["User-Agent"] for received in server.received} == {f"pgbeam-ansible/{VERSION}"}
    assert [received.body for received in server.received] == [None, {"role": "replica"}, None]


def test_a_write_without_a_body_sends_none(server: ScriptedServer) -> None:
    server.expect("POST", f"{ITEM}/test-connection", body={"ok": True})
    assert client(server).write("POST", f"{ITEM}/test-connection", "connection test").content == {"ok": True}
    assert server.received[0].body is None


def test_a_path_below_the_url_is_kept(server: ScriptedServer) -> None:
    server.expect("GET", f"/api{ITEM}", body={"id": "db_1"})
    assert Client(Settings(KEY, f"{server.url}/api/")).get(ITEM, "database db_1").content == {"id": "db_1"}


def test_one_idempotency_key_a_write(server: ScriptedServer) -> None:
    server.expect("POST", LIST, 503)
    server.expect("POST", LIST, drop=True)
    server.expect("POST", LIST, 201, {"id": "db_1"})
    server.expect("PATCH", ITEM, 429)
    server.expect("PATCH", ITEM, body={"id": "db_1"})
    server.expect("GET", ITEM, body={"id": "db_1"})
    server.expect("DELETE", ITEM, 204)
    api = client(server)
    api.write("POST", LIST, "database orders", {"name": "orders"})
    api.write("PATCH", ITEM, "database orders", {"role": "replica"})
    api.get(ITEM, "database orders")
    api.delete(ITEM, "database orders")
    keys = [request.headers.get("Idempotency-Key") for request in server.received]
    first, other = keys[0], keys[3]
    assert keys == [first, first, first, other, other, None, None]
    assert first and other and first != other
    assert [uuid.UUID(key).version for key in (first, other)] == [4, 4]
    assert [request.body for request in server.received[:3]] == [{"name": "orders"}] * 3


@pytest.mark.parametrize(
    ("answer", "attempts"),
    [
        ({"drop": True}, 1),
        ({"status": 502}, 1),
        ({"status": 503}, 1),
        ({"status": 503, "headers": {"Retry-After": "1"}}, 2),
        ({"status": 429}, 2),
    ],
    ids=["dropped", "502", "503", "503 with Retry-After", "429"],
)
def test_a_write_without_a_key_is_not_repeated_once_it_may_have_arrived(
    server: ScriptedServer, clock: Clock, answer: dict[str, Any], attempts: int
) -> None:
    for number in range(attempts):
        server.expect("POST", LIST, **(answer if number == 0 else {"status": 400}))
    error = failure(lambda: client(server).write("POST", LIST, "invitation", {}, keyed=False))
    assert (error.attempts, error.outcome_unknown) == (attempts, attempts == 1)
    assert [request.headers.get("Idempotency-Key") for request in server.received] == [None] * attempts


# Lists


def page(server: ScriptedServer, token: str, answer: dict[str, Any]) -> None:
    query = {"page_size": "100", **({"page_token": token} if token else {})}
    server.expect("GET", LIST, body=answer, query=query)


@pytest.mark.parametrize(
    "end", [{}, {"next_page_token": ""}, {"next_page_token": None}], ids=["absent", "empty", "null"]
)
def test_short_and_empty_pages_are_followed(server: ScriptedServer, end: dict[str, Any]) -> None:
    page(server, "", {"databases": [{"id": "db_1"}], "next_page_token": "a+/="})
    page(server, "a+/=", {"databases": [], "next_page_token": "b"})
    page(server, "b", {"databases": [{"id": "db_2"}, {"id": "db_3"}], **end})
    items = client(server).list_all(LIST, "databases", "databases of project prj_1")
    assert [item["id"] for item in items] == ["db_1", "db_2", "db_3"]


def test_a_list_with_a_query_of_its_own_and_no_page_size(server: ScriptedServer) -> None:
    server.expect("GET", LIST, body={"regions": [{"id": "a"}], "next_page_token": "b"}, query={"on": "1"})
    server.expect("GET", LIST, body={"regions": []}, query={"on": "1", "page_token": "b"})
    assert client(server).list_all(LIST, "regions", "regions", query={"on": "1"}, paged=False) == [{"id": "a"}]


@pytest.mark.parametrize(
    "pages, reason",
    [
        (
            [{"databases": [], "next_page_token": "a"}] * 2,
            NO_NEXT_PAGE,
        ),
        ([{"databases": [], "next_page_token": 7}], NO_TOKEN),
        ([{"databases": [], "next_page_token": "a\ud800"}], NO_TOKEN),
        ([{"items": []}], "no list of databases"),
        ([{"databases": ["db_1"]}], "no list of databases"),
        ([{"databases": {}}], "no list of databases"),
    ],
    ids=[
        "repeated token",
        "token of another type",
        "token that is no text",
        "another key",
        "items that are no objects",
        "no list",
    ],
)
def test_an_invalid_list(server: ScriptedServer, pages: list[dict[str, Any]], reason: str) -> None:
    for token, answer in zip(["", "a"], pages):
        page(server, token, answer)
    error = failure(lambda: client(server).list_all(LIST, "databases", "databases of project prj_1"))
    assert str(error).startswith(f"GET databases of project prj_1: 200 with {reason}; check that api_url")


def test_a_list_without_an_end(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_file, "MAX_PAGES", 3)
    for token, following in zip(["", "1", "2", "3"], ["1", "2", "3", "4"]):
        page(server, token, {"databases": [], "next_page_token": following})
    error = failure(lambda: client(server).list_all(LIST, "databases", "databases of project prj_1"))
    assert error.reason == f"200 with {NO_NEXT_PAGE}"


# Retries


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_transient_status_is_tried_again(server: ScriptedServer, clock: Clock, status: int) -> None:
    server.expect("GET", ITEM, status)
    server.expect("GET", ITEM, body={"id": "db_1"})
    assert client(server).get(ITEM, "database db_1").content == {"id": "db_1"}
    assert clock.waits == [0.5]


@pytest.mark.parametrize("status", [302, 400, 401, 402, 403, 404, 409, 412, 415, 422, 425, 500, 501, 505])
def test_another_status_is_final(server: ScriptedServer, clock: Clock, status: int) -> None:
    server.expect("POST", LIST, status, headers={"Retry-After": "1"})
    error = failure(lambda: create(server))
    assert (error.status, error.attempts, clock.waits) == (status, 1, [])


@pytest.mark.parametrize(
    "lost", [{"drop": True}, {"cut": True, "body": {"id": "db_1"}}], ids=["no answer", "cut answer"]
)
def test_a_lost_connection_is_tried_again(server: ScriptedServer, clock: Clock, lost: dict[str, Any]) -> None:
    server.expect("POST", LIST, 201, **lost)
    server.expect("POST", LIST, 201, {"id": "db_1"})
    assert create(server) == {"id": "db_1"}
    assert clock.waits == [0.5]


@pytest.mark.parametrize(
    "header, wait",
    [
        ("7", 7.0),
        ("0", None),
        (" 3 ", 3.0),
        ("Sat, 01 Jan 2028 00:01:30 GMT", 90.0),
        ("Saturday, 01-Jan-28 00:00:20 GMT", 20.0),
        ("Sat, 01 Jan 2028 00:00:45 -0000", 45.0),
        ("Fri, 31 Dec 2027 23:59:00 GMT", None),
        ("soon", 0.5),
        ("-5", 0.5),
        ("1.5", 0.5),
        ("", 0.5),
        ("Sat, 45 Foo 2028 00:01:30 GMT", 0.5),
    ],
)
def test_retry_after(server: ScriptedServer, clock: Clock, header: str, wait: float | None) -> None:
    server.expect("GET", ITEM, 429, headers={"Retry-After": header})
    server.expect("GET", ITEM, body={})
    client(server).get(ITEM, "database db_1")
    assert clock.waits == ([] if wait is None else [wait])


@pytest.mark.parametrize("factor", [0, 1], ids=["low", "high"])
def test_backoff_bounds(server: ScriptedServer, clock: Clock, monkeypatch: pytest.MonkeyPatch, factor: int) -> None:
    monkeypatch.setattr(random, "uniform", lambda *bounds: bounds[factor])
    for dummy in range(9):
        server.expect("GET", ITEM, 503)
    failure(lambda: client(server, retries=8, retry_budget=999).get(ITEM, "database db_1"))
    assert clock.waits == [base * (0.5, 1.5)[factor] for base in (0.5, 1, 2, 4, 8, 16, 30, 30)]


@pytest.mark.parametrize("retries", [0, 5])
def test_retries_are_counted(server: ScriptedServer, clock: Clock, retries: int) -> None:
    for dummy in range(retries + 1):
        server.expect("GET", ITEM, 503)
    error = failure(lambda: client(server, retries=retries).get(ITEM, "database db_1"))
    assert (error.attempts, len(clock.waits), error.budget_spent) == (retries + 1, retries, False)
    assert not error.fatal


@pytest.mark.parametrize(
    "answers, waits",
    [(["60", "60"], [60.0]), (["120"], []), (["9999"], []), (["119", None], [119.0])],
    ids=["second wait", "whole budget", "far beyond", "back-off"],
)
def test_a_wait_beyond_the_budget_ends_the_call(
    server: ScriptedServer, clock: Clock, monkeypatch: pytest.MonkeyPatch, answers: list[str | None], waits: list[float]
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: 3.0)
    for header in answers:
        server.expect("POST", LIST, 429, headers={"Retry-After": header} if header else {})
    error = failure(lambda: create(server))
    assert (error.budget_spent, error.attempts, clock.waits) == (True, len(answers), waits)
    assert "retry_budget (120 s)" in error.advice and error.advice.endswith("or raise retry_budget")
    assert error.fatal


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("status", [429, 503])
def test_every_refusal_of_more_makes_the_next_call_wait(
    server: ScriptedServer, clock: Clock, retries: int, status: int
) -> None:
    """Including the last one, after which its own call gives up."""
    for dummy in range(retries + 1):
        server.expect("POST", LIST, status, headers={"Retry-After": "7"})
    server.expect("GET", ITEM, body={})
    api = client(server, retries=retries)
    failure(lambda: api.write("POST", LIST, "database orders", {}))
    api.get(ITEM, "database db_1")
    assert clock.waits == [7.0] * (retries + 1)


def test_the_wait_of_another_call_may_exceed_the_budget(server: ScriptedServer, clock: Clock) -> None:
    def others() -> None:
        clock.now = 50
        api._throttle.back_off(100)

    server.expect("POST", LIST, 502, meanwhile=others)
    api = client(server)
    error = failure(lambda: api.write("POST", LIST, "database orders", {}))
    assert (error.status, error.attempts, error.outcome_unknown, error.budget_spent) == (502, 1, True, True)
    assert error.advice == (
        "waiting for the other calls would exceed retry_budget (120 s): run again later, or raise retry_budget"
    )
    assert clock.waits == [0.5]


def test_connections_are_kept(server: ScriptedServer) -> None:
    server.expect("GET", ITEM, body={"id": "db_1"})
    server.expect("GET", ITEM, 404, HTML)
    server.expect("PATCH", ITEM, 400, {"error": {"code": "X"}})
    server.expect("DELETE", ITEM, 204)
    server.expect("GET", LIST, body={"databases": []})
    api = client(server)
    api.get(ITEM, "database db_1")
    failure(lambda: api.get(ITEM, "database db_1"))
    failure(lambda: api.write("PATCH", ITEM, "database db_1", {}))
    api.delete(ITEM, "database db_1")
    api.list_all(LIST, "databases", "databases")
    assert server.connections == 1


ANSWER = b'HTTP/1.1 201 Created\r\nContent-Length: 13\r\n\r\n{"id":"db_1"}'


BODY = ANSWER.index(b"{") + 1


@pytest.mark.parametrize(
    "slowly, pause", [(1, 0.25), (BODY, 0.25), (BODY, 1.3)], ids=["drips", "drips in its body", "stalls in its body"]
)
def test_an_answer_that_takes_too_long_ends_with_the_timeout(server: ScriptedServer, slowly: int, pause: float) -> None:
    server.expect("POST", LIST, raw=ANSWER, slowly=slowly, pause=pause)
    server.expect("GET", ITEM, body={"id": "db_1"})
    api = client(server, timeout=1, retries=0)
    session = api._take_session()
    api._idle.append(session)
    began = time.monotonic()
    error = failure(lambda: api.write("POST", LIST, "database orders", {}))
    assert time.monotonic() - began < 2.5
    assert str(error).startswith(f"POST database orders: {server.url} did not answer within 1 s; ")
    assert (error.retriable, error.outcome_unknown) == (True, True)
    assert api.get(ITEM, "database db_1").content == {"id": "db_1"}
    assert (session in api._idle) is (pause > 1), "a thread that is left behind keeps its session"


@pytest.mark.parametrize("status", [201, 502])
def test_an_answer_without_an_end_is_no_answer(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(client_file, "MAX_BYTES", 2**20)
    head = f"HTTP/1.1 {status} Told\r\nContent-Length: {10**12}\r\n\r\n"
    server.expect("POST", LIST, raw=head.encode() + b" " * 2**21)
    error = failure(lambda: create(server))
    assert str(error).startswith(f"POST database orders: {status} with a body of more than 1 MiB; check that api_url")
    assert error.outcome_unknown


def test_a_lost_write_in_the_handling_of_another_failure(server: ScriptedServer) -> None:
    """What the caller is handling is no part of what happened to the call."""
    server.expect("POST", LIST, drop=True)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    try:
        requests.get(url, timeout=1)
    except requests.ConnectionError:
        assert failure(lambda: create(server, retries=0)).outcome_unknown


GONE: dict[str, Any] = {"status": 404, "body": {"error": {"code": "NOT_FOUND", "message": "It is not there."}}}


@pytest.mark.parametrize(
    "answers, deleted",
    [
        ([{"status": 204}], True),
        ([GONE], False),
        ([{"drop": True}, GONE], True),
        ([{"status": 502, "body": HTML}, GONE], True),
        ([{"status": 503}, {"status": 503, "headers": {"Retry-After": "1"}}, GONE], True),
        ([{"status": 503, "headers": {"Retry-After": "1"}}, GONE], False),
        ([{"status": 429}, GONE], False),
    ],
    ids=["deleted", "gone", "lost answer", "gateway", "two refusals", "not begun", "rate limit"],
)
def test_delete(server: ScriptedServer, answers: list[dict[str, Any]], deleted: bool) -> None:
    for answer in answers:
        server.expect("DELETE", ITEM, **answer)
    assert client(server).delete(ITEM, "database db_1") is deleted


@pytest.mark.parametrize("status", [401, 402, 403, 409, 412, 415])
def test_a_page_of_a_proxy_is_not_an_answer_of_the_api(server: ScriptedServer, status: int) -> None:
    server.expect("GET", ITEM, status, HTML)
    error = failure(lambda: client(server).get(ITEM, "database orders"))
    assert error.advice == "the response is not from the PgBeam API: check api_url and any proxies in between"


@pytest.mark.parametrize("body", ["", "<html><h1>404 Not Found</h1></html>", {"detail": "Not Found"}, [1]])
def test_a_404_that_is_not_from_the_api(server: ScriptedServer, body: Any) -> None:
    """A 404 of a gateway proves nothing about the API."""
    server.expect("DELETE", ITEM, 404, body)
    error = failure(lambda: client(server).delete(ITEM, "database db_1"))
    assert (error.status, error.not_found) == (404, False)


def test_a_call_that_waits_while_the_run_ends(server: ScriptedServer, clock: Clock) -> None:
    """After a rate limit, the others wait; a failure of one of them stops the calls that have not started."""
    arrived, answer = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        answer.wait(1)

    def refuse() -> None:
        answer.set()
        first.result()

    server.expect("POST", LIST, 403, {"error": {"code": "FORBIDDEN"}}, meanwhile=hold)
    server.expect("POST", LIST, 429, headers={"Retry-After": "5"})
    server.expect("GET", ITEM, 200, {"id": "db_1"})
    api = client(server, retries=0)
    with futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(failure, lambda: api.write("POST", LIST, "database a", {}))
        arrived.wait(9)
        assert failure(lambda: api.write("POST", LIST, "database b", {})).status == 429
        clock.meanwhile = refuse
        error = failure(lambda: api.write("POST", LIST, "database c", {}))
    assert clock.waits == [5]
    assert str(error) == (
        "POST database c: not attempted: the run stopped after POST database a failed; "
        "this API key lacks permission: check the ids in the task, and use a key that has this permission in the "
        "organization"
    )
    assert (error.attempts, error.outcome_unknown, error.fatal) == (0, False, False)
    assert api.get(ITEM, "database db_1").content == {"id": "db_1"}


def test_a_delete_that_is_refused(server: ScriptedServer) -> None:
    server.expect("DELETE", ITEM, 403, {"error": {"code": "FORBIDDEN", "message": "no"}})
    assert failure(lambda: client(server).delete(ITEM, "database db_1")).status == 403


@pytest.mark.parametrize(
    "answers, outcome_unknown",
    [
        ([{"drop": True}], True),
        ([{"status": 201, "cut": True, "body": {}}], True),
        ([{"status": 201, "body": '{"id": "db_'}], True),
        ([{"status": 500}], True),
        ([{"status": 503}], True),
        ([{"status": 503, "headers": {"Retry-After": "1"}}], False),
        ([{"status": 408}], False),
        ([{"status": 429}], False),
        ([{"status": 400}], False),
        ([{"status": 409}], False),
        ([{"drop": True}, {"status": 400}], True),
        ([{"status": 429}, {"status": 400}], False),
    ],
    ids=[
        "dropped", "cut", "truncated JSON", "500", "503", "503 with Retry-After", "408", "429", "400", "409",
        "dropped then 400", "429 then 400",
    ],
)  # fmt: skip
def test_outcome_unknown(server: ScriptedServer, answers: list[dict[str, Any]], outcome_unknown: bool) -> None:
    for answer in answers:
        server.expect("POST", LIST, **answer)
    assert failure(lambda: create(server, retries=len(answers) - 1)).outcome_unknown is outcome_unknown


def test_a_refused_connection_is_tried_again_and_did_nothing(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    error = failure(lambda: Client(Settings(KEY, url, retries=2)).write("POST", LIST, "database orders", {}))
    assert str(error).startswith(f"POST database orders: no connection to {url} (")
    assert (error.outcome_unknown, error.attempts, error.status, clock.waits) == (False, 3, None, [0.5, 1.0])


@pytest.mark.parametrize("connecting", [True, False], ids=["connect", "answer"])
def test_time_outs(monkeypatch: pytest.MonkeyPatch, connecting: bool) -> None:
    """A real timeout takes at least a second, so the creation of sockets is patched here."""

    class Stalled(socket.socket):
        def recv_into(self, *args: Any) -> int:
            raise TimeoutError(f"quotes {KEY}")

    def connect(*args: object, **kwargs: object) -> socket.socket:
        if connecting:
            raise TimeoutError(f"quotes {KEY}")
        near, far = socket.socketpair()
        peers.append(far)
        return Stalled(fileno=near.detach())

    peers: list[socket.socket] = []
    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    error = failure(
        lambda: Client(Settings(KEY, "http://127.0.0.1:9", retries=1)).write("POST", LIST, "database orders", {})
    )
    words = "did not accept a connection within 30 s" if connecting else "did not answer within 30 s"
    assert words in str(error)
    assert (error.outcome_unknown, error.attempts, error.status) == (not connecting, 2, None)


def test_an_attempt_gets_no_more_time_than_the_budget_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def fail(*args: object, timeout: float, **kwargs: object) -> None:
        given.append(timeout)
        raise requests.ReadTimeout

    monkeypatch.setattr(requests.Session, "request", fail)
    monkeypatch.setattr(random, "uniform", lambda low, high: 40.0)
    failure(lambda: Client(Settings(KEY, retry_budget=90)).get(ITEM, "database db_1"))
    assert given == [30, 30, 30]
    given.clear()
    failure(lambda: Client(Settings(KEY, retry_budget=45)).get(ITEM, "database db_1"))
    assert given == [30, 25]


# Errors


PROBLEM = {
    "type": "https://pgbeam.com/errors/invalid_input",
    "title": "Invalid input",
    "status": 422,
    "detail": "Two fields are wrong.",
    "code": "INVALID_INPUT",
    "request_id": "req_body",
    "errors": [{"field": "port", "detail": "too high"}, {"field": "ssl_mode", "detail": "unknown"}],
}
FIELDS = PROBLEM["errors"]


@pytest.mark.parametrize(
    "status, body, headers, code, message, request_id, fields, words",
    [
        pytest.param(
            400, {"error": {"code": "INVALID_INPUT", "message": "ssl_mode is wrong"}}, {"X-Request-Id": "req_1"},
            "INVALID_INPUT", "ssl_mode is wrong", "req_1", [],
            "400 INVALID_INPUT: ssl_mode is wrong (request req_1)",
            id="error envelope",
        ),
        pytest.param(
            422, PROBLEM, {}, "INVALID_INPUT", "Two fields are wrong.", "req_body", FIELDS,
            "422 INVALID_INPUT: Two fields are wrong. [port: too high, ssl_mode: unknown] (request req_body)",
            id="problem",
        ),
        pytest.param(
            409, {"title": "Conflict", "status": 409, "code": "CONFLICT"}, {"X-Request-Id": "req_2"},
            "CONFLICT", "Conflict", "req_2", [], "409 CONFLICT: Conflict (request req_2)",
            id="problem without detail",
        ),
        pytest.param(
            400, {"error": {"code": 7, "message": None}, "errors": "x"}, {}, None, None, None, [], "400",
            id="envelope of other types",
        ),
        pytest.param(502, HTML, {}, None, None, None, [], "502 with a body that is not a JSON object", id="HTML"),
        pytest.param(500, "", {}, None, None, None, [], "500 without an error message", id="empty"),
        pytest.param(
            400, '{"error": {"code": "INV', {}, None, None, None, [], "400 with a body that is not a JSON object",
            id="truncated JSON",
        ),
        pytest.param(400, [{"code": "X"}], {"X-Request-Id": "req_3"}, None, None, "req_3", [],
                     "400 with a body that is not a JSON object", id="JSON list"),
        pytest.param(400, {"error": "bad"}, {}, None, "bad", None, [], "400: bad", id="bare text"),
        pytest.param(
            400, {"code": "X", "errors": [{"detail": "odd"}]}, {}, "X", None, None,
            [{"field": None, "detail": "odd"}], "400 X [odd]", id="detail without a field",
        ),
    ],
)  # fmt: skip
def test_a_refusal_is_reported(
    server: ScriptedServer, status: int, body: Any, headers: dict[str, str], code: str | None, message: str | None,
    request_id: str | None, fields: list[dict[str, str]], words: str,
) -> None:  # fmt: skip
    server.expect("PATCH", ITEM, status, body, headers=headers)
    error = failure(lambda: client(server, retries=0).write("PATCH", ITEM, "database db_1", {}))
    assert error.as_dict() == {
        "status": status, "code": code, "message": message or words.partition(" (")[0], "method": "PATCH", "path": ITEM,
        "request_id": request_id, "attempts": 1, "fields": fields, "outcome_unknown": status >= 500,
    }  # fmt: skip
    assert str(error).startswith(f"PATCH database db_1: {words}")


NO_OBJECTS = {
    "empty": "", "HTML": HTML, "truncated JSON": '{"databases": [', "JSON list": [{"id": "db_1"}], "null": "null",
    "no number": '{"x": NaN}', "infinity": '{"x": [-Infinity]}', "too large a number": '{"x": 1e999}',
    "too long a number": f'{{"x": {"9" * 5000}}}', "no UTF-8": '{"x": "\udcff"}',
    "too deep": f'{{"x": {"[" * 600}{"]" * 600}}}',
}  # fmt: skip


@pytest.mark.parametrize("body", NO_OBJECTS.values(), ids=NO_OBJECTS)
def test_a_success_without_an_object_is_an_error(server: ScriptedServer, clock: Clock, body: Any) -> None:
    server.expect("GET", LIST, 200, body, headers={"X-Request-Id": "req_1"})
    error = failure(lambda: client(server).list_all(LIST, "databases", "databases of project prj_1"))
    assert str(error) == (
        "GET databases of project prj_1: 200 with a body that is not a JSON object (request req_1); "
        f"check that api_url ({server.url}) is the PgBeam API, and that no proxy in between changes or caches its "
        "answers"
    )
    assert (error.status, error.attempts, clock.waits) == (200, 1, [])


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 10**5000], ids=["NaN", "infinity", "too long"])
def test_a_body_that_is_no_json_is_not_sent(server: ScriptedServer, clock: Clock, value: float) -> None:
    error = failure(lambda: client(server).write("PATCH", ITEM, "database db_1", {"cache_config": {"x": value}}))
    assert str(error) == (
        "PATCH database db_1: a value cannot be represented in JSON; use finite numbers with fewer than 4300 digits"
    )
    assert (error.outcome_unknown, error.attempts, clock.waits) == (False, 1, [])


LONG = "two words\nand two lines " * 400
ODD: dict[str, Any] = {
    "object": {"a": [LONG]},
    "list": [LONG, 1],
    "number": 7,
    "null": None,
    "text": LONG,
    "true": True,
}


@pytest.mark.parametrize("other", ODD.values(), ids=ODD)
@pytest.mark.parametrize("envelope", ["error", "problem"])
def test_texts_of_the_server_become_short_lines(server: ScriptedServer, other: Any, envelope: str) -> None:
    content = {
        "code": other, "message": other, "detail": other, "title": other, "request_id": other,
        "errors": [{"field": other, "detail": other}, {"field": "port", "detail": LONG}, other],
    }  # fmt: skip
    server.expect("POST", LIST, 422, {"error": content} if envelope == "error" else content)
    reported = failure(lambda: create(server)).as_dict()
    texts = [
        reported["code"],
        reported["message"],
        reported["request_id"],
        *(v for e in reported["fields"] for v in e.values()),
    ]
    for text in texts:
        assert text is None or (isinstance(text, str) and "\n" not in text and len(text) <= 500)
    assert reported["fields"][-1]["field"] == "port"
    assert reported["fields"][-1]["detail"].startswith("two words and two lines two")


def test_our_own_texts_become_short_lines() -> None:
    call = Call("POST", LIST, "connection test")
    reported = ApiError(call, "a\nb", "c", message={"a": 1}, code="x\n" * 1000).as_dict()  # type: ignore[arg-type]
    assert reported["message"] == "{'a': 1}"
    assert reported["code"].startswith("x x x") and len(reported["code"]) == 500
    assert ApiError(call, "a\nb", "c").as_dict()["message"] == "a b"


@pytest.mark.parametrize("cut", [480, 490, 499])
def test_secrets_are_masked_before_words_are_shortened(server: ScriptedServer, cut: int) -> None:
    words = f"{'x' * cut}{KEY}"
    problem = {"code": words, "detail": words, "request_id": words, "errors": [{"field": words, "detail": words}]}
    server.expect("GET", ITEM, 400, problem)
    api = Client(Settings(KEY, server.url), lambda text: text.replace(KEY, "********"))
    error = failure(lambda: api.get(ITEM, "database db_1"))
    assert KEY[:4] not in f"{error} {error.as_dict()}"


@pytest.mark.parametrize(
    "method, path, status, code, advice, fatal",
    [
        pytest.param("GET", LIST, 401, "UNAUTHORIZED", "check api_key (or PGBEAM_API_KEY)", True, id="401"),
        pytest.param("POST", LIST, 402, "PAYMENT_REQUIRED", "payment required", True, id="402"),
        pytest.param("GET", LIST, 403, "FORBIDDEN", "check the ids in the task", True, id="403"),
        pytest.param("POST", LIST, 403, "PLAN_LIMIT_REACHED", "upgrade the plan", True, id="plan limit"),
        pytest.param(
            "GET", LIST, 404, "NOT_FOUND",
            "project prj_1 not found, or not visible to this API key: check project_id and the key", False,
            id="404 of a project",
        ),
        pytest.param(
            "POST", "/v1/databases/db_1/replicas", 404, "NOT_FOUND",
            "database db_1 not found, or not visible to this API key: check database_id and the key", False,
            id="404 of a database",
        ),
        pytest.param(
            "GET", "/v1/organizations/org_1/members", 404, "NOT_FOUND",
            "organization org_1 not found, or not visible to this API key: check org_id and the key", False,
            id="404 of an organization",
        ),
        pytest.param(
            "GET", "/v1/organizations/org_1/plan", 404, "NOT_FOUND",
            "organization org_1 not found, or not visible to this API key: check org_id and the key", False,
            id="404 of the organization of a singleton",
        ),
        pytest.param(
            "GET", "/v1/projects/prj_1/usage/agents", 404, "NOT_FOUND",
            "project prj_1 not found, or not visible to this API key: check project_id and the key", False,
            id="404 of the project of a report",
        ),
        pytest.param(
            "GET", "/v1/projects/prj_1/databases/db_1/cache-rules", 404, "NOT_FOUND",
            "database db_1 of project prj_1 not found, or not visible to this API key: check project_id, database_id",
            False, id="404 of one of two parents",
        ),
        pytest.param(
            "POST", LIST, 409, "NEW_CODE", "it conflicts with the current state in PgBeam: check the object", False,
            id="an unknown 409",
        ),
        pytest.param(
            "POST", f"{ITEM}/test-connection", 404, "NOT_FOUND",
            "database db_1 not found, or not visible to this API key: check the id (if set) and the key", False,
            id="404 of what is tested",
        ),
        pytest.param(
            "POST", "/v1/projects", 404, "NOT_FOUND",
            "database orders not found, or not visible to this API key: check the id (if set) and the key", False,
            id="404 of nothing in particular",
        ),
        pytest.param(
            "PATCH", ITEM, 404, "NOT_FOUND",
            "database orders not found, or not visible to this API key: check the id (if set) and the key", False,
            id="404 of an item",
        ),
        pytest.param("POST", LIST, 429, "RATE_LIMITED", "lower parallel (if the module has it), or", False, id="429"),
        pytest.param(
            "POST", LIST, 500, "INTERNAL_ERROR", "contact PgBeam support with the request id", False, id="500",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("envelope", ["error", "problem"])
def test_advice(
    server: ScriptedServer, method: str, path: str, status: int, code: str, advice: str, fatal: bool,
    envelope: str,
) -> None:  # fmt: skip
    words = {"code": code, "message" if envelope == "error" else "detail": "The server's words."}
    server.expect(method, path, status, {"error": words} if envelope == "error" else words)
    api = client(server, retries=0)
    error = failure(
        lambda: api.get(path, "database orders") if method == "GET" else api.write(method, path, "database orders", {})
    )
    assert str(error).startswith(f"{method} database orders: {status} {code}: The server's words.; ")
    assert advice in error.advice
    assert error.fatal is fatal


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: ScriptedServer, status: int) -> None:
    server.expect("POST", LIST, status, headers={"Location": f"{server.url}/elsewhere"})
    assert str(failure(lambda: create(server))) == (
        f"POST database orders: {status} redirects to {server.url}/elsewhere; "
        "redirects are not followed: set api_url to the address of the API"
    )


@pytest.mark.parametrize(
    "location, words",
    [
        ("https://user:s3cret@other.example.com/v1?token=s3cret#s3cret", " redirects to https://other.example.com/v1"),
        ("https://user:p@s3cret@other.example.com/v1", " redirects to https://other.example.com/v1"),
        ("https://other.example.com?token=s3cret", " redirects to https://other.example.com"),
        ("/login?token=s3cret", ""),
        ("", ""),
    ],
    ids=["user and query", "user with @", "query after the host", "relative", "empty"],
)
def test_a_redirect_is_named_without_user_and_query(server: ScriptedServer, location: str, words: str) -> None:
    server.expect("POST", LIST, 307, headers={"Location": location})
    error = failure(lambda: create(server))
    assert error.reason.startswith(f"307{words}") and "s3cret" not in str(error)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[ScriptedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ScriptedServer(context).running() as running:
        yield running


def test_an_untrusted_certificate_is_final(tls_server: ScriptedServer, clock: Clock) -> None:
    error = failure(lambda: create(tls_server))
    assert (error.code, error.status, error.attempts, error.outcome_unknown) == ("TLS", None, 1, False)
    assert str(error).startswith(f"POST database orders: no trusted TLS connection to {tls_server.url} (self")
    assert "check ca_path" in error.advice
    assert (tls_server.connections, clock.waits) == (1, [])


def test_a_tls_connection_lost_after_sending_is_tried_again(tls_server: ScriptedServer, clock: Clock) -> None:
    tls_server.expect("POST", LIST, drop=True)
    tls_server.expect("POST", LIST, 409)
    error = failure(lambda: create(tls_server, validate_certs=False))
    assert (error.status, error.attempts, error.outcome_unknown, clock.waits) == (409, 2, True, [0.5])


def test_https_to_a_port_without_tls_is_one_attempt(server: ScriptedServer, clock: Clock) -> None:
    url = server.url.replace("http:", "https:")
    error = failure(lambda: Client(Settings(KEY, url)).get(ITEM, "database db_1"))
    assert (error.code, error.attempts, error.outcome_unknown, clock.waits) == ("TLS", 1, False, [])


def test_a_connection_closed_in_the_handshake_is_tried_again(clock: Clock) -> None:
    """It proves nothing about the certificate: a load balancer that restarts causes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            for dummy in range(2):
                connection = listener.accept()[0]
                connection.recv(65536)
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        error = failure(lambda: Client(Settings(KEY, url, retries=1)).get(ITEM, "database db_1"))
    assert (error.code, error.attempts, clock.waits) == (None, 2, [0.5])


BROKEN = {
    "a record of noise": b"\x17\x03\x03\x00\x40" + bytes(range(64)),
    "no TLS at all": b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    "an alert": b"\x15\x03\x03\x00\x02\x02\x50",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_tls_that_breaks_after_sending_is_a_lost_connection(
    tls_server: ScriptedServer, certificate: Path, clock: Clock, raw: bytes
) -> None:
    tls_server.expect("POST", LIST, raw=raw)
    tls_server.expect("POST", LIST, raw=raw)
    error = failure(lambda: create(tls_server, ca_path=str(certificate), retries=1))
    assert str(error).startswith(f"POST database orders: connection lost to {tls_server.url} ([SSL")
    assert (error.code, error.attempts, error.outcome_unknown, clock.waits) == (None, 2, True, [0.5])


@pytest.mark.parametrize("reset", [False, True], ids=["in order", "with a reset"])
def test_a_proxy_that_hangs_up_after_sending_is_a_lost_connection(
    tls_server: ScriptedServer, certificate: Path, monkeypatch: pytest.MonkeyPatch, reset: bool
) -> None:
    with Proxy.running() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        tls_server.expect("POST", LIST, 201, {"id": "db_1"}, meanwhile=lambda: proxy.hang_up(reset))
        error = failure(lambda: create(tls_server, ca_path=str(certificate), retries=0))
    assert str(error).startswith(f"POST database orders: connection lost to {tls_server.url}")
    assert (error.retriable, error.outcome_unknown) == (True, True)


@pytest.mark.parametrize("answer", ["", "407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_makes_no_tunnel_got_no_request(
    tls_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    with Proxy.running(answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = failure(lambda: create(tls_server, retries=0))
    assert "proxy" in str(error).lower()
    assert (error.retriable, error.outcome_unknown) == (True, False)


def test_an_untrusted_certificate_behind_a_proxy_is_final(
    tls_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy.running() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = failure(lambda: create(tls_server))
    assert (error.code, error.attempts, error.outcome_unknown) == ("TLS", 1, False)


def test_a_certificate_of_another_host_is_final(tls_server: ScriptedServer, certificate: Path) -> None:
    url = tls_server.url.replace("127.0.0.1", "localhost")
    error = failure(
        lambda: Client(Settings(KEY, url, ca_path=str(certificate))).write("POST", LIST, "database orders", {})
    )
    assert (error.code, error.attempts, error.outcome_unknown) == ("TLS", 1, False)


@pytest.mark.parametrize("bundle", [None, "{}", "/nonexistent/ca.pem"], ids=["none", "trusted", "not there"])
@pytest.mark.parametrize("how", ["validate_certs=False", "ca_path"])
def test_options_win_over_the_environment_bundle(
    tls_server: ScriptedServer, certificate: Path, monkeypatch: pytest.MonkeyPatch, bundle: str | None, how: str
) -> None:
    if bundle:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle.format(certificate))
    tls_server.expect("GET", ITEM, body={"id": "db_1"})
    settings: dict[str, Any] = {"validate_certs": False} if how != "ca_path" else {"ca_path": str(certificate)}
    assert client(tls_server, **settings).get(ITEM, "database db_1").content == {"id": "db_1"}


def test_the_environment_bundle_is_used(
    tls_server: ScriptedServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    tls_server.expect("GET", ITEM, body={"id": "db_1"})
    assert client(tls_server).get(ITEM, "database db_1").content == {"id": "db_1"}


# Settings


def refused(**settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Settings(**{"api_key": KEY, **settings})
    return str(caught.value)


@pytest.mark.parametrize("key", [None, ""], ids=["null", "empty"])
def test_settings_without_a_key(key: str | None) -> None:
    words = refused(api_key=key)
    assert words.startswith("api_key: ")
    assert all(name in words for name in ("PGBEAM_API_KEY", "PGBEAM_TOKEN", "PGBEAM_API_TOKEN"))


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", f"{KEY}\r\nX: y", f"{KEY}é", "pbu_ a", "\0"], ids=ascii)
def test_settings_with_a_key_that_no_header_can_hold(key: str) -> None:
    words = refused(api_key=key)
    assert words.startswith("api_key: ")
    assert KEY not in words and key not in words


@pytest.mark.parametrize(
    "url",
    [
        "", "api.pgbeam.com", "https://", "https:///v1", "ftp://api.pgbeam.com", "https://api pgbeam.com",
        "https://api.pgbeam.com\n", "https://api.pgbeam.com:port", "https://api.pgbeam.com:70000",
        "https://api.pgbeam.com:0", "https://[::1", "https:\\\\api.pgbeam.com",
        "https://api.pgbeam.com?a=b", "https://api.pgbeam.com#a",
        "http://api.pgbeam.com", "http://10.0.0.1:8080", "http://localhost.example.com", "http://0.0.0.0",
        "http://127.0.0.1.example.com",
    ],
)  # fmt: skip
def test_settings_with_a_url_that_is_refused(url: str) -> None:
    words = refused(api_url=url)
    assert words.startswith(f"api_url: {url!r} ")
    assert words.endswith("; set https://HOST[:PORT], or http:// with a loopback address")


@pytest.mark.parametrize(
    "url",
    [
        "https://user:{}@api.pgbeam.com", "http://user:{}@api.pgbeam.com", "https://user:{}@api.pgbeam.com:port",
        "https://{}@api.pgbeam.com", "https://user:p@{}@api.pgbeam.com", "https://user:pa/{}@api.pgbeam.com",
        "user:{}@api.pgbeam.com", "https://user:12/{}@api.pgbeam.com", "https://token/{}@api.pgbeam.com",
    ],
)  # fmt: skip
def test_settings_show_no_user_of_a_url(url: str) -> None:
    words = refused(api_url=url.format("s3cret"))
    assert words.startswith("api_url: ")
    assert "s3cret" not in words


@pytest.mark.parametrize(
    "url",
    [
        "https://api.pgbeam.com", "https://api.pgbeam.com:8443/base/", "http://127.0.0.1:8099", "http://localhost",
        "http://[::1]:8099", "http://127.8.8.8",
    ],
)  # fmt: skip
def test_settings_with_a_url_that_is_allowed(url: str) -> None:
    assert Settings(KEY, url).api_url == url


RANGES = {"timeout": (1, 86_400), "retries": (0, 100), "retry_budget": (1, 86_400)}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("far", [False, True], ids=["by one", "by far"])
def test_settings_with_a_number_out_of_range(name: str, far: bool) -> None:
    least, most = RANGES[name]
    # Python cannot convert the second pair to text.
    for value in (-(10**400), 10**400, -(10**5000), 10**5000) if far else (least - 1, most + 1):
        shown = "a number of that size" if far else value
        assert refused(**{name: value}) == (
            f"{name}: {shown} is not allowed; it must be a whole number from {least} to {most}"
        )


def test_settings_with_the_largest_numbers(server: ScriptedServer) -> None:
    server.expect("GET", ITEM, body={"id": "db_1"})
    most = {name: most for name, (dummy, most) in RANGES.items()}
    assert client(server, **most).get(ITEM, "database db_1").content == {"id": "db_1"}


def test_settings_with_a_ca_path_that_is_not_there(tmp_path: Path) -> None:
    words = refused(ca_path=str(tmp_path / "ca.pem"))
    assert words.startswith(f"ca_path: {str(tmp_path / 'ca.pem')!r} does not exist")
    assert Settings(KEY, ca_path=str(tmp_path)).ca_path == str(tmp_path)
