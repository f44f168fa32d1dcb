# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the options are and whatever a server answers, a module ends with a result or a sentence of its own."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible import argument_spec
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.organization import ORGANIZATION
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.region import REGION
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract import judge
from tests.forked import run_module
from tests.harness import API_KEY, Sandbox
from tests.tree import ROOT

Values = dict[str, Any]
Spec = dict[str, dict[str, Any]]
#: More than a few examples, and other ones each time, where FUZZ_EXAMPLES says how many.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
#: Each module with its resource and its argument spec.
MODULES: dict[str, tuple[Resource, Spec]] = {
    "database": (DATABASE, argument_spec.item_spec(DATABASE)),
    "databases": (DATABASE, argument_spec.list_spec(DATABASE)),
    "database_info": (DATABASE, argument_spec.info_spec(DATABASE)),
    "project": (PROJECT, argument_spec.item_spec(PROJECT)),
    "project_info": (PROJECT, argument_spec.info_spec(PROJECT)),
    "replica": (REPLICA, argument_spec.item_spec(REPLICA)),
    "replicas": (REPLICA, argument_spec.list_spec(REPLICA)),
    "replica_info": (REPLICA, argument_spec.info_spec(REPLICA)),
    "region_info": (REGION, argument_spec.info_spec(REGION)),
    "organization_info": (ORGANIZATION, argument_spec.info_spec(ORGANIZATION)),
}


def fuzz(module: str) -> settings:
    return settings(
        deadline=None,
        max_examples=EXAMPLES or (20 if module.endswith("_info") else 60),
        derandomize=not EXAMPLES,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


numbers = st.integers(-(10**20), 10**20) | st.sampled_from([10**400, -1, 2**31, 2**63])
floats = st.floats() | st.sampled_from([float("nan"), float("inf"), 1e308])
texts = st.text(max_size=20) | st.sampled_from(["\ud800", "a\udfffb", "\0", "{{ 7 * 7 }}", "1e5000", "9" * 5000])
anything = st.recursive(
    st.none() | st.booleans() | numbers | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)

#: These stand for the ids of what is there, and for the address: an example has its own.
THERE: Values = {"project_id": "(project)", "database_id": "(database)", "org_id": "(organization)"}
OWN_URL = "(sandbox)"
#: What options of text may say, where any text does not do. The first ones mean what is there.
SAID: dict[str, tuple[str, ...]] = {
    "host": ("db1.example.com", "DB1.example.com", "db2.example.com", "::1"),
    "name": ("orders", "Grö/ße 😀%2F", "shop"),
    "username": ("app", "o'neil"),
    "password": ("pw-Zq7", 'it\'s "{{ 1 }}" 😀'),
    "pool_region": ("", "eu-west-1"),
    "description": ("", "of the shop", "x" * 500),
    "tag": ("prod", "", "é" * 50),
    "cidr": ("10.0.0.1", "10.1.0.0/8", "2001:DB8::/32"),
    "label": ("", "office"),
    "default_policy_profile_id": ("", "pol_1"),
    "slug": ("shop",),
}
#: The options that are no field of any object.
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from(["(own)", "db_unknown"]),
    "state": st.sampled_from(["present", "present", "absent"]),
    "update_password": st.sampled_from(["on_create", "always"]),
    "test_connection": st.booleans(),
    "replace": st.booleans(),
    "prune": st.booleans(),
    "prune_limit": st.sampled_from(["50%", "100%", "0%", 1, "200"]),
    "force": st.booleans(),
    "parallel": st.integers(1, 32),
    "expected_databases": st.lists(st.sampled_from(["orders", "(database)"]), max_size=2),
    "api_key": st.just(API_KEY),
    "api_url": st.just(OWN_URL),
    "timeout": st.integers(5, 100),
    "retries": st.integers(0, 3),
    "retry_budget": st.integers(5, 1000),
    "validate_certs": st.booleans(),
    "ca_path": st.just(str(ROOT / "galaxy.yml")),
}
#: What a value may be in the place of one that is right: mostly what no server gets to see.
WRONG: dict[str, st.SearchStrategy[Any]] = {
    "api_key": st.sampled_from(["pbo_other", "no key", "é", "", "line\n", API_KEY + "\r"]) | anything,
    # No name that a resolver would be asked for, and no address but this machine's.
    "api_url": st.sampled_from(
        ["http://127.0.0.1:1", "https://127.0.0.1:1", "http://[", "http://me:pw@127.0.0.1", "ftp://127.0.0.1", "", None]
    ),
    # So large a number that all the retries would be made is not wrong, just slow.
    "retries": st.integers(-(10**20), 1) | st.sampled_from(["many", 1.5, float("nan"), [], {}]),
}


