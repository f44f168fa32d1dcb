# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module pgbeam.cloud.databases, run by ansible-playbook."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.harness import Project, Sandbox
from tests.integration.conftest import PASSWORD_LOOKUP, Ansible, Modules

HOST = "db1.example.com"
SUMMARY = ("created", "updated", "deleted", "unchanged", "failed", "skipped")


def entry(name: str, **fields: Any) -> dict[str, Any]:
    return {"host": HOST, "name": name, "username": "app", "password": PASSWORD_LOOKUP, **fields}


def actions(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["name"], item["action"]) for item in result["databases"]]


def test_a_whole_life(ansible: Ansible, project: Project) -> None:
    """Check mode predicts each step, the results are in the order of the list, and a second run changes nothing."""
    project.register(name="old", username="app")
    project.register(name="other")
    names = [f"new{n}" for n in range(12)]
    wanted = [entry("old", ssl_mode="require"), *(entry(name) for name in names), entry("none", state="absent")]
    pruned = {"prune": True}
    steps: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
        (wanted, {}, "12 created, 1 updated, 1 unchanged"),
        (wanted, {}, "14 unchanged"),
        (wanted, pruned, "1 deleted, 14 unchanged"),
        (wanted, pruned, "14 unchanged"),
        ([entry(name, state="absent") for name in [*names, "old"]], {}, "13 deleted"),
        ([entry(name, state="absent") for name in [*names, "old"]], {}, "13 unchanged"),
    ]
    tasks = [
        {
            "name": f"{how} {n}",
            "pgbeam.cloud.databases": {"project_id": project.id, "databases": entries, **options},
            "check_mode": how == "foresee",
        }
        for n, (entries, options, dummy) in enumerate(steps)
        for how in ("foresee", "do")
    ]
    run = ansible.play(tasks, "--diff")
    assert run.status == 0, run.output[-2000:]
    writes = Counter(method for method, dummy in run.writes)
    # Were one of them of a task in check mode, the task after it would have nothing left to write.
    assert writes == {"POST": 12, "PATCH": 1, "DELETE": 14}
    for n, (entries, dummy, message) in enumerate(steps):
        foreseen, result = run.result(f"foresee {n}"), run.result(f"do {n}")
        assert result["msg"] == foreseen["msg"] == message
        assert result["diff"] == foreseen["diff"]
        assert actions(result) == actions(foreseen)
        assert [name for name, dummy in actions(result)][: len(entries)] == [item["name"] for item in entries]
        assert result["summary"] == foreseen["summary"]
        assert tuple(sorted(result["summary"])) == tuple(sorted(SUMMARY))
        written = sum(result["summary"][action] for action in ("created", "updated", "deleted"))
        assert result["changed"] == (written > 0)
        # Core 2.21 leaves the invocation out unless it is told to inject it.
        assert "databases" not in result.get("invocation", {"module_args": {}})["module_args"]
    assert project.databases() == []


def test_one_listing_serves_the_whole_list(modules: Modules, project: Project) -> None:
    entries = [entry(f"db{n}") for n in range(30)]
    first = modules.databases(project, entries)
    again = modules.databases(project, entries)
    assert [method for method, dummy in first.requests] == ["GET"] + ["POST"] * 30
    assert [method for method, dummy in again.requests] == ["GET"]


def test_two_users_of_one_database(modules: Modules, project: Project) -> None:
    """If a list declares one database twice, the username distinguishes the registrations, in any state."""
    project.register(name="orders", username="app")
    entries = [entry("orders", username="reader"), entry("orders", username="app")]
    assert modules.databases(project, entries).result("databases")["msg"] == "1 created, 1 unchanged"
    assert modules.databases(project, entries).result("databases")["msg"] == "2 unchanged"


