# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: an update replaces the whole object, so nothing of it may be lost, and no guard may fall unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness import Project
from tests.integration.conftest import Ansible, Modules

MASKED = {"table": "customers", "column": "email", "kind": "hash"}
FILTERED = {"table": "orders", "predicate": "tenant_id = 7"}
GUARDED: dict[str, Any] = {
    "name": "readers",
    "access_mode": "read_only",
    "statement_rules": {"allow": ["select", "explain"], "deny": ["copy"]},
    "table_allowlist": ["orders", "billing.invoices"],
    "table_denylist": ["billing.cards"],
    "masking_rules": [MASKED],
    "row_filters": [FILTERED],
    "max_rows": 500,
    "approval_mode": "writes",
    "approval_timeout_seconds": 60,
}


def policy(project: Project, **options: Any) -> dict[str, Any]:
    """A task. ``check_mode`` is its keyword, the others are options of the module."""
    keywords = {"check_mode": options.pop("check_mode")} if "check_mode" in options else {}
    return {
        "name": "policy",
        "pgbeam.cloud.policy": {"project_id": project.id, "name": "readers", **options},
        **keywords,
    }


def test_an_update_keeps_all_that_it_does_not_name(modules: Modules, project: Project) -> None:
    identifier = project.create("policies", **GUARDED)["id"]
    before = project.stored("policies")[identifier]
    run = modules.play([policy(project, max_rows=100)], "--diff")
    result = run.result("policy")
    assert result["changes"] == ["max_rows"]
    assert (result["diff"]["before"], result["diff"]["after"]) == ({"max_rows": 500}, {"max_rows": 100})
    assert [method for method, path in run.writes] == ["PUT"]
    assert run.exchanges[-1]["headers"]["if-match"]
    after = project.stored("policies")[identifier]
    assert {**after, "updated_at": ""} == {**before, "max_rows": 100, "updated_at": ""}


def test_a_guard_that_this_release_does_not_know_stays(modules: Modules, project: Project) -> None:
    """The sandbox returns fields that no contract has, and refuses them in a body, as a server may."""
    project.create("policies", **GUARDED)
    project.settings(extra_fields=True)
    run = modules.play([policy(project, max_rows=100)])
    assert run.result("policy")["action"] == "updated"
    puts = [entry for entry in run.exchanges if entry["method"] == "PUT"]
    assert [entry["status"] for entry in puts] == [400, 200]
    assert puts[0]["body"]["labels"] == ["a"] and puts[0]["body"]["statement_rules"]["labels"] == ["a"]
    assert "policy readers: PgBeam refused shard, labels, statement_rules.shard" in run.output


def test_another_writers_guard_is_kept(modules: Modules, project: Project) -> None:
    identifier = project.create("policies", **GUARDED)["id"]
    project.fault("other_writer", method="PUT", change={"max_affected_rows": 9, "table_denylist": ["salaries"]})
    run = modules.play([policy(project, max_rows=100)])
    assert run.result("policy")["changes"] == ["max_rows"]
    stored = project.stored("policies")[identifier]
    assert (stored["max_rows"], stored["max_affected_rows"]) == (100, 9)
    assert stored["table_denylist"] == ["billing.cards", "salaries"]
    assert [entry["status"] for entry in run.exchanges if entry["method"] == "PUT"] == [412, 200]


def test_an_emptied_allowlist_is_reported(ansible: Ansible, project: Project) -> None:
    project.create("policies", **GUARDED)
    emptied = {"table_allowlist": "{{ [] }}"}
    said = "policy readers: table_allowlist becomes empty, so its agents can reach every table"
    foreseen = ansible.play([policy(project, **emptied)], check=True)
    assert said in " ".join(foreseen.output.split())
    assert said in " ".join(ansible.play([policy(project, **emptied)]).output.split())
    assert said not in " ".join(ansible.play([policy(project, **emptied)]).output.split())


