# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that the role runs, with which options and in which order, and what it reports of their results."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT
from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _apply, _report
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._plan import Project, Replicas

Values = dict[str, Any]
DATABASE: Values = {"host": "db1", "name": "a", "username": "app"}
SETTINGS: Values = {
    "api_key": "pbu_0aB9-tests-only-Kk7",
    "api_url": "",
    "prune": True,
    "prune_limit": "50%",
    "replace_replicas": False,
    "update_password": "always",
    "test_connection": False,
    "parallel": 4,
}
#: A value of each option of a project.
OPTIONS: Values = {
    "org_id": "org_1",
    "name": "shop",
    "description": "",
    "tags": ["eu"],
    "cloud": "aws",
    "self_hosted": False,
    "allowed_cidrs": [{"cidr": "10.0.0.0/8"}],
    "agents_disabled": False,
    "default_policy_profile_id": "pol_1",
    "residency": "eu",
    "status": "active",
    "database": DATABASE,
}


class Modules:
    """Replaces the modules: records their options, and returns configured results."""

    def __init__(self, **answers: Any) -> None:
        self.calls: list[tuple[str, Values]] = []
        self.foreseen: list[tuple[str, Values]] = []
        self.announced: list[str] = []
        self.answers = {
            "project_info": {"projects": []},
            "project": {"project": {"id": "prj_1"}, "action": "unchanged"},
            "databases": {"databases": [{"id": "db_1", "action": "unchanged"}], "msg": "1 unchanged"},
            "replicas": {"replicas": [], "msg": "1 unchanged"},
            **answers,
        }

    def __call__(self, module: str, options: Values) -> Values:
        self.calls.append((module, options))
        answer = self.answers[module]
        return dict(answer(options) if callable(answer) else answer)

    def foresee(self, module: str, options: Values) -> Values:
        """Check mode, which prune asks for before anything is written."""
        self.foreseen.append((module, options))
        answer = self.answers[module]
        return dict(answer(options) if callable(answer) else answer)

    def run(self, projects: list[Project]) -> tuple[_report.Results, str | None]:
        return _apply.run(projects, self, self.foresee, self.announced.append)

    @property
    def names(self) -> list[str]:
        return [name for name, dummy in self.calls]

    def options(self, module: str) -> Values:
        (only,) = [options for name, options in self.calls if name == module]
        return only


def project(key: str = "prj_1", **changed: Any) -> Project:
    known = {"id": key, "options": {}, "databases": [DATABASE], "replicas": [], "settings": SETTINGS}
    return Project(key, **{**known, **changed})


def shop(**changed: Any) -> Project:
    """One that is found by its organization and name."""
    return project("org_1/shop", **{"id": "", "options": OPTIONS, **changed})


def test_every_option_of_a_project_reaches_its_module() -> None:
    """One that the API gets in a later release, too: none is listed by hand."""
    by_name = {f.name_option for f in PROJECT.references}
    assert set(OPTIONS) == {f.name for f in PROJECT.options} - by_name, "give the new option a value here"
    modules = Modules()
    modules.run([shop()])
    given = modules.options("project")
    assert {name: given[name] for name in OPTIONS} == OPTIONS
    assert (given["api_key"], given["api_url"]) == (SETTINGS["api_key"], None)


def test_a_project_that_exists_is_not_given_its_first_database() -> None:
    """The next module ensures it, with the others."""
    modules = Modules(project_info={"projects": [{"id": "prj_1"}]})
    modules.run([shop()])
    assert "database" not in modules.options("project")
    assert modules.options("project_info")["name"] == "shop"
    assert modules.options("project")["id"] == "prj_1", "the projects are listed once"


def test_two_projects_of_one_name_are_left_to_the_module() -> None:
    """It fails, and lists both ids."""
    modules = Modules(project_info={"projects": [{"id": "prj_1"}, {"id": "prj_2"}]})
    modules.run([shop(settings={**SETTINGS, "prune": False})])
    assert modules.options("project")["id"] is None


