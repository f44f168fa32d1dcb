# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other writers at the same time, values that only PgBeam knows, and operations whose end is announced."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Organization, Project, Sandbox
from tests.integration.conftest import PASSWORD_LOOKUP, Ansible, Modules, Run

pytestmark = pytest.mark.once

LOGIN: dict[str, Any] = {"host": "db1.example.com", "name": "orders", "username": "app", "password": PASSWORD_LOOKUP}
TTL: dict[str, Any] = {"cache_config": {"ttl_seconds": 300}}
OTHERS = {"cache_config": {"swr_seconds": 777}}
ENDLESS = 10**6


def methods(run: Run) -> list[str]:
    return [method for method, dummy in run.requests]


def cache(project: Project) -> dict[str, Any]:
    (database,) = project.truth().values()
    config: dict[str, Any] = database["cache_config"]
    return config


@pytest.mark.parametrize("form", ["database", "databases"])
@pytest.mark.parametrize("times", [1, 5])
def test_another_writer_between_the_read_and_the_write(
    ansible: Ansible, project: Project, form: str, times: int
) -> None:
    known = project.register(**{**LOGIN, "password": "Behind-1"})["id"]
    project.fault("other_writer", times=times, change=OTHERS)
    entry = {**LOGIN, **TTL}
    foreseen = ansible.databases(project, [entry], check=True) if form == "databases" else None
    run = ansible.databases(project, [entry]) if form == "databases" else ansible.database(project, id=known, **entry)
    assert run.status == 0, run.output
    assert (cache(project)["ttl_seconds"], cache(project)["swr_seconds"]) == (300, 777)
    assert methods(run).count("PATCH") == times + 1
    assert [entry["status"] for entry in run.exchanges if entry["method"] == "PATCH"] == [412] * times + [200]
    result = run.result(form)
    diff = result["diff"][0] if form == "databases" else result["diff"]
    assert (diff["before"], diff["after"]) == ({"cache_config": {"ttl_seconds": 60}}, TTL)
    if foreseen:
        assert methods(foreseen) == ["GET"]


def test_a_writer_who_does_not_stop(modules: Modules, project: Project) -> None:
    """Five times, then the task fails, reports who else may be writing, and has undone nothing."""
    project.register(**{**LOGIN, "password": "Behind-1"})
    project.fault("other_writer", times=ENDLESS, change=OTHERS)
    run = modules.database(project, **LOGIN, **TTL)
    result = run.result("database")
    assert methods(run) == ["GET", *["GET", "PATCH"] * 6]
    assert "PATCH database orders on db1.example.com:5432: 412 PRECONDITION_FAILED" in result["msg"]
    assert "find out what else writes to it (another run, Terraform, a person)" in result["msg"]
    assert (result["failed"], result["changed"], result["error"]["outcome_unknown"]) == (True, False, False)
    assert (cache(project)["ttl_seconds"], cache(project)["swr_seconds"]) == (60, 777)


def test_only_what_is_merged_is_conditional(modules: Modules, project: Project) -> None:
    project.register(**{**LOGIN, "password": "Behind-1"})
    whole = {"enabled": True, "ttl_seconds": 1, "max_entries": 2, "swr_seconds": 3}
    tasks = [
        {"name": name, "pgbeam.cloud.database": {"project_id": project.id, **LOGIN, **fields}}
        for name, fields in (("scalar", {"ssl_mode": "allow"}), ("whole", {"cache_config": whole}), ("merged", TTL))
    ]
    run = modules.play(tasks)
    assert methods(run) == ["GET", "PATCH", "GET", "PATCH", "GET", "GET", "PATCH"]
    sent = [entry["headers"].get("if-match") for entry in run.exchanges if entry["method"] == "PATCH"]
    assert sent[:2] == [None, None] and sent[2]


@pytest.mark.parametrize("etag", ["", 'W/"{tag}"', "{tag}", '"{tag}'])
def test_tags_that_cannot_be_used(modules: Modules, sandbox: Sandbox, etag: str) -> None:
    """A server without tags is written to as before; a weak one's opaque part is tried, as gateways weaken tags."""
    project = sandbox.project(etag=etag)
    project.register(**{**LOGIN, "password": "Behind-1"})
    run = modules.database(project, **LOGIN, **TTL)
    assert run.result("database")["action"] == "updated", run.output
    assert cache(project)["ttl_seconds"] == 300


def test_a_server_that_never_takes_its_own_tag(modules: Modules, sandbox: Sandbox) -> None:
    """The condition is never left out: rather nothing is written."""
    project = sandbox.project(etag='""')
    project.register(**{**LOGIN, "password": "Behind-1"})
    run = modules.database(project, **LOGIN, **TTL)
    assert "412 PRECONDITION_FAILED" in run.result("database")["msg"]
    assert cache(project)["ttl_seconds"] == 60


