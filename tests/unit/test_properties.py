# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for any server and any task: plans repeat without effect, predict the server, and show no secret.

For each resource that can be written: databases, projects and replicas.
"""

from __future__ import annotations

import functools
import itertools
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan, make_plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.validation import validate
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import Reconciler, Run
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT, network
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.once

SECRETS = st.text(string.ascii_letters + string.digits, min_size=8, max_size=20).map("Pw-secret-{}".format)
#: Few values of each text, so that a task often meets an object, and several ways to write one network.
TEXTS = {
    "pool_region": ["", "us-east-1", "eu-west-1"],
    "description": ["", "Shop", "shop"],
    "default_policy_profile_id": ["", "pol_1", "pol_2"],
    "tag": ["", "prod", "Prod", "eu"],
    "cidr": ["10.0.0.1", "10.0.0.1/32", "10.0.0.0/8", "10.9.8.7/8", "2001:db8::/32", "2001:DB8:0::1/32", "::/0"],
    "label": ["", "VPC", "Office"],
}


def _values(field: Field) -> st.SearchStrategy[Any]:
    """Any value that the contract allows for a field; whole numbers often at a limit."""
    if field.elements:
        unique = (lambda item: network(item[field.key])) if field.key else None
        return st.lists(_values(field.elements), max_size=3, unique_by=unique)
    if field.fields:
        named = [member for member in field.fields if member.name == "cidr"]
        members = {m.name: _values(m) for m in field.fields}
        always = {m.name: members.pop(m.name) for m in named}
        return st.fixed_dictionaries(always, optional=members).filter(bool)
    if field.choices:
        return st.sampled_from(field.choices)
    if field.type == "bool":
        return st.booleans()
    if field.type == "int":
        low, high = field.minimum or 0, field.maximum or 0
        return st.sampled_from([low, high]) | st.integers(low, high)
    return st.sampled_from(TEXTS[field.name])


@dataclass
class Kind:
    """A resource, and what its objects and tasks are made of."""

    resource: Resource
    parent: str
    #: The fields that every object has, by which a task finds it.
    places: dict[str, st.SearchStrategy[Any]]
    #: What a server makes of the fields that a create leaves out.
    defaults: Values
    #: What a server may leave out of its answer at its zero value, which is its default.
    omitted: tuple[str, ...] = ()
    #: Named by every task, beside the places that it has to name.
    always: dict[str, st.SearchStrategy[Any]] = field(default_factory=dict)
    #: What a write computes anew.
    computed: Callable[[Values], Values] = lambda item: {}

    @functools.cached_property
    def settings(self) -> dict[str, st.SearchStrategy[Any]]:
        return {name: _values(self.resource.field(name)) for name in self.defaults}

    @functools.cached_property
    def servers(self) -> st.SearchStrategy[Server]:
        own = {f.name: _values(f) for f in self.resource.writable if f.update_only}
        items = st.lists(st.fixed_dictionaries(self.places, optional=self.settings), max_size=4)
        parts = st.tuples(items, st.booleans(), st.fixed_dictionaries({}, optional=own))
        return parts.map(lambda made: Server(self, *made))

    @functools.cached_property
    def tasks(self) -> st.SearchStrategy[Values]:
        known = {
            name: values for name, values in self.places.items() if self.resource.field(name).identity_default is None
        }
        known.pop(self.resource.tie_breaker, None)
        more = {name: values for name, values in self.places.items() if name not in known}
        return st.fixed_dictionaries(
            {**known, **self.always, self.resource.parent: st.just(self.parent)},
            optional={"id": st.sampled_from(["id_0", "id_2", "id_4"]), **more, **self.settings},
        )


PORTS = st.sampled_from([5432, 6432])
HOSTS = st.sampled_from(["db1.example.com", "DB1.example.com"])
FIRST: Values = {"host": "db1", "name": "orders", "username": "app"}
KINDS = {
    "database": Kind(
        DATABASE,
        "prj_1",
        {
            "host": HOSTS,
            "port": PORTS,
            "name": st.sampled_from(["orders", "Orders"]),
            "username": st.sampled_from(["app", "report"]),
        },
        {
            "ssl_mode": "prefer",
            "role": "primary",
            "pool_region": "",
            "query_timeout_ms": 0,
            "auto_read_routing": False,
            # Not the contract's defaults, which nothing may rely on.
            "cache_config": {"enabled": False, "ttl_seconds": 61, "max_entries": 10001, "swr_seconds": 31},
            "pool_config": {"pool_size": 11, "min_pool_size": 2, "pool_mode": "transaction", "max_active": 201},
        },
        ("pool_region", "query_timeout_ms", "auto_read_routing"),
        {"password": SECRETS},
        lambda item: {"connection_string": f"postgresql://{item['username']}:YOUR_PASSWORD@prj-1:5432/{item['name']}"},
    ),
    "project": Kind(
        PROJECT,
        "org_1",
        {"org_id": st.just("org_1"), "name": st.sampled_from(["shop", "Shop", "stock"])},
        {
            "description": "",
            "tags": [],
            "cloud": "aws",
            "self_hosted": False,
            "allowed_cidrs": [],
            "agents_disabled": False,
            "default_policy_profile_id": "",
            "residency": "any",
            "status": "active",
        },
        ("description", "tags", "self_hosted", "allowed_cidrs", "agents_disabled", "default_policy_profile_id"),
        {"database": st.fixed_dictionaries({**{k: st.just(v) for k, v in FIRST.items()}, "password": SECRETS})},
    ),
    "replica": Kind(
        REPLICA, "db_1", {"host": HOSTS, "port": PORTS}, {"ssl_mode": "prefer"}
    ),
}  # fmt: skip
#: By name, since Hypothesis writes out what a test is called with.
each_kind = pytest.mark.parametrize("name", KINDS)


class Server:
    """A model of the API: a create adds what the server sets, an update replaces the fields of its body.

    ``own`` are its values of what a create does not take, where they are not those of the documentation.
    """

    def __init__(self, kind: Kind, items: list[Values], omits: bool, own: Values) -> None:
        self._kind = kind
        self._numbers = itertools.count()
        self._omits = omits
        self._own: Values = {}
        self._items: dict[str, Values] = {}
        for item in items:
            self._add(item)
        self._own = own

    def __repr__(self) -> str:
        return f"Server({self.list()}, own={self._own})"

    def _add(self, body: Values) -> str:
        number = next(self._numbers)
        fields = {**self._kind.defaults, **self._own}
        for name, value in body.items():
            # What is sent of an object is whole, but for what the API itself fills in.
            fields[name] = {**fields[name], **value} if isinstance(value, dict) else value
        return self._store(
            {**fields, "id": f"id_{number}", self._kind.resource.parent: self._kind.parent, "created_at": f"t{number}"}
        )

    def _store(self, item: Values) -> str:
        item.pop("password", None)
        item["updated_at"] = f"t{next(self._numbers)}"
        if "allowed_cidrs" in item:
            item["allowed_cidrs"] = [{**entry, "cidr": network(entry["cidr"])} for entry in item["allowed_cidrs"]]
        item.update(self._kind.computed(item))
        self._items[item["id"]] = item
        return str(item["id"])

    def list(self) -> list[Values]:
        left_out = {name: self._kind.defaults[name] for name in self._kind.omitted} if self._omits else {}
        return [
            {k: v for k, v in item.items() if not (k in left_out and v == left_out[k])} for item in self._items.values()
        ]

    def apply(self, step: Plan) -> str:
        """Make a plan's writes. Returns the id of the object that is there then."""
        identifier = str(step.id)
        if step.action == "created" or (step.action == "replaced" and step.body):
            identifier = self._add(step.body)
            late = make_plan(step.resource, step.deferred, self._items[identifier], "present", False).body
            if late:
                self._store({**self._items[identifier], **late})
        elif step.action == "updated":
            self._store({**self._items[identifier], **step.body})
        elif step.action == "deleted":
            del self._items[identifier]
        for item in step.replaces:
            del self._items[item["id"]]
        return identifier

    def plan(self, wanted: Values, state: str = "present", resend: bool = False, replace: bool = False) -> Plan:
        """The plan as a module makes it."""
        run = Run(cast(Any, None), replace=replace, resent=frozenset(["password"] if resend else []))
        return Reconciler(run, self._kind.resource, "").plan(Index(self._kind.resource, self.list()), wanted, state)


