# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner in tables: the object on the server, the task, and the plan."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible.argument_spec import argument_spec
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import (
    Index,
    duplicate_entries,
    identity,
    shared_identities,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import (
    NOT_SHOWN,
    Plan,
    conflicts,
    make_plan,
    plan_delete,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.validation import (
    drop_nulls,
    missing_identity,
    validate,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE

pytestmark = pytest.mark.once

PASSWORD = "Pw-7fQ2-only-in-tests"
LEFT_OUT = object()
CACHE = {"enabled": True, "ttl_seconds": 60, "max_entries": 10000, "swr_seconds": 30}
NO_SWR = {name: value for name, value in CACHE.items() if name != "swr_seconds"}
POOL = {"pool_size": 10, "min_pool_size": 1, "pool_mode": "session", "max_active": 200}
NO_LIMIT = {name: value for name, value in POOL.items() if name != "max_active"}
LIVE: Values = {
    "id": "db_1",
    "project_id": "prj_1",
    "connection_string": "postgresql://app:YOUR_PASSWORD@prj-1.proxy.pgbeam.app:5432/orders",
    "host": "db1.example.com",
    "port": 5432,
    "name": "orders",
    "username": "app",
    "ssl_mode": "prefer",
    "role": "primary",
    "pool_region": "us-east-1",
    "query_timeout_ms": 0,
    "auto_read_routing": False,
    "cache_config": CACHE,
    "pool_config": POOL,
    "created_at": "2026-11-01T08:00:00Z",
    "updated_at": "2026-11-01T08:00:00Z",
}
NEW: Values = {"host": "db1.example.com", "port": 5432, "name": "orders", "username": "app", "password": PASSWORD}


def live(**fields: Any) -> Values:
    """A registration as the server answers it; what is LEFT_OUT is not in the answer."""
    return {name: value for name, value in {**LIVE, **fields}.items() if value is not LEFT_OUT}


def task(**fields: Any) -> Values:
    return {"project_id": "prj_1", "host": "db1.example.com", "name": "orders", **fields}


def by_id(**fields: Any) -> Values:
    return {"project_id": "prj_1", "id": "db_1", **fields}


def planned(server: list[Values], wanted: Values, state: str = "present", resend: bool = False) -> Plan:
    return make_plan(DATABASE, wanted, Index(DATABASE, server).find(wanted, state), state, resend)


@dataclass
class Case:
    server: Values | None
    task: Values
    action: str = "unchanged"
    body: Values = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)
    state: str = "present"
    resend: bool = False
    late: Values = field(default_factory=dict)

    def plan(self) -> Plan:
        return planned([] if self.server is None else [self.server], self.task, self.state, self.resend)


def changed(name: str, old: Any, new: Any, server: Values | None = None, wanted: Values | None = None) -> Case:
    """A case in which one plain field changes."""
    server = live(**{name: old}) if server is None else server
    wanted = task(**{name: new}) if wanted is None else wanted
    return Case(server, wanted, "updated", {name: new}, [name], {name: old}, {name: new})


def created(sent: Values, changes: list[str], late: Values | None = None, **named_fields: Any) -> Case:
    """A case in which nothing is registered; ``sent`` and ``changes`` are what comes on top of a minimal create."""
    wanted = task(username="app", password=PASSWORD, **named_fields)
    body = {**NEW, **sent}
    after = {**body, "password": NOT_SHOWN, **(late or {})}
    return Case(None, wanted, "created", body, [*NEW, *changes], {}, after, late=late or {})


# fmt: off
CASES = {
    "create-minimal": created({}, []),
    "create-other-port": created({"port": 6432}, [], port=6432),
    "create-empty-value": created({"pool_region": ""}, ["pool_region"], pool_region=""),
    "create-zero-values": created(
        {"query_timeout_ms": 0, "auto_read_routing": False},
        ["query_timeout_ms", "auto_read_routing"],
        query_timeout_ms=0,
        auto_read_routing=False,
    ),
    # Nobody but PgBeam knows what the other members begin with.
    "create-without-the-objects-that-are-named-in-part": created(
        {}, ["cache_config.ttl_seconds", "pool_config.pool_mode"],
        late={"cache_config": {"ttl_seconds": 5}, "pool_config": {"pool_mode": "transaction"}},
        cache_config={"ttl_seconds": 5}, pool_config={"pool_mode": "transaction"},
    ),
    "create-with-whole-objects": created(
        {"cache_config": CACHE, "pool_config": NO_LIMIT},
        [*(f"cache_config.{name}" for name in CACHE), *(f"pool_config.{name}" for name in NO_LIMIT)],
        cache_config=CACHE, pool_config=NO_LIMIT,
    ),
    "unchanged-identity-alone": Case(live(), task()),
    "unchanged-every-field": Case(
        live(),
        task(
            port=5432, username="app", ssl_mode="prefer", role="primary", pool_region="us-east-1", query_timeout_ms=0,
            auto_read_routing=False, cache_config=dict(CACHE), pool_config=dict(POOL),
        ),
    ),
    "unchanged-host-case": Case(live(host="DB1.Example.com"), task(host="db1.EXAMPLE.com")),
    "unchanged-host-case-by-id": Case(live(host="DB1.Example.com"), by_id(host="db1.example.com")),
    "unchanged-by-id": Case(live(), by_id()),
    "unchanged-password-on-create-only": Case(live(), task(password=PASSWORD)),
    "unchanged-some-members": Case(live(), task(cache_config={"ttl_seconds": 60}, pool_config={"pool_size": 10})),
    "unchanged-left-out-fields-at-zero": Case(
        live(pool_region=LEFT_OUT, query_timeout_ms=LEFT_OUT, auto_read_routing=LEFT_OUT),
        task(pool_region="", query_timeout_ms=0, auto_read_routing=False),
    ),
    "unchanged-null-field-at-zero": Case(live(pool_region=None), task(pool_region="")),
    "unchanged-left-out-member-at-zero": Case(live(cache_config=NO_SWR), task(cache_config={"swr_seconds": 0})),
    "update-one-field": changed("ssl_mode", "prefer", "verify-full"),
    "update-to-empty": changed("pool_region", "us-east-1", ""),
    "update-to-zero": changed("query_timeout_ms", 500, 0),
    "update-to-false": changed("auto_read_routing", True, False),
    "update-name-case": changed("name", "orders", "Orders", live(), by_id(name="Orders")),
    "update-host-by-id": changed("host", "db1.example.com", "db2.example.com", live(), by_id(host="db2.example.com")),
    "update-port-by-id": changed("port", 5432, 6432, live(), by_id(port=6432)),
    "update-username-by-id": changed("username", "app", "report", live(), by_id(username="report")),
    "update-only-username": changed("username", "app", "report"),
    # The documented default is primary, but the answer omits the value.
    "update-left-out-field": Case(
        live(role=LEFT_OUT), task(role="primary"),
        "updated", {"role": "primary"}, ["role"], {"role": None}, {"role": "primary"},
    ),
    "update-two-fields": Case(
        live(), task(role="replica", ssl_mode="require", auto_read_routing=False),
        "updated", {"ssl_mode": "require", "role": "replica"}, ["ssl_mode", "role"],
        {"ssl_mode": "prefer", "role": "primary"}, {"ssl_mode": "require", "role": "replica"},
    ),
    "update-member-over-the-server's-object": Case(
        live(cache_config={**CACHE, "max_entries": 7}), task(cache_config={"ttl_seconds": 300, "enabled": True}),
        "updated", {"cache_config": {**CACHE, "max_entries": 7, "ttl_seconds": 300}}, ["cache_config.ttl_seconds"],
        {"cache_config": {"ttl_seconds": 60}}, {"cache_config": {"ttl_seconds": 300}},
    ),
    "update-member-keeps-what-this-release-does-not-know": Case(
        live(pool_config={**POOL, "new_knob": 3}), task(pool_config={"pool_size": 20, "min_pool_size": 2}),
        "updated", {"pool_config": {**POOL, "new_knob": 3, "pool_size": 20, "min_pool_size": 2}},
        ["pool_config.pool_size", "pool_config.min_pool_size"],
        {"pool_config": {"pool_size": 10, "min_pool_size": 1}},
        {"pool_config": {"pool_size": 20, "min_pool_size": 2}},
    ),
    "update-left-out-object-whole": Case(
        live(cache_config=LEFT_OUT), task(cache_config=CACHE),
        "updated", {"cache_config": CACHE}, [f"cache_config.{name}" for name in CACHE],
        {"cache_config": dict.fromkeys(CACHE)}, {"cache_config": CACHE},
    ),
    "update-null-member": Case(
        live(pool_config={**POOL, "max_active": None}), task(pool_config={"pool_size": 20, "max_active": 200}),
        "updated", {"pool_config": {**POOL, "pool_size": 20}}, ["pool_config.pool_size", "pool_config.max_active"],
        {"pool_config": {"pool_size": 10, "max_active": None}}, {"pool_config": {"pool_size": 20, "max_active": 200}},
    ),
    "update-beside-a-null-member-that-is-optional": Case(
        live(pool_config={**POOL, "max_active": None}), task(pool_config={"pool_size": 20}),
        "updated", {"pool_config": {**NO_LIMIT, "pool_size": 20}}, ["pool_config.pool_size"],
        {"pool_config": {"pool_size": 10}}, {"pool_config": {"pool_size": 20}},
    ),
    "update-left-out-member": Case(
        live(cache_config=NO_SWR), task(cache_config={"swr_seconds": 5}),
        "updated", {"cache_config": {**CACHE, "swr_seconds": 5}}, ["cache_config.swr_seconds"],
        {"cache_config": {"swr_seconds": 0}}, {"cache_config": {"swr_seconds": 5}},
    ),
    # The API wants cache_config whole, and servers leave out what is zero.
    "update-beside-a-left-out-member": Case(
        live(cache_config=NO_SWR), task(cache_config={"ttl_seconds": 5}),
        "updated", {"cache_config": {**CACHE, "ttl_seconds": 5, "swr_seconds": 0}}, ["cache_config.ttl_seconds"],
        {"cache_config": {"ttl_seconds": 60}}, {"cache_config": {"ttl_seconds": 5}},
    ),
    "update-password-resent": Case(
        live(), task(password=PASSWORD),
        "updated", {"password": PASSWORD}, ["password"], {}, {"password": NOT_SHOWN}, resend=True,
    ),
    "update-password-with-another-field": Case(
        live(), task(password=PASSWORD, role="replica"),
        "updated", {"password": PASSWORD, "role": "replica"}, ["password", "role"],
        {"role": "primary"}, {"password": NOT_SHOWN, "role": "replica"}, resend=True,
    ),
    "resend-without-a-password": Case(live(), task(), resend=True),
    "delete": Case(live(), task(password=PASSWORD), "deleted", before=live(), state="absent"),
    "delete-by-id": Case(live(), by_id(), "deleted", before=live(), state="absent"),
    "absent-already": Case(None, task(password=PASSWORD), state="absent"),
    "absent-already-by-id": Case(None, by_id(), state="absent"),
    "absent-other-port": Case(live(), task(port=6432), state="absent"),
}
# fmt: on
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@each_case
def test_plan(case: Case) -> None:
    result = case.plan()
    assert (result.action, result.body, result.changes) == (case.action, case.body, case.changes)
    assert (result.before, result.after, result.deferred) == (case.before, case.after, case.late)
    assert (result.diff()["before"], result.diff()["after"]) == (case.before, case.after)


@each_case
def test_a_prediction_has_the_fields_of_a_live_object(case: Case) -> None:
    predicted = case.plan().predict()
    assert set(predicted) == (set() if case.state == "absent" else set(LIVE))


@each_case
def test_no_secret_is_shown(case: Case) -> None:
    result = case.plan()
    assert PASSWORD not in repr([result.diff(), result.predict(), result.changes, result.label])


def test_predict_of_a_create_is_null_where_only_the_server_knows() -> None:
    predicted = CASES["create-without-the-objects-that-are-named-in-part"].plan().predict()
    assert {name: value for name, value in predicted.items() if value is not None} == {
        "project_id": "prj_1",
        "host": "db1.example.com",
        "port": 5432,
        "name": "orders",
        "username": "app",
        "cache_config": {**dict.fromkeys(CACHE), "ttl_seconds": 5},
        "pool_config": {**dict.fromkeys(POOL), "pool_mode": "transaction"},
    }


@pytest.mark.parametrize(
    "server, wanted, unknown",
    [
        (live(cache_config=LEFT_OUT), {"cache_config": {"enabled": False}}, "ttl_seconds, max_entries, swr_seconds"),
        (live(pool_config={"min_pool_size": 2}), {"pool_config": {"pool_size": 5}}, "pool_mode"),
    ],
    ids=["object", "member"],
)
def test_what_the_server_does_not_show_is_not_guessed(server: Values, wanted: Values, unknown: str) -> None:
    with pytest.raises(TaskError) as caught:
        planned([server], task(**wanted))
    name = next(iter(wanted))
    assert str(caught.value) == (
        f"database orders on db1.example.com:5432: PgBeam does not return all keys of {name}, so a write would lose "
        f"the missing ones; also set {unknown} in {name}"
    )


def test_what_new_objects_begin_with_completes_a_create() -> None:
    plan = CASES["create-without-the-objects-that-are-named-in-part"].plan()
    plan.complete({"cache_config": {**CACHE, "enabled": False}})
    assert plan.body["cache_config"] == {**CACHE, "enabled": False, "ttl_seconds": 5}
    assert plan.deferred == {"pool_config": {"pool_mode": "transaction"}}


def test_the_write_after_a_create_merges_the_task_into_the_answer() -> None:
    plan = CASES["create-without-the-objects-that-are-named-in-part"].plan()
    made = live(cache_config={**CACHE, "enabled": False, "ttl_seconds": 5})
    follow_up = plan.follow_up(made)
    assert follow_up.body == {"pool_config": {**POOL, "pool_mode": "transaction"}}
    assert follow_up.conditional
    assert not plan.follow_up(live(**plan.deferred)).body


@pytest.mark.parametrize(
    "wanted, conditional",
    [
        ({"ssl_mode": "require"}, False),
        ({"cache_config": {"ttl_seconds": 5}}, True),
        ({"cache_config": {**CACHE, "ttl_seconds": 5}}, False),
        ({"pool_config": {**NO_LIMIT, "pool_size": 5}}, True),
    ],
    ids=["scalar", "part of an object", "whole object", "without an optional member"],
)
def test_a_write_of_what_was_read_is_conditional(wanted: Values, conditional: bool) -> None:
    assert planned([live()], task(**wanted)).conditional is conditional


def test_a_plan_is_made_again_over_what_another_writer_has_left() -> None:
    plan = planned([live()], task(cache_config={"ttl_seconds": 5}))
    again = plan.again(live(cache_config={**CACHE, "swr_seconds": 777}))
    assert again.body == {"cache_config": {**CACHE, "ttl_seconds": 5, "swr_seconds": 777}}
    assert not plan.again(live(cache_config={**CACHE, "ttl_seconds": 5})).body
    with pytest.raises(TaskError, match=r"^another client has changed it to database orders on db9:5432$"):
        plan.again(live(host="db9"))


def test_predict_of_an_update_is_null_where_a_write_recomputes() -> None:
    predicted = CASES["update-username-by-id"].plan().predict()
    assert predicted == {**LIVE, "username": "report", "connection_string": None, "updated_at": None}


def test_predict_of_what_stays_is_the_object() -> None:
    assert CASES["unchanged-every-field"].plan().predict() == LIVE


def test_a_plan_leaves_the_object_of_the_server_alone() -> None:
    server = live(cache_config=dict(CACHE))
    planned([server], task(cache_config={"ttl_seconds": 5}, role="replica"))
    assert server == LIVE


@pytest.mark.parametrize(
    "case, header",
    [
        ("create-other-port", "database orders on db1.example.com:6432"),
        ("update-host-by-id", "database orders on db1.example.com:5432 (db_1)"),
        ("delete", "database orders on db1.example.com:5432 (db_1)"),
        ("absent-already-by-id", "database db_1"),
    ],
)
def test_diff_header(case: str, header: str) -> None:
    diff = CASES[case].plan().diff()
    assert (diff["before_header"], diff["after_header"]) == (header, header)


@pytest.mark.parametrize(
    "wanted, missing",
    [(task(username="app"), ["password"]), (task(password=PASSWORD), ["username"])],
    ids=["password", "username"],
)
def test_create_without_a_required_field_is_refused(wanted: Values, missing: list[str]) -> None:
    with pytest.raises(TaskError) as caught:
        planned([], wanted)
    words = str(caught.value)
    assert words.startswith("database orders on db1.example.com:5432 does not exist yet")
    assert re.findall(r"\b(?:username|password)\b", words) == missing
    assert PASSWORD not in words


def test_an_id_that_is_not_there_is_never_created() -> None:
    with pytest.raises(
        TaskError, match=r"^database db_1 was not found in project prj_1, or is not visible to this API key; "
    ):
        planned([live(id="db_2")], by_id(host="db1.example.com", name="orders", username="app", password=PASSWORD))


TIED = [live(id="db_1"), live(id="db_2", username="report"), live(id="db_3", username="report"), live(id="db_4")]


@pytest.mark.parametrize(
    "server, wanted, found",
    [
        pytest.param([], task(), None, id="nothing registered"),
        pytest.param([live()], task(), "db_1", id="default port"),
        pytest.param([live(port=6432)], task(), None, id="another port"),
        pytest.param([live(port=6432)], task(port=6432), "db_1", id="named port"),
        pytest.param([live()], task(name="Orders"), None, id="names differ in case"),
        pytest.param([live()], task(host="DB1.EXAMPLE.COM"), "db_1", id="hosts differ in case"),
        pytest.param([live()], task(username="report"), "db_1", id="one match with another username"),
        pytest.param(TIED[:2], task(username="report"), "db_2", id="tie narrowed by username"),
        pytest.param(TIED, {"id": "db_3"}, "db_3", id="id in a tie"),
        pytest.param(TIED, task(id="db_9"), None, id="id wins over identity"),
    ],
)
def test_find(server: list[Values], wanted: Values, found: str | None) -> None:
    match = Index(DATABASE, server).find(wanted)
    assert (match and match["id"]) == found


@pytest.mark.parametrize(
    "server, wanted, end",
    [
        pytest.param(TIED[:2], task(), r"\(db_1, db_2\); set id or username to choose one$", id="no username"),
        pytest.param(
            TIED,
            task(username="report"),
            r"\(db_2, db_3\); set id to choose one, or delete the duplicates by id with state: absent$",
            id="username of two",
        ),
    ],
)
@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_tie_that_stays_is_refused_with_the_ids(server: list[Values], wanted: Values, end: str, state: str) -> None:
    """Only real duplicates may be deleted: another username is another login."""
    with pytest.raises(TaskError, match=rf"exists \d times in PgBeam {end}"):
        planned(server, wanted, state)


def test_an_object_that_comes_on_two_pages_is_one() -> None:
    assert Index(DATABASE, [live(), live()]).find(task()) == live()


def test_a_secret_in_an_answer_is_dropped() -> None:
    assert PASSWORD not in repr(DATABASE.with_all_fields(live(password=PASSWORD)))


def test_a_tie_without_the_username_named() -> None:
    """Which one to rename is not clear, so it is asked for; to delete there is nothing."""
    wanted = task(username="other", password=PASSWORD)
    with pytest.raises(TaskError, match=r"exists 2 times in PgBeam \(db_1, db_2\); set id to choose one$"):
        planned(TIED[:2], wanted)
    assert planned(TIED[:2], wanted, "absent").action == "unchanged"


def test_absent_by_username_leaves_the_other_registration() -> None:
    """Deleting one of a tie twice must not take the other one at the second run."""
    wanted = task(username="report")
    assert planned(TIED[:2], wanted, "absent").id == "db_2"
    assert planned(TIED[:1], wanted, "absent").action == "unchanged"


def test_usernames_that_share_a_database_in_a_list() -> None:
    app, report, other = task(username="app"), task(username="report", host="DB1.example.com"), task(name="other")
    shared = shared_identities(DATABASE, [app, other, report, {"id": "db_1"}, {"id": "db_2"}], Index(DATABASE, []))
    assert shared == {identity(DATABASE, app)} == {identity(DATABASE, report)}
    register = Index(DATABASE, [live()])
    assert register.find(app, shared=shared) == live()
    assert register.find(report, shared=shared) is None


def test_unclaimed_keeps_the_order_of_the_server() -> None:
    items = [live(id="db_3"), live(id="db_1"), live(id="db_2")]
    assert Index(DATABASE, items).unclaimed([items[1]]) == [items[0], items[2]]


def test_a_pruned_registration_is_deleted() -> None:
    result = plan_delete(DATABASE, {}, live())
    assert (result.action, result.id, result.label) == ("deleted", "db_1", "database orders on db1.example.com:5432")


INT = "it must be a whole number from {} to {}"
BAD_VALUES = {
    "port-0": ({"port": 0}, "port: 0 is not allowed; " + INT.format(1, 65535)),
    "port-70000": ({"port": 70000}, "port: 70000 is not allowed; " + INT.format(1, 65535)),
    "port-negative": ({"port": -1}, "port: -1 is not allowed; " + INT.format(1, 65535)),
    "port-true": ({"port": True}, "port: true is not allowed; " + INT.format(1, 65535)),
    "port-text": ({"port": "five"}, "port: 'five' is not allowed; " + INT.format(1, 65535)),
    "port-fraction": ({"port": 5.5}, "port: 5.5 is not allowed; " + INT.format(1, 65535)),
    "port-infinite": ({"port": float("inf")}, "port: inf is not allowed; " + INT.format(1, 65535)),
    "port-list": ({"port": [1]}, "port: [1] is not allowed; " + INT.format(1, 65535)),
    "timeout-high": (
        {"query_timeout_ms": 300001},
        "query_timeout_ms: 300001 is not allowed; " + INT.format(0, 300000),
    ),
    "ttl-negative": (
        {"cache_config": {"ttl_seconds": -1}},
        "cache_config.ttl_seconds: -1 is not allowed; " + INT.format(0, 86400),
    ),
    "max-entries-high": (
        {"cache_config": {"max_entries": 1000001}},
        "cache_config.max_entries: 1000001 is not allowed; " + INT.format(0, 1000000),
    ),
    "pool-size-0": (
        {"pool_config": {"pool_size": 0}},
        "pool_config.pool_size: 0 is not allowed; " + INT.format(1, 10000),
    ),
    "pool-mode": (
        {"pool_config": {"pool_mode": "fast"}},
        "pool_config.pool_mode: 'fast' is not allowed; it must be one of session, transaction, statement",
    ),
    "enabled": (
        {"cache_config": {"enabled": "maybe"}},
        "cache_config.enabled: 'maybe' is not allowed; it must be true or false",
    ),
    "host-space": (
        {"host": "db1 .example.com"},
        "host: 'db1 .example.com' is not allowed; it must be a host name or an IP address, and nothing else",
    ),
    "host-line-break": (
        {"host": "db1\n"},
        "host: 'db1\\n' is not allowed; it must be a host name or an IP address, and nothing else",
    ),
    "host-empty": (
        {"host": ""},
        "host: '' is not allowed; it must be a host name or an IP address, and nothing else",
    ),
    "name-empty": (
        {"name": ""},
        "name: '' is not allowed; it must be text that is not empty and contains no null character",
    ),
    "username-empty": (
        {"username": ""},
        "username: '' is not allowed; it must be text that is not empty and contains no null character",
    ),
    "name-nul": (
        {"name": "a\0b"},
        "name: 'a\\x00b' is not allowed; it must be text that is not empty and contains no null character",
    ),
    "ssl-mode": (
        {"ssl_mode": "on"},
        "ssl_mode: 'on' is not allowed; it must be one of disable, allow, prefer, require, verify-ca, verify-full",
    ),
    "role": ({"role": "standby"}, "role: 'standby' is not allowed; it must be one of primary, replica"),
    "id-slash": ({"id": "db/1"}, "id: 'db/1' is not an id; it must consist of letters, digits, '_', '.' and '-'"),
    "id-dots": ({"id": ".."}, "id: '..' is not an id; it must consist of letters, digits, '_', '.' and '-'"),
    "id-dot": ({"id": "."}, "id: '.' is not an id; it must consist of letters, digits, '_', '.' and '-'"),
    "id-empty": ({"id": ""}, "id: '' is not an id; it must consist of letters, digits, '_', '.' and '-'"),
    "id-line-break": (
        {"id": "db_1\n"},
        "id: 'db_1\\n' is not an id; it must consist of letters, digits, '_', '.' and '-'",
    ),
    "password-number": (
        {"password": 48151623},
        "password: the value is a number, not text; put it in quotes, even in a vault file",
    ),
    "password-list": (
        {"password": [PASSWORD]},
        "password: the value is a list; it must be text",
    ),
    "password-empty": (
        {"password": ""},
        "password: empty; check that its variable or lookup is set",
    ),
    "misspelled-member": (
        {"cache_config": {"ttl_second": 5}},
        "cache_config.ttl_second: unknown option; did you mean ttl_seconds?",
    ),
    "password-nul": (
        {"password": f"{PASSWORD}\0"},
        "password: the value is not allowed; it must be text that is not empty and contains no null character",
    ),
}


@pytest.mark.parametrize("values, sentence", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_bad_value(values: Values, sentence: str) -> None:
    assert validate(DATABASE, values) == [sentence]
    assert validate(DATABASE, values, "databases[7]: ") == [f"databases[7]: {sentence}"]


def test_every_invalid_value_is_reported() -> None:
    found = validate(DATABASE, {"port": 0, "cache_config": {"ttl_seconds": -1, "swr_seconds": -1}, "id": "/"})
    assert [sentence.split(":", maxsplit=1)[0] for sentence in found] == [
        "port", "cache_config.ttl_seconds", "cache_config.swr_seconds", "id",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        {**NEW, "ssl_mode": "verify-full", "role": "replica", "id": "db_1.a-B"},
        {"port": 1, "query_timeout_ms": 0, "pool_region": "", "cache_config": {"ttl_seconds": 0, "max_entries": 0}},
        {"port": 65535, "query_timeout_ms": 300000, "pool_config": {"pool_size": 10000, "max_active": 1}},
        {"port": "5432", "auto_read_routing": "yes", "cache_config": {"enabled": "no"}},
        {"host": None, "port": None, "password": None, "id": None, "cache_config": None},
        {"host": "::1", "name": "bücher und mehr", "username": "o'neil", "password": "pass wört/@:%"},
    ],
    ids=["usual", "lowest", "highest", "text as YAML gives it", "nulls", "unusual characters"],
)
def test_allowed_values(values: Values) -> None:
    assert validate(DATABASE, values) == []


@pytest.mark.parametrize(
    "wanted, sentence",
    [
        (task(), None),
        ({"id": "db_1"}, None),
        ({"name": "orders"}, "host: missing; set host and name, or id, to identify the database"),
        ({"host": "db1"}, "name: missing; set host and name, or id, to identify the database"),
    ],
    ids=["identity", "id", "no host", "no name"],
)
def test_incomplete(wanted: Values, sentence: str | None) -> None:
    assert missing_identity(DATABASE, wanted) == sentence


@pytest.mark.parametrize(
    "entries, expected",
    [
        pytest.param([task(), task(name="other"), task(port=6432), task(host="db2")], [], id="all different"),
        pytest.param([task(username="app"), task(username="report")], [], id="two usernames"),
        pytest.param([{"id": "db_1"}, {"id": "db_2"}], [], id="two ids"),
        pytest.param(
            [task(), task(name="other"), task(host="DB1.example.com", port=5432)],
            ["#0 and #2 are both database orders on DB1.example.com:5432; keep one of them"],
            id="same identity",
        ),
        pytest.param(
            [task(username="app"), task(username="report"), task(username="app")],
            ["#0 and #2 are both database orders on db1.example.com:5432; keep one of them"],
            id="same username",
        ),
        pytest.param(
            [task(username="app"), task()],
            ["#0 and #1 are both database orders on db1.example.com:5432; keep one of them"],
            id="one without username",
        ),
        pytest.param(
            [{"id": "db_1"}, {"id": "db_1", "host": "db2"}],
            ["#0 and #1 are both database db_1; keep one of them"],
            id="same id",
        ),
    ],
)
def test_clashes(entries: list[Values], expected: list[str]) -> None:
    assert duplicate_entries(DATABASE, entries, lambda index: f"#{index}") == expected


ALIKE = [live(id="db_1"), live(id="db_2", name="other"), live(id="db_3", name="other", username="report")]


@pytest.mark.parametrize(
    "entries, expected",
    [
        pytest.param([task(), {"id": "db_2"}, {"id": "db_3"}], [], id="all different"),
        pytest.param([{"id": "db_1", "name": "new"}, task(name="other", username="app")], [], id="one renamed"),
        pytest.param([{"id": "db_1", "name": "other"}, {"id": "db_2", "name": "orders"}], [], id="names exchanged"),
        pytest.param([{"id": "db_2", "name": "orders", "username": "new"}, task(username="app")], [], id="two users"),
        pytest.param(
            [task(), {"id": "db_1"}], ["#0 and #1 are both database db_1; keep one of them"], id="identity and id"
        ),
        pytest.param(
            [{"id": "db_1", "name": "new"}, task(name="new", username="app", password=PASSWORD)],
            ["#0 and #1 would both be database new on db1.example.com:5432; keep one of them"],
            id="renamed to one that is to be added",
        ),
        pytest.param(
            [{"id": "db_2"}, {"id": "db_1", "name": "other"}, {"id": "db_3"}],
            ["#0 and #1 would both be database other on db1.example.com:5432; keep one of them"],
            id="renamed to one that is there",
        ),
        pytest.param(
            [{"id": "db_2"}, {"id": "db_3", "username": "app"}],
            ["#0 and #1 would both be database other on db1.example.com:5432; keep one of them"],
            id="another user",
        ),
    ],
)
def test_collisions(entries: list[Values], expected: list[str]) -> None:
    shared = shared_identities(DATABASE, entries, Index(DATABASE, []))
    register = Index(DATABASE, ALIKE)
    plans = [make_plan(DATABASE, entry, register.find(entry, shared=shared), "present", False) for entry in entries]
    assert conflicts(plans, lambda index: f"#{index}") == expected


def test_drop_nulls_removes_what_core_adds() -> None:
    options = {"host": "db1", "port": None, "pool_region": "", "query_timeout_ms": 0, "auto_read_routing": False}
    members = {"cache_config": {"enabled": False, "ttl_seconds": None}, "pool_config": {"pool_size": None}}
    assert drop_nulls({**options, **members}) == {
        "host": "db1",
        "pool_region": "",
        "query_timeout_ms": 0,
        "auto_read_routing": False,
        "cache_config": {"enabled": False},
    }


def test_argument_spec_manages_nothing_that_is_not_named() -> None:
    spec = argument_spec(DATABASE.writable)
    assert not [name for name, option in spec.items() if "default" in option or option.get("required")]
    assert spec["password"] == {"type": "raw", "no_log": True}
    assert "password" not in DATABASE.with_all_fields({})