@pytest.mark.parametrize("kind", ["drop_after", "late_status", "truncate"])
@pytest.mark.parametrize("retries", [0, 2])
def test_an_answer_lost_after_a_conditional_write(modules: Modules, project: Project, kind: str, retries: int) -> None:
    """The repeated If-Match meets 412 by its own doing, which is success."""
    project.register(**{**LOGIN, "password": "Behind-1"})
    project.fault(kind, method="PATCH", status=503)
    run = modules.database(project, **LOGIN, **TTL, retries=retries)
    result = run.result("database")
    assert run.status == 0, run.output
    assert (result["action"], result["changes"]) == ("updated", ["cache_config.ttl_seconds"])
    assert result["database"]["cache_config"]["ttl_seconds"] == 300
    assert cache(project)["ttl_seconds"] == 300


def test_all_that_was_written_is_reported_after_a_lost_answer(modules: Modules, project: Project) -> None:
    """The answer to the first write is lost, and somebody undoes a part of it: one more write, and all the changes."""
    project.register(**{**LOGIN, "password": "Behind-1"})
    project.fault("drop_after", method="PATCH")
    project.fault("other_writer", method="PATCH", skip=1, change={"pool_config": {"pool_size": 5}})
    wanted = {**LOGIN, **TTL, "ssl_mode": "allow", "pool_config": {"pool_size": 20}}
    result = modules.database(project, **wanted, retries=2).result("database")
    assert result["action"] == "updated"
    assert result["changes"] == ["ssl_mode", "cache_config.ttl_seconds", "pool_config.pool_size"]
    assert result["diff"]["after"] == {"ssl_mode": "allow", **TTL, "pool_config": {"pool_size": 20}}
    (database,) = project.truth().values()
    assert (database["ssl_mode"], database["pool_config"]["pool_size"]) == ("allow", 20)


def test_the_last_write_is_the_one_that_is_looked_for(modules: Modules, project: Project) -> None:
    """The first was refused, and what it would have changed is so by now; the second was lost and not applied."""
    project.register(**{**LOGIN, "password": "Behind-1", "role": "replica"})
    project.fault("other_writer", method="PATCH", change={**TTL, "role": "primary"})
    project.fault("status", method="PATCH", skip=1, times=ENDLESS, status=502, code="BAD_GATEWAY")
    result = modules.database(project, **LOGIN, **TTL, role="replica", retries=0).result("database")
    assert (result["failed"], result["changed"]) == (True, False), result
    assert result["error"]["outcome_unknown"]


def test_a_follow_up_and_a_connection_test_that_fail(modules: Modules, sandbox: Sandbox) -> None:
    """Each is reported: a test does not hide that a part was not set, nor deny that it was."""
    project = sandbox.project(connection_test={"ok": False, "error": "no route"})
    tested = {**LOGIN, **TTL, "test_connection": True}
    result = modules.database(project, **tested).result("database")
    assert "PgBeam cannot connect to it: no route" in result["msg"]
    assert (
        "cache_config.ttl_seconds" in result["changes"]
        and result["diff"]["after"]["cache_config"] == TTL["cache_config"]
    )
    project.fault("status", method="PATCH", status=400, code="INVALID_INPUT")
    result = modules.database(project, **{**tested, "name": "other"}).result("database")
    assert "was created without cache_config" in result["msg"]
    assert "cache_config.ttl_seconds" not in result["changes"] and result["action"] == "created"


def test_a_write_that_somebody_else_has_made(modules: Modules, project: Project) -> None:
    """The other writer wanted the same: nothing is left to write, and nothing was changed by the task."""
    project.register(**{**LOGIN, "password": "Behind-1"})
    project.fault("other_writer", method="PATCH", change=TTL)
    result = modules.database(project, **LOGIN, **TTL).result("database")
    assert (result["action"], result["changed"], result["changes"]) == ("unchanged", False, [])


def test_an_object_that_is_another_one_meanwhile(modules: Modules, project: Project) -> None:
    """It was found by its host and name, and somebody has renamed it since: it is left alone."""
    project.register(**{**LOGIN, "password": "Behind-1"})
    project.fault("other_writer", method="PATCH", change={"name": "archive"})
    run = modules.database(project, **LOGIN, **TTL)
    message = (
        "another client has changed it to database archive on db1.example.com:5432; it was not updated: run the task"
    )
    assert message in run.result("database")["msg"]
    (database,) = project.truth().values()
    assert (database["name"], database["cache_config"]["ttl_seconds"]) == ("archive", 60)


def test_the_lists_of_a_project(modules: Modules, sandbox: Sandbox) -> None:
    """The labels that the task omits are kept, those of another writer too."""
    organization: Organization = sandbox.organization()
    known = organization.create_project()["project"]["id"]
    behind = {"description": "by hand", "allowed_cidrs": [{"cidr": "192.0.2.0/24", "label": "office"}]}
    organization.fault("other_writer", method="PATCH", change=behind)
    wanted = {"allowed_cidrs": [{"cidr": "10.0.0.0/8"}, {"cidr": "192.0.2.0/24"}], "tags": ["prod"]}
    task = {"name": "project", "pgbeam.cloud.project": {"id": known, **wanted}}
    run = modules.play([task], "--diff")
    assert run.status == 0, run.output
    assert methods(run) == ["GET", "PATCH", "GET", "PATCH"], (
        "the read by id is the one that the first write is made from"
    )
    project = organization.truth()[known]
    assert project["description"] == "by hand"
    assert project["allowed_cidrs"] == [{"cidr": "10.0.0.0/8"}, {"cidr": "192.0.2.0/24", "label": "office"}]
    before = run.result("project")["diff"]["before"]
    assert before["allowed_cidrs"] == behind["allowed_cidrs"], "the diff is that of the write that was made"


