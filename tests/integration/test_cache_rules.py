# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cache rules: PgBeam creates one for each query that it sees, tasks only update them, and they are in a database."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.harness import API_KEY, Project, Sandbox, query_hash
from tests.integration.conftest import Ansible, Modules, Run

BY_ID = "SELECT name, price FROM products WHERE id = $1"
COUNT = "SELECT count(*) FROM products"
UNKNOWN = "f" * 16
ADVICE = (
    "PgBeam creates the rule when it first sees the query: run the query through PgBeam, and look up the rules with "
    "cache_rule_info"
)


@pytest.fixture
def database(project: Project) -> str:
    """The id of a database that PgBeam has seen two queries of."""
    identifier = str(project.register()["id"])
    project.see_query(identifier, BY_ID, call_count=9000, recommendation="great")
    project.see_query(identifier, COUNT)
    return identifier


def path(project: Project, database: str) -> str:
    return f"/v1/projects/{project.id}/databases/{database}/cache-rules"


def play(
    modules: Ansible, project: Project, database: str, module: str = "cache_rule", check: bool = False, **options: Any
) -> Run:
    parents = {"project_id": project.id, "database_id": database}
    return modules.play([{"name": "task", f"pgbeam.cloud.{module}": {**parents, **options}}], "--diff", check=check)


def settings(project: Project, sql: str = BY_ID) -> tuple[bool, int | None, int | None]:
    """What the server truly has of the rule of a query: enabled, and its two times."""
    rule = project.stored("entries")[query_hash(sql)]
    return rule["cache_enabled"], rule["cache_ttl_seconds"], rule["cache_swr_seconds"]


#: What the task names, what is sent, and what the rule is then, from one that is enabled for 300 seconds.
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[bool, int | None, int | None]]] = {
    "disabled": (
        {"cache_enabled": False}, {"cache_enabled": False, "cache_ttl_seconds": 300}, (False, 300, None),
    ),
    "another time": (
        {"cache_ttl_seconds": 60}, {"cache_enabled": True, "cache_ttl_seconds": 60}, (True, 60, None),
    ),
    "a time of zero": (
        {"cache_swr_seconds": 0}, {"cache_enabled": True, "cache_ttl_seconds": 300, "cache_swr_seconds": 0},
        (True, 300, 0),
    ),
    "the project's time": (
        {"cache_ttl_seconds": None}, {"cache_enabled": True, "cache_ttl_seconds": None}, (True, None, None),
    ),
    "all": (
        {"cache_enabled": False, "cache_ttl_seconds": None, "cache_swr_seconds": 86400},
        {"cache_enabled": False, "cache_ttl_seconds": None, "cache_swr_seconds": 86400}, (False, None, 86400),
    ),
}  # fmt: skip


@pytest.mark.parametrize("omit_zero", [False, True])
def test_each_change(modules: Modules, project: Project, database: str, omit_zero: bool) -> None:
    """It is foreseen by check mode and made by one PUT, which has the rest as it was; the next run changes nothing."""
    project.settings(omit_zero=omit_zero)
    known: dict[str, Any] = {"cache_enabled": True, "cache_ttl_seconds": 300, "cache_swr_seconds": None}
    put = ("PUT", f"{path(project, database)}/{query_hash(BY_ID)}")
    found: list[dict[str, Any]] = [
        {"query_hash": query_hash(BY_ID)},
        {"normalized_sql": f"  {BY_ID.replace(' ', chr(10))}\n"},
    ]
    for which in found:
        for case, (named, body, expected) in CHANGES.items():
            if omit_zero and case == "a time of zero":  # such a server shows it as none
                continue
            play(modules, project, database, **which, **known)
            assert settings(project) == (True, 300, None)
            foreseen = play(modules, project, database, check=True, **which, **named)
            assert (foreseen.writes, settings(project)) == ([], (True, 300, None))
            done = play(modules, project, database, **which, **named)
            assert settings(project) == expected
            assert done.requests == [("GET", path(project, database)), put]
            assert done.exchanges[-1]["body"] == body
            for run in (foreseen, done):
                result = run.result("task")
                assert (result["action"], result["changed"], result["changes"]) == ("updated", True, list(named))
                assert result["diff"]["before"] == {name: known[name] for name in named}
                assert result["diff"]["after"] == named
                assert result["diff"]["before_header"] == f"cache_rule {BY_ID} ({query_hash(BY_ID)})"
                rule = result["cache_rule"]
                assert (rule["cache_enabled"], rule["cache_ttl_seconds"], rule["cache_swr_seconds"]) == expected
                assert (rule["query_hash"], rule["call_count"]) == (query_hash(BY_ID), 9000)
            again = play(modules, project, database, **which, **named)
            assert (again.result("task")["action"], again.writes) == ("unchanged", [])
    assert settings(project, COUNT) == (False, None, None)


