# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for any server and any task: plans repeat without effect, predict the server, and show no secret."""

from __future__ import annotations

import itertools
import string
from typing import Any

from ansible_collections.pgbeam.cloud.plugins.module_utils._checks import problems
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import (
    Plan,
    PlanError,
    Register,
    plan,
    whole,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._resource import Field, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from hypothesis import assume, given, settings
from hypothesis import strategies as st

DEFAULTS: Values = {
    "ssl_mode": "prefer",
    "role": "primary",
    "pool_region": "",
    "query_timeout_ms": 0,
    "auto_read_routing": False,
    "cache_config": {"enabled": True, "ttl_seconds": 60, "max_entries": 10000, "swr_seconds": 30},
    "pool_config": {"pool_size": 10, "min_pool_size": 1, "pool_mode": "session", "max_active": 200},
}
#: What a server may leave out of its answer at its default.
OMITTED = ("role", "pool_region", "query_timeout_ms", "auto_read_routing")
# Few values, so that a task often meets a registration.
PLACES = {
    "host": st.sampled_from(["db1.example.com", "DB1.example.com"]),
    "port": st.sampled_from([5432, 6432]),
    "name": st.sampled_from(["orders", "Orders"]),
    "username": st.sampled_from(["app", "report"]),
}
SECRETS = st.text(string.ascii_letters + string.digits, min_size=8, max_size=20).map("Pw-secret-{}".format)


def _values(field: Field) -> st.SearchStrategy[Any]:
    """Any value that the contract allows for a field; whole numbers often at a limit or at the default."""
    if field.fields:
        return st.fixed_dictionaries({}, optional={m.name: _values(m) for m in field.fields}).filter(bool)
    if field.choices:
        return st.sampled_from(field.choices)
    if field.type == "bool":
        return st.booleans()
    if field.type == "int":
        low, high = field.minimum or 0, field.maximum or 0
        return st.sampled_from([low, high, field.default or low]) | st.integers(low, high)
    return st.sampled_from(["", "us-east-1", "eu-west-1"])


SETTINGS = {name: _values(DATABASE.field(name)) for name in DEFAULTS}


class Server:
    """A model of the API: a create adds what the server sets, an update replaces the fields of its body."""

    def __init__(self, items: list[Values], omits: bool) -> None:
        self._numbers = itertools.count()
        self._omits = omits
        self._items: dict[str, Values] = {}
        for item in items:
            self._add(item)

    def _add(self, body: Values) -> None:
        number = next(self._numbers)
        item = {**DEFAULTS, **body, "id": f"db_{number}", "project_id": "prj_1", "created_at": f"t{number}"}
        self._store(item)

    def _store(self, item: Values) -> None:
        item.pop("password", None)
        item["updated_at"] = f"t{next(self._numbers)}"
        item["connection_string"] = f"postgresql://{item['username']}:YOUR_PASSWORD@prj-1:5432/{item['name']}"
        self._items[item["id"]] = item

    def list(self) -> list[Values]:
        return [
            {k: v for k, v in item.items() if not (self._omits and k in OMITTED and v == DEFAULTS[k])}
            for item in self._items.values()
        ]

    def apply(self, step: Plan) -> None:
        if step.action == "created":
            self._add(step.body)
        elif step.action == "updated":
            self._store({**self._items[str(step.id)], **step.body})
        elif step.action == "deleted":
            del self._items[str(step.id)]

    def plan(self, wanted: Values, state: str = "present", resend: bool = False) -> Plan:
        return plan(DATABASE, wanted, Register(DATABASE, self.list()).find(wanted, state), state, resend)


def _member_defaults(item: Values) -> Values:
    return {k: {**DEFAULTS[k], **v} if isinstance(v, dict) else v for k, v in item.items()}


servers = st.builds(
    Server,
    st.lists(st.fixed_dictionaries(PLACES, optional=SETTINGS).map(_member_defaults), max_size=5),
    st.booleans(),
)
tasks = st.fixed_dictionaries(
    {"project_id": st.just("prj_1"), "host": PLACES["host"], "name": PLACES["name"], "password": SECRETS},
    optional={
        "id": st.sampled_from(["db_0", "db_2", "db_4"]),
        "port": PLACES["port"],
        "username": PLACES["username"],
        **SETTINGS,
    },
)


def planned(server: Server, wanted: Values, state: str = "present", resend: bool = False) -> Plan:
    """A plan; the example is left aside where the task cannot be carried out, after a look at what it says."""
    try:
        return server.plan(wanted, state, resend)
    except PlanError as error:
        assert wanted["password"] not in str(error)
        assume(False)
        raise


@given(servers, tasks)
@settings(deadline=None)
def test_present_twice_changes_nothing(server: Server, wanted: Values) -> None:
    server.apply(planned(server, wanted))
    again = planned(server, wanted)
    assert (again.action, again.body, again.changes, again.before, again.after) == ("unchanged", {}, [], {}, {})


@given(servers, tasks)
@settings(deadline=None, max_examples=300)
def test_absent_twice_deletes_once(server: Server, wanted: Values) -> None:
    server.apply(planned(server, wanted, "absent"))
    assert planned(server, wanted, "absent").action == "unchanged"


@given(servers, tasks, st.booleans())
@settings(deadline=None)
def test_check_mode_predicts_the_server(server: Server, wanted: Values, resend: bool) -> None:
    step = planned(server, wanted, "present", resend)
    before = {item["id"] for item in server.list()}
    server.apply(step)
    identifier = step.id or ({item["id"] for item in server.list()} - before).pop()
    live = whole(DATABASE, next(item for item in server.list() if item["id"] == identifier))
    predicted = step.predict()
    assert set(predicted) == set(live)
    differ = {n for n, v in predicted.items() if v is not None and not DATABASE.field(n).same(v, live[n])}
    assert differ == set()


@given(servers, tasks)
@settings(deadline=None)
def test_only_what_the_task_names_moves(server: Server, wanted: Values) -> None:
    step = planned(server, wanted)
    assert {name.split(".")[0] for name in step.changes} == set(step.body)
    assert step.action == "created" or set(step.body) <= set(wanted)


@given(servers, tasks, st.sampled_from(["present", "absent"]), st.booleans())
@settings(deadline=None)
def test_no_secret_is_shown(server: Server, wanted: Values, state: str, resend: bool) -> None:
    step = planned(server, wanted, state, resend)
    assert wanted["password"] not in repr([step.diff(), step.predict(), step.changes, step.label])


@given(tasks)
@settings(deadline=None)
def test_what_the_contract_allows_is_no_problem(wanted: Values) -> None:
    assert problems(DATABASE, wanted) == []