def right(option: Field) -> st.SearchStrategy[Any]:
    """Values that the contract allows."""
    if option.elements:
        return st.lists(right(option.elements), max_size=2)
    if option.fields:
        needed = {m.name: right(m) for m in option.fields if m.required or m.name == "cidr"}
        return st.fixed_dictionaries(needed, optional={m.name: right(m) for m in option.fields if m.name not in needed})
    if option.choices:
        return st.sampled_from(option.choices)
    if option.type == "bool":
        return st.booleans() | st.sampled_from(["yes", "false"])
    if option.type == "int":
        low, high = option.minimum or 0, option.maximum or 10
        return st.sampled_from([low, high, option.identity_default or low, str(high)])
    said = SAID[option.name]
    return st.sampled_from([said[0], *said])


def task(resource: Resource, spec: Spec) -> st.SearchStrategy[Values]:
    """Options as the contract allows them, with all that finds or makes an object."""
    fields = {f.name: f for f in (*resource.fields, *resource.options)}
    needed = {"api_url", "api_key", resource.parent, resource.plural}
    first = [resource.nested.noun] if resource.nested else []
    if "state" in spec:
        needed |= {name for name, field in fields.items() if field.required or name in first}
    strategies: dict[str, st.SearchStrategy[Any]] = {}
    for name, option in spec.items():
        if name == resource.plural:
            strategies[name] = st.lists(task(resource, option["options"]), max_size=3, unique_by=_meant)
        elif name in THERE:
            strategies[name] = st.just(THERE[name])
        else:
            strategies[name] = OTHERS[name] if name in OTHERS else right(fields[name])
    return st.fixed_dictionaries(
        {name: strategy for name, strategy in strategies.items() if name in needed},
        optional={name: strategy for name, strategy in strategies.items() if name not in needed},
    )


def _meant(entry: Values) -> Any:
    """What tells the entries of a list apart."""
    return entry.get("id") or (entry["host"].lower(), str(entry.get("port", 5432)), entry.get("name"))


def places(options: Any, spec: Spec) -> Iterator[tuple[Values, str]]:
    """Every option that can be given a value, at any depth, and one that is misspelled."""
    if isinstance(options, list):
        for item in options:
            yield from places(item, spec)
    elif isinstance(options, dict):
        for name in (*spec, "pasword"):
            yield options, name
            yield from places(options.get(name), spec.get(name, {}).get("options", {}))


@st.composite
def tasks(draw: st.DrawFn, module: str) -> Values:
    """Options that are right, or with one or two that are wrong: these find more than those that are all wrong."""
    resource, spec = MODULES[module]
    options = draw(task(resource, spec))
    for dummy in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place, name = draw(st.sampled_from(list(places(options, spec))))
        place[name] = draw(WRONG.get(name, anything))
    if options["api_url"] != OWN_URL:
        options["retries"] = 0  # else they would be made, with all their waits
    return options


def filled(value: Any, ids: Values) -> Any:
    """The options with the ids of what is there in the place of what stands for them."""
    if isinstance(value, dict):
        return {name: filled(item, ids) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, ids) for item in value]
    return ids.get(value, value) if isinstance(value, str) else value


def clean(result: Values) -> None:
    """Fail for a result that tells of a bug, or a failure without a sentence."""
    message = str(result.get("msg", ""))
    assert "this is a bug" not in message, message
    assert not result.get("failed") or message
    assert API_KEY not in json.dumps(result)