def test_which_rule_is_meant(modules: Modules, project: Project, database: str) -> None:
    where = f"in database {database}, or is not visible to this API key"
    long = "SELECT " + ", ".join(f"column_{n}" for n in range(50)) + " FROM orders"
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "normalized_sql: missing; set normalized_sql, or query_hash, to identify the cache_rule"),
        ({"query_hash": UNKNOWN}, f"cache_rule {UNKNOWN} was not found {where}; {ADVICE}"),
        ({"normalized_sql": "SELECT 1"}, f"cache_rule SELECT 1 was not found {where}; {ADVICE}"),
        (
            {"normalized_sql": long},
            f"cache_rule SELECT column_0, column_1, column_2, column_3, column_4, co… was not found {where}; ",
        ),
        (
            {"query_hash": query_hash(BY_ID), "normalized_sql": COUNT},
            f"cache_rule {BY_ID}: normalized_sql is '{BY_ID}' and cannot be changed to '{COUNT}'; set the current "
            "value, or omit the option",
        ),
        ({"query_hash": "A" * 16}, f"query_hash: '{'A' * 16}' is not allowed; it must be 16 lower-case hexadecimal"),
        ({"query_hash": "../x"}, "query_hash: '../x' is not allowed; it must be 16 lower-case hexadecimal digits"),
        ({"query_hash": 1.5}, "query_hash: 1.5 is a number, not text; put it in quotes"),
        ({"normalized_sql": " "}, "normalized_sql: ' ' is not allowed; it must be the SQL of a query"),
    ]
    for given, reported in cases:
        for check in (True, False):
            run = play(modules, project, database, check=check, cache_enabled=True, **given)
            result = run.result("task")
            assert (result["failed"], result.get("changed", False), run.writes) == (True, False, [])
            assert reported in result["msg"], result["msg"]
    right: dict[str, Any] = {"query_hash": query_hash(BY_ID), "normalized_sql": BY_ID, "cache_enabled": False}
    assert play(modules, project, database, **right).result("task")["action"] == "unchanged"
    project.see_query(database, BY_ID, query_hash=UNKNOWN)
    ids = ", ".join(sorted([query_hash(BY_ID), UNKNOWN]))
    told = play(modules, project, database, normalized_sql=BY_ID, cache_enabled=True).result("task")["msg"]
    assert told == f"cache_rule {BY_ID} exists 2 times in PgBeam ({ids}); set query_hash to choose one"
    assert play(modules, project, database, query_hash=UNKNOWN, cache_enabled=True).status == 0


def test_what_a_rule_has_not(modules: Modules, project: Project, database: str) -> None:
    """Nothing is created or deleted, so there is neither a state nor prune."""
    rule = {"query_hash": query_hash(BY_ID)}
    cases: list[tuple[str, dict[str, Any]]] = [
        ("cache_rule", {**rule, "state": "absent"}),
        ("cache_rules", {"cache_rules": [rule], "prune": True}),
        ("cache_rules", {"cache_rules": [{**rule, "state": "absent"}]}),
    ]
    for module, options in cases:
        run = play(modules, project, database, module, **options)
        assert run.result("task")["failed"] and run.requests == []


