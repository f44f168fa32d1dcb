# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the options are and whatever a server answers, a module ends with a result or a sentence of its own."""

from __future__ import annotations

import functools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generate.declared import SPECS, Field, Resource, Values
from generate.modules import modules
from tests.contract import judge
from tests.harness import API_KEY, Sandbox, is_write
from tests.local_server import LocalServer
from tests.module_runner import run_module
from tests.samples import DAYS, allowed, create, found_or_created, needed, sample, varied, whole
from tests.sandbox.middleware import EXTRA_FIELDS
from tests.tree import ROOT

Spec = dict[str, dict[str, Any]]
ACTIONS = [module.resource.action for module in modules().values() if module.resource.action]
#: The number of random examples in FUZZ_EXAMPLES; otherwise a few fixed ones.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
#: Each module with its resource and its argument spec.
MODULES = {name: (module.resource, SPECS[module.form](module.resource)) for name, module in modules().items()}


def fuzz(module: str) -> settings:
    return settings(
        deadline=None,
        max_examples=EXAMPLES or (16 if module.endswith("_info") else 24),
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

#: The fields of all resources that hold the id of another object, and what they refer to.
REFERENCES = {
    f.name: (f, f.refers_to) for resource, dummy in MODULES.values() for f in resource.references if f.refers_to
}
#: Placeholders for the ids of existing objects and for the address, which differ in each example.
THERE: Values = {
    "project_id": "(project)", "database_id": "(database)", "org_id": "(organization)",
    **{name: f"({target.noun})" for name, (f, target) in REFERENCES.items() if f.name_option},
}  # fmt: skip
OWN_URL = "(sandbox)"
#: Values of text options in addition to their samples, which match existing objects.
SAID: dict[str, tuple[str, ...]] = {
    "host": ("DB1.example.com", "db2.example.com", "::1"),
    "name": ("orders", "Grö/ße 😀%2F", "shop"),
    "username": ("o'neil",),
    "url": ("https://hooks.example.com/é?a=b#c", "HTTPS://[::1]:8443/"),
    "secret": ("pw-Zq7", "é" * 256),
    "domain": ("DB.Example.com", "localhost", "xn--bcher-kva.example"),
    "password": ("pw-Zq7", 'it\'s "{{ 1 }}" 😀'),
    "pool_region": ("", "eu-west-1"),
    "description": ("", "x" * 500),
    "tags": ("", "é" * 50),
    "cidr": ("10.0.0.1", "10.1.0.0/8", "2001:DB8::/32"),
    "label": ("", "office"),
    "default_policy_profile_id": ("",),
    "slug": ("shop",),
    "email": ("ALEX@Example.com", "o'neil+x@bücher.example"),
    **{name: (day,) for name, day in DAYS.items()},
    "start": (f"{date.today() - timedelta(30)}T00:00:00Z", f"{date.today() - timedelta(60)}t00:00:00.5+01:00"),
    "end": (f"{date.today()}T00:00:00Z",),
}
#: The options that are no field of any object.
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from(["(own)", "db_unknown"]),
    "query_hash": st.sampled_from(["(own)", "0123456789abcdef"]),
    "state": st.sampled_from(["present", "present", "absent"]),
    **{
        f"update_{secret}": st.sampled_from(["on_create", "always"])
        for module in modules().values()
        for secret in module.resource.secret_names
    },
    **{action.option: st.booleans() for action in ACTIONS},
    **{action.timeout_option: st.integers(0, 86400) for action in ACTIONS if action.timeout_option},
    "replace": st.booleans(),
    "prune": st.booleans(),
    "prune_limit": st.sampled_from(["50%", "100%", "0%", 1, "200"]),
    "force": st.booleans(),
    "secrets_file": st.just("(file)"),
    "return_secrets": st.just(False),
    "rotate": st.booleans(),
    **{f.name_option or f.name: st.sampled_from([f"({target.noun})", "no-such"]) for f, target in REFERENCES.values()},
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
    # No path that could be written to, and no id that the server is asked about.
    "secrets_file": st.sampled_from(["/no-such-folder/file", "/", True, 1.5, [], {}]),
    **{name: st.sampled_from(["", "a/b", True, 1.5, [], {}]) for name in REFERENCES},
    "api_key": st.sampled_from(["pbo_other", "no key", "é", "", "line\n", API_KEY + "\r"]) | anything,
    # No name that a resolver would be asked for, and no address but this machine's.
    "api_url": st.sampled_from(
        ["http://127.0.0.1:1", "https://127.0.0.1:1", "http://[", "http://me:pw@127.0.0.1", "ftp://127.0.0.1", "", None]
    ),
    # So large a number that all the retries would be made is not wrong, just slow.
    "retries": st.integers(-(10**20), 1) | st.sampled_from(["many", 1.5, float("nan"), [], {}]),
}


