# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project and the database that is created with it, over a client in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile import lock
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.nested import (
    apply_nested,
    check_deletion,
    plan_nested,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import Outcome, Reconciler, Run
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT

from tests.unit.fake_client import CACHE, FakeClient, lost, refused
from tests.unit.scripted import Clock

pytestmark = pytest.mark.once

PASSWORD = "Pw-7fQ2-only-in-tests"
LOGIN: Values = {"host": "db1.example.com", "name": "orders", "username": "app", "password": PASSWORD}
STORED: Values = {**LOGIN, "id": "db_1", "port": 5432, "ssl_mode": "prefer", "cache_config": CACHE}
SHOP: Values = {"id": "prj_1", "name": "shop", "status": "active"}
TTL: Values = {"cache_config": {"ttl_seconds": 300}}


@pytest.fixture
def client() -> Iterator[FakeClient]:
    with FakeClient.scripted() as fake:
        yield fake


def projects(client: FakeClient, **run: Any) -> Reconciler:
    return Reconciler(Run(client, **run), PROJECT, "org_1")


def apply(reconciler: Reconciler, **fields: Any) -> tuple[Outcome, list[Outcome]]:
    """Return the outcomes of the project ``shop`` and its database. The calls before the first write are dropped."""
    wanted: Values = {"org_id": "org_1", "name": "shop", "database": LOGIN, **fields}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    plan = reconciler.plan(reconciler.load_index(None), wanted, "present")
    inner = plan_nested(reconciler, plan) if plan.id else None
    assert isinstance(reconciler.client, FakeClient)
    reconciler.client.calls.clear()
    (outcome,) = reconciler.apply([plan])
    return outcome, apply_nested(reconciler, outcome, inner)


def add_shop(client: FakeClient, *databases: Values) -> None:
    client.add(PROJECT, "org_1", **SHOP)
    for values in databases:
        client.add(DATABASE, "prj_1", **values)


# In a project that exists


def test_a_database_that_the_task_does_not_declare_is_not_planned(client: FakeClient) -> None:
    add_shop(client, STORED)
    outcome, inner = apply(projects(client), database=None, description="web")
    assert (outcome.action, inner, client.made) == ("updated", [], ["PATCH prj_1"])


@pytest.mark.parametrize(
    "there, fields, action, made",
    [
        ([], {}, "created", ["POST databases"]),
        ([STORED], {}, "unchanged", []),
        ([STORED], {"ssl_mode": "require"}, "updated", ["PATCH db_1"]),
    ],
    ids=["missing", "as declared", "drift"],
)
def test_the_database_of_a_project_that_exists_is_reconciled(
    client: FakeClient, there: list[Values], fields: Values, action: str, made: list[str]
) -> None:
    add_shop(client, *there)
    outcome, (inner,) = apply(projects(client), database={**LOGIN, **fields})
    assert (outcome.action, inner.action, inner.error, client.made) == ("unchanged", action, None, made)
    assert inner.values["project_id"] == "prj_1"
    assert inner.values == DATABASE.with_all_fields(client.truth(inner.values["id"]))


def test_check_mode_foresees_the_database_of_a_project_that_exists(client: FakeClient) -> None:
    add_shop(client, STORED)
    dummy, (inner,) = apply(projects(client, check_mode=True), database={**LOGIN, "ssl_mode": "require"})
    assert (inner.action, inner.values["ssl_mode"], client.made) == ("updated", "require", [])


def test_the_database_is_left_alone_if_its_project_fails(client: FakeClient) -> None:
    add_shop(client, STORED)
    client.script("PATCH", failure=refused(409))
    outcome, inner = apply(projects(client), database={**LOGIN, "ssl_mode": "require"}, description="web")
    assert (outcome.action, inner, client.made) == ("failed", [], ["PATCH prj_1"])


def test_a_database_that_means_two_objects_is_refused_before_any_write(client: FakeClient) -> None:
    add_shop(client, STORED, {**STORED, "id": "db_2"})
    with pytest.raises(TaskError, match="db_1, db_2"):
        apply(projects(client))
    assert set(client.methods) == {"GET"}


# With a project that is created


def test_the_database_in_the_answer_to_the_create_is_reported_without_another_call(client: FakeClient) -> None:
    outcome, (inner,) = apply(projects(client))
    assert (outcome.action, inner.action, inner.error) == ("created", "created", None)
    assert client.made == ["POST projects"]
    assert inner.values == DATABASE.with_all_fields(client.truth(inner.values["id"]))
    assert inner.values["project_id"] == outcome.values["id"]
    assert sorted(inner.changes) == sorted([*LOGIN, "port"])
    assert PASSWORD not in str([inner.values, inner.diff()])


def test_check_mode_foresees_the_database_of_a_project_that_would_be_created(client: FakeClient) -> None:
    outcome, (inner,) = apply(projects(client, check_mode=True))
    assert (outcome.action, inner.action, inner.values["name"]) == ("created", "created", "orders")
    assert (inner.values["id"], client.made) == (None, [])


def test_the_database_is_completed_after_the_create(client: FakeClient) -> None:
    outcome, (inner,) = apply(projects(client), database={**LOGIN, **TTL})
    assert [call.split()[0] for call in client.made] == ["POST", "GET", "PATCH"]
    assert client.calls[-1].path.startswith(f"/v1/projects/{outcome.values['id']}/databases/")
    assert client.bodies("PATCH") == [{"cache_config": {**CACHE, "ttl_seconds": 300}}]
    assert (inner.action, inner.error, inner.values["cache_config"]["ttl_seconds"]) == ("created", None, 300)
    assert "cache_config.ttl_seconds" in inner.changes


def test_a_database_that_cannot_be_completed_is_reported_as_created(client: FakeClient) -> None:
    client.script("PATCH", failure=refused(409))
    outcome, (inner,) = apply(projects(client), database={**LOGIN, **TTL})
    assert (outcome.error, inner.action) == (None, "created")
    assert inner.error and inner.error.status == 409
    assert sorted(inner.changes) == sorted([*LOGIN, "port"])


def test_a_lost_completion_that_was_applied_is_no_failure(client: FakeClient) -> None:
    client.script("PATCH", failure=lost(), applied=True)
    dummy, (inner,) = apply(projects(client), database={**LOGIN, **TTL})
    assert (inner.error, inner.values["cache_config"]["ttl_seconds"]) == (None, 300)
    assert client.made[-1] == "GET databases"


def test_the_connection_is_tested_after_the_database_is_complete(client: FakeClient) -> None:
    outcome, (inner,) = apply(projects(client, act=True), database={**LOGIN, **TTL})
    assert [call.split()[0] for call in client.made] == ["POST", "GET", "PATCH", "POST"]
    assert (outcome.action_answer, inner.action_answer) == (None, {"ok": True})


def test_nothing_is_reported_of_the_database_if_the_create_is_refused(client: FakeClient) -> None:
    client.script("POST", failure=refused(400))
    outcome, inner = apply(projects(client))
    assert (outcome.action, inner, client.made) == ("failed", [], ["POST projects"])


@pytest.mark.parametrize("fields", [{}, TTL], ids=["complete", "to be completed"])
def test_the_database_is_reconciled_even_if_a_second_write_to_its_project_fails(
    client: FakeClient, fields: Values
) -> None:
    client.script("PATCH", failure=refused(409))
    outcome, (inner,) = apply(projects(client, act=True), database={**LOGIN, **fields}, status="suspended")
    assert (outcome.action, outcome.error is None) == ("created", False)
    assert (inner.action, inner.error, inner.action_answer) == ("created", None, {"ok": True})


@pytest.mark.parametrize("act", [False, True])
def test_no_further_call_is_made_for_the_database_if_the_run_has_ended(client: FakeClient, act: bool) -> None:
    client.script("PATCH", failure=refused(403))
    outcome, (inner,) = apply(projects(client, act=act), status="suspended")
    assert outcome.error and outcome.error.fatal
    assert (inner.action, inner.error, inner.action_answer) == ("created", None, None)
    assert inner.values["id"] in client.ids
    assert client.made[-1].startswith("PATCH")


def test_a_database_that_is_not_complete_when_the_run_ends_is_an_error(client: FakeClient) -> None:
    client.script("PATCH", failure=refused(403))
    dummy, (inner,) = apply(projects(client), database={**LOGIN, **TTL}, status="suspended")
    assert (inner.action, inner.values["id"] in client.ids) == ("created", True)
    assert inner.error and not inner.error.sent
    assert "cache_config.ttl_seconds" not in inner.changes
    assert client.methods.count("PATCH") == 1


def test_a_lost_create_is_followed_by_a_look_at_the_databases(client: FakeClient) -> None:
    client.script("POST", failure=lost(), applied=True)
    outcome, (inner,) = apply(projects(client))
    assert (outcome.action, outcome.error, inner.action, inner.error) == ("created", None, "created", None)
    assert client.made == ["POST projects", "GET projects", "GET databases"]
    assert inner.values == DATABASE.with_all_fields(client.truth(inner.values["id"]))


def test_a_database_is_looked_up_even_if_the_budget_was_spent_on_the_create(client: FakeClient) -> None:
    client.script("POST", failure=lost(budget_spent=True), applied=True)
    outcome, (inner,) = apply(projects(client, act=True))
    assert (outcome.action, outcome.error, inner.action) == ("created", None, "created")
    assert inner.values == DATABASE.with_all_fields(client.truth(inner.values["id"]))
    assert client.made == ["POST projects", "GET projects", "GET databases"]
    assert inner.error and not inner.error.sent, "the connection test was not attempted"


def test_a_database_that_cannot_be_looked_up_is_reported_as_it_was_sent(client: FakeClient) -> None:
    client.script("POST", failure=lost(), applied=True)
    client.script("GET", "/databases", failure=refused(503, None))
    outcome, (inner,) = apply(projects(client))
    assert (outcome.action, outcome.error, inner.action) == ("created", None, "created")
    assert inner.error and inner.error.status == 503
    assert (inner.values["name"], inner.values["id"]) == ("orders", None)
    assert inner.values["project_id"] == outcome.values["id"]


def test_a_database_that_is_missing_from_the_new_project_is_created(client: FakeClient) -> None:
    """As if somebody had removed it between the create, whose answer was lost, and the list."""
    client.script("POST", failure=lost(), applied=True)
    client.script("GET", "/databases", meanwhile=lambda: client.remove(client.ids[-1]))
    dummy, (inner,) = apply(projects(client))
    assert client.made == ["POST projects", "GET projects", "GET databases", "POST databases"]
    assert (inner.action, inner.error, inner.values["id"]) == ("created", None, client.ids[-1])


@pytest.mark.parametrize("answer", [{"database": None}, {"database": {"id": None}}])
def test_an_answer_without_a_usable_database_is_completed_from_the_list(client: FakeClient, answer: Values) -> None:
    client.script("POST", answer=answer)
    outcome, (inner,) = apply(projects(client))
    assert (outcome.error, inner.error, inner.values["name"]) == (None, None, "orders")
    assert client.made == ["POST projects", "GET databases"]


# With a project that is deleted


def check(client: FakeClient, expected: list[str] | None, **run: Any) -> None:
    reconciler = projects(client, **run)
    plan = reconciler.plan(reconciler.load_index(None), {"org_id": "org_1", "name": "shop"}, "absent")
    client.calls.clear()
    check_deletion(reconciler, plan, expected)


@pytest.mark.parametrize(
    "expected, made",
    [(None, []), (["db_1"], ["GET databases"]), (["orders"], ["GET databases"])],
    ids=["any", "by id", "by name"],
)
def test_a_deletion_may_take_the_databases_that_the_task_expects(
    client: FakeClient, expected: list[str] | None, made: list[str]
) -> None:
    add_shop(client, STORED)
    check(client, expected)
    assert client.made == made


def test_a_deletion_that_would_take_another_database_is_refused(client: FakeClient) -> None:
    add_shop(client, STORED, {**STORED, "id": "db_2", "name": "invoices"})
    client.add(DATABASE, "prj_2", **{**STORED, "id": "db_3"})
    with pytest.raises(TaskError) as caught:
        check(client, ["orders"])
    assert "(db_2)" in str(caught.value)
    assert "db_1" not in str(caught.value) and "db_3" not in str(caught.value)


@pytest.mark.parametrize("expected", [None, ["orders"]])
def test_a_deletion_waits_for_a_run_that_registers_databases(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, expected: list[str] | None
) -> None:
    clock = Clock()
    monkeypatch.setattr(lock, "time", clock)
    add_shop(client, STORED)
    other = Reconciler(Run(client, lock_folder=str(tmp_path)), DATABASE, "prj_1")
    other.take_lock()
    with pytest.raises(TaskError, match="databases of project prj_1"):
        check(client, expected, lock_folder=str(tmp_path))
    assert client.made == [], "what is counted must not change afterwards"
    clock.meanwhile = other.run.until_end.close
    check(client, expected, lock_folder=str(tmp_path))


def test_the_plan_of_a_database_waits_for_a_run_that_registers_databases(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock()
    monkeypatch.setattr(lock, "time", clock)
    add_shop(client, STORED)
    other = Reconciler(Run(client, lock_folder=str(tmp_path)), DATABASE, "prj_1")
    other.take_lock()
    clock.meanwhile = other.run.until_end.close
    apply(projects(client, lock_folder=str(tmp_path)))
    assert clock.waits == [lock.POLL]