def test_a_list(modules: Modules, project: Project, database: str) -> None:
    """One listing over all pages, and a PUT for each rule that differs, reported in the list's order."""
    project.settings(page_limit=2)
    queries = [f"SELECT {n} FROM orders WHERE id = $1" for n in range(4)]
    for sql in queries:
        project.see_query(database, sql)
    entries: list[dict[str, Any]] = [
        {"query_hash": query_hash(queries[2]), "cache_enabled": True},
        {"normalized_sql": queries[0], "cache_ttl_seconds": 5, "cache_enabled": True},
        {"normalized_sql": queries[1], "cache_enabled": False},
    ]
    foreseen = play(modules, project, database, "cache_rules", check=True, cache_rules=entries)
    done = play(modules, project, database, "cache_rules", cache_rules=entries)
    for run in (foreseen, done):
        result = run.result("task")
        assert result["msg"] == "2 updated, 1 unchanged"
        assert result["summary"] == {"updated": 2, "unchanged": 1, "failed": 0, "skipped": 0}
        assert [entry["action"] for entry in result["cache_rules"]] == ["updated", "updated", "unchanged"]
        assert [entry["normalized_sql"] for entry in result["cache_rules"]] == [queries[2], queries[0], queries[1]]
        assert [entry["cache_enabled"] for entry in result["cache_rules"]] == [True, True, False]
    assert [method for method, dummy in foreseen.requests] == ["GET"] * 3
    assert [method for method, dummy in done.requests] == ["GET"] * 3 + ["PUT"] * 2
    again = play(modules, project, database, "cache_rules", cache_rules=entries)
    assert (again.result("task")["msg"], len(again.requests)) == ("3 unchanged", 3)

    refused: list[tuple[list[dict[str, Any]], str]] = [
        ([*entries, entries[1]], "cache_rules[1] and cache_rules[3] are both cache_rule SELECT 0 FROM orders"),
        ([*entries, {"query_hash": query_hash(queries[0])}], f"are both cache_rule {query_hash(queries[0])}; keep one"),
        (
            [entries[0], {"query_hash": UNKNOWN}],
            f"cache_rules[1]: cache_rule {UNKNOWN} was not found in database {database}, or is",
        ),
        ([{"cache_enabled": True}], "cache_rules[0]: normalized_sql: missing; set normalized_sql, or query_hash"),
        ([{"query_hash": "x"}], "cache_rules[0]: query_hash: 'x' is not allowed"),
        ([{"query_hash": UNKNOWN, "id": "x"}], "cache_rules[0]: id: unknown option"),
    ]
    for wrong, reported in refused:
        run = play(modules, project, database, "cache_rules", cache_rules=wrong)
        assert reported in run.result("task")["msg"], run.result("task")["msg"]
        assert run.writes == []

    project.fault("status", method="PUT", path_ends=query_hash(queries[0]), status=422, code="INVALID_INPUT")
    changed = [{**entry, "cache_swr_seconds": 7} for entry in entries]
    result = play(modules, project, database, "cache_rules", cache_rules=changed).result("task")
    assert [entry["action"] for entry in result["cache_rules"]] == ["updated", "failed", "updated"]
    assert (result["failed"], result["changed"]) == (True, True)
    assert result["cache_rules"][1]["error"]["method"] == "PUT"


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("enabled", [True, False])
def test_a_lost_answer_is_looked_up(
    modules: Modules, project: Project, database: str, enabled: bool, applied: bool
) -> None:
    rule: dict[str, Any] = {"normalized_sql": BY_ID}
    play(modules, project, database, **rule, cache_enabled=not enabled)
    project.fault("drop_after" if applied else "drop_before", method="PUT")
    run = play(modules, project, database, **rule, cache_enabled=enabled, retries=0)
    result = run.result("task")
    assert [method for method, dummy in run.requests] == ["GET", "PUT", "GET"]
    if applied:
        assert (run.status, result["action"], result["changes"]) == (0, "updated", ["cache_enabled"])
    else:
        assert (result["failed"], result["changed"], result["error"]["outcome_unknown"]) == (True, False, True)
        assert "the change may have been applied; run the task again to find out" in result["msg"]
    assert settings(project)[0] == (enabled if applied else not enabled)


