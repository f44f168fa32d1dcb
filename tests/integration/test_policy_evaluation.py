# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies that are tested with statements, and replayed on recorded ones. Both change nothing, whatever the mode."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Project
from tests.integration.conftest import Ansible, Modules, Run

READERS: dict[str, Any] = {
    "name": "readers",
    "access_mode": "read_only",
    "table_allowlist": ["orders", "customers"],
    "masking_rules": [{"table": "customers", "column": "email", "kind": "hash"}],
    "row_filters": [{"table": "orders", "predicate": "tenant_id = 7"}],
}
STATEMENTS: list[dict[str, Any]] = [
    {"sql": "SELECT id FROM orders WHERE total > 10", "expect": "row-filter"},
    {"sql": "SELECT email AS contact FROM customers", "expect": "mask", "rule": "ok"},
    {"sql": "SELECT number FROM cards", "expect": "block", "rule": "table_not_allowed"},
    {"sql": "DELETE FROM orders WHERE id = 1", "expect": "block", "rule": "read_only"},
    {"sql": "SHOW search_path", "expect": "allow"},
]
#: One that the policy blocks, with what it is expected to do.
UNEXPECTED: list[dict[str, Any]] = [
    {"sql": "SELECT number\n  FROM cards", "expect": "allow"},
    {"sql": "DELETE FROM orders WHERE id = 1", "expect": "block", "rule": "table_denied"},
]


def evaluation(project: Project, **options: Any) -> dict[str, Any]:
    given = {"project_id": project.id, "statements": STATEMENTS, **options}
    return {"name": "evaluation", "pgbeam.cloud.policy_evaluation": given}


def replay(project: Project, **options: Any) -> dict[str, Any]:
    return {"name": "replay", "pgbeam.cloud.policy_replay_info": {"project_id": project.id, **options}}


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("form", ["name", "id", "definition"])
def test_a_policy_is_tested(modules: Modules, project: Project, form: str, check: bool) -> None:
    """By its name, by its id, or without one: the same result, whatever the mode, and nothing is created."""
    stored = {} if form == "definition" else project.create("policies", **READERS)
    policy = {"definition": READERS} if form == "definition" else {"policy": stored[form]}
    run = modules.play([evaluation(project, **policy)], check=check)
    result = run.result("evaluation")
    assert (run.status, result["changed"], result["msg"]) == (0, False, "5 passed")
    assert result["summary"] == {"passed": 5, "failed": 0, "not_evaluated": 0}
    reported = [(one["sql"], one["expected"], one["verdict"], one["passed"]) for one in result["evaluations"]]
    assert reported == [(one["sql"], one["expect"], one["expect"], True) for one in STATEMENTS]
    filtered, masked, blocked, *dummy = result["evaluations"]
    assert filtered["row_filter_predicate"] == "tenant_id = 7"
    assert filtered["rewritten_sql"] == "SELECT id FROM orders WHERE total > 10 AND tenant_id = 7"
    assert masked["masked_columns"] == [{"column": "contact", "kind": "hash"}, {"column": "email", "kind": "hash"}]
    assert (masked["hint"], masked["notes"], masked["template"]) == (None, None, None)
    assert (blocked["rule"], blocked["masked_columns"]) == ("table_not_allowed", None)
    assert blocked["hint"] == "Use one of orders, customers."
    listing = [] if form == "definition" else [("GET", f"/v1/projects/{project.id}/policies")]
    assert run.requests == listing + [("POST", f"/v1/projects/{project.id}/policy-evaluations")] * 5
    assert len(project.stored("policies")) == len(listing)


def test_the_definition_is_sent_as_the_policy(modules: Modules, project: Project) -> None:
    """The options of the policy alone, with the defaults left to PgBeam."""
    statement = {"sql": "INSERT INTO orders (id) VALUES (1)", "expect": "allow"}
    definition = {"name": "writers", "access_mode": "read_write"}
    run = modules.play([evaluation(project, definition=definition, statements=[statement])])
    (sent,) = run.exchanges
    assert run.status == 0 and sent["body"] == {"sql": statement["sql"], "policy": definition}


def test_an_unexpected_decision_fails_with_a_table(modules: Modules, project: Project) -> None:
    run = modules.play([evaluation(project, definition=READERS, statements=STATEMENTS[:2] + UNEXPECTED)])
    result = run.result("evaluation")
    assert (result["failed"], result["changed"]) == (True, False)
    assert result["msg"].splitlines() == [
        "policy readers: unexpected decision for 2 of 4 statements; correct the policy or the expectations",
        "statement                       | expected             | got   | rule              | reason",
        "SELECT number FROM cards        | allow                | block | table_not_allowed | "
        "The policy does not allow the table cards.",
        "DELETE FROM orders WHERE id = 1 | block (table_denied) | block | read_only         | The policy is read-only.",
        "[2 passed, 2 failed]",
    ]
    assert result["summary"] == {"passed": 2, "failed": 2, "not_evaluated": 0}
    assert [one["passed"] for one in result["evaluations"]] == [True, True, False, False]
    assert "error" not in result


