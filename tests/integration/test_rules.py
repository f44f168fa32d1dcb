# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Approval rules, anomaly rules and query templates: agents by name, null, order, and what excludes what."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Project, Sandbox
from tests.integration.conftest import Ansible, Modules, Run

QUERIES = {"metric": "queries_per_hour"}
ORDERS = {"name": "orders_of_customer", "sql": "SELECT id FROM orders WHERE customer_id = $1 AND day >= $2"}
CUSTOMER, SINCE = {"name": "customer", "type": "bigint"}, {"name": "since", "type": "date"}


@pytest.fixture
def project(sandbox: Sandbox) -> Project:
    project = sandbox.project()
    project.create("policies", name="readers")
    return project


@pytest.fixture
def bot(project: Project) -> str:
    """The id of an agent with this name."""
    return new_agent(project, "bot")


def new_agent(project: Project, name: str) -> str:
    (policy,) = project.stored("policies")
    return str(project.create("agents", name=name, policy_profile_id=policy)["credential"]["id"])


def task(project: Project, module: str, **options: Any) -> dict[str, Any]:
    """A task. ``check_mode`` is its keyword, the others are options of the module."""
    keywords = {"check_mode": options.pop("check_mode")} if "check_mode" in options else {}
    return {"name": "task", f"pgbeam.cloud.{module}": {"project_id": project.id, **options}, **keywords}


def rule(modules: Modules, project: Project, **options: Any) -> Run:
    return modules.play([task(project, "anomaly_rule", **QUERIES, **options)], "--diff")


def rules(modules: Modules, project: Project, *entries: dict[str, Any], **options: Any) -> Run:
    return modules.play([task(project, "anomaly_rules", anomaly_rules=[{**QUERIES, **e} for e in entries], **options)])


def stored(project: Project) -> list[tuple[str | None, str]]:
    """The agent and the metric of each anomaly rule."""
    return [(item["credential_id"], item["metric"]) for item in project.stored("anomaly_rules").values()]


def test_the_agent_by_name_or_id(modules: Modules, project: Project, bot: str) -> None:
    made = rule(modules, project, agent="bot", sigma_threshold=4.5).result("task")
    assert (made["action"], made["anomaly_rule"]["credential_id"]) == ("created", bot)
    assert made["diff"]["after_header"] == f"anomaly_rule queries_per_hour of {bot}"
    for options in ({"agent": "bot"}, {"agent": bot}, {"credential_id": bot}):
        assert rule(modules, project, **options).result("task")["action"] == "unchanged"
    both = rule(modules, project, agent="bot", credential_id=bot)
    assert both.result("task")["msg"] == "agent: credential_id is also set; keep one of them"
    assert both.exchanges == []
    assert rule(modules, project, agent="bot", state="absent").result("task")["action"] == "deleted"
    assert rule(modules, project, agent="bot", state="absent").result("task")["action"] == "unchanged"


@pytest.mark.parametrize("everyone", [{}, {"credential_id": None}, {"credential_id": ""}], ids=str)
def test_a_rule_for_all_agents_is_another_one(
    modules: Modules, project: Project, bot: str, everyone: dict[str, Any]
) -> None:
    rule(modules, project, agent="bot")
    made = rule(modules, project, **everyone).result("task")
    assert (made["action"], made["anomaly_rule"]["credential_id"]) == ("created", None)
    assert made["diff"]["after_header"] == "anomaly_rule queries_per_hour of all agents"
    assert rule(modules, project, **everyone).result("task")["action"] == "unchanged"
    assert rule(modules, project, state="absent", **everyone).result("task")["action"] == "deleted"
    assert stored(project) == [(bot, "queries_per_hour")]


def test_an_agent_that_does_not_exist(modules: Modules, project: Project, bot: str) -> None:
    """It is never taken for all agents."""
    missing = rule(modules, project, agent="cat", enabled=False)
    assert missing.result("task")["msg"] == (
        f"agent: none of the agents of project {project.id} is named 'cat'; use an existing one: bot"
    )
    foreseen = rule(modules, project, agent="cat", enabled=False, check_mode=True)
    assert foreseen.result("task")["action"] == "created"
    assert foreseen.result("task")["anomaly_rule"]["credential_id"] is None
    assert foreseen.result("task")["diff"]["after"] == {"credential_id": None, **QUERIES, "enabled": False}
    assert "use an existing one: bot; without check mode, the task fails unless 'cat' exists by then" in foreseen.output
    rule(modules, project)
    assert rule(modules, project, agent="cat", check_mode=True).result("task")["action"] == "created"
    for check in (True, False):
        gone = rule(modules, project, agent="cat", state="absent", check_mode=check)
        assert gone.result("task")["action"] == "unchanged"
    empty = rule(modules, project, agent="", enabled=False)
    assert "agent: '' is not allowed; it must be a name or an id" in empty.result("task")["msg"]
    assert stored(project) == [(None, "queries_per_hour")]