@pytest.mark.long
@pytest.mark.parametrize("module", MODULES)
def test_any_options(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """No traceback, no write in check mode, and no request that the contract or the sandbox does not allow."""
    monkeypatch.setenv("PGBEAM_API_URL", sandbox.url)
    counts: Counter[str] = Counter()

    @given(tasks(module), st.sampled_from([False, False, True]))
    @fuzz(module)
    def run(options: Values, check: bool) -> None:
        organization = sandbox.organization(connection_test={"ok": True})
        made = organization.create_project()
        project = sandbox.project_of(made["project"]["id"])
        database = made["database"]["id"]
        ids = {"(organization)": organization.id, "(project)": project.id, "(database)": database, OWN_URL: sandbox.url}
        ids["(replica)"] = project.register_replica(database)["id"]
        ids["(own)"] = ids.get(f"({MODULES[module][0].noun})", "us-east-1")
        with sandbox.watched() as exchanges:
            clean(run_module(module, filled(options, ids), tmp_path, check))
        assert not [e for e in exchanges if e["status"] in (400, 415, 422)], (
            "the sandbox refuses it as no client should"
        )
        assert not check or not [e for e in exchanges if e["method"] != "GET"]
        counts.update(["examples", *(["reach the server"] if exchanges else [])])

    run()
    assert counts["reach the server"] >= counts["examples"] / 3, counts


def test_what_the_sandbox_refuses_is_judged(sandbox: Sandbox) -> None:
    """The wrong request of a client is refused, so that is where to look; a test's own may be wrong on purpose."""
    project = sandbox.project()
    for agent in ("python-requests/2", "pgbeam-ansible/1"):
        project.api("POST", json={"host": "a", "port": 0}, headers={"User-Agent": agent})
    on_purpose, clients = project.record()
    assert (on_purpose["status"], clients["status"]) == (400, 400)
    judge([on_purpose])
    with pytest.raises(Exception, match="CreateDatabaseRequest"):
        judge([clients])


Answer = tuple[int, dict[str, str], bytes]
#: What becomes of an answer that is right.
Spoil = Callable[[Answer], Answer]


class Wild(ThreadingHTTPServer):
    """Answers as the API does, but the nth request, or all from then on, as the test spoils it."""

    spoil: Spoil
    nth: int = 0
    for_ever: bool = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        #: What was asked for, as the sandbox would record it.
        self.exchanges: list[Values] = []

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
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        number, place = len(self.server.exchanges), urlsplit(self.path)
        self.server.exchanges.append({
            "method": self.command, "path": place.path, "query": dict(parse_qsl(place.query)),
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": json.loads(body) if body else None, "fault": "wild", "status": None,
        })  # fmt: skip
        hit = number == self.server.nth or (number > self.server.nth and self.server.for_ever)
        status, headers, content = tame(self.command, place.path)
        if hit:
            status, headers, content = self.server.spoil((status, headers, content))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if status != 204:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the parent's name for it
        pass


for _method in ("GET", "POST", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler._answer)

MOMENT = "2026-07-01T00:00:00Z"
OBJECTS: dict[str, Values] = {
    "databases": {
        "id": "db_1", "project_id": "prj_1", "host": "db1.example.com", "port": 5432, "name": "orders",
        "username": "app", "ssl_mode": "prefer", "cache_config": {"enabled": True, "ttl_seconds": 60},
        "pool_config": {"pool_size": 10}, "created_at": MOMENT, "updated_at": MOMENT,
    },
    "projects": {"id": "prj_1", "org_id": "org_1", "name": "shop", "status": "active", "tags": ["a"]},
    "replicas": {"id": "rep_1", "database_id": "db_1", "host": "r1", "port": 5432, "ssl_mode": "prefer"},
    "regions": {"id": "us-east-1", "name": "US East", "provider": "aws", "available": True},
    "organizations": {"id": "org_1", "name": "acme", "slug": "acme"},
}  # fmt: skip


def tame(method: str, path: str) -> Answer:
    """What the API could answer."""
    *dummy, parent, last = path.split("/")
    content: Values = {"ok": True}
    if last in OBJECTS:
        content = {last: [OBJECTS[last]]}
        if method == "POST":
            first = {"project": OBJECTS["projects"], "database": OBJECTS["databases"]}
            content = first if last == "projects" else {**OBJECTS[last], "id": "new_1"}
    elif parent in OBJECTS:
        content = OBJECTS[parent]
    return 204 if method == "DELETE" else 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


#: Stands for an object in an object, and so on.
DEEP = "(deep)"


def as_json(value: Any) -> bytes:
    return json.dumps(value).replace(f'"{DEEP}"', '{"a":' * 600 + "[]" + "}" * 600).encode()


odd = anything | st.sampled_from([DEEP, ["pw-Zq7", DEEP]])
objects = st.sampled_from(list(OBJECTS.values())).flatmap(
    lambda whole: st.fixed_dictionaries(
        {}, optional={**{name: st.just(value) | odd for name, value in whole.items()}, "unknown": odd, "items": odd}
    )
)
problems = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("error", "code", "message", "title", "detail", "errors", "request_id"), odd)
)
lists = st.dictionaries(st.sampled_from(list(OBJECTS)), st.lists(objects, max_size=3), min_size=1, max_size=1)
contents = st.one_of(
    odd,
    objects,
    problems,
    problems.map(lambda inner: {"error": inner}),
    st.tuples(lists, st.fixed_dictionaries({}, optional={"next_page_token": odd})).map(lambda pair: pair[0] | pair[1]),
    st.fixed_dictionaries({"project": objects, "database": objects}),
    st.fixed_dictionaries(
        {"ok": st.booleans() | odd}, optional={"error": odd, "latency_ms": odd, "server_version": odd}
    ),
)
BODIES = [
    b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe{", b'{"databases": [], "next_page_token": "\\ud800"}',
    b'{"id": ' + b"9" * 5000 + b"}", b'{"databases": [{"id": "db_1", "port": 1e999, "name": NaN}]}', b"null", b"",
]  # fmt: skip
bodies = st.binary(max_size=50) | st.sampled_from(BODIES) | contents.map(as_json)
#: Mostly successes: refusals are read in one place.
STATUSES = [*[200] * 6, 201, 204, 206, 301, 307, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503]
answers = st.tuples(
    st.sampled_from(STATUSES),
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


@st.composite
def spoilt(draw: st.DrawFn) -> Spoil:
    """The answer with one or two members that are odd, which finds more than one that is all odd."""
    odd_ones = draw(
        st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["", "", "more"]), odd), min_size=1, max_size=2)
    )

    def spoil(answer: Answer) -> Answer:
        status, headers, body = answer
        content = json.loads(body or b"{}")
        members = list(_members(content)) or [(content, "more")]
        for number, name, value in odd_ones:
            place, member = members[number % len(members)]
            place[name or member] = value
        return status, headers, as_json(content)

    return spoil