def right(resource: Resource, option: Field, within: str = "") -> st.SearchStrategy[Any]:
    """Values that the contract allows."""
    kind = option.elements or option
    one: st.SearchStrategy[Any]
    if kind.fields:
        one = right_object(resource, kind.fields, f"{within}.{option.name}" if within else option.name, option.key)
    elif kind.choices:
        one = st.sampled_from(kind.choices)
    elif kind.type == "bool":
        one = st.booleans() | st.sampled_from(["yes", "false"])
    elif kind.type == "float":
        one = st.sampled_from([1, 4.5, "4.5"])
    elif kind.type == "int":
        low, high = kind.minimum or 0, kind.maximum or 10
        one = st.sampled_from([low, high, kind.identity_default or low, str(high)])
    else:
        samples = [] if kind.secret or option in resource.query else sample(resource, option, within)
        listed = samples if isinstance(samples, list) else [samples]
        said = [text for text in SAID.get(option.name, ()) if kind.secret or allowed(kind, text)]
        one = st.sampled_from([*listed, *listed, *said])
    return st.lists(one, max_size=2, unique_by=option.element_key if option.key else None) if option.elements else one


def right_object(
    resource: Resource, fields: tuple[Field, ...], within: str = "", key: tuple[str, ...] = ()
) -> st.SearchStrategy[Values]:
    members = {field.name: right(resource, field, within) for field in fields}
    needed = {field.name: members.pop(field.name) for field in fields if field.required or field.name in key}
    return st.fixed_dictionaries(needed, optional=members)


def task(resource: Resource, spec: Spec, form: str) -> st.SearchStrategy[Values]:
    """Valid options, with everything that identifies or creates an object."""
    fields = {f.name: f for f in (*resource.fields, *resource.query)}
    first = [resource.nested.noun] if resource.nested else []
    needed = {"api_url", "api_key", *resource.ancestors, resource.parent, resource.plural}
    needed |= {f.name for f in resource.query if f.required}
    if form != "info":
        needed |= {*resource.needed_to_find, *(f.name for f in resource.writable if f.required), *first} & spec.keys()
    strategies: dict[str, st.SearchStrategy[Any]] = {}
    for name, option in spec.items():
        if name == resource.plural:
            entry = task(resource, option["options"], "item")
            strategies[name] = st.lists(
                entry, max_size=3, unique_by=lambda one: one.get(resource.id_field) or _identity(resource, one)
            )
        elif resource.nested and name in first:
            strategies[name] = right_object(resource.nested, resource.nested.writable)
        elif name in THERE:
            strategies[name] = st.just(THERE[name])
        else:
            strategies[name] = OTHERS[name] if name in OTHERS else right(resource, fields[name])
    return (
        st.fixed_dictionaries(
            {name: strategy for name, strategy in strategies.items() if name in needed},
            optional={name: strategy for name, strategy in strategies.items() if name not in needed},
        )
        .map(functools.partial(_referred_to_once, resource))
        .filter(functools.partial(_go_together, resource))
    )


