# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for an object that always exists, once in each parent."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible.argument_spec import CONNECTION, item_spec
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan, make_plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.spend_limit import SPEND_LIMIT

ANSWER: Values = {"org_id": "org_1", "plan": "scale", "spend_capped": True, "spend_capped_at": "2026-11-01T00:00:00Z"}


def read(limit: float | None) -> Values:
    return SPEND_LIMIT.with_all_fields({**ANSWER, "spend_limit": limit, "limits": {"max_projects": 3}})


def planned(server: float | None, limit: Any) -> Plan:
    wanted = {"org_id": "org_1", "spend_limit": limit}
    return make_plan(SPEND_LIMIT, wanted, Index(SPEND_LIMIT, [read(server)]).find(wanted), "present", False)


@pytest.mark.parametrize(
    ("server", "task", "changes"),
    [
        (None, None, False),
        (None, 500.0, True),
        (None, 0, True),
        (0, 0.0, False),
        (0, None, True),
        (500, 500.0, False),
        (500, "500", False),
        (500.5, 500.0, True),
        (500, None, True),
    ],
)
def test_a_plan(server: float | None, task: Any, changes: bool) -> None:
    plan = planned(server, task)
    if not changes:
        assert (plan.action, plan.body, plan.changes, plan.predict()) == ("unchanged", {}, [], read(server))
        return
    assert (plan.action, plan.changes) == ("updated", ["spend_limit"])
    assert plan.body == {"spend_limit": task}, "nothing else of what was read is sent"
    assert not plan.conditional
    header = "spend_limit of organization org_1"
    assert plan.diff() == {
        "before_header": header,
        "after_header": header,
        "before": {"spend_limit": server},
        "after": {"spend_limit": task},
    }
    capped = {"spend_capped": None, "spend_capped_at": None}
    assert plan.predict() == {**read(server), **capped, "spend_limit": task}, "the new limit may lift the cap"


@pytest.mark.parametrize(("server", "found"), [(500, True), (400, False), (None, False)])
def test_a_write_whose_answer_is_lost(server: float | None, found: bool) -> None:
    there = Index(SPEND_LIMIT, [read(server)])
    assert planned(None, 500).confirmed_by(there) == (read(server) if found else None)


def test_what_a_task_can_say() -> None:
    assert item_spec(SPEND_LIMIT).keys() - CONNECTION.keys() == {"org_id", "spend_limit"}
    assert SPEND_LIMIT.actions == ("updated", "unchanged", "failed", "skipped")
    assert validation.missing_identity(SPEND_LIMIT, {"org_id": "org_1", "spend_limit": None}) is None
    missing = "spend_limit: missing; set a value, or null to clear it"
    assert validation.missing_identity(SPEND_LIMIT, {"org_id": "org_1"}) == missing


@pytest.mark.parametrize("answer", [{"id": "org_1"}, {"org_id": ""}, {"org_id": "a/b"}, {"org_id": 5}])
def test_an_invalid_answer(answer: Values) -> None:
    assert "an object without a usable org_id" in str(validation.response_error(SPEND_LIMIT, answer))
    assert validation.response_error(SPEND_LIMIT, {**ANSWER, "spend_limit": True}) == (
        "an object in which the type of spend_limit is not float"
    )