def test_a_long_table_is_cut_off(modules: Modules, project: Project) -> None:
    many = [{"sql": f"SELECT {n}, '{'x' * 100}' FROM cards", "expect": "allow"} for n in range(23)]
    result = modules.play([evaluation(project, definition=READERS, statements=many)]).result("evaluation")
    heading, dummy, *rows, rest, totals = result["msg"].splitlines()
    assert heading.startswith("policy readers: unexpected decision for 23 of 23 statements")
    assert len(rows) == 20 and all(len(row.split(" | ")[0]) <= 60 for row in rows)
    assert (rest, totals) == ("and 3 more", "[23 failed]")


@pytest.mark.parametrize("check", [False, True])
def test_a_call_that_fails_does_not_lose_the_other_decisions(modules: Modules, project: Project, check: bool) -> None:
    project.fault("status", status=500, code="INTERNAL", body_has="customers", times=9)
    statements = [*STATEMENTS[:3], UNEXPECTED[0]]
    definition = {**READERS, "masking_rules": [], "table_allowlist": ["orders"]}
    run = modules.play([evaluation(project, definition=definition, statements=statements, retries=0)], check=check)
    result = run.result("evaluation")
    assert result["summary"] == {"passed": 2, "failed": 1, "not_evaluated": 1}
    failed = result["evaluations"][1]
    assert (failed["passed"], failed["verdict"], failed["rule"]) == (False, None, None)
    assert (failed["error"]["status"], failed["error"]["outcome_unknown"]) == (500, False)
    assert "error" not in result["evaluations"][0]
    table, reported, totals = result["msg"].rsplit("\n", 2)
    assert table.startswith("policy readers: unexpected decision for 1 of 4 statements")
    assert reported.startswith("POST statements[1] (SELECT email AS contact FROM customers): 500 INTERNAL")
    assert totals == "[2 passed, 1 failed, 1 not evaluated]"


def test_a_call_is_repeated(modules: Modules, project: Project) -> None:
    project.fault("drop_after", path_ends="/policy-evaluations")
    project.fault("status", status=503, path_ends="/policy-evaluations")
    result = modules.play([evaluation(project, definition=READERS)]).result("evaluation")
    assert result["summary"]["passed"] == 5


def test_nothing_is_sent_after_a_refusal_of_the_key(modules: Modules, project: Project) -> None:
    project.fault("status", status=403, code="FORBIDDEN", path_ends="/policy-evaluations", times=99)
    many = [{"sql": f"SELECT {n}", "expect": "allow"} for n in range(9)]
    run = modules.play([evaluation(project, definition=READERS, statements=many, parallel=1)])
    result = run.result("evaluation")
    assert len(run.requests) == 1
    assert result["summary"] == {"passed": 0, "failed": 0, "not_evaluated": 9}
    assert [one["error"]["attempts"] for one in result["evaluations"]] == [1] + [0] * 8


@pytest.mark.parametrize("answer", ["empty", "truncate", "not_object"])
def test_an_answer_without_a_decision_is_an_error(modules: Modules, project: Project, answer: str) -> None:
    project.fault(answer, path_ends="/policy-evaluations", times=9)
    result = modules.play([evaluation(project, definition=READERS, statements=STATEMENTS[:1])]).result("evaluation")
    assert result["summary"]["not_evaluated"] == 1
    assert "200 with " in result["msg"]


@pytest.mark.parametrize("check", [False, True])
def test_an_unknown_policy_fails_in_either_mode(modules: Modules, project: Project, check: bool) -> None:
    project.create("policies", **READERS)
    run = modules.play([evaluation(project, policy="writers")], check=check)
    reported = f"policy: none of the policies of project {project.id} is named 'writers'; use an existing one: readers"
    assert run.result("evaluation")["msg"] == reported
    assert len(run.requests) == 1


def test_a_name_of_two_policies_fails(modules: Modules, project: Project) -> None:
    project.create("policies", **READERS)
    project.create("policies", **READERS)
    reported = modules.play([evaluation(project, policy="readers")]).result("evaluation")["msg"]
    assert reported.startswith(f"policy: 2 policies of project {project.id} are named 'readers' (")