def test_a_revoked_agent_has_no_name(modules: Modules, project: Project, bot: str) -> None:
    modules.play([task(project, "agent", id=bot, state="absent")])
    assert "is named 'bot'; create it first" in rule(modules, project, agent="bot").result("task")["msg"]
    again = new_agent(project, "bot")
    assert rule(modules, project, agent="bot").result("task")["anomaly_rule"]["credential_id"] == again


def test_two_entries_for_one_rule(modules: Modules, project: Project, bot: str) -> None:
    for entries in (
        [{"agent": "bot"}, {"agent": "bot"}],
        [{}, {"credential_id": ""}],
        [{"agent": bot}, {"credential_id": bot}],
    ):
        run = rules(modules, project, *entries)
        assert (
            "anomaly_rules[0] and anomaly_rules[1] are both anomaly_rule queries_per_hour" in run.result("task")["msg"]
        )
        assert run.exchanges == []
    by_name_and_id = [{"agent": "bot"}, {"credential_id": bot}]
    run = rules(modules, project, *by_name_and_id)
    assert f"would both be anomaly_rule queries_per_hour of {bot}; keep one of them" in run.result("task")["msg"]
    (made,) = [rule(modules, project, agent="bot").result("task")["anomaly_rule"]["id"]]
    for more in ({}, {"state": "absent"}):
        run = rules(modules, project, by_name_and_id[0], {**by_name_and_id[1], **more})
        assert f"are both anomaly_rule {made}; keep one of them" in run.result("task")["msg"]
        assert run.writes == []


def test_a_list_of_rules_costs_one_listing_of_agents(modules: Modules, project: Project, bot: str) -> None:
    new_agent(project, "cat")
    entries: list[dict[str, Any]] = [
        {},
        {"agent": "bot"},
        {"agent": "cat"},
        {"agent": "cat", "metric": "active_hours", "enabled": False},
    ]
    run = rules(modules, project, *entries, prune=True)
    assert run.result("task")["msg"] == "4 created"
    assert [entry["method"] for entry in run.exchanges].count("GET") == 2
    assert rules(modules, project, *entries, prune=True).result("task")["msg"] == "4 unchanged"


@pytest.mark.parametrize("name", ["sigma_threshold", "floor"])
@pytest.mark.parametrize("metric", ["distinct_shapes", "active_hours"])
def test_a_metric_without_a_rate(modules: Modules, project: Project, name: str, metric: str) -> None:
    wrong: dict[str, Any] = {"metric": metric, name: 3}
    said = f"{name}: not available for metric {metric}, only for queries_per_hour, bytes_per_hour, errors_per_hour"
    for run, place in (
        (modules.play([task(project, "anomaly_rule", **wrong)]), ""),
        (rules(modules, project, {}, wrong), "anomaly_rules[1]: "),
    ):
        assert f"{place}{said}" in run.result("task")["msg"]
        assert run.exchanges == []
    made = rule(modules, project, **{name: 3}).result("task")["anomaly_rule"]["id"]
    by_id = task(project, "anomaly_rule", id=made, metric=metric)
    refused = modules.play([by_id])
    assert f"anomaly_rule queries_per_hour of all agents: {said}" in refused.result("task")["msg"]
    assert refused.writes == []
    cleared = modules.play([task(project, "anomaly_rule", id=made, metric=metric, **{name: None})])
    assert cleared.result("task")["changes"] == ["metric", name]


def test_numbers_are_numbers(ansible: Ansible, project: Project) -> None:
    """Also those that a template makes; a whole number of the server is no other number."""
    project.create("anomaly_rules", **QUERIES, floor=3, sigma_threshold=2.5)
    same = {"floor": "{{ 3 }}", "sigma_threshold": "{{ 5 / 2 }}"}
    assert ansible.play([task(project, "anomaly_rule", **QUERIES, **same)]).result("task")["action"] == "unchanged"
    other = ansible.play([task(project, "anomaly_rule", **QUERIES, floor="{{ 3.25 }}")], "--diff").result("task")
    assert (other["diff"]["before"], other["diff"]["after"]) == ({"floor": 3}, {"floor": 3.25})