REFUSED: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "bad port": (
        [entry("a"), entry("b", port=70000)],
        {},
        f"databases[1] (b on {HOST}): port: 70000 is not allowed; it must be a whole number from 1 to 65535",
    ),
    "bad choice": (
        [entry("a"), entry("b", ssl_mode="on")],
        {},
        f"databases[1] (b on {HOST}): ssl_mode: 'on' is not allowed",
    ),
    "bad member": (
        [entry("a", cache_config={"ttl_seconds": "long"})],
        {},
        f"databases[0] (a on {HOST}): cache_config.ttl_seconds: 'long' is not allowed; it must be a whole number",
    ),
    "misspelled member": (
        [entry("a", cache_config={"ttl": 5})],
        {},
        f"databases[0] (a on {HOST}): cache_config.ttl: unknown option; valid options are enabled, max_entries",
    ),
    "twice": (
        [entry("a"), entry("b"), entry("a", port=5432)],
        {},
        f"databases[0] (a on {HOST}) and databases[2] (a on {HOST}) are both database a on {HOST}:5432; keep",
    ),
    "twice but for a missing username": (
        [entry("a"), {"host": HOST.upper(), "name": "a"}],
        {},
        f"databases[0] (a on {HOST}) and databases[1] (a on DB1.EXAMPLE.COM) are both database a",
    ),
    "one id in two entries": (
        [{"id": "db_1"}, {"id": "db_1"}],
        {},
        "databases[0] and databases[1] are both database db_1",
    ),
    "parallel": ([entry("a")], {"parallel": 0}, "parallel: 0 is not allowed; it must be a whole number from 1 to 32"),
}


def test_bad_lists_are_refused_before_any_request(ansible: Ansible, project: Project) -> None:
    tasks = [
        {
            "name": name,
            "pgbeam.cloud.databases": {"project_id": project.id, "databases": entries, **options},
            "ignore_errors": True,
        }
        for name, (entries, options, dummy) in REFUSED.items()
    ]
    run = ansible.play(tasks)
    for name, (*dummy, message) in REFUSED.items():
        result = run.result(name)
        assert result["failed"] is True, name
        assert message in result["msg"], name
    assert run.requests == []


def test_an_id_and_an_identity_that_are_one_registration(modules: Modules, project: Project) -> None:
    known = project.register(name="a", username="app")["id"]
    run = modules.databases(project, [entry("a"), {"id": known, "ssl_mode": "require"}])
    assert f"databases[0] (a on {HOST}) and databases[1] are both database {known}" in run.result("databases")["msg"]
    assert not run.writes


def test_one_failure_does_not_stop_the_others(ansible: Ansible, project: Project) -> None:
    project.register(name="unlisted")
    project.fault("status", status=422, code="INVALID_INPUT", message="not that one", body_has='"name": "b"')
    result = ansible.databases(project, [entry(name) for name in "abc"], prune=True).result("databases")
    assert result["failed"] is True
    assert result["changed"] is True
    assert actions(result) == [("a", "created"), ("b", "failed"), ("c", "created")]
    assert result["msg"] == (
        f"POST database b on {HOST}:5432: 422 INVALID_INPUT: not that one "
        f"(request {result['databases'][1]['error']['request_id']}); correct the reported values, then run again "
        "[2 created, 1 failed, nothing was pruned]"
    )
    assert result["databases"][1]["error"]["status"] == 422
    assert result["databases"][1]["changes"] == []
    assert len(result["diff"]) == 2
    assert {item["name"] for item in project.databases()} == {"unlisted", "a", "c"}, "nothing is pruned after a failure"


@pytest.mark.parametrize("parallel", [1, 4])
def test_a_plan_limit_ends_the_run(modules: Modules, sandbox: Sandbox, parallel: int) -> None:
    project = sandbox.project(plan_limit=2)
    entries = [entry(f"db{n:02d}") for n in range(20)]
    run = modules.databases(project, entries, parallel=parallel)
    result = run.result("databases")
    summary = result["summary"]
    assert result["changed"] is True
    assert summary["created"] == 2
    assert 1 <= summary["failed"] <= parallel
    assert summary["skipped"] == 20 - 2 - summary["failed"]
    assert len(run.writes) == 20 - summary["skipped"]
    assert "403 PLAN_LIMIT_REACHED" in result["msg"]
    project.settings(plan_limit=50)
    again = modules.databases(project, entries).result("databases")
    assert again["msg"] == "18 created, 2 unchanged"
    assert len(project.databases()) == 20