def test_lists_are_sets(modules: Modules, project: Project) -> None:
    project.create("policies", **GUARDED, budget_queries_per_day=5)
    same = policy(
        project,
        table_allowlist=["billing.invoices", "orders"],
        statement_rules={"allow": ["explain", "select"]},
        masking_rules=[dict(reversed(MASKED.items()))],
    )
    assert modules.play([same]).result("policy")["action"] == "unchanged"
    more = policy(project, masking_rules=[{**MASKED, "column": "phone", "kind": "redact"}, MASKED])
    result = modules.play([more], "--diff").result("policy")
    assert result["changes"] == ["masking_rules"]
    assert result["diff"]["before"] == {"masking_rules": [MASKED]}
    fewer = policy(project, row_filters=[], statement_rules={"deny": []})
    assert modules.play([fewer]).result("policy")["changes"] == ["statement_rules.deny", "row_filters"]
    (stored,) = project.stored("policies").values()
    assert stored["statement_rules"] == {"allow": ["select", "explain"], "deny": []}


ROWS = "masking_rules"
# fmt: off
BAD: list[tuple[dict[str, Any], str]] = [
    ({"approval_mode": False}, "approval_mode: false is a boolean, not text; put it in quotes"),
    ({ROWS: [{**MASKED, "kind": None}]}, 'masking_rules[0].kind: it is null; put "null" in quotes'),
    ({ROWS: [{"table": "t", "column": "c"}]}, "masking_rules[0].kind: it is missing"),
    ({ROWS: [{**MASKED, "kind": "blur"}]}, "masking_rules[0].kind: 'blur' is not allowed; it must be one of redact"),
    (
        {ROWS: [MASKED, {**MASKED, "kind": "null"}]},
        "masking_rules[0] and masking_rules[1] are both table customers, column email; keep one of them",
    ),
    ({ROWS: [{**MASKED, "kinds": 1}]}, "masking_rules[0].kinds: there is no such option; did you mean kind?"),
    ({"row_filters": [{"table": "orders"}]}, "row_filters[0].predicate: it is missing"),
    ({"statement_rules": {"allow": ["read"]}}, "statement_rules.allow[0]: 'read' is not allowed; it must be one of"),
    ({"table_allowlist": [""]}, "table_allowlist[0]: '' is not allowed; it must be the name of a table"),
    ({"max_rows": -1}, "max_rows: -1 is not allowed; it must be a whole number of 0 or more"),
    ({"egress_bytes_per_day": 2**63}, "egress_bytes_per_day: 9223372036854775808 is not allowed"),
    ({"name": "n" * 129}, "is not allowed; it must be text of 1 to 128 characters"),
]
# fmt: on


@pytest.mark.parametrize(("options", "said"), BAD)
def test_bad_values_are_refused_before_any_request(
    modules: Modules, project: Project, options: dict[str, Any], said: str
) -> None:
    run = modules.play([policy(project, **options)])
    assert said in run.result("policy")["msg"]
    assert run.exchanges == []


def test_a_policy_in_use_is_not_deleted(modules: Modules, project: Project) -> None:
    identifier = project.create("policies", **GUARDED)["id"]
    project.create("agents", name="bot", policy_profile_id=identifier)
    result = modules.play([policy(project, state="absent")]).result("policy")
    assert (result["failed"], result["action"], result["error"]["status"]) == (True, "failed", 409)
    assert list(project.stored("policies")) == [identifier]


def test_two_policies_of_one_name(modules: Modules, project: Project) -> None:
    ids = sorted(project.create("policies", name="readers")["id"] for dummy in range(2))
    result = modules.play([policy(project, max_rows=1)]).result("policy")
    assert result["msg"].startswith(f"policy readers is in PgBeam 2 times ({', '.join(ids)})")
    by_id = {"project_id": project.id, "id": ids[0], "name": "writers"}
    result = modules.play([{"name": "policy", "pgbeam.cloud.policy": by_id}]).result("policy")
    assert (result["action"], result["changes"]) == ("updated", ["name"])
    assert json.dumps(project.stored("policies")[ids[1]]["name"]) == '"readers"'