# fmt: off
BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "policy: missing; set policy for a saved policy, or definition for any other"),
    ({"policy": "a", "definition": READERS}, "policy: definition is also set; keep one of them"),
    ({"policy": "a", "statements": []}, "statements: empty; set at least one statement"),
    ({"policy": "a", "statements": [{"sql": "SELECT 1"}]}, "statements[0].expect: missing; set a value"),
    ({"policy": "a", "statements": [{"expect": "allow"}]}, "statements[0].sql: missing; set a value"),
    ({"policy": "a", "statements": [{"sql": "", "expect": "allow"}]}, "statements[0].sql: '' is not allowed"),
    ({"policy": "a", "statements": [{"sql": "x" * 100_001, "expect": "allow"}]},
     "statements[0].sql: text of 100001 characters is not allowed; it must be text of 1 to 100000 characters"),
    ({"policy": "a", "statements": [{"sql": "SELECT 1", "expect": "pass"}]},
     "statements[0].expect: 'pass' is not allowed; it must be one of allow, block, mask, row-filter"),
    ({"policy": "a", "statements": [{"sql": "SELECT 1", "expected": "allow"}]},
     "statements[0].expected: unknown option; did you mean expect?"),
    ({"policy": "a", "statements": [{"sql": "SELECT 1", "expect": "block", "rule": "Read only"}]},
     "statements[0].rule: 'Read only' is not allowed; it must be the name of a rule"),
    ({"definition": {"name": "a", "approval_mode": False}}, "definition.approval_mode: false is a boolean, not text"),
    ({"definition": {"name": "a", "max_rows": -1}}, "definition.max_rows: -1 is not allowed"),
    ({"definition": {"name": "a", "state": "present"}}, "definition.state: unknown option"),
    ({"definition": {"name": "a", "masking_rules": [{"table": "a", "column": "b", "kind": "blur"}]}},
     "definition.masking_rules[0].kind: 'blur' is not allowed; it must be one of redact, null, hash"),
    ({"definition": {"access_mode": "read_only"}}, "missing required arguments: name found in definition"),
    ({"policy": "a", "parallel": 0}, "parallel: 0 is not allowed"),
    ({"policy": "a", "project_id": ""}, "project_id: '' is not an id"),
    ({"policy": "a", "project_id": None}, "project_id: '' is not an id"),
]
BAD_REPLAYS: list[tuple[dict[str, Any], str]] = [
    ({}, "policy: missing; set policy for a saved policy"),
    ({"policy": "a", "agent": "b", "bound_policy": "c"}, "agent: bound_policy is also set; keep one of them"),
    ({"policy": "a", "start": "2026-11-01"}, "start: '2026-11-01' is not allowed; it must be a date and time with a"),
    ({"policy": "a", "end": "2026-11-01T00:00:00"}, "end: '2026-11-01T00:00:00' is not allowed"),
    ({"policy": "a", "start": "2026-11-02T00:00:00Z", "end": "2026-11-02T01:00:00+01:00"},
     "end: '2026-11-02T01:00:00+01:00' is not later than start ('2026-11-02T00:00:00Z')"),
    ({"policy": "a", "limit": 501}, "limit: 501 is not allowed; it must be a whole number from 1 to 500"),
]
# fmt: on


@pytest.mark.parametrize(("options", "reported"), BAD)
def test_bad_options_are_refused_before_any_request(
    modules: Modules, project: Project, options: dict[str, Any], reported: str
) -> None:
    run = modules.play([evaluation(project, **options)], check=True)
    assert reported in run.result("evaluation")["msg"]
    assert run.exchanges == []


@pytest.mark.parametrize(("options", "reported"), BAD_REPLAYS)
def test_bad_options_of_a_replay_are_refused_before_any_request(
    modules: Modules, project: Project, options: dict[str, Any], reported: str
) -> None:
    run = modules.play([replay(project, **options)])
    assert reported in run.result("replay")["msg"]
    assert run.exchanges == []


@pytest.mark.parametrize("check", [False, True])
def test_ansible_shows_the_table(ansible: Ansible, project: Project, check: bool) -> None:
    """With the policy and the statements in variables, as a repository has them."""
    variables = {"readers": READERS, "right": STATEMENTS, "wrong": UNEXPECTED}
    passes = evaluation(project, definition="{{ readers }}", statements="{{ right }}")
    fails = evaluation(project, definition="{{ readers }}", statements="{{ wrong }}")
    run = ansible.play([passes, {**fails, "name": "fails"}], check=check, vars=variables)
    assert (run.status, run.changed, run.writes) == (2, 0, [])
    assert run.result("evaluation")["msg"] == "5 passed"
    assert "SELECT number FROM cards        | allow                | block |" in run.result("fails")["msg"]
    assert "policy readers: unexpected decision for 2 of 2 statements" in run.output