@pytest.mark.parametrize("parallel", [1, 8])
def test_what_goes_makes_room_for_what_comes(modules: Modules, sandbox: Sandbox, parallel: int) -> None:
    """A plan at its limit does not prevent a list with deletions, wherever they are in the list."""
    project = sandbox.project(plan_limit=2)
    for name in ("old1", "old2"):
        project.register(name=name)
    entries = [entry("new1"), entry("old1", state="absent"), entry("new2"), entry("old2", state="absent")]
    run = modules.databases(project, entries, parallel=parallel)
    result = run.result("databases")
    assert result["msg"] == "2 created, 2 deleted"
    assert [action for dummy, action in actions(result)] == ["created", "deleted"] * 2
    assert [method for method, dummy in run.writes] == ["DELETE"] * 2 + ["POST"] * 2
    assert sorted(item["name"] for item in project.databases()) == ["new1", "new2"]


def test_a_spent_budget_ends_the_run(modules: Modules, project: Project) -> None:
    project.fault("status", method="POST", status=429, code="RATE_LIMITED", retry_after="60", times=99)
    result = modules.databases(project, [entry(f"db{n}") for n in range(4)], parallel=1, retry_budget=5)
    reported = result.result("databases")
    assert [action for dummy, action in actions(reported)] == ["failed", "skipped", "skipped", "skipped"]
    assert "raise retry_budget" in reported["msg"]


def test_what_a_spent_budget_leaves_undone_fails_the_task(modules: Modules, project: Project) -> None:
    """The create turns out to be applied, but prune and the requested connection tests were not attempted."""
    project.register(name="unlisted")
    project.fault("drop_after", method="POST", times=99)
    for options in ({"prune": True}, {"test_connection": True}):
        name = next(iter(options))
        run = modules.databases(project, [entry(name)], parallel=1, retry_budget=1, **options)
        result = run.result("databases")
        assert (result["failed"], actions(result)) == (True, [(name, "created")])
        assert "would exceed retry_budget (1 s)" in result["msg"]
        if "test_connection" in options:
            error = result["databases"][0]["error"]
            assert (error["attempts"], error["outcome_unknown"], error["method"]) == (0, False, "POST")
            assert error["path"].endswith("/test-connection")
            assert (
                error["message"] == f"not attempted: the run stopped after POST database {name} on {HOST}:5432 failed"
            )
    assert "unlisted" in {item["name"] for item in project.databases()}


def test_a_test_that_was_not_sent_does_not_hide_the_failure(modules: Modules, project: Project) -> None:
    """The sentences of one task are few, and those on the entries that came before the failure are many."""
    project.fault("status", method="POST", status=403, code="FORBIDDEN", body_has='"last"')
    entries = [entry(f"db{n}") for n in range(8)] + [entry("last")]
    result = modules.databases(project, entries, parallel=1, test_connection=True).result("databases")
    assert result["msg"].startswith(f"POST database last on {HOST}:5432: 403 FORBIDDEN")
    assert "POST connection test of database db0 " in result["msg"]
    assert [bool(item["error"]) for item in result["databases"]] == [True] * 9
    assert len(project.databases()) == 8


def test_lost_answers_are_looked_up_once(modules: Modules, project: Project) -> None:
    """Creates whose outcome is unknown are found by one listing; the one that never arrived fails."""
    project.fault("drop_after", method="POST", times=3)
    project.fault("drop_before", method="POST")
    run = modules.databases(project, [entry(f"db{n}") for n in range(6)], parallel=1, retries=0)
    result = run.result("databases")
    assert [action for dummy, action in actions(result)] == ["created"] * 3 + ["failed"] + ["created"] * 2
    assert [method for method, dummy in run.requests] == ["GET"] + ["POST"] * 6 + ["GET"]
    assert all(item["id"] for item in result["databases"] if item["action"] == "created")
    assert modules.databases(project, [entry(f"db{n}") for n in range(6)]).result("databases")["msg"] == (
        "1 created, 5 unchanged"
    )


