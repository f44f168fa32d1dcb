# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconciler over a client in memory: the calls that it makes, and what it reports if they fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, UnresolvedName, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import ApiError, Call
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile import lock, references
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile import reconciler as reconciler_file
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import (
    MAX_CONFLICTS,
    Outcome,
    Reconciler,
    Run,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.agent import AGENT
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.region import REGION
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.schema_annotation import SCHEMA_ANNOTATION

from tests.unit.fake_client import CACHE, FakeClient, lost, refused
from tests.unit.scripted import Clock

pytestmark = pytest.mark.once

PASSWORD = "Pw-7fQ2-only-in-tests"
PARENTS = {"project": "org_1", "database": "prj_1", "replica": "db_1", "schema_annotation": "prj_1"}
LOGIN: Values = {"host": "db1.example.com", "name": "orders", "username": "app", "password": PASSWORD}
POOL: Values = {"pool_size": 10, "min_pool_size": 1, "pool_mode": "session"}
STORED: Values = {**LOGIN, "id": "db_1", "port": 5432, "ssl_mode": "prefer", "cache_config": CACHE, "pool_config": POOL}
SHOP: Values = {"id": "prj_1", "name": "shop", "status": "active", "tags": ["a"]}
OFFICE: Values = {"cidr": "192.0.2.0/24", "label": "office"}
TTL: Values = {"cache_config": {"ttl_seconds": 300}}
WHOLE: Values = {"cache_config": {**CACHE, "ttl_seconds": 300}}
CREATED = [*LOGIN, "port"]
COLUMN: Values = {"schema_name": "billing", "table_name": "orders", "column_name": "total"}
TABLE: Values = {"table_name": "orders"}
ORDERS: Values = {**TABLE, "id": "sca_1", "description": "old"}
TOTAL: Values = {**COLUMN, "id": "sca_2", "description": "old"}


def replica(identifier: str, host: str = "r1", ssl_mode: str = "prefer") -> Values:
    return {"id": identifier, "host": host, "port": 5432, "ssl_mode": ssl_mode}


@pytest.fixture
def client() -> Iterator[FakeClient]:
    with FakeClient.scripted() as fake:
        yield fake


def reconciler_of(client: FakeClient, resource: Resource = DATABASE, parent: str = "", **run: Any) -> Reconciler:
    return Reconciler(Run(client, **run), resource, parent or PARENTS[resource.noun])


def apply(reconciler: Reconciler, *entries: Values, by_id: bool = False) -> list[Outcome]:
    """The outcomes of entries that are planned and applied. Of the calls, those of ``apply`` remain."""
    index = reconciler.load_index(entries[0]["id"] if by_id else None)
    plans = []
    for entry in entries:
        wanted = {name: value for name, value in entry.items() if name != "state"}
        if reconciler.parent:
            wanted[reconciler.resource.parent] = reconciler.parent
        plans.append(reconciler.plan(index, wanted, entry.get("state", "present")))
    assert isinstance(reconciler.client, FakeClient)
    reconciler.client.calls.clear()
    return reconciler.apply(plans)


def add_all(client: FakeClient, resource: Resource, *there: Values) -> None:
    for values in there:
        client.add(resource, PARENTS[resource.noun], **values)


def writes(made: list[str]) -> list[str]:
    return [call for call in made if not call.startswith("GET")]


def tags(client: FakeClient) -> list[str | None]:
    return [sent.etag for sent in client.calls if sent.method == "PATCH"]


def error_of(outcome: Outcome) -> ApiError:
    assert outcome.error
    return outcome.error


@dataclass
class Case:
    """One entry, and what becomes of it if all calls succeed."""

    resource: Resource
    there: list[Values]
    entry: Values
    action: str
    calls: list[str]
    changes: list[str]
    run: Values = field(default_factory=dict)
    #: The body of the last write.
    body: Values = field(default_factory=dict)
    #: The id of the object afterwards.
    id: str = ""


REPLACE: Values = {"replace": True}
# fmt: off
CASES = {
    "created": Case(
        DATABASE, [], LOGIN, "created", ["POST databases"], CREATED, body={**LOGIN, "port": 5432}, id="new_1",
    ),
    "created, and an object that the task gives in part": Case(
        DATABASE, [], {**LOGIN, **TTL}, "created", ["POST databases", "PATCH new_1"],
        [*CREATED, "cache_config.ttl_seconds"], body=WHOLE, id="new_1",
    ),
    "created, and the part is as the server sets it": Case(
        DATABASE, [], {**LOGIN, "cache_config": {"ttl_seconds": 60}}, "created", ["POST databases"],
        [*CREATED, "cache_config.ttl_seconds"], body={**LOGIN, "port": 5432}, id="new_1",
    ),
    "created, and a field that no create takes": Case(
        PROJECT, [], {"name": "shop", "database": LOGIN, "status": "suspended"}, "created",
        ["POST projects", "PATCH new_1"], ["org_id", "name", "status"], body={"status": "suspended"}, id="new_1",
    ),
    "created, and the field is as the server sets it": Case(
        PROJECT, [], {"name": "shop", "database": LOGIN, "status": "active"}, "created", ["POST projects"],
        ["org_id", "name", "status"], id="new_1",
        body={"org_id": "org_1", "name": "shop", "database": {**LOGIN, "port": 5432}},
    ),
    "created, and a list that must be read before it is replaced": Case(
        PROJECT, [], {"name": "shop", "database": LOGIN, "allowed_cidrs": [OFFICE]}, "created",
        ["POST projects", "GET new_1", "PATCH new_1"], ["org_id", "name", "allowed_cidrs"],
        body={"allowed_cidrs": [OFFICE]}, id="new_1",
    ),
    "updated": Case(
        DATABASE, [STORED], {**LOGIN, "ssl_mode": "require"}, "updated", ["PATCH db_1"], ["ssl_mode"],
        body={"ssl_mode": "require"}, id="db_1",
    ),
    "updated in a part of an object": Case(
        DATABASE, [STORED], {**LOGIN, **TTL}, "updated", ["GET db_1", "PATCH db_1"], ["cache_config.ttl_seconds"],
        body=WHOLE, id="db_1",
    ),
    "updated by a secret that is always sent": Case(
        DATABASE, [STORED], LOGIN, "updated", ["PATCH db_1"], ["password"], {"resent": frozenset(["password"])},
        {"password": PASSWORD}, "db_1",
    ),
    "unchanged": Case(DATABASE, [STORED], LOGIN, "unchanged", [], [], id="db_1"),
    "unchanged, as it is missing already": Case(DATABASE, [], {**LOGIN, "state": "absent"}, "unchanged", [], []),
    "deleted": Case(DATABASE, [STORED], {**LOGIN, "state": "absent"}, "deleted", ["DELETE db_1"], []),
    "replaced": Case(
        REPLICA, [replica("rep_1")], {"host": "r1", "ssl_mode": "require"}, "replaced",
        ["POST replicas", "DELETE rep_1"], ["ssl_mode"], REPLACE,
        {"host": "r1", "port": 5432, "ssl_mode": "require"}, "new_1",
    ),
    "duplicates removed": Case(
        REPLICA, [replica("rep_1"), replica("rep_2", ssl_mode="require"), replica("rep_3", ssl_mode="allow")],
        {"host": "r1", "ssl_mode": "require"}, "replaced", ["DELETE rep_1", "DELETE rep_3"], ["id"], REPLACE,
        id="rep_2",
    ),
    "put by its identity, as it is missing": Case(
        SCHEMA_ANNOTATION, [ORDERS], {**COLUMN, "description": "new"}, "created", ["PUT schema-annotations"],
        [*COLUMN, "description"], body={**COLUMN, "description": "new"}, id="new_1",
    ),
    "put by its identity": Case(
        SCHEMA_ANNOTATION, [ORDERS, TOTAL], {**TABLE, "description": "new"}, "updated", ["PUT schema-annotations"],
        ["description"], body={**TABLE, "description": "new"}, id="sca_1",
    ),
    "put by its identity, found by its id": Case(
        SCHEMA_ANNOTATION, [ORDERS, TOTAL], {"id": "sca_2", "description": "new"}, "updated",
        ["PUT schema-annotations"], ["description"], body={**COLUMN, "description": "new"}, id="sca_2",
    ),
    "deleted by its identity": Case(
        SCHEMA_ANNOTATION, [ORDERS, TOTAL], {**TABLE, "state": "absent"}, "deleted", ["DELETE schema-annotations"], [],
    ),
}
# fmt: on
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@each_case
def test_each_action_makes_its_calls_and_reports_the_object_afterwards(client: FakeClient, case: Case) -> None:
    add_all(client, case.resource, *case.there)
    reconciler = reconciler_of(client, case.resource, **case.run)
    (outcome,) = apply(reconciler, case.entry)
    assert (outcome.action, outcome.error) == (case.action, None)
    assert sorted(outcome.changes) == sorted(case.changes)
    assert client.made == case.calls
    assert outcome.changed == reconciler.run.changed == (case.action != "unchanged")
    assert outcome.values == (case.resource.with_all_fields(client.truth(case.id)) if case.id else {})
    if case.body:
        assert [sent.body for sent in client.calls if sent.body][-1] == case.body
    else:
        assert set(client.methods) <= {"DELETE"}
    assert PASSWORD not in str([outcome.values, outcome.nested_values, outcome.diff()])


def agrees(foreseen: Any, real: Any) -> bool:
    """Whether a prediction, in which null means unknown, came true."""
    if isinstance(foreseen, dict) and isinstance(real, dict):
        return all(agrees(value, real.get(name)) for name, value in foreseen.items())
    return foreseen is None or bool(foreseen == real)


@each_case
def test_check_mode_sends_nothing_and_foresees_the_same(client: FakeClient, case: Case) -> None:
    add_all(client, case.resource, *case.there)
    foreseeing = reconciler_of(client, case.resource, check_mode=True, act=True, **case.run)
    (foreseen,) = apply(foreseeing, case.entry)
    assert client.made == []
    assert not foreseeing.run.changed
    (done,) = apply(reconciler_of(client, case.resource, **case.run), case.entry)
    assert (foreseen.action, foreseen.changed, foreseen.changes) == (done.action, done.changed, done.changes)
    assert foreseen.diff() == done.diff()
    assert bool(foreseen.values) == bool(done.values)
    assert agrees(foreseen.values, done.values)


def test_deletions_are_written_before_all_others_and_outcomes_keep_the_order_of_the_plans(client: FakeClient) -> None:
    others = ({**STORED, "id": "db_2", "name": "old"}, {**STORED, "id": "db_3", "name": "older"})
    add_all(client, DATABASE, STORED, *others)
    entries = [
        {**LOGIN, "name": "new"},
        {"id": "db_2", "state": "absent"},
        {**LOGIN, "ssl_mode": "require"},
        {"id": "db_3", "state": "absent"},
    ]
    outcomes = apply(reconciler_of(client), *entries)
    assert client.made == ["DELETE db_2", "DELETE db_3", "POST databases", "PATCH db_1"]
    assert [outcome.action for outcome in outcomes] == ["created", "deleted", "updated", "deleted"]


def test_the_first_create_shows_the_defaults_so_that_the_others_take_one_call(client: FakeClient) -> None:
    entries = [{**LOGIN, "name": "plain"}, *({**LOGIN, **TTL, "name": f"db{n}"} for n in range(3))]
    outcomes = apply(reconciler_of(client, parallel=4), *entries)
    assert client.made[:2] == ["POST databases", "PATCH new_1"]
    assert client.methods[2:] == ["POST"] * 3
    first, *others = client.bodies("POST")
    assert (first["name"], "cache_config" in first) == ("db0", False)
    assert sorted((body["name"], body.get("cache_config")) for body in others) == [
        ("db1", WHOLE["cache_config"]),
        ("db2", WHOLE["cache_config"]),
        ("plain", None),
    ]
    assert [outcome.values["cache_config"]["ttl_seconds"] for outcome in outcomes] == [60, 300, 300, 300]
    assert all("cache_config.ttl_seconds" in outcome.changes for outcome in outcomes[1:])


def test_what_a_task_sets_in_one_object_is_not_taken_for_the_default_of_another(client: FakeClient) -> None:
    whole = {"cache_config": {**CACHE, "max_entries": 99}}
    entries = [{**LOGIN, **fields, "name": f"db{n}"} for n, fields in enumerate((TTL, whole, TTL))]
    apply(reconciler_of(client), *entries)
    assert [body.get("cache_config") for body in client.bodies("POST")] == [
        None,
        whole["cache_config"],
        WHOLE["cache_config"],
    ]


def test_a_replacement_that_cannot_be_created_leaves_the_old_one(client: FakeClient) -> None:
    add_all(client, REPLICA, replica("rep_1"))
    client.script("POST", failure=refused(400))
    (outcome,) = apply(reconciler_of(client, REPLICA, replace=True), {"host": "r1", "ssl_mode": "require"})
    assert (outcome.action, outcome.changes, client.made) == ("failed", [], ["POST replicas"])
    assert client.ids == ["rep_1"]


def test_an_object_that_somebody_else_deleted_first_is_unchanged(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED)
    client.script("DELETE", meanwhile=lambda: client.remove("db_1"))
    reconciler = reconciler_of(client)
    (outcome,) = apply(reconciler, {**LOGIN, "state": "absent"})
    assert (outcome.action, outcome.error, outcome.values) == ("unchanged", None, {})
    assert not reconciler.run.changed


@pytest.mark.parametrize(
    "case, action, changes", [("duplicates removed", "unchanged", []), ("replaced", "replaced", ["ssl_mode"])]
)
def test_a_replica_that_somebody_else_removed_first_is_not_reported_as_removed(
    client: FakeClient, case: str, action: str, changes: list[str]
) -> None:
    add_all(client, REPLICA, *CASES[case].there)
    removed = [call.split()[1] for call in CASES[case].calls if call.startswith("DELETE")]
    for identifier in removed:
        client.script("DELETE", identifier, meanwhile=partial(client.remove, identifier))
    (outcome,) = apply(reconciler_of(client, REPLICA, replace=True), CASES[case].entry)
    assert (outcome.action, outcome.changes, outcome.error) == (action, changes, None)


@dataclass
class Refusal:
    """A plan of which one write is refused."""

    case: str
    method: str
    action: str
    changes: list[str]
    skip: int = 0
    #: What the error adds to its advice.
    advice: str = ""


REFUSALS = {
    "the create": Refusal("created", "POST", "failed", []),
    "the update": Refusal("updated", "PATCH", "failed", []),
    "the deletion": Refusal("deleted", "DELETE", "failed", []),
    "the write of a part after the create": Refusal(
        "created, and an object that the task gives in part", "PATCH", "created", CREATED,
        advice="new_1 was created without cache_config",
    ),
    "the write of a field after the create": Refusal(
        "created, and a field that no create takes", "PATCH", "created", ["org_id", "name"],
        advice="new_1 was created without status",
    ),
    "the removal of the one that is replaced": Refusal(
        "replaced", "DELETE", "replaced", ["ssl_mode"],
        advice="new_1 exists, but rep_1 may still exist",
    ),
    "the removal of the first duplicate": Refusal("duplicates removed", "DELETE", "failed", []),
    "the removal of the second duplicate": Refusal("duplicates removed", "DELETE", "replaced", ["id"], 1),
}  # fmt: skip


@pytest.mark.parametrize("status", [400, 409])
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refused_write_is_reported_with_what_was_written_before_it(
    client: FakeClient, refusal: Refusal, status: int
) -> None:
    case = CASES[refusal.case]
    add_all(client, case.resource, *case.there)
    client.script(refusal.method, skip=refusal.skip, failure=refused(status))
    reconciler = reconciler_of(client, case.resource, act=True, **case.run)
    (outcome,) = apply(reconciler, case.entry)
    error = error_of(outcome)
    assert (error.status, error.outcome_unknown, error.call.method) == (status, False, refusal.method)
    assert refusal.advice in str(error)
    assert (outcome.action, sorted(outcome.changes)) == (refusal.action, sorted(refusal.changes))
    assert outcome.changed == reconciler.run.changed == bool(refusal.changes)
    if outcome.changed:
        assert set(outcome.diff()["after"]) == set(refusal.changes)
    assert outcome.action_answer is None and "POST test-connection" not in client.made
    assert "GET" not in client.methods, "the outcome is known"


def test_the_diff_lists_the_duplicates_that_remain(client: FakeClient) -> None:
    case = CASES["duplicates removed"]
    add_all(client, REPLICA, *case.there)
    client.script("DELETE", skip=1, failure=refused(409))
    (outcome,) = apply(reconciler_of(client, REPLICA, replace=True), case.entry)
    assert outcome.diff()["before"] == {"id": ["rep_2", "rep_1", "rep_3"]}
    assert outcome.diff()["after"] == {"id": ["rep_2", "rep_3"]}


def test_a_part_that_cannot_be_completed_from_the_new_object_is_not_sent(client: FakeClient) -> None:
    client.begins_with = {}
    (outcome,) = apply(reconciler_of(client), {**LOGIN, **TTL})
    error = error_of(outcome)
    assert (error.sent, error.call.method) == (False, "PATCH")
    assert "enabled, max_entries, swr_seconds" in error.advice
    assert (outcome.action, sorted(outcome.changes), client.methods) == ("created", sorted(CREATED), ["POST"])


# Objects without a path of their own


@pytest.mark.parametrize(
    "there, query",
    [
        (ORDERS, TABLE),
        (TOTAL, COLUMN),
        ({**TOTAL, "column_name": None}, {"schema_name": "billing", **TABLE}),
        ({**ORDERS, "schema_name": "", "column_name": ""}, TABLE),
    ],
)
def test_the_query_of_a_deletion_has_what_is_set_of_the_identity(
    client: FakeClient, there: Values, query: Values
) -> None:
    add_all(client, SCHEMA_ANNOTATION, there)
    apply(reconciler_of(client, SCHEMA_ANNOTATION), {"id": there["id"], "state": "absent"})
    assert [(sent.method, sent.path, sent.query) for sent in client.calls] == [
        ("DELETE", "/v1/projects/prj_1/schema-annotations", query)
    ]


@pytest.mark.parametrize("code, action", [("NOT_FOUND", "unchanged"), (None, "failed")])
def test_only_a_404_of_the_api_means_that_there_is_nothing_to_delete(
    client: FakeClient, code: str | None, action: str
) -> None:
    add_all(client, SCHEMA_ANNOTATION, ORDERS)
    client.script("DELETE", failure=refused(404, code))
    (outcome,) = apply(reconciler_of(client, SCHEMA_ANNOTATION), {**TABLE, "state": "absent"})
    assert outcome.action == action


def test_one_that_was_deleted_meanwhile_is_put_again(client: FakeClient) -> None:
    add_all(client, SCHEMA_ANNOTATION, ORDERS)
    client.script("PUT", meanwhile=lambda: client.remove("sca_1"))
    (outcome,) = apply(reconciler_of(client, SCHEMA_ANNOTATION), {**TABLE, "description": "new"})
    assert (outcome.action, outcome.values["id"], outcome.error) == ("updated", "new_1", None)


@pytest.mark.parametrize("there", [[], [ORDERS]], ids=["created", "updated"])
@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_answer_to_a_put_is_looked_for_by_its_identity_and_what_was_sent(
    client: FakeClient, there: list[Values], applied: bool
) -> None:
    add_all(client, SCHEMA_ANNOTATION, *there)
    client.script("PUT", failure=lost(), applied=applied)
    (outcome,) = apply(reconciler_of(client, SCHEMA_ANNOTATION), {**TABLE, "description": "new"})
    assert client.made == ["PUT schema-annotations", "GET schema-annotations"]
    assert (outcome.action, outcome.error is None) == (
        ("updated" if there else "created", True) if applied else ("failed", False)
    )


def test_what_another_writer_has_put_meanwhile_is_not_reported_as_ours(client: FakeClient) -> None:
    theirs = {**ORDERS, "description": "theirs"}
    client.script("PUT", failure=lost(), meanwhile=lambda: add_all(client, SCHEMA_ANNOTATION, theirs))
    (outcome,) = apply(reconciler_of(client, SCHEMA_ANNOTATION), {**TABLE, "description": "ours"})
    assert (outcome.action, error_of(outcome).outcome_unknown) == ("failed", True)


# Conditional updates


CONDITIONS: dict[str, tuple[Values, bool, list[str], str | None]] = {
    "a field": ({"ssl_mode": "require"}, False, ["PATCH"], None),
    "a whole object": ({"pool_config": {**POOL, "pool_size": 20, "max_active": 5}}, False, ["PATCH"], None),
    "a part of an object": (TTL, False, ["GET", "PATCH"], '"1"'),
    "a part of an object that was read by its id": (TTL, True, ["PATCH"], '"1"'),
    "a field of an object that was read by its id": ({"ssl_mode": "require"}, True, ["PATCH"], None),
}


@pytest.mark.parametrize("fields, by_id, methods, tag", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_a_tag_is_sent_if_the_body_holds_what_was_read(
    client: FakeClient, fields: Values, by_id: bool, methods: list[str], tag: str | None
) -> None:
    add_all(client, DATABASE, STORED)
    (outcome,) = apply(reconciler_of(client), {"id": "db_1", **fields}, by_id=by_id)
    assert (outcome.action, client.methods, tags(client)) == ("updated", methods, [tag])


def test_a_list_is_sent_with_the_tag_of_the_project(client: FakeClient) -> None:
    add_all(client, PROJECT, SHOP)
    (outcome,) = apply(reconciler_of(client, PROJECT), {"name": "shop", "tags": ["b"]})
    assert (outcome.action, client.methods, tags(client)) == ("updated", ["GET", "PATCH"], ['"1"'])


def test_the_tag_of_an_envelope_is_not_that_of_the_object_in_it(client: FakeClient) -> None:
    (outcome,) = apply(
        reconciler_of(client, PROJECT), {"name": "shop", "database": LOGIN, "allowed_cidrs": [{"cidr": "192.0.2.0/24"}]}
    )
    assert (outcome.action, client.methods, tags(client)) == ("created", ["POST", "GET", "PATCH"], ['"1"'])


@pytest.mark.parametrize(
    "shown, exact, sent",
    [
        ("", False, [None]),
        ('"{}"', True, ['"1"']),
        ('W/"{}"', False, ['"1"']),
        ('W/"{}"', True, ['"1"', 'W/"1"']),
    ],
    ids=["no tags", "strong", "weakened on the way", "weak"],
)
def test_tags_are_sent_in_the_form_that_the_server_compares(
    client: FakeClient, shown: str, exact: bool, sent: list[str | None]
) -> None:
    client.tag_format, client.exact_tags = shown, exact
    add_all(client, DATABASE, STORED)
    (outcome,) = apply(reconciler_of(client), {**LOGIN, **TTL})
    assert (outcome.action, tags(client)) == ("updated", sent)
    assert client.methods == ["GET", "PATCH"] * len(sent)


def count_up(client: FakeClient) -> Callable[[], None]:
    """Another writer, who counts up a member that the task omits."""

    def write() -> None:
        config = client.truth("db_1")["cache_config"]
        client.change("db_1", cache_config={**config, "swr_seconds": config["swr_seconds"] + 1})

    return write


@pytest.mark.parametrize("times", [1, MAX_CONFLICTS, MAX_CONFLICTS + 1])
def test_a_conflict_is_read_and_planned_again_up_to_the_limit(client: FakeClient, times: int) -> None:
    add_all(client, DATABASE, STORED)
    client.script("PATCH", times=times, meanwhile=count_up(client))
    reconciler = reconciler_of(client)
    (outcome,) = apply(reconciler, {**LOGIN, **TTL})
    attempts = min(times, MAX_CONFLICTS) + 1
    assert client.methods == ["GET", "PATCH"] * attempts
    assert tags(client) == [f'"{n}"' for n in range(1, attempts + 1)]
    succeeds = times <= MAX_CONFLICTS
    assert reconciler.run.changed == succeeds
    config = client.truth("db_1")["cache_config"]
    assert config == {**CACHE, "ttl_seconds": 300 if succeeds else 60, "swr_seconds": 5 + times}
    if succeeds:
        assert (outcome.action, outcome.error, outcome.values["cache_config"]) == ("updated", None, config)
    else:
        error = error_of(outcome)
        assert (outcome.action, error.status, error.outcome_unknown) == ("failed", 412, False)


def test_a_412_to_an_update_without_a_condition_is_final(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED)
    client.script("PATCH", failure=refused(412))
    (outcome,) = apply(reconciler_of(client), {**LOGIN, "ssl_mode": "require"})
    assert (outcome.action, error_of(outcome).status, client.methods) == ("failed", 412, ["PATCH"])


def test_the_condition_is_kept_even_if_the_server_never_accepts_it(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED)
    client.script("PATCH", times=MAX_CONFLICTS + 1, failure=refused(412))
    (outcome,) = apply(reconciler_of(client), {**LOGIN, **TTL})
    assert (outcome.action, error_of(outcome).status, tags(client)) == ("failed", 412, ['"1"'] * (MAX_CONFLICTS + 1))


def test_the_diff_is_that_of_the_write_that_was_made(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED)
    client.script("PATCH", meanwhile=lambda: client.change("db_1", cache_config={**CACHE, "ttl_seconds": 77}))
    (outcome,) = apply(reconciler_of(client), {**LOGIN, **TTL})
    assert outcome.diff()["before"] == {"cache_config": {"ttl_seconds": 77}}


def test_a_change_that_somebody_else_has_made_is_not_reported_as_ours(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED)
    client.script("PATCH", meanwhile=lambda: client.change("db_1", **WHOLE))
    reconciler = reconciler_of(client)
    (outcome,) = apply(reconciler, {**LOGIN, **TTL})
    assert (outcome.action, outcome.changes, outcome.error) == ("unchanged", [], None)
    assert outcome.values["cache_config"] == WHOLE["cache_config"]
    assert (client.methods, reconciler.run.changed) == (["GET", "PATCH", "GET"], False)


@pytest.mark.parametrize("entry, goes_on", [({**LOGIN, **TTL}, False), ({"id": "db_1", **TTL}, True)])
def test_an_object_that_was_renamed_meanwhile_is_written_only_if_the_task_gives_its_id(
    client: FakeClient, entry: Values, goes_on: bool
) -> None:
    add_all(client, DATABASE, STORED)
    client.script("PATCH", meanwhile=lambda: client.change("db_1", name="archive"))
    (outcome,) = apply(reconciler_of(client), entry)
    assert (outcome.action, outcome.error is None) == (("updated", True) if goes_on else ("failed", False))
    assert client.methods == ["GET", "PATCH", "GET", *(["PATCH"] if goes_on else [])]
    assert client.truth("db_1")["cache_config"]["ttl_seconds"] == (300 if goes_on else 60)
    if not goes_on:
        assert "database archive on db1.example.com:5432" in error_of(outcome).reason


def test_an_object_that_was_deleted_meanwhile_fails(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED)
    client.script("GET", "db_1", meanwhile=lambda: client.remove("db_1"))
    (outcome,) = apply(reconciler_of(client), {**LOGIN, **TTL})
    error = error_of(outcome)
    assert (outcome.action, error.not_found, client.methods) == ("failed", True, ["GET"])
    assert not error.outcome_unknown


@pytest.mark.parametrize("fields", [{}, {"name": "shop (deleted)"}], ids=["as it was", "renamed"])
def test_an_object_that_is_shown_as_deleted_meanwhile_is_not_written(client: FakeClient, fields: Values) -> None:
    add_all(client, PROJECT, SHOP)
    client.script("GET", "prj_1", meanwhile=lambda: client.change("prj_1", status="deleted", **fields))
    (outcome,) = apply(reconciler_of(client, PROJECT), {"name": "shop", "tags": ["b"]})
    assert (outcome.action, client.methods) == ("failed", ["GET"])
    assert error_of(outcome).reason == "another client has deleted it"
    assert error_of(outcome).advice == "it was not updated: run the task again"


# Lost answers


@dataclass
class Loss:
    """A plan of which one write's answer is lost, and its actions if the write was and was not applied."""

    case: str
    method: str
    applied: str
    not_applied: str
    skip: int = 0


LOSSES = {
    "a create": Loss("created", "POST", "created", "failed"),
    "an update": Loss("updated", "PATCH", "updated", "failed"),
    "a conditional update": Loss("updated in a part of an object", "PATCH", "updated", "failed"),
    "a deletion": Loss("deleted", "DELETE", "deleted", "failed"),
    "the create of a replacement": Loss("replaced", "POST", "replaced", "failed"),
    "the removal of the one that is replaced": Loss("replaced", "DELETE", "replaced", "replaced"),
    "the removal of the first duplicate": Loss("duplicates removed", "DELETE", "replaced", "failed"),
    "the removal of the second duplicate": Loss("duplicates removed", "DELETE", "replaced", "replaced", 1),
    "a create that another write follows": Loss(
        "created, and an object that the task gives in part", "POST", "created", "failed"
    ),
    "the write of a part after a create": Loss(
        "created, and an object that the task gives in part", "PATCH", "created", "created"
    ),
    "the write of a list after a create": Loss(
        "created, and a list that must be read before it is replaced", "PATCH", "created", "created"
    ),
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def lose(client: FakeClient, loss: Loss, applied: bool, found: bool = True) -> tuple[Case, Reconciler, Outcome]:
    """Apply a plan of which one answer is lost; ``found``: the list can be read afterwards."""
    case = CASES[loss.case]
    add_all(client, case.resource, *case.there)
    client.script(loss.method, skip=loss.skip, failure=lost(), applied=applied)
    if not found:
        client.script("GET", case.resource.plural, skip=1, failure=refused(503, None))
    reconciler = reconciler_of(client, case.resource, **case.run)
    (outcome,) = apply(reconciler, case.entry)
    return case, reconciler, outcome


@each_loss
def test_a_lost_answer_to_a_write_that_was_applied_is_no_failure(client: FakeClient, loss: Loss) -> None:
    case, reconciler, outcome = lose(client, loss, applied=True)
    assert (outcome.action, outcome.error) == (loss.applied, None)
    assert sorted(outcome.changes) == sorted(case.changes)
    assert reconciler.run.changed
    assert outcome.values == (case.resource.with_all_fields(client.truth(case.id)) if case.id else {})
    assert writes(client.made) == writes(case.calls), "each write is made once"
    assert client.made.count(f"GET {case.resource.plural}") == 1
    if "id" in outcome.changes:
        assert outcome.diff()["after"] == {"id": [case.id]}


@pytest.mark.parametrize("applied, found", [(False, True), (False, False), (True, False)])
@each_loss
def test_a_lost_answer_is_a_failure_if_the_list_does_not_show_the_change(
    client: FakeClient, loss: Loss, applied: bool, found: bool
) -> None:
    case, reconciler, outcome = lose(client, loss, applied, found)
    error = error_of(outcome)
    assert (outcome.action, error.outcome_unknown, error.call.method) == (loss.not_applied, True, loss.method)
    assert "the change may have been" in error.advice
    assert outcome.changed == reconciler.run.changed == (loss.not_applied != "failed")
    assert client.made[-1] == f"GET {case.resource.plural}", "nothing is written after it"
    assert writes(client.made) == writes(case.calls)[: len(writes(client.made))]
    assert client.methods.count(loss.method) == loss.skip + 1


def test_a_password_that_may_have_been_set_cannot_be_confirmed(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED)
    client.script("PATCH", failure=lost(), applied=True)
    reconciler = reconciler_of(client, resent=frozenset(["password"]))
    (outcome,) = apply(reconciler, {**LOGIN, "ssl_mode": "require"})
    assert (outcome.action, error_of(outcome).outcome_unknown) == ("failed", True)


@pytest.mark.parametrize("method, answer", [("POST", {"id": None}), ("PATCH", {"id": "db_9"}), ("PATCH", {"port": ""})])
def test_an_answer_that_is_not_about_the_object_is_checked_against_the_list(
    client: FakeClient, method: str, answer: Values
) -> None:
    there = [STORED] if method == "PATCH" else []
    add_all(client, DATABASE, *there)
    client.script(method, answer=answer)
    (outcome,) = apply(reconciler_of(client), {**LOGIN, "ssl_mode": "require"})
    assert (outcome.action, outcome.error) == ("updated" if there else "created", None)
    assert client.methods == [method, "GET"]
    assert outcome.values["id"] == ("db_1" if there else "new_1")


def test_a_name_is_reported_with_those_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a server returns an object without a name."""
    existing = [{"id": "pol_1", "name": "writers"}, {"id": "pol_2", "name": None}, {"id": "pol_3", "name": "readers"}]
    monkeypatch.setattr(Reconciler, "read_all", lambda self, **options: existing)
    reconciler = Reconciler(Run(FakeClient()), AGENT, "prj_1")
    problems = references.resolve(reconciler, [("", {"policy_profile_id": UnresolvedName("auditors")}, "present")])
    assert problems == [
        "policy: none of the policies of project prj_1 is named 'auditors'; use an existing one: readers, writers"
    ]


def test_one_list_resolves_all_lost_answers_of_a_run(client: FakeClient) -> None:
    client.script("POST", times=2, failure=lost(), applied=True)
    client.script("POST", failure=lost())
    outcomes = apply(reconciler_of(client), *({**LOGIN, "name": f"db{n}"} for n in range(4)))
    assert [outcome.action for outcome in outcomes] == ["created", "created", "failed", "created"]
    assert client.methods == ["POST"] * 4 + ["GET"]


def test_a_lost_update_of_an_object_without_a_parent_is_looked_up_by_its_id(client: FakeClient) -> None:
    add_all(client, PROJECT, SHOP)
    client.script("PATCH", failure=lost(), applied=True)
    reconciler = Reconciler(Run(client), PROJECT, "")
    (outcome,) = apply(reconciler, {"id": "prj_1", "description": "web"}, by_id=True)
    assert (outcome.action, outcome.error, client.made) == ("updated", None, ["PATCH prj_1", "GET prj_1"])


@pytest.mark.parametrize("ssl_mode, done", [("require", True), ("allow", False)])
def test_a_lost_replacement_is_distinguished_from_another_object_of_its_identity(
    client: FakeClient, ssl_mode: str, done: bool
) -> None:
    """A replica that was there before, or another one that somebody adds, is not the one that was sent."""
    add_all(client, REPLICA, replica("rep_1"))
    client.script("POST", meanwhile=lambda: client.add(REPLICA, "db_1", **replica("rep_2", ssl_mode=ssl_mode)))
    client.script("POST", failure=lost())
    reconciler = reconciler_of(client, REPLICA, replace=True)
    outcomes = apply(reconciler, {"host": "r9"}, {"host": "r1", "ssl_mode": "require"})
    assert (outcomes[1].action, outcomes[1].error is None) == (("replaced", True) if done else ("failed", False))
    assert ("rep_1" in client.ids) != done


def test_a_412_after_a_lost_answer_of_our_own_write_is_success(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED)
    client.script("PATCH", failure=lost(412), applied=True)
    reconciler = reconciler_of(client)
    (outcome,) = apply(reconciler, {**LOGIN, **TTL})
    assert (outcome.action, outcome.changes, outcome.error) == ("updated", ["cache_config.ttl_seconds"], None)
    assert (client.methods, reconciler.run.changed) == (["GET", "PATCH", "GET"], True)
    assert outcome.diff()["before"] == {"cache_config": {"ttl_seconds": 60}}


def test_a_lost_write_is_looked_for_even_if_the_object_cannot_be_read_again(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED)
    client.script("PATCH", failure=lost(412), applied=True)
    client.script("GET", "/db_1", skip=1, failure=refused(503, None))
    (outcome,) = apply(reconciler_of(client), {**LOGIN, **TTL})
    assert (outcome.action, outcome.error) == ("updated", None)
    assert client.made == ["GET db_1", "PATCH db_1", "GET db_1", "GET databases"]


def test_a_refusal_of_the_write_after_a_lost_create_is_certain(client: FakeClient) -> None:
    client.script("POST", failure=lost(), applied=True)
    client.script("PATCH", failure=refused(409))
    (outcome,) = apply(reconciler_of(client), {**LOGIN, **TTL})
    error = error_of(outcome)
    assert (outcome.action, error.status, error.outcome_unknown) == ("created", 409, False)
    assert "the change may have been" not in error.advice


def test_all_that_was_written_is_reported_if_a_part_was_undone_after_a_lost_answer(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED)
    client.script("PATCH", failure=lost(412), applied=True)
    client.script("GET", "db_1", skip=1, meanwhile=lambda: client.change("db_1", pool_config=POOL))
    (outcome,) = apply(reconciler_of(client), {**LOGIN, **TTL, "pool_config": {"pool_size": 20}})
    assert client.bodies("PATCH")[1] == {"pool_config": {**POOL, "pool_size": 20}}
    assert (outcome.action, outcome.changes) == ("updated", ["cache_config.ttl_seconds", "pool_config.pool_size"])
    assert outcome.diff()["after"] == {**TTL, "pool_config": {"pool_size": 20}}


def test_the_write_that_is_looked_for_is_the_last_one(client: FakeClient) -> None:
    """The first was refused, and another client made the same change since; the second was lost and not applied."""
    add_all(client, DATABASE, {**STORED, "role": "replica"})
    client.script("PATCH", meanwhile=lambda: client.change("db_1", role="primary", **WHOLE))
    client.script("PATCH", failure=lost())
    (outcome,) = apply(reconciler_of(client), {**LOGIN, **TTL, "role": "replica"})
    assert (outcome.action, outcome.changed, error_of(outcome).outcome_unknown) == ("failed", False, True)


# Entries that depend on others, and the end of a run


MOVES: dict[str, tuple[Values, bool]] = {
    "refused": ({"failure": refused(409)}, False),
    "lost and not applied": ({"failure": lost()}, False),
    "lost and applied": ({"failure": lost(), "applied": True}, True),
}


@pytest.mark.parametrize("step, moves", MOVES.values(), ids=MOVES.keys())
def test_an_entry_moves_only_if_the_object_in_its_place_was_deleted(
    client: FakeClient, step: Values, moves: bool
) -> None:
    add_all(client, DATABASE, STORED, {**STORED, "id": "db_2", "host": "db2"})
    client.script("DELETE", **step)
    reconciler = reconciler_of(client)
    renamed, deleted, new = apply(
        reconciler, {"id": "db_1", "host": "db2"}, {"id": "db_2", "state": "absent"}, {**LOGIN, "name": "new"}
    )
    assert new.action == "created"
    if moves:
        assert (renamed.action, deleted.action) == ("updated", "deleted")
        return
    assert (renamed.action, deleted.action) == ("failed", "failed")
    error = error_of(renamed)
    assert (error.sent, error.call.method, error.call.path.rpartition("/")[2]) == (False, "PATCH", "db_1")
    assert "(db_2)" in error.reason
    assert "PATCH" not in client.methods
    assert reconciler.errors([renamed, deleted, new]) == [deleted.error, renamed.error], "what was not sent comes last"


def test_a_replacement_does_not_move_to_the_place_of_a_replica_that_remains(client: FakeClient) -> None:
    add_all(client, REPLICA, replica("rep_1"), replica("rep_2", host="r2"))
    client.script("DELETE", "rep_2", failure=refused(409))
    renamed, deleted = apply(
        reconciler_of(client, REPLICA, replace=True), {"id": "rep_1", "host": "r2"}, {"id": "rep_2", "state": "absent"}
    )
    assert (renamed.action, deleted.action, client.methods) == ("failed", "failed", ["DELETE"])
    assert error_of(renamed).call.method == "POST"


@pytest.mark.parametrize("failure", [refused(401), refused(402), refused(403), lost(503, budget_spent=True)])
def test_a_fatal_error_skips_what_was_not_attempted(client: FakeClient, failure: Any) -> None:
    client.script("POST", skip=1, failure=failure)
    reconciler = reconciler_of(client)
    outcomes = apply(reconciler, *({**LOGIN, "name": f"db{n}"} for n in range(4)))
    assert [outcome.action for outcome in outcomes] == ["created", "failed", "skipped", "skipped"]
    assert client.methods.count("POST") == 2
    assert reconciler.errors(outcomes) == [outcomes[1].error]
    assert [outcome.error for outcome in outcomes[2:]] == [None, None]


def test_a_fatal_error_of_a_deletion_skips_the_other_entries(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED, {**STORED, "id": "db_2", "host": "db2"})
    client.script("DELETE", failure=refused(403))
    entries = [{"id": "db_2", "state": "absent"}, {"id": "db_1", "ssl_mode": "require"}, {**LOGIN, "name": "new"}]
    outcomes = apply(reconciler_of(client, act=True), *entries)
    assert [outcome.action for outcome in outcomes] == ["failed", "skipped", "skipped"]
    assert [outcome.error is None for outcome in outcomes] == [False, True, True]
    assert client.methods == ["DELETE"]


def test_an_object_is_reported_as_created_if_the_run_ends_before_its_second_write(client: FakeClient) -> None:
    """The create's answer was lost and its budget is spent, but the list shows the object."""
    client.script("POST", failure=lost(budget_spent=True), applied=True)
    reconciler = reconciler_of(client, act=True)
    outcomes = apply(reconciler, {**LOGIN, **TTL}, {**LOGIN, "name": "other"})
    assert [outcome.action for outcome in outcomes] == ["created", "skipped"]
    assert (error_of(outcomes[0]).sent, outcomes[0].values["id"]) == (False, "new_1")
    assert sorted(outcomes[0].changes) == sorted(CREATED)
    assert client.made == ["POST databases", "GET databases", "GET new_1"]


def test_a_fatal_error_after_lost_answers_leaves_what_they_would_have_replaced(client: FakeClient) -> None:
    """The list shows all three replacements; the removal of the first old one is refused, and no other is tried."""
    add_all(client, REPLICA, *(replica(f"rep_{n}", f"r{n}") for n in range(3)))
    client.script("POST", times=3, failure=lost(), applied=True)
    client.script("DELETE", failure=refused(403))
    reconciler = reconciler_of(client, REPLICA, replace=True)
    outcomes = apply(reconciler, *({"host": f"r{n}", "ssl_mode": "require"} for n in range(3)))
    assert client.methods == ["POST"] * 3 + ["GET", "DELETE"]
    assert [(o.action, o.changes, o.values["id"]) for o in outcomes] == [
        ("replaced", ["ssl_mode"], f"new_{n}") for n in (1, 2, 3)
    ]
    assert [error_of(outcome).attempts for outcome in outcomes] == [1, 0, 0]
    assert reconciler.errors(outcomes)[0] is outcomes[0].error


FAILED = ApiError(Call("PATCH", "/a", "a"), "400", "look at it", status=400)
NOT_SENT = ApiError(Call("PATCH", "/b", "b"), "not attempted", "look at it", attempts=0)
ENDED = ApiError(Call("POST", "/c", "c"), "403", "look at it", status=403)
# fmt: off
ERRORS: dict[str, tuple[list[tuple[str, ApiError | None]], ApiError | None, bool, list[ApiError]]] = {
    "none": ([("created", None)], None, False, []),
    "what was not sent comes last": (
        [("failed", NOT_SENT), ("failed", FAILED), ("created", NOT_SENT)], None, False, [FAILED, NOT_SENT, NOT_SENT],
    ),
    "the end of the run, if an entry was skipped": ([("skipped", None)], ENDED, False, [ENDED]),
    "the end of the run, if prune was skipped": ([("created", None)], ENDED, True, [ENDED]),
    "not the end of the run, if all was done": ([("created", None)], ENDED, False, []),
    "not the end of the run, if an entry failed": ([("failed", FAILED), ("skipped", None)], ENDED, True, [FAILED]),
    "prune was skipped, and nothing ended the run": ([("unchanged", None)], None, True, []),
}
# fmt: on


@pytest.mark.parametrize("outcomes, fatal, prune_skipped, errors", ERRORS.values(), ids=ERRORS.keys())
def test_the_errors_of_a_run(
    client: FakeClient,
    outcomes: list[tuple[str, ApiError | None]],
    fatal: ApiError | None,
    prune_skipped: bool,
    errors: list[ApiError],
) -> None:
    reconciler = reconciler_of(client)
    plan = reconciler.plan(reconciler.load_index(None), LOGIN, "present")
    client.fatal_error = fatal
    assert reconciler.errors([Outcome(plan, action, error=e) for action, e in outcomes], prune_skipped) == errors


# Parallel writes


def test_as_many_entries_are_written_at_one_time_as_the_run_allows(client: FakeClient) -> None:
    together = threading.Barrier(3, timeout=5)
    client.script("POST", times=6, meanwhile=together.wait)
    outcomes = apply(reconciler_of(client, parallel=3), *({**LOGIN, "name": f"db{n}"} for n in range(6)))
    assert [(o.action, o.values["name"]) for o in outcomes] == [("created", f"db{n}") for n in range(6)]
    assert (len(client.ids), client.peak) == (6, 3)


def test_one_entry_is_written_at_a_time_unless_the_run_allows_more(client: FakeClient) -> None:
    outcomes = apply(reconciler_of(client), *({**LOGIN, "name": f"db{n}"} for n in range(6)))
    assert [outcome.values["id"] for outcome in outcomes] == [f"new_{n}" for n in range(1, 7)]
    assert client.peak == 1


@pytest.mark.parametrize("parallel", [1, 4])
def test_an_unexpected_exception_of_one_entry_does_not_lose_the_others(client: FakeClient, parallel: int) -> None:
    def fail() -> None:
        raise KeyError(PASSWORD)

    client.script("POST", skip=1, meanwhile=fail)
    outcomes = apply(reconciler_of(client, parallel=parallel), *({**LOGIN, "name": f"db{n}"} for n in range(4)))
    assert sorted(outcome.action for outcome in outcomes) == ["created"] * 3 + ["failed"]
    (error,) = [outcome.error for outcome in outcomes if outcome.error]
    assert ("unexpected KeyError at " in str(error), error.outcome_unknown) == (True, True)
    assert PASSWORD not in str(error)
    assert len(client.ids) == 3


@pytest.mark.parametrize("seconds, shown", [(0, 3), (3600, 0)])
def test_progress_is_shown_from_time_to_time(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, seconds: int, shown: int
) -> None:
    monkeypatch.setattr(reconciler_file, "PROGRESS_SECONDS", seconds)
    lines: list[str] = []
    apply(reconciler_of(client, show_progress=lines.append), *({**LOGIN, "name": f"db{n}"} for n in range(3)))
    assert lines == [f"{n} of 3 databases of project prj_1" for n in range(1, shown + 1)]


# Connection tests


def test_the_connection_of_each_object_that_exists_is_tested(client: FakeClient) -> None:
    names = ("same", "drift", "gone", "refused")
    add_all(client, DATABASE, *({**STORED, "id": f"db_{name}", "name": name} for name in names))
    client.script("PATCH", "db_refused", failure=refused(400))
    entries = [
        {**LOGIN, "name": "same"},
        {**LOGIN, "name": "drift", "ssl_mode": "require"},
        {**LOGIN, "name": "gone", "state": "absent"},
        {**LOGIN, "name": "missing", "state": "absent"},
        {**LOGIN, "name": "refused", "ssl_mode": "require"},
        {**LOGIN, "name": "new"},
    ]
    outcomes = apply(reconciler_of(client, act=True), *entries)
    tested = [sent.path.split("/")[-2] for sent in client.calls if sent.path.endswith("/test-connection")]
    assert tested == ["db_same", "db_drift", "new_1"]
    assert [outcome.action_answer for outcome in outcomes] == [
        {"ok": True},
        {"ok": True},
        None,
        None,
        None,
        {"ok": True},
    ]


@pytest.mark.parametrize("resource, act", [(DATABASE, False), (REPLICA, True)])
def test_no_connection_is_tested_unless_the_task_asks_for_it_and_the_resource_has_a_test(
    client: FakeClient, resource: Resource, act: bool
) -> None:
    entry = LOGIN if resource is DATABASE else {"host": "r1"}
    (outcome,) = apply(reconciler_of(client, resource, act=act), entry)
    assert (outcome.action, outcome.action_answer, client.methods) == ("created", None, ["POST"])


def test_a_connection_that_cannot_be_made_is_an_error_of_an_object_that_was_created(client: FakeClient) -> None:
    client.connection_test = {"ok": False, "error": f"{PASSWORD} was rejected\nby app"}
    reconciler = reconciler_of(client, act=True, redact=lambda text: text.replace(PASSWORD, "***"))
    (outcome,) = apply(reconciler, {**LOGIN, **TTL})
    error = error_of(outcome)
    assert (outcome.action, outcome.changed) == ("created", True)
    assert sorted(outcome.changes) == sorted([*CREATED, "cache_config.ttl_seconds"])
    assert outcome.diff()["after"]["cache_config"] == TTL["cache_config"]
    assert (error.code, error.message, error.outcome_unknown) == (
        "CONNECTION_TEST_FAILED",
        "*** was rejected by app",
        False,
    )
    assert "*** was rejected by app" in error.reason


@pytest.mark.parametrize("answer", [{}, {"ok": None}, {"ok": "true"}])
def test_a_connection_test_passes_only_if_the_answer_is_true(client: FakeClient, answer: Values) -> None:
    client.connection_test = answer
    (outcome,) = apply(reconciler_of(client, act=True), LOGIN)
    assert error_of(outcome).code == "CONNECTION_TEST_FAILED"


def test_a_connection_test_whose_answer_is_lost_has_changed_nothing(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED)
    client.script("POST", "/test-connection", failure=lost())
    reconciler = reconciler_of(client, act=True)
    (outcome,) = apply(reconciler, LOGIN)
    assert (outcome.action, error_of(outcome).outcome_unknown, reconciler.run.changed) == ("unchanged", False, False)
    assert client.methods == ["POST"]


# Reading


def test_all_objects_are_read_with_every_field_and_without_secrets(client: FakeClient) -> None:
    add_all(client, DATABASE, STORED, {**STORED, "id": "db_2", "name": "other"})
    client.add(DATABASE, "prj_2", **{**STORED, "id": "db_3"})
    items = reconciler_of(client).read_all()
    assert [item["id"] for item in items] == ["db_1", "db_2"]
    assert items[0] == DATABASE.with_all_fields(client.truth("db_1"))
    assert "password" not in items[0]


def test_an_object_that_two_pages_list_is_read_once(client: FakeClient) -> None:
    twice = [{**SHOP, "org_id": "org_1", "description": text} for text in ("old", "new")]
    client.script("GET", answer={"projects": twice})
    (item,) = reconciler_of(client, PROJECT).read_all()
    assert item["description"] == "new"


def test_a_parent_outside_the_path_goes_into_the_query(client: FakeClient) -> None:
    add_all(client, PROJECT, SHOP, {**SHOP, "id": "prj_2", "status": "deleted"})
    client.add(PROJECT, "org_2", **{**SHOP, "id": "prj_3"})
    assert [item["id"] for item in reconciler_of(client, PROJECT).read_all()] == ["prj_1"]
    assert client.calls[0].query == {"org_id": "org_1"}


def test_nothing_is_read_of_a_parent_that_does_not_exist_yet(client: FakeClient) -> None:
    for reconciler in (Reconciler(Run(client), DATABASE, ""), Reconciler(Run(client), REPLICA, "")):
        assert (reconciler.read_all(), reconciler.read_one("db_1"), client.calls) == ([], [], [])


def test_the_resources_of_a_whole_account_are_listed_without_a_query(client: FakeClient) -> None:
    for identifier in ("reg_1", "reg_2"):
        client.add(REGION, "", id=identifier)
    reconciler = Reconciler(Run(client), REGION, "")
    assert [item["id"] for item in reconciler.read_all()] == ["reg_1", "reg_2"]
    assert [item["id"] for item in reconciler.read_one("reg_2")] == ["reg_2"]
    assert [(sent.path, sent.query) for sent in client.calls] == [("/v1/regions", None)] * 2


READS: dict[str, tuple[Resource, str, list[str], list[str]]] = {
    "one that exists": (DATABASE, "db_1", ["db_1"], ["GET db_1"]),
    "one that is missing, of a parent in the path": (DATABASE, "db_9", [], ["GET db_9", "GET databases"]),
    "one of a resource that has only a list": (REPLICA, "rep_1", ["rep_1"], ["GET replicas"]),
    "one that only a list could show": (REPLICA, "rep_9", [], ["GET replicas"]),
    "one that is missing, of no parent": (PROJECT, "prj_9", [], ["GET prj_9"]),
    "one that is shown as deleted": (PROJECT, "prj_2", [], ["GET prj_2"]),
}


@pytest.mark.parametrize("resource, identifier, found, made", READS.values(), ids=READS.keys())
def test_one_object_is_read_by_its_id(
    client: FakeClient, resource: Resource, identifier: str, found: list[str], made: list[str]
) -> None:
    add_all(client, DATABASE, STORED)
    add_all(client, REPLICA, replica("rep_1"))
    add_all(client, PROJECT, SHOP, {**SHOP, "id": "prj_2", "status": "deleted"})
    items = reconciler_of(client, resource).read_one(identifier)
    assert [item["id"] for item in items] == found
    assert client.made == made
    assert all(item == resource.with_all_fields(client.truth(item["id"])) for item in items)


@pytest.mark.parametrize("code, ends", [("NOT_FOUND", "/databases"), (None, "/db_1")])
def test_a_404_of_the_parent_or_of_a_gateway_is_no_proof_that_the_object_is_missing(
    client: FakeClient, code: str | None, ends: str
) -> None:
    client.script("GET", ends, failure=refused(404, code))
    with pytest.raises(ApiError) as caught:
        reconciler_of(client).read_one("db_1")
    assert (caught.value.status, caught.value.code) == (404, code)
    assert client.calls[-1].path.endswith(ends)


@pytest.mark.parametrize("answer", [{"id": "db_2"}, {"id": None}])
def test_an_answer_about_another_object_is_refused(client: FakeClient, answer: Values) -> None:
    add_all(client, DATABASE, STORED)
    client.script("GET", "/db_1", answer=answer)
    with pytest.raises(ApiError):
        reconciler_of(client).read_one("db_1")


@pytest.mark.parametrize("resource, made", [(DATABASE, ["GET db_1"]), (REPLICA, ["GET replicas"])])
def test_an_index_by_id_holds_one_object_if_the_resource_can_be_read_by_id(
    client: FakeClient, resource: Resource, made: list[str]
) -> None:
    add_all(client, DATABASE, STORED, {**STORED, "id": "db_2", "name": "other"})
    add_all(client, REPLICA, replica("rep_1"), replica("rep_2", "r2"))
    index = reconciler_of(client, resource).load_index("db_1" if resource is DATABASE else "rep_1")
    assert (index.size, client.made) == (1 if resource is DATABASE else 2, made)


# The lock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(lock, "time", fake)
    return fake


@pytest.mark.parametrize(
    "resource, what", [(DATABASE, "databases of project prj_1"), (PROJECT, "projects"), (REPLICA, "replicas of")]
)
def test_a_second_run_gives_up_after_its_budget(
    client: FakeClient, clock: Clock, tmp_path: Path, resource: Resource, what: str
) -> None:
    first, second = (reconciler_of(client, resource, lock_folder=str(tmp_path)) for dummy in range(2))
    first.take_lock()
    assert clock.waits == []
    with pytest.raises(TaskError) as caught:
        second.take_lock()
    assert clock.now == pytest.approx(client.settings.retry_budget, abs=2 * lock.POLL)
    assert what in str(caught.value)
    assert f"retry_budget ({client.settings.retry_budget} s)" in str(caught.value)


def test_a_second_run_waits_until_the_first_one_ends(client: FakeClient, clock: Clock, tmp_path: Path) -> None:
    first, second = (reconciler_of(client, lock_folder=str(tmp_path)) for dummy in range(2))
    first.take_lock()
    clock.meanwhile = first.run.until_end.close
    second.take_lock()
    assert clock.waits == [lock.POLL]


def test_runs_on_the_objects_of_other_parents_do_not_wait(client: FakeClient, clock: Clock, tmp_path: Path) -> None:
    runs = [reconciler_of(client, parent=parent, lock_folder=str(tmp_path)) for parent in ("prj_1", "prj_2")]
    for run in runs:
        run.take_lock()
    assert clock.waits == []


def test_a_run_in_check_mode_neither_waits_nor_holds_the_lock(client: FakeClient, clock: Clock, tmp_path: Path) -> None:
    order = (True, False, True)
    runs = [reconciler_of(client, lock_folder=str(tmp_path), check_mode=check_mode) for check_mode in order]
    for run in runs:
        run.take_lock()
    assert clock.waits == []