def recorded(project: Project) -> dict[str, str]:
    """Two agents with statements of this month. Returns their ids by their names."""
    wide = project.create("policies", name="wide", access_mode="read_write")["id"]
    narrow = project.create("policies", name="narrow", table_denylist=["cards"])["id"]
    agents = {
        name: project.create("agents", name=name, policy_profile_id=policy)["credential"]["id"]
        for name, policy in (("bot", wide), ("auditor", narrow))
    }
    for number, day in ((1, "03"), (2, "04"), (3, "05")):
        sql = f"SELECT number FROM cards WHERE id = {number}"
        project.record_statement(agents["bot"], sql, f"2026-11-{day}T08:00:00Z")
    project.record_statement(agents["bot"], "SELECT id FROM orders", "2026-11-06T08:00:00+02:00")
    project.record_statement(agents["auditor"], "SELECT number FROM cards WHERE id = 9", "2026-11-07T08:00:00Z")
    return agents


PERIOD = {"start": "2026-11-01T00:00:00Z", "end": "2026-11-30T00:00:00Z"}


def changes(run: Run) -> list[tuple[str, str, int]]:
    items = run.result("replay")["replay"]["statements"]
    return [(item["sql"], item["change"], item["occurrences"]) for item in items]


@pytest.mark.parametrize("check", [False, True])
def test_a_replay_reports_what_a_policy_would_newly_block(modules: Modules, project: Project, check: bool) -> None:
    agents = recorded(project)
    run = modules.play([replay(project, policy="narrow", agent="bot", **PERIOD)], check=check)
    cards = "SELECT number FROM cards WHERE id = $1"
    assert changes(run) == [(cards, "newly_blocked", 3), ("SELECT id FROM orders", "still_allowed", 1)]
    result = run.result("replay")
    assert (result["changed"], result["replay"]["summary"]["newly_blocked"]) == (False, 1)
    assert result["replay"]["summary"]["bound_credentials"] is None
    first, second = result["replay"]["statements"]
    assert (first["first_seen"], first["last_seen"]) == ("2026-11-03T08:00:00Z", "2026-11-05T08:00:00Z")
    assert (first["result"]["rule"], first["recorded_rule"]) == ("table_denied", None)
    assert second["result"]["hint"] is None
    assert run.exchanges[-1]["body"] == {
        "policy_id": next(name for name, item in project.stored("policies").items() if item["name"] == "narrow"),
        "credential_id": agents["bot"],
        "start_ts": PERIOD["start"],
        "end_ts": PERIOD["end"],
    }


def test_a_replay_of_the_traffic_of_a_policy(modules: Modules, project: Project) -> None:
    """One listing serves both names of policies. A definition may newly allow what was blocked."""
    recorded(project)
    run = modules.play([replay(project, policy="wide", bound_policy="narrow", **PERIOD)])
    assert changes(run) == [("SELECT number FROM cards WHERE id = $1", "newly_allowed", 1)]
    summary = run.result("replay")["replay"]["summary"]
    assert (summary["traffic_scope"], summary["bound_credentials"]) == ("bound_credentials", 1)
    assert [method for method, dummy in run.requests] == ["GET", "POST"]
    definition = {"name": "next", "table_allowlist": ["orders"]}
    run = modules.play([replay(project, definition=definition, limit=1, **PERIOD)])
    assert run.result("replay")["replay"]["summary"]["truncated"]
    assert [method for method, dummy in run.requests] == ["POST"]


def test_a_revoked_agent_is_replayed_by_its_id(modules: Modules, project: Project) -> None:
    """An agent with its former name is another one."""
    agents = recorded(project)
    revoking = {"project_id": project.id, "id": agents["bot"], "state": "absent"}
    assert modules.play([{"name": "revoke", "pgbeam.cloud.agent": revoking}]).result("revoke")["changed"]
    policy = next(name for name, item in project.stored("policies").items() if item["name"] == "wide")
    project.create("agents", name="bot", policy_profile_id=policy)
    run = modules.play([replay(project, policy="narrow", agent=agents["bot"], **PERIOD)])
    assert [occurrences for sql, change, occurrences in changes(run)] == [3, 1]
    assert changes(modules.play([replay(project, policy="narrow", agent="bot", **PERIOD)])) == []


def test_an_unknown_agent_fails(modules: Modules, project: Project) -> None:
    recorded(project)
    run = modules.play([replay(project, policy="wide", agent="nobody")], check=True)
    assert "agent: none of the agents of project" in run.result("replay")["msg"]
    assert run.result("replay")["msg"].endswith("use an existing one: auditor, bot")


def test_a_replay_that_fails(modules: Modules, project: Project) -> None:
    definition = {"name": "next"}
    project.fault("status", status=500, code="INTERNAL", method="POST")
    result = modules.play([replay(project, definition=definition, retries=0)]).result("replay")
    assert (result["failed"], result["error"]["status"], result["error"]["outcome_unknown"]) == (True, 500, False)
    assert result["msg"].startswith("POST replay: 500 INTERNAL")