def test_the_options_of_the_list_form() -> None:
    modules = Modules()
    modules.run([project()])
    assert modules.names == ["databases"]
    assert modules.options("databases") == {
        "project_id": "prj_1", "databases": [DATABASE], "prune": True, "prune_limit": "50%",
        "update_password": "always",
        "test_connection": False, "parallel": 4, "api_key": SETTINGS["api_key"], "api_url": None,
    }  # fmt: skip


def test_check_mode_before_there_is_a_project() -> None:
    """Its first database is shown with it, and there is nothing to prune."""
    modules = Modules(project={"project": {"id": None}, "action": "created"})
    second = {**DATABASE, "name": "b"}
    replicas = Replicas(0, "database a on db1:5432", [{"host": "r1"}])
    modules.run([shop(databases=[DATABASE, second], replicas=[replicas])])
    given = modules.options("databases")
    assert (given["project_id"], given["databases"], given["prune"]) == ("", [second], False)
    assert modules.options("replicas")["database_id"] == ""


def test_a_password_of_a_project_that_was_created_is_not_sent_again() -> None:
    modules = Modules(project={"project": {"id": "prj_9"}, "action": "created"})
    modules.run([shop()])
    given = modules.options("databases")
    assert (given["project_id"], given["update_password"]) == ("prj_9", "on_create")


def test_replicas_belong_to_the_database_that_was_registered() -> None:
    registered = {"databases": [{"id": "db_1"}, {"id": "db_2"}], "msg": "2 created"}
    modules = Modules(databases=registered)
    replicas = Replicas(1, "database b on db1:5432", [{"host": "r1"}])
    results, dummy = modules.run([project(replicas=[replicas])])
    assert modules.options("replicas")["database_id"] == "db_2"
    assert results.replicas == [
        {"project": "prj_1", "database": "database b on db1:5432", "replicas": [], "msg": "1 unchanged"}
    ]


FAILED: Values = {"failed": True, "msg": "POST x: 400 NO"}


@pytest.mark.parametrize(
    "module, called",
    [
        ("project_info", ["project_info", "project_info"]),
        ("project", ["project_info", "project_info", "project", "project"]),
        ("databases", ["project_info", "project_info", "project", "project", "databases", "databases"]),
    ],
)
def test_a_step_is_finished_for_all_projects_and_a_failure_ends_the_run_with_it(module: str, called: list[str]) -> None:
    projects = [
        shop(replicas=[Replicas(0, "database a", [{"host": "r1"}])]),
        project("org_1/blog", id="", options={**OPTIONS, "name": "blog"}),
    ]
    modules = Modules(**{module: FAILED})
    results, problem = modules.run(projects)
    assert modules.names == called
    assert problem is None and len([r for r in results.all if r.get("failed")]) == 2
    assert _report.failures(results)[0] == "org_1/shop: POST x: 400 NO"


def test_a_project_that_is_named_in_two_ways() -> None:
    modules = Modules(project_info={"projects": [{"id": "prj_1"}]})
    results, problem = modules.run([shop(), project()])
    assert problem == (
        "org_1/shop and prj_1 are the same project; refer to each the same way on all hosts, by id or by org_id "
        "and name"
    )
    assert modules.names == ["project_info"] and results.all == []


def some_results() -> _report.Results:
    return _report.Results(
        projects={"org_1/shop": {"action": "updated", "changes": ["tags", "allowed_cidrs"]}},
        databases={
            "org_1/shop": {
                "msg": "1 created, 1 updated, 1 deleted",
                "databases": [
                    {**DATABASE, "port": 5432, "action": "created", "changes": ["host"]},
                    {**DATABASE, "port": 1, "action": "updated", "changes": ["password", "ssl_mode"]},
                    {**DATABASE, "port": 2, "action": "updated", "changes": ["password"]},
                    {**DATABASE, "port": 3, "action": "deleted", "changes": []},
                    {**DATABASE, "port": 4, "action": "unchanged", "changes": []},
                ],
            },
        },
        replicas=[
            {
                "project": "org_1/shop",
                "database": "database a on db1:5432",
                "msg": "1 replaced",
                "replicas": [{"host": "r1", "port": 5432, "action": "replaced", "changes": ["ssl_mode"]}],
            }
        ],
    )