PARTIAL: dict[str, Any] = {**TTL, "pool_config": {"pool_size": 33}}


@pytest.mark.parametrize("form", ["database", "project"])
def test_a_create_sends_no_guessed_defaults(modules: Modules, sandbox: Sandbox, form: str) -> None:
    """A time to live does not switch caching on, nor does a size change the pool's mode."""
    organization = sandbox.organization()
    if form == "database":
        project = sandbox.project()
        task = {"pgbeam.cloud.database": {"project_id": project.id, **LOGIN, **PARTIAL}}
    else:
        task = {"pgbeam.cloud.project": {"org_id": organization.id, "name": "shop", "database": {**LOGIN, **PARTIAL}}}
    run = modules.play([{"name": "task", **task}])
    assert run.status == 0, run.output
    posted, patched = (
        next(entry["body"] for entry in run.exchanges if entry["method"] == method) for method in ("POST", "PATCH")
    )
    created = posted if form == "database" else posted["database"]
    assert not {"cache_config", "pool_config"} & set(created)
    assert patched["cache_config"] == {"enabled": False, "ttl_seconds": 300, "max_entries": 10000, "swr_seconds": 30}
    assert (patched["pool_config"]["pool_size"], patched["pool_config"]["pool_mode"]) == (33, "transaction")
    result = run.result("task")
    assert result["action"] == "created"
    assert result["database"]["cache_config"] == patched["cache_config"]
    assert modules.play([{"name": "task", **task}]).result("task")["action"] == "unchanged"


def test_a_list_learns_from_its_first_answer(modules: Modules, project: Project) -> None:
    entries = [{**LOGIN, "name": f"db{number}", **PARTIAL} for number in range(20)]
    run = modules.databases(project, entries)
    assert run.result("databases")["msg"] == "20 created"
    assert sorted(methods(run)) == sorted(["GET", *["POST"] * 20, "GET", "PATCH"])
    configs = [item["cache_config"] for item in project.truth().values()]
    assert configs == [{"enabled": False, "ttl_seconds": 300, "max_entries": 10000, "swr_seconds": 30}] * 20
    assert modules.databases(project, entries).result("databases")["msg"] == "20 unchanged"


def test_a_server_that_does_not_show_what_it_has(modules: Modules, sandbox: Sandbox) -> None:
    """Values that cannot be read cannot be kept, so the task reports what to set; a complete object needs no read."""
    project = sandbox.project(left_out=["cache_config"])
    result = modules.database(project, **LOGIN, **TTL).result("database")
    assert (result["failed"], result["action"], result["changed"]) == (True, "created", True)
    assert "also set enabled, max_entries, swr_seconds in cache_config; the database" in result["msg"]
    assert "was created without cache_config" in result["msg"]
    again = modules.database(project, **LOGIN, **TTL).result("database")
    assert (again["failed"], again["changed"]) == (True, False)
    whole = {"enabled": True, "ttl_seconds": 300, "max_entries": 5, "swr_seconds": 5}
    assert modules.database(project, **LOGIN, cache_config=whole).result("database")["action"] == "updated"
    assert cache(project) == whole


def test_the_announced_end_of_an_operation(ansible: Ansible, project: Project) -> None:
    """One warning a task, with the operation, the dates and the link, however many calls it makes."""
    headers = {
        "Deprecation": "@1796083200", "Sunset": "Wed, 30 Jun 2027 23:59:59 GMT",
        "Link": '<https://pgbeam.com/docs/next>; rel="deprecation"',
    }  # fmt: skip
    project.fault("headers", method="POST", times=ENDLESS, headers=headers)
    project.fault("headers", method="GET", times=ENDLESS, headers={"Sunset": "soon"})
    entries = [{**LOGIN, "name": f"db{number}"} for number in range(3)]
    result = ansible.databases(project, entries).result("databases")
    (warning,) = [text for text in result["warnings"] if "deprecated" in text]
    assert warning == (
        "collection pgbeam.cloud: it uses deprecated operations of PgBeam, "
        "GET /v1/projects/{id}/databases (deprecated), "
        "POST /v1/projects/{id}/databases (deprecated since 2026-12-01, ends on 2027-06-30, "
        "see https://pgbeam.com/docs/next); "
        "update it"
    )
    failed = ansible.database(project, host="db2.example.com", name="a").result("database")
    assert failed["failed"] and [text for text in failed["warnings"] if "deprecated" in text]


def test_a_clock_that_is_behind(modules: Modules, project: Project) -> None:
    """A date in the past means now, once; after that the calls back off."""
    project.fault("status", method="POST", times=ENDLESS, status=429, code="RATE_LIMITED", retry_after="date-60")
    run = modules.database(project, **LOGIN, retries=5, retry_budget=2)
    assert 2 <= methods(run).count("POST") <= 4, methods(run)