def _members(value: Any) -> Iterator[tuple[Values, str]]:
    """Every member of every object, at any depth."""
    for name, item in value.items() if isinstance(value, dict) else ():
        yield value, name
        for inner in item if isinstance(item, list) else [item]:
            yield from _members(inner)


def _instead(answer: Answer) -> Spoil:
    return lambda right: answer


SAME = {"host": "db1.example.com", "name": "orders", "username": "app", "password": "pw-Zq7"}
MOVED = {**SAME, "ssl_mode": "require", "cache_config": {"ttl_seconds": 5}}
NEW = {**SAME, "name": "new"}
GONE = {**SAME, "state": "absent"}
SHOP = {"org_id": "org_1", "name": "shop"}
REPLICA_MOVED = {"host": "r1", "ssl_mode": "require"}
#: What each module is asked for: everything that leads to another kind of request, or to another use of its answer.
ASKED: dict[str, list[Values]] = {
    "database": [
        MOVED, NEW, GONE, {"id": "db_1", "state": "absent"}, {"id": "db_1", "host": "db9.example.com"},
        {**SAME, "test_connection": True}, {**MOVED, "update_password": "always", "test_connection": True},
    ],
    "databases": [
        {"databases": [MOVED, NEW]}, {"databases": [NEW], "prune": True}, {"databases": [GONE, NEW]},
        {"databases": [SAME, NEW], "test_connection": True, "parallel": 1}, {"databases": []},
    ],
    "database_info": [{}, {"id": "db_1"}, {"host": "DB1.example.com", "role": "primary"}],
    "project": [
        {**SHOP, "tags": ["b"], "allowed_cidrs": [{"cidr": "10.0.0.1"}]}, {**SHOP, "database": MOVED},
        {**SHOP, "name": "new", "database": NEW, "agents_disabled": True, "test_connection": True},
        {**SHOP, "state": "absent"}, {"id": "prj_1", "state": "absent", "force": True}, {"id": "prj_1", "name": "x"},
    ],
    "project_info": [{"org_id": "org_1"}, {"id": "prj_1"}, {"org_id": "org_1", "name": "shop"}],
    "replica": [
        {"host": "r9"}, REPLICA_MOVED, {**REPLICA_MOVED, "replace": True}, {"host": "r1", "state": "absent"},
        {"id": "rep_1", "state": "absent"},
    ],
    "replicas": [
        {"replicas": [{"host": "r9"}, {"host": "r1"}]}, {"replicas": [{"host": "r9"}], "prune": True},
        {"replicas": [REPLICA_MOVED], "replace": True}, {"replicas": [{"host": "r1", "state": "absent"}]},
    ],
    "replica_info": [{}, {"id": "rep_1"}, {"host": "r1"}],
    "region_info": [{}, {"provider": "aws", "available": True}],
    "organization_info": [{}, {"slug": "acme"}],
}  # fmt: skip


@pytest.mark.once
@pytest.mark.long
@pytest.mark.parametrize("module", MODULES)
def test_any_answer(tmp_path: Path, module: str) -> None:
    """No traceback, no request outside the contract, and no success without an object of the API."""
    resource, spec = MODULES[module]
    parent = (
        {resource.parent: {"project_id": "prj_1", "database_id": "db_1"}[resource.parent]}
        if resource.path_has_parent
        else {}
    )
    server = Wild()
    with server.running() as url:

        @given(spoilt() | answers.map(_instead), st.sampled_from(ASKED[module]), st.integers(0, 3), st.booleans())
        @fuzz(module)
        def run(spoil: Spoil, asked: Values, nth: int, for_ever: bool) -> None:
            server.spoil, server.nth, server.for_ever = spoil, nth, for_ever
            server.exchanges.clear()
            connection = {"api_url": url, "api_key": API_KEY, "retries": 0, "timeout": 5}
            result = run_module(module, {**connection, **parent, **asked}, tmp_path)
            clean(result)
            judge(server.exchanges)
            if not result.get("failed") and "state" in spec and asked.get("state") != "absent":
                assert result[resource.noun]["id"]

        run()