def _go_together(resource: Resource, options: Values) -> bool:
    parents = [name for name in resource.parents if options.get(name)]
    return len(parents) < 2 and not (resource.check and resource.check(options))


def _referred_to_once(resource: Resource, options: Values) -> Values:
    """Return the options without the ids of objects that they also set by name."""
    doubled = {f.name for f in resource.references if f.name_option in options}
    return {name: value for name, value in options.items() if name not in doubled}


def _identity(resource: Resource, entry: Values) -> str:
    """Return the key that identifies the entries of a list."""
    names = [name for name in resource.identity if name != resource.parent]
    return repr([resource.field(name).normalized(resource.identity_value(entry, name)) for name in names])


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
    options = draw(task(resource, spec, modules()[module].form))
    for dummy in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place, name = draw(st.sampled_from(list(places(options, spec))))
        place[name] = draw(WRONG.get(name, anything))
    if options["api_url"] != OWN_URL:
        options["retries"] = 0  # else they would be made, with all their waits
    return options


def filled(value: Any, ids: Values) -> Any:
    """Return the options with ids of existing objects instead of placeholders."""
    if isinstance(value, dict):
        return {name: filled(item, ids) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, ids) for item in value]
    return ids.get(value, value) if isinstance(value, str) else value


def clean(result: Values) -> None:
    """Fail if a result reports a bug or fails without a message."""
    message = str(result.get("msg", ""))
    assert "report this bug" not in message, message
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
        ids["(cache_rule)"] = create(project, MODULES["cache_rule"][0], database, "")["query_hash"]
        ids["(file)"] = str(tmp_path / "issued.json")
        project.create("query_templates", name="one", sql="SELECT 1")  # without one, no policy may ask for templates
        for reference, target in REFERENCES.values():
            ids[f"({target.noun})"] = found_or_created(project, reference, project.id, "")["id"]
        resource = MODULES[module][0]
        if resource.parent == "org_id" and not (resource.creatable or resource.is_singleton):
            ids[f"({resource.noun})"] = create(organization, resource, organization.id, "")["id"]
        ids["(own)"] = ids.get(f"({resource.noun})", "us-east-1")
        with sandbox.recorded() as exchanges:
            clean(run_module(module, filled(options, ids), tmp_path, check))
        refused = [e for e in exchanges if e["status"] in (400, 415, 422)]
        assert not refused, "the sandbox refuses what no client should send"
        assert not check or not any(map(is_write, exchanges))
        counts.update(["examples", *(["reach the server"] if exchanges else [])])

    run()
    assert counts["reach the server"] >= counts["examples"] / 4, counts


def test_what_the_sandbox_refuses_is_judged(sandbox: Sandbox) -> None:
    """Refused requests are judged too, because wrong requests are refused; those of a test may be wrong on purpose."""
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