def test_null_clears(ansible: Ansible, project: Project) -> None:
    scope = {"schema_name": "billing", "relation_name": "invoices", "min_affected_rows": 100}
    project.create("approval_rules", name="changes", **scope)
    cleared = {"name": "changes", "schema_name": None, "min_affected_rows": None}
    first, second = (ansible.play([task(project, "approval_rule", **cleared)]) for dummy in range(2))
    assert first.result("task")["changes"] == ["schema_name", "min_affected_rows"]
    assert second.result("task")["action"] == "unchanged"
    emptied = ansible.play([task(project, "approval_rule", name="changes", relation_name="{{ '' }}")])
    assert emptied.result("task")["changes"] == ["relation_name"]
    (put,) = [entry["body"] for entry in emptied.exchanges if entry["method"] == "PUT"]
    assert put["relation_name"] is None
    (item,) = project.stored("approval_rules").values()
    assert {name: item[name] for name in scope} == dict.fromkeys(scope)


def test_parameters_keep_their_order(modules: Modules, project: Project) -> None:
    def play(**options: Any) -> dict[str, Any]:
        return modules.play([task(project, "query_template", **ORDERS, **options)], "--diff").result("task")

    made = play(params=[CUSTOMER, SINCE])
    assert [param["name"] for param in made["query_template"]["params"]] == ["customer", "since"]
    assert play(params=[CUSTOMER, SINCE])["action"] == "unchanged"
    moved = play(params=[SINCE, CUSTOMER])
    assert moved["changes"] == ["params"]
    assert [param["name"] for param in moved["diff"]["after"]["params"]] == ["since", "customer"]
    (item,) = project.stored("query_templates").values()
    assert [param["name"] for param in item["params"]] == ["since", "customer"]
    assert "params[0] and params[1] have the same name (since)" in play(params=[SINCE, SINCE])["msg"]


def test_the_kind_of_a_statement_is_the_servers(modules: Modules, project: Project) -> None:
    first = {"name": "orders", "sql": "SELECT 1"}
    assert modules.play([task(project, "query_template", **first)]).result("task")["query_template"][
        "statement_kind"
    ] == ("select")
    changed = {**first, "sql": "DELETE FROM orders"}
    foreseen, done = (
        modules.play([task(project, "query_template", **changed, check_mode=check)]).result("task")["query_template"]
        for check in (True, False)
    )
    assert (foreseen["statement_kind"], done["statement_kind"]) == (None, "delete")


def test_what_postgresql_cannot_compile_is_the_servers_to_refuse(modules: Modules, project: Project) -> None:
    result = modules.play([task(project, "query_template", **ORDERS, params=[CUSTOMER])]).result("task")
    assert (result["failed"], result["error"]["status"]) == (True, 400)
    assert "sql: it uses a parameter that params does not declare" in result["msg"]


def test_a_policy_that_allows_only_templates_needs_one(modules: Modules, project: Project) -> None:
    only = task(project, "policy", name="readers", query_mode="templates")
    assert "query_mode: the project has no enabled query template" in modules.play([only]).result("task")["msg"]
    template = task(project, "query_template", name="one", sql="SELECT 1")
    assert modules.play([{**template, "name": "made"}, only]).result("task")["changes"] == ["query_mode"]


CONFLICTS = {
    "RESOURCE_EXISTS": "choose another, or manage that object",
    "CONFLICT": "delete or disable that object first, then run again",
    "INVALID_STATE": "if it was revoked or has ended, it cannot change, so create another",
    "IDEMPOTENCY_KEY_REUSED": "check the proxy between Ansible and PgBeam, then run again",
    "SOMETHING_ELSE": "it conflicts with the current state in PgBeam: check the object, then run again",
}


@pytest.mark.parametrize("code", CONFLICTS)
@pytest.mark.parametrize(
    ("module", "options"),
    [("approval_rule", {"name": "changes"}), ("query_template", {"name": "one", "sql": "SELECT 1"})],
)
def test_conflicts(modules: Modules, project: Project, module: str, options: dict[str, Any], code: str) -> None:
    project.fault("status", method="POST", status=409, code=code)
    result = modules.play([task(project, module, **options)]).result("task")
    assert f"POST {module} {options['name']}: 409 {code}" in result["msg"]
    assert result["msg"].endswith(CONFLICTS[code])
    assert (result["changed"], result["error"]["outcome_unknown"]) == (False, False)


def test_a_name_that_somebody_takes_meanwhile(modules: Modules, project: Project) -> None:
    made = modules.play([task(project, "approval_rule", name="changes")]).result("task")["approval_rule"]["id"]
    project.create("approval_rules", name="others")
    renamed = modules.play([task(project, "approval_rule", id=made, name="others")])
    assert f"{made} would become its duplicate" in renamed.result("task")["msg"]
    assert renamed.writes == []
