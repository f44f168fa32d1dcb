# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: an update replaces the whole object, so nothing of it may be lost, and no guard may fall unseen."""

from __future__ import annotations

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


def test_a_guard_that_this_release_does_not_know_stays(modules: Modules, project: Project) -> None:
    """The sandbox returns fields that no contract has, and refuses them in a body, as a server may."""
    project.create("policies", **GUARDED)
    project.settings(extra_fields=True)
    run = modules.play([policy(project, max_rows=100)])
    assert run.result("policy")["action"] == "updated"
    puts = [entry for entry in run.exchanges if entry["method"] == "PUT"]
    assert [entry["status"] for entry in puts] == [400, 200]
    assert puts[0]["body"]["labels"] == ["a"] and puts[0]["body"]["statement_rules"]["labels"] == ["a"]
    assert "policy readers: the update was sent without shard, labels, statement_rules.shard" in run.output


def test_an_emptied_allowlist_is_reported(ansible: Ansible, project: Project) -> None:
    project.create("policies", **GUARDED)
    emptied = {"table_allowlist": "{{ [] }}"}
    said = "policy readers: table_allowlist becomes empty, so its agents can reach every table that is not in"
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
    ({ROWS: [{**MASKED, "kind": None}]}, 'masking_rules[0].kind: null is not allowed; put "null" in quotes'),
    ({ROWS: [{**MASKED, "kinds": 1}]}, "masking_rules[0].kinds: unknown option; did you mean kind?"),
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