class Wild(LocalServer):
    """Answers as the API does, but the nth request, or all from then on, as the test spoils it."""

    spoil: Spoil
    nth: int = 0
    for_ever: bool = False

    def __init__(self) -> None:
        super().__init__(_Handler)
        #: What was asked for, as the sandbox would record it.
        self.exchanges: list[Values] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Wild

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        number, place = len(self.server.exchanges), urlsplit(self.path)
        self.server.exchanges.append({
            "method": self.command, "path": place.path, "query": dict(parse_qsl(place.query)),
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": json.loads(body) if body else None, "fault": "wild", "extra_fields": True, "status": None,
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


for _method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler._answer)

#: The resources by the last parts of their paths, and an object of each. Of those with one path, the largest counts.
RESOURCES = {
    path.rpartition("}")[2].removeprefix("/"): resource
    for resource in sorted((module.resource for module in modules().values()), key=lambda each: len(each.fields))
    for path in (resource.path, resource.write_path)
    if path
}
OBJECTS = {part: whole(resource) for part, resource in RESOURCES.items()}


def _resource_at(path: str) -> str:
    """The longest of the last parts of paths that this one ends with; empty if there is none."""
    return max((part for part in RESOURCES if f"/{path}".endswith(f"/{part}")), key=len, default="")


def tame(method: str, path: str) -> Answer:
    """What the API could answer."""
    last, parent = _resource_at(path), _resource_at(path.rpartition("/")[0])
    content: Values = dict(action.success for action in ACTIONS if action.verb == path.rpartition("/")[2])
    if last in RESOURCES:
        resource = RESOURCES[last]
        content = OBJECTS[last] if resource.is_singleton else {resource.items_key: [OBJECTS[last]]}
        if resource.computed:
            (content,) = (OBJECTS[last][f.name] for f in resource.fields if f.read_only)
            content = content[0] if isinstance(content, list) else content
        elif method == resource.create_verb and not resource.is_singleton:
            content = {**OBJECTS[last], "id": "new_1"}
            if resource.create_envelope:
                issued = dict.fromkeys(resource.shown_once, "Issued-5ecret")
                inner = {resource.nested.noun: whole(resource.nested)} if resource.nested else issued
                content = {resource.create_envelope: content, **inner}
    elif parent in RESOURCES:
        resource, identifier = RESOURCES[parent], path.rpartition("/")[2]
        content = {**OBJECTS[parent], resource.id_field: identifier}
        if method == resource.update_verb and resource.update_envelope:
            content = {resource.update_envelope: content}
    return 204 if method == "DELETE" else 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


#: Stands for an object in an object, and so on.
DEEP = "(deep)"


def as_json(value: Any) -> bytes:
    return json.dumps(value).replace(f'"{DEEP}"', '{"a":' * 600 + "[]" + "}" * 600).encode()


odd = anything | st.sampled_from([DEEP, ["pw-Zq7", DEEP]])
objects = st.sampled_from(list(OBJECTS.values())).flatmap(
    lambda one: st.fixed_dictionaries(
        {}, optional={**{name: st.just(value) | odd for name, value in one.items()}, **dict.fromkeys(EXTRA_FIELDS, odd)}
    )
)
problems = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("error", "code", "message", "title", "detail", "errors", "request_id"), odd)
)
keys = st.sampled_from([resource.items_key for resource in RESOURCES.values()])
lists = st.dictionaries(keys, st.lists(objects, max_size=3), min_size=1, max_size=1)
contents = st.one_of(
    odd,
    objects,
    problems,
    problems.map(lambda inner: {"error": inner}),
    st.tuples(lists, st.fixed_dictionaries({}, optional={"next_page_token": odd})).map(lambda pair: pair[0] | pair[1]),
    *(
        st.fixed_dictionaries(
            {r.create_envelope: objects, **({r.nested.noun: objects} if r.nested else dict.fromkeys(r.shown_once, odd))}
        )
        for r in RESOURCES.values()
        if r.create_envelope
    ),
    *(st.fixed_dictionaries({r.update_envelope: objects}) for r in RESOURCES.values() if r.update_envelope),
    *(
        st.fixed_dictionaries(
            {action.success[0]: st.just(action.success[1]) | odd},
            optional={"error": odd, "latency_ms": odd, "status_code": odd, "domain": objects | odd},
        )
        for action in ACTIONS
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
    change = st.tuples(st.integers(0, 99), st.sampled_from(["", "", *EXTRA_FIELDS]), odd)
    odd_ones = draw(st.lists(change, min_size=1, max_size=2))

    def spoil(answer: Answer) -> Answer:
        status, headers, body = answer
        content = json.loads(body or b"{}")
        members = list(_members(content)) or [(content, next(iter(EXTRA_FIELDS)))]
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


def same(resource: Resource) -> Values:
    """A task for the existing object, or one like it."""
    first = {resource.nested.noun: same(resource.nested)} if resource.nested else {}
    return {**needed(resource), **{f.name: "pw-Zq7" for f in resource.writable if f.secret}, **first}


def changed(resource: Resource) -> Values:
    """The same with another value of all that can be changed."""
    first = {resource.nested.noun: changed(resource.nested)} if resource.nested else {}
    found = same(resource)
    others = [
        f for f in resource.writable if f.name not in found and not f.immutable and f.name not in resource.identity
    ]
    return {**found, **{f.name: other(f, sample(resource, f)) for f in others}, **first}


def other(field: Field, value: Any) -> Any:
    """A value that differs from the sample."""
    if field.fields:
        first = field.fields[0]
        return {first.name: other(first, value[first.name])}
    if field.choices:
        return next(choice for choice in field.choices if choice != value)
    if field.type == "int":
        return value + 1
    return not value if field.type == "bool" else type(value)()


def asked(resource: Resource, spec: Spec, form: str) -> list[Values]:
    """What leads to every kind of request, and to every use of its answer."""
    if resource.is_singleton:
        values: list[Values] = [{f.name: varied(f, sample(resource, f), n) for f in resource.writable} for n in (0, 1)]
        return [*values, dict.fromkeys(f.name for f in resource.writable if f.nullable)]
    if resource.computed:
        own = {f.name: sample(resource, f) for f in resource.writable}
        left_out = ({"definition", "bound_policy"}, {"policy", "agent"}, {"policy", "agent", "bound_policy"})
        return [{name: value for name, value in own.items() if name not in names} for names in left_out]
    if form == "info":
        filters = {name: sample(resource, resource.field(name)) for name in resource.filter_names}
        needed_ones = {f.name: DAYS[f.name] for f in resource.query if f.required}
        by_id: list[Values] = [{resource.id_field: "(own)"}] if resource.id_field else []
        return [needed_ones, {**needed_ones, **filters}, *by_id]
    here, there = same(resource), changed(resource)
    name = next(name for name in needed(resource))
    new = {**there, name: f"{here[name]}2"}
    gone = {**here, "state": "absent"}
    flags = {"replace", "prune", *(action.option for action in ACTIONS)}
    how: Values = dict.fromkeys(flags & spec.keys(), True)
    how.update((f"update_{secret}", "always") for secret in resource.secret_names)
    if resource.plural in spec:
        lists = [[there, new], [here, new], [new], [here], []]
        lists += [[gone, new]] if resource.deletable else []
        return [{resource.plural: entries, **more} for entries in lists for more in ({}, how)]
    guard = {"force": True} if "force" in spec else {}
    identified = {resource.id_field: "(own)"}
    absent = [gone, {**identified, "state": "absent", **guard}] if resource.deletable else []
    return [here, there, new, {**there, **how}, {**new, **how}, {**identified, name: new[name]}, *absent]


@pytest.mark.once
@pytest.mark.long
@pytest.mark.parametrize("module", MODULES)
def test_any_answer(tmp_path: Path, module: str) -> None:
    """No traceback, no request outside the contract, and no success without an object of the API."""
    resource, spec = MODULES[module]
    ids = {f"({one.noun})": OBJECTS[part].get(one.answer_key) for part, one in RESOURCES.items() if not one.computed}
    ids["(own)"] = ids.get(f"({resource.noun})")
    parents = {name: THERE[name] for name in (*resource.ancestors, resource.parent) if name}
    form = modules()[module].form
    ways = asked(resource, spec, form)
    server = Wild()
    with server.running() as url:

        @given(spoilt() | answers.map(_instead), st.sampled_from(ways), st.integers(0, 3), st.booleans())
        @fuzz(module)
        def run(spoil: Spoil, options: Values, nth: int, for_ever: bool) -> None:
            server.spoil, server.nth, server.for_ever = spoil, nth, for_ever
            server.exchanges.clear()
            connection = {"api_url": url, "api_key": API_KEY, "retries": 0, "timeout": 5}
            result = run_module(module, {**connection, **filled({**parents, **options}, ids)}, tmp_path)
            clean(result)
            judge(server.exchanges)
            if not result.get("failed") and form == "item" and options.get("state") != "absent":
                assert result[resource.noun][resource.answer_key]

        run()