def test_the_drift() -> None:
    """Passwords cannot be compared, nor can what a rotation would issue, so that they are no part of it."""
    results = some_results()
    issued = {"action": "updated", "changes": ["connection_string", "mcp_token"], "name": "bot"}
    disabled = {**issued, "name": "cat", "changes": ["status", "mcp_token"]}
    results.objects.append({"project": "org_1/shop", "kind": "agents", "agents": [issued, disabled]})
    assert _report.drift(results).pop() == "agent cat differs in status"
    assert "agent bot" not in str(_report.drift(results))
    results = some_results()
    assert _report.drift(results) == [
        "project org_1/shop differs in tags, allowed_cidrs",
        "a on db1:5432 is declared but not registered",
        "a on db1:1 differs in ssl_mode",
        "a on db1:3 is registered but should not be",
        "replica r1:5432 of database a on db1:5432 differs in ssl_mode",
    ]
    results.databases["prj_2"] = {"databases": []}
    assert _report.drift(results)[1] == "a on db1:5432 of org_1/shop is declared but not registered"
    assert _report.drift(results)[-1].endswith(" of database a on db1:5432 of org_1/shop differs in ssl_mode")


def test_the_lines_of_the_report() -> None:
    results = some_results()
    results.databases["org_1/shop"]["databases"][0]["connection_test"] = {"server_version": "17.2", "latency_ms": 0}
    results.databases["org_1/shop"]["databases"][1]["connection_test"] = {"server_version": None, "latency_ms": None}
    note = " (check mode, nothing was written)"
    assert _report.lines(results, check_mode=True) == [
        f"org_1/shop: project updated{note}",
        f"org_1/shop: 1 created, 1 updated, 1 deleted{note}",
        f"replicas of database a on db1:5432: 1 replaced{note}",
        "a on db1:5432: PostgreSQL 17.2, connected in 0 ms",
        "a on db1:1: PostgreSQL (unknown version), connected in ? ms",
    ]
    assert _report.lines(_report.Results(), check_mode=False) == [_report.NOTHING]


def test_a_refusal_to_prune_comes_before_the_first_write() -> None:
    """Of all projects: neither another project nor the options of this one are written."""
    modules = Modules(databases={"failed": True, "msg": "prune: 3 of the 4 databases would be deleted"})
    projects = [project("prj_0"), project("prj_1", options={"description": "x"})]
    results, problem = modules.run(projects)
    assert (problem, set(modules.names)) == (None, {"project_info"})
    assert results.databases["prj_0"]["failed"]


@pytest.mark.parametrize("limit, refused", [("50%", True), ("3", True), ("75%", True), ("4", False), ("100%", False)])
def test_the_limit_holds_for_all_replicas_of_a_project(limit: str, refused: bool) -> None:
    """A variable that gives every database another replica would delete one of each."""
    new, old = {"host": "r2"}, {"host": "r1", "port": 5432, "id": "rep_1"}
    databases = {"databases": [{"id": f"db_{n}"} for n in range(4)], "msg": "4 unchanged"}
    modules = Modules(
        databases=databases, replicas={"replicas": [{**new, "id": None}, old], "msg": "1 created, 1 deleted"}
    )
    replicas = [Replicas(n, f"database d{n}", [new]) for n in range(4)]
    settings = {**SETTINGS, "prune_limit": limit}
    problem = modules.run([project(replicas=replicas, settings=settings)])[1]
    assert bool(problem) == refused
    assert modules.names == ([] if refused else ["databases", *["replicas"] * 4])
    if problem:
        assert problem.startswith("pgbeam_prune: 4 of the 4 replicas of project prj_1 would be deleted, more than")
        assert "replica r1:5432 (rep_1) of database d0, " in problem