def test_what_this_release_does_not_know(modules: Modules, project: Project, database: str) -> None:
    """It is sent back, and if the API refuses it, left out with a warning."""
    project.settings(extra_fields=True)
    run = play(modules, project, database, normalized_sql=BY_ID, cache_enabled=True)
    result = run.result("task")
    assert (result["action"], settings(project)) == ("updated", (True, None, None))
    assert [entry["status"] for entry in run.exchanges] == [200, 400, 200]
    assert f"cache_rule {BY_ID}: the update was sent without shard, labels" in run.output


def test_an_answer_without_the_hash(modules: Modules, project: Project, database: str) -> None:
    project.settings(left_out=["query_hash"])
    run = play(modules, project, database, normalized_sql=BY_ID, cache_enabled=True, retries=0)
    assert "an object without a usable query_hash" in run.result("task")["msg"]
    assert run.writes == []


def test_both_parents(modules: Modules, project: Project, database: str, sandbox: Sandbox) -> None:
    """A database is looked for in its own project only, and neither id may be empty outside check mode."""
    other = sandbox.project()
    options: dict[str, Any] = {"normalized_sql": BY_ID, "cache_enabled": True}
    for place in (other, sandbox.project_of("no_such")):
        result = play(modules, place, database, **options).result("task")
        assert "404 NOT_FOUND" in result["msg"] and "not visible to this API key" in result["msg"]
    for name, noun in (("project_id", "project"), ("database_id", "database")):
        given = {**options, name: ""}
        run = play(modules, project, database, **given)
        assert f"{name}: empty, which is allowed only in check mode; set the id of an existing {noun}" in run.output
        assert run.requests == []
        nothing: dict[str, Any] = {name: None}
        foreseen = play(modules, project, database, "cache_rule_info", check=True, **nothing)
        assert (foreseen.result("task")["cache_rules"], foreseen.requests) == ([], [])
        foreseen = play(modules, project, database, check=True, **given)
        assert ADVICE in foreseen.result("task")["msg"]
        wrong = play(modules, project, database, **{**options, name: "a/b"})
        assert (f"{name}: 'a/b' is not an id" in wrong.output, wrong.requests) == (True, [])


def test_a_recommendation(ansible: Ansible, project: Project, database: str) -> None:
    """The queries that PgBeam recommends to cache, from the info module to the list form, by real Ansible."""
    parents = {"project_id": project.id, "database_id": database}
    hashes = "found.cache_rules | map(attribute='query_hash') | zip_longest([], fillvalue=true)"
    rules = f"{{{{ dict({hashes}) | dict2items(key_name='query_hash', value_name='cache_enabled') }}}}"
    tasks = [
        {
            "name": "find",
            "pgbeam.cloud.cache_rule_info": {**parents, "recommendation": "great", "query_type": "read"},
            "register": "found",
        },
        {"name": "cache", "pgbeam.cloud.cache_rules": {**parents, "cache_rules": rules}},
        {
            "name": "clear",
            "pgbeam.cloud.cache_rule": {**parents, "normalized_sql": COUNT, "cache_ttl_seconds": None},
        },
    ]
    run = ansible.play(tasks)
    assert [rule["call_count"] for rule in run.result("find")["cache_rules"]] == [9000]
    assert run.result("cache")["msg"] == "1 updated"
    assert run.result("clear")["action"] == "unchanged"
    assert (settings(project), settings(project, COUNT)) == ((True, None, None), (False, None, None))
    wrong = ansible.play([{"name": "find", "pgbeam.cloud.cache_rule_info": {**parents, "recommendation": "best"}}])
    assert "recommendation" in wrong.result("find")["msg"]


def test_a_database_takes_its_rules_with_it(project: Project, database: str) -> None:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    where = f"{project.url}{path(project, database)}"
    assert len(requests.get(where, headers=headers, timeout=10).json()["entries"]) == 2
    unseen = requests.put(f"{where}/{UNKNOWN}", json={"cache_enabled": True}, headers=headers, timeout=10)
    assert unseen.status_code == 404
    assert project.api("DELETE", f"/{database}").status_code == 204
    assert project.stored("entries") == {}