def test_transient_failures_are_retried_under_one_key(modules: Modules, project: Project) -> None:
    project.fault("status", method="POST", status=503, retry_after="0", times=3)
    project.fault("status", method="POST", status=429, code="RATE_LIMITED", retry_after="0", times=2)
    project.fault("drop_after", method="POST")
    entries = [entry(f"db{n}") for n in range(6)]
    run = modules.databases(project, entries, retries=6)  # one entry may meet all six
    assert run.result("databases")["msg"] == "6 created"
    keys = {(e["headers"]["idempotency-key"], e["body"]["name"]) for e in run.exchanges if e["method"] == "POST"}
    assert len(keys) == 6
    assert len(run.writes) == 12
    assert len(project.databases()) == 6


def test_an_answer_that_is_no_object_of_the_api(modules: Modules, project: Project) -> None:
    """A success without an id does not show what was created, so the list must."""
    project.fault("status", method="POST", status=201)
    run = modules.databases(project, [entry("a"), entry("b")], parallel=1)
    result = run.result("databases")
    assert actions(result) == [("a", "failed"), ("b", "created")]
    assert "201 with an object without a usable id" in result["msg"]
    assert [method for method, dummy in run.requests] == ["GET", "POST", "POST", "GET"]


def test_a_delete_whose_answer_was_lost(modules: Modules, project: Project) -> None:
    project.register(name="a")
    project.fault("drop_after", method="DELETE")
    result = modules.databases(project, [entry("a", state="absent")]).result("databases")
    assert result["msg"] == "1 deleted"


def test_the_connections_are_tested(ansible: Ansible, project: Project) -> None:
    closed = entry("a", host="127.0.0.1", port=1)
    result = ansible.databases(project, [closed, entry("gone", state="absent")], test_connection=True).result(
        "databases"
    )
    first, second = result["databases"]
    assert result["failed"] is True
    assert (first["action"], first["connection_test"]["ok"]) == ("created", False)
    assert first["error"]["code"] == "CONNECTION_TEST_FAILED"
    assert "PgBeam cannot connect to it" in result["msg"]
    assert (second["action"], second["connection_test"]) == ("unchanged", None)


def test_a_move_to_where_another_one_is(modules: Modules, project: Project) -> None:
    """An entry with an id may change its identity, but not to that of another object that stays."""
    changed, other = (project.register(name="orders", host=host)["id"] for host in (HOST, "db2"))
    for more in ([], [entry("new")]):
        refused = modules.databases(project, [{"id": changed, "host": "db2"}, *more])
        reads = f"database orders on db2:5432 already exists ({other}), and {changed} would become its duplicate"
        assert reads in refused.result("databases")["msg"]
        assert refused.writes == []
        pruning = modules.databases(project, [{"id": changed, "host": "db2"}, *more], prune=True)
        assert reads in pruning.result("databases")["msg"], "prune comes last, and only where all else went well"
    gone = {"id": other, "state": "absent"}
    run = modules.databases(project, [{"id": changed, "host": "db2"}, gone])
    assert run.result("databases")["msg"] == "1 updated, 1 deleted"
    project.register(name="orders", host="db3", username="reader")
    run = modules.databases(project, [{"id": changed, "host": "db3"}])
    assert run.result("databases")["msg"] == "1 updated", "another user of the same database is another registration"


def test_a_move_to_where_one_could_not_be_removed(modules: Modules, project: Project) -> None:
    changed, other = (project.register(name="orders", host=host)["id"] for host in (HOST, "db2"))
    project.fault("status", method="DELETE", status=409, code="CONFLICT")
    run = modules.databases(project, [{"id": changed, "host": "db2"}, {"id": other, "state": "absent"}, entry("new")])
    result = run.result("databases")
    assert actions(result) == [("orders", "failed"), ("orders", "failed"), ("new", "created")]
    reason = f"not attempted: database orders on db2:5432 ({other}) still has the identity that this one would take"
    assert f"PATCH database orders on {HOST}:5432: {reason}; delete that one, then run again" in result["msg"]
    assert [method for method, dummy in run.writes] == ["DELETE", "POST"]
    again = modules.databases(project, [{"id": changed, "host": "db2"}, {"id": other, "state": "absent"}])
    assert again.result("databases")["msg"] == "1 updated, 1 deleted"


