# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for a resource with a list whose order counts, and a text whose length is limited in bytes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan, make_plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.query_template import QUERY_TEMPLATE

CUSTOMER = {"name": "customer", "type": "bigint", "nullable": False}
SINCE = {"name": "since", "type": "date", "nullable": True}
SQL = "SELECT id FROM orders WHERE customer_id = $1 AND created_at >= $2"
LIVE: Values = {
    "id": "qtp_1", "project_id": "prj_1", "name": "orders", "sql": SQL, "params": [CUSTOMER, SINCE], "description": "",
    "include_sql": False, "enabled": True, "statement_kind": "select",
}  # fmt: skip


def planned(**task: Any) -> Plan:
    wanted = {"project_id": "prj_1", "name": "orders", **task}
    return make_plan(QUERY_TEMPLATE, wanted, QUERY_TEMPLATE.with_all_fields(LIVE), "present", False)


@pytest.mark.parametrize(
    "task",
    [
        {"params": [CUSTOMER, SINCE]},
        {"params": [CUSTOMER, {"name": "since", "type": "date"}]},
        {"params": [{"name": "customer", "type": "bigint"}, SINCE]},
        {"sql": f"{SQL}\n"},
        {"description": ""},
    ],
)
def test_unchanged(task: Values) -> None:
    assert planned(**task).action == "unchanged"


@pytest.mark.parametrize(
    "params",
    [
        [SINCE, CUSTOMER],
        [CUSTOMER],
        [CUSTOMER, SINCE, {"name": "more", "type": "text", "nullable": True}],
        [CUSTOMER, {**SINCE, "type": "timestamptz"}],
        [CUSTOMER, {**SINCE, "nullable": False}],
        [],
    ],
)
def test_parameters_are_sent_in_order(params: list[Values]) -> None:
    plan = planned(params=params)
    assert (plan.action, plan.changes, plan.after) == ("updated", ["params"], {"params": params})
    sent = {name: LIVE[name] for name in ("name", "sql", "description", "include_sql", "enabled")}
    assert plan.body == {**sent, "params": params}
    assert plan.predict()["statement_kind"] is None


def test_a_member_that_the_task_omits_stays() -> None:
    plan = planned(params=[{"name": "since", "type": "date"}, {"name": "customer", "type": "bigint"}])
    assert plan.body["params"] == [SINCE, CUSTOMER]


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"params": [CUSTOMER, CUSTOMER]}, "params[0] and params[1] have the same name (customer); keep one of them"),
        ({"params": [{"name": "customer"}]}, "params[0].type: missing"),
        (
            {"params": [{**CUSTOMER, "name": "Customer"}]},
            "params[0].name: 'Customer' is not allowed; it must be 1 to 63",
        ),
        ({"name": "1st"}, "name: '1st' is not allowed; it must be 1 to 63 lower-case letters, digits and '_'"),
        ({"name": "a" * 64}, "is not allowed; it must be 1 to 63 lower-case letters"),
        ({"sql": "\n"}, "is not allowed; it must be an SQL statement of 1 to 16384 bytes"),
        ({"sql": "é" * 8193}, "is not allowed; it must be an SQL statement of 1 to 16384 bytes"),
    ],
)
def test_bad_values(task: Values, said: str) -> None:
    (reported,) = validation.validate(QUERY_TEMPLATE, task)
    assert said in reported


def test_the_limit_is_in_bytes() -> None:
    assert validation.validate(QUERY_TEMPLATE, {"name": "a" * 63, "sql": "é" * 8192}) == []