def secret(wanted: Values) -> str:
    """The password that a task names; what no text holds where it names none."""
    return str(wanted.get("password") or wanted.get("database", {}).get("password") or "\0")


def planned(server: Server, wanted: Values, *how: Any, **more: Any) -> Plan:
    """A plan; the example is left aside where the task cannot be carried out, after a look at what it says."""
    try:
        return server.plan(wanted, *how, **more)
    except TaskError as error:
        assert secret(wanted) not in str(error)
        assume(False)
        raise


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_present_twice_changes_nothing(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    server, wanted, replace = data.draw(kind.servers), data.draw(kind.tasks), data.draw(st.booleans())
    step = planned(server, wanted, replace=replace)
    identifier = server.apply(step)
    if step.action == "replaced" and "id" in wanted:
        wanted["id"] = identifier  # the id that it names is gone
    again = server.plan(wanted, replace=replace)
    assert (again.action, again.body, again.changes, again.before, again.after) == ("unchanged", {}, [], {}, {})


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=120)
def test_absent_twice_deletes_once(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    server, wanted, replace = data.draw(kind.servers), data.draw(kind.tasks), data.draw(st.booleans())
    server.apply(planned(server, wanted, "absent", replace=replace))
    assert server.plan(wanted, "absent", replace=replace).action == "unchanged"


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_check_mode_predicts_the_server(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    server, wanted = data.draw(kind.servers), data.draw(kind.tasks)
    resend, replace = data.draw(st.booleans()), data.draw(st.booleans())
    server._own = {}  # which no plan can know
    step = planned(server, wanted, resend=resend, replace=replace)
    identifier = server.apply(step)
    live = kind.resource.with_all_fields(next(item for item in server.list() if item["id"] == identifier))
    predicted = step.predict()
    assert set(predicted) == set(live)
    known = {
        name: {n: v for n, v in value.items() if v is not None} if isinstance(value, dict) else value
        for name, value in predicted.items()
        if value is not None
    }
    assert {n for n, value in known.items() if not kind.resource.field(n).equals(value, live[n])} == set()
    # What else is there is set by the server, or left out by the task that makes the object.
    unknown = {name for name, value in live.items() if value is not None and name not in known}
    unknown -= {f.name for f in kind.resource.fields if f.read_only}
    assert not unknown & set(wanted)
    assert not unknown or step.action == "created"


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_only_what_the_task_names_moves(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    server, wanted = data.draw(kind.servers), data.draw(kind.tasks)
    step = planned(server, wanted)
    sent = {*step.deferred, *step.body}
    assert {name.split(".")[0] for name in step.changes} == sent
    assert step.action == "created" or sent <= set(wanted)


@given(KINDS["replica"].servers, KINDS["replica"].tasks)
@settings(deadline=None, max_examples=60)
def test_a_replacement_leaves_no_fewer(server: Server, wanted: Values) -> None:
    """What is removed is another object than the one that is as wanted, and is removed once."""
    before = len(server.list())
    step = planned(server, wanted, replace=True)
    removed = {item["id"] for item in step.replaces}
    assert server.apply(step) not in removed
    assert len(removed) == len(step.replaces)
    assert len(server.list()) == before + (step.action == "created" or bool(step.body)) - len(removed)


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_no_secret_is_shown(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    server, wanted = data.draw(kind.servers), data.draw(kind.tasks)
    state, resend = data.draw(st.sampled_from(["present", "absent"])), data.draw(st.booleans())
    step = planned(server, wanted, state, resend)
    for one in filter(None, (step, step.nested)):
        assert secret(wanted) not in repr([one.diff(), one.predict(), one.changes, one.label])


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_what_the_contract_allows_is_no_problem(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    assert validate(kind.resource, data.draw(kind.tasks)) == []