def test_a_move_to_where_one_was_removed_though_its_answer_was_lost(modules: Modules, project: Project) -> None:
    changed, other = (project.register(name="orders", host=host)["id"] for host in (HOST, "db2"))
    project.fault("drop_after", method="DELETE", times=9)
    run = modules.databases(project, [{"id": changed, "host": "db2"}, {"id": other, "state": "absent"}], retries=0)
    assert run.result("databases")["msg"] == "1 updated, 1 deleted"
    assert [method for method, dummy in run.requests] == ["GET", "DELETE", "GET", "PATCH"]


def test_an_entry_by_id_next_to_another_user_of_its_database(modules: Modules, project: Project) -> None:
    known = project.register(name="orders", host=HOST, username="app")["id"]
    wanted = [{"id": known}, entry("orders", username="reader")]
    assert modules.databases(project, wanted).result("databases")["msg"] == "1 created, 1 unchanged"
    assert modules.databases(project, wanted).result("databases")["msg"] == "2 unchanged"


def test_prune_deletes_no_more_than_its_limit(modules: Modules, project: Project) -> None:
    """Nothing is written, in check mode and live, and the objects that would be deleted are listed with ids."""
    ids = [project.register(host=HOST, name=name)["id"] for name in "abcd"]
    options = {"project_id": project.id, "databases": [{"host": HOST, "name": "a", "ssl_mode": "allow"}], "prune": True}
    limits = {"default": None, "2": 2, "40%": "40%", "74%": "74%", "75%": "75%", "3": 3, "100%": "100%"}
    tasks: list[dict[str, Any]] = []
    for name, limit in limits.items():
        arguments = {**options, **({} if limit is None else {"prune_limit": limit})}
        tasks.append({"name": f"up to {name}", "pgbeam.cloud.databases": arguments, "check_mode": True})
    tasks += [
        {"name": "live, too many", "pgbeam.cloud.databases": options},
        {"name": "live", "pgbeam.cloud.databases": {**options, "prune_limit": "75%"}},
    ]
    run = modules.play([{**task, "ignore_errors": True} for task in tasks])
    listed = ", ".join(f"database {name} on {HOST}:5432 ({known})" for name, known in zip("bcd", ids[1:]))
    for name in ("up to default", "up to 2", "up to 40%", "up to 74%", "live, too many"):
        shown = {"up to default": "50%", "live, too many": "50%"}.get(name, name.removeprefix("up to "))
        assert run.result(name)["msg"] == (
            f"prune: 3 of the 4 databases of project {project.id} would be deleted, more than prune_limit ({shown}) "
            f"allows: {listed}; check that the list is complete, or set prune_limit to 3"
        )
    for name in ("up to 75%", "up to 3", "up to 100%", "live"):
        assert run.result(name)["msg"] == "1 updated, 3 deleted"
    assert [method for method, dummy in run.writes] == ["PATCH", "DELETE", "DELETE", "DELETE"]


def test_what_prune_may_always_delete(modules: Modules, project: Project) -> None:
    """One object, whatever the percentage; entries with state absent do not count."""
    for name in "abc":
        project.register(host=HOST, name=name)
    entries = [{"host": HOST, "name": "a"}, {"host": HOST, "name": "b", "state": "absent"}]
    options = {"project_id": project.id, "databases": entries, "prune": True}
    wrong = (0, "0", "101%", "half", "5 %", "-1")
    tasks: list[dict[str, Any]] = [
        {"name": f"limit {number}", "ignore_errors": True, "pgbeam.cloud.databases": {**options, "prune_limit": limit}}
        for number, limit in enumerate([*wrong, "0%"])
    ]
    run = modules.play(tasks)
    for number, dummy in enumerate(wrong):
        words = "is not allowed; it must be a whole number of 1 or more, or a percentage such as 50%"
        assert run.result(f"limit {number}")["msg"].endswith(words)
    assert run.result(f"limit {len(wrong)}")["msg"] == "2 deleted, 1 unchanged"
