# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for a resource with texts and numbers that a task can clear."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan, make_plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.approval_rule import APPROVAL_RULE

SCOPE = {"schema_name": "billing", "relation_name": "invoices", "min_affected_rows": 100}


def planned(server: Values, **task: Any) -> Plan:
    known = {"id": "apl_1", "project_id": "prj_1", "name": "changes", "statement_kinds": [], "enabled": True}
    wanted = {"project_id": "prj_1", "name": "changes", **task}
    return make_plan(APPROVAL_RULE, wanted, APPROVAL_RULE.with_all_fields({**known, **server}), "present", False)


@pytest.mark.parametrize("name", SCOPE)
def test_null_clears_one_and_keeps_the_others(name: str) -> None:
    plan = planned(SCOPE, **{name: None})
    assert (plan.changes, plan.before, plan.after) == ([name], {name: SCOPE[name]}, {name: None})
    assert plan.body == {"name": "changes", "statement_kinds": [], "enabled": True, **SCOPE, name: None}
    assert planned({**SCOPE, name: None}, **{name: None}).action == "unchanged"


@pytest.mark.parametrize("server", [{}, {"schema_name": ""}])
def test_null_and_empty_are_one(server: Values) -> None:
    assert planned(server, schema_name=None).action == "unchanged"
    plan = planned(server, schema_name="billing")
    assert plan.before == {"schema_name": server.get("schema_name")}
    assert plan.body["schema_name"] == "billing"


def test_kinds_are_a_set() -> None:
    server = {"statement_kinds": ["update", "delete"]}
    assert planned(server, statement_kinds=["delete", "update"]).action == "unchanged"
    assert planned(server, statement_kinds=[]).changes == ["statement_kinds"]


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"name": " "}, "name: ' ' is not allowed; it must be text of 1 to 255 characters, not only whitespace"),
        (
            {"min_affected_rows": 0},
            "min_affected_rows: 0 is not allowed; it must be a whole number from 1 to 2147483647",
        ),
        ({"min_affected_rows": ""}, "min_affected_rows: '' is not allowed; it must be a whole number from 1"),
        ({"schema_name": "x" * 256}, "is not allowed; it must be text of at most 255 characters"),
        ({"statement_kinds": ["select"]}, "statement_kinds[0]: 'select' is not allowed; it must be one of insert"),
    ],
)
def test_bad_values(task: Values, said: str) -> None:
    (reported,) = validation.validate(APPROVAL_RULE, task)
    assert said in reported
