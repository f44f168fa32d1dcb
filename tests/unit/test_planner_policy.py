# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for a resource that is updated as a whole: what is sent, what is reported, and what is compared as a set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan, make_plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.policy import POLICY

EMAIL = {"table": "customers", "column": "email", "kind": "hash"}
PHONE = {"table": "customers", "column": "phone", "kind": "redact"}
LIVE: Values = {
    "id": "pol_1", "project_id": "prj_1", "name": "readers", "access_mode": "read_only",
    "statement_rules": {"allow": ["select"], "deny": []}, "table_allowlist": ["orders"], "table_denylist": [],
    "masking_rules": [EMAIL], "max_rows": 500, "created_at": "t0", "updated_at": "t0",
}  # fmt: skip
SENT = {name: value for name, value in LIVE.items() if name not in ("id", "project_id", "created_at", "updated_at")}


def live(**fields: Any) -> Values:
    return POLICY.with_all_fields({**LIVE, **fields})


@dataclass
class Case:
    server: Values | None
    task: Values
    action: str = "unchanged"
    body: Values = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def plan(self) -> Plan:
        return make_plan(POLICY, {"project_id": "prj_1", "name": "readers", **self.task}, self.server, "present", False)


def whole(server: Values, changes: list[str], *warnings: str, sent: Values | None = None, **task: Any) -> Case:
    """A case in which the whole object is sent, with the fields of the task in it, or those of ``sent``."""
    known = {name: value for name, value in server.items() if value is not None}
    body = {
        name: value for name, value in known.items() if name not in ("id", "project_id", "created_at", "updated_at")
    }
    return Case(server, task, "updated", {**body, **(sent or task)}, changes, list(warnings))


RULES = "statement_rules"
CASES = {
    "create-with-the-name-alone": Case(None, {}, "created", {"name": "readers"}, ["name"]),
    "create-an-object-named-in-part": Case(
        None, {RULES: {"deny": ["copy"]}}, "created", {"name": "readers", RULES: {"deny": ["copy"]}},
        ["name", f"{RULES}.deny"],
    ),
    "unchanged-by-the-name-alone": Case(live(), {}),
    "unchanged-lists-in-another-order": Case(live(masking_rules=[EMAIL, PHONE]), {"masking_rules": [PHONE, EMAIL]}),
    "unchanged-members-in-another-order": Case(live(), {"masking_rules": [dict(reversed(EMAIL.items()))]}),
    "unchanged-empty-for-left-out": Case(live(table_denylist=None), {"table_denylist": []}),
    "update-sends-the-whole-object": whole(live(), ["max_rows"], max_rows=100),
    "update-keeps-fields-that-this-release-does-not-know": whole(
        live(shards=[{"a": 1}], guard="strict"), ["max_rows"], max_rows=100
    ),
    "update-keeps-members-that-this-release-does-not-know": whole(
        live(statement_rules={"allow": [], "deny": [], "ask": ["ddl"]}), [f"{RULES}.deny"],
        statement_rules={"deny": ["copy"]}, sent={RULES: {"allow": [], "deny": ["copy"], "ask": ["ddl"]}},
    ),
    "update-sends-nothing-for-what-the-server-leaves-out": whole(live(row_filters=None), ["max_rows"], max_rows=1),
    "update-a-rule-of-a-column": whole(
        live(), ["masking_rules"], masking_rules=[{**EMAIL, "kind": "null"}]
    ),
    "update-a-rule-added": whole(live(), ["masking_rules"], masking_rules=[EMAIL, PHONE]),
    "update-one-member-of-an-object": whole(
        live(), [f"{RULES}.deny"], statement_rules={"deny": ["copy"]},
        sent={RULES: {"allow": ["select"], "deny": ["copy"]}},
    ),
    "update-a-guard-emptied": whole(
        live(), ["table_allowlist"],
        "policy readers: table_allowlist becomes empty, so its agents can reach every table "
        "that is not in table_denylist", table_allowlist=[],
    ),
    "update-another-list-emptied": whole(live(), ["masking_rules"], masking_rules=[]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_plan(case: Case) -> None:
    plan = case.plan()
    assert (plan.action, plan.body, plan.changes, plan.warnings) == (
        case.action,
        case.body,
        case.changes,
        case.warnings,
    )
    assert plan.conditional is (case.action == "updated")
    assert {name for name in plan.after if name not in plan.before} <= (
        set(plan.body) if case.server is None else set()
    )
    assert {name.partition(".")[0] for name in plan.changes} == set(plan.after)


def test_a_body_without_what_this_release_does_not_know() -> None:
    body = {
        **SENT,
        "guard": "strict",
        RULES: {"allow": [], "deny": [], "ask": []},
        "masking_rules": [{**EMAIL, "x": 1}],
    }
    assert POLICY.only_known(body) == {**SENT, RULES: {"allow": [], "deny": []}, "masking_rules": [EMAIL]}
    assert POLICY.unknown_names(body) == ["guard", f"{RULES}.ask"]
    assert POLICY.only_known(SENT) == SENT
