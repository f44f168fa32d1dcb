# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for a resource whose identity may be null or refer to another object, with numbers and a check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import matching, validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan, conflicts, make_plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import UnresolvedName, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.anomaly_rule import ANOMALY_RULE

QUERIES = {"metric": "queries_per_hour"}
LATER = UnresolvedName("bot")


def live(**fields: Any) -> Values:
    return ANOMALY_RULE.with_all_fields({"id": "anr_1", "project_id": "prj_1", **QUERIES, "enabled": True, **fields})


def planned(server: list[Values], wanted: Values, state: str = "present") -> Plan:
    wanted = {"project_id": "prj_1", **({} if "id" in wanted else QUERIES), **wanted}
    return make_plan(ANOMALY_RULE, wanted, Index(ANOMALY_RULE, server).find(wanted), state, False)


@dataclass
class Case:
    server: list[Values]
    task: Values
    action: str = "unchanged"
    body: Values = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)


OF_ALL, OF_ONE = live(), live(id="anr_2", credential_id="agt_1")
SENT = {**QUERIES, "enabled": True}
CASES = {
    "create-for-all": Case([OF_ONE], {}, "created", QUERIES, ["metric"]),
    "create-for-all-by-null": Case([OF_ONE], {"credential_id": None}, "created", QUERIES, ["metric"]),
    "create-for-one": Case(
        [OF_ALL], {"credential_id": "agt_1"}, "created", {"credential_id": "agt_1", **QUERIES},
        ["credential_id", "metric"],
    ),
    "create-for-one-that-does-not-exist-yet": Case(
        [OF_ALL, OF_ONE], {"credential_id": LATER}, "created", QUERIES, ["credential_id", "metric"]
    ),
    "create-without-a-number": Case([], {"floor": None}, "created", QUERIES, ["metric"]),
    "unchanged-for-all": Case([OF_ONE, OF_ALL], {}),
    "unchanged-for-all-that-the-server-leaves-empty": Case([live(credential_id="")], {"credential_id": None}),
    "unchanged-for-one": Case([OF_ALL, OF_ONE], {"credential_id": "agt_1"}),
    "unchanged-a-whole-number": Case([live(floor=3)], {"floor": 3.0}),
    "unchanged-a-number-in-a-text": Case([live(floor=3)], {"floor": "3.0"}),
    "unchanged-null-for-null": Case([OF_ALL], {"floor": None}),
    "unchanged-what-the-task-omits": Case([live(floor=3.5)], {"enabled": True}),
    "update-a-number": Case([live(floor=3)], {"floor": 3.5}, "updated", {**SENT, "floor": 3.5}, ["floor"]),
    "update-to-no-number": Case([live(floor=3)], {"floor": None}, "updated", {**SENT, "floor": None}, ["floor"]),
    "update-to-all-by-id": Case(
        [OF_ONE], {"id": "anr_2", "credential_id": None}, "updated", {**SENT, "credential_id": None}, ["credential_id"]
    ),
    "update-to-one-that-does-not-exist-yet": Case(
        [OF_ALL], {"id": "anr_1", "credential_id": LATER}, "updated", {**SENT, "credential_id": LATER},
        ["credential_id"],
    ),
    "update-the-metric-with-what-it-does-not-take": Case(
        [live(floor=3)], {"id": "anr_1", "metric": "active_hours", "floor": None}, "updated",
        {**SENT, "metric": "active_hours", "floor": None}, ["metric", "floor"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_plan(case: Case) -> None:
    plan = planned(case.server, case.task)
    assert (plan.action, plan.body, plan.changes) == (case.action, case.body, case.changes)
    assert set(plan.after) == set(plan.changes)
    if case.task.get("credential_id") == LATER:
        assert plan.after["credential_id"] is None
        assert plan.predict()["credential_id"] is None


def test_what_is_absent() -> None:
    """The rule of an agent that does not exist does not exist either."""
    assert planned([OF_ALL, OF_ONE], {}, "absent").id == "anr_1"
    assert planned([OF_ALL, OF_ONE], {"credential_id": "agt_1"}, "absent").id == "anr_2"
    assert planned([OF_ALL, OF_ONE], {"credential_id": LATER}, "absent").action == "unchanged"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "anomaly_rule queries_per_hour of all agents"),
        ({"credential_id": "agt_1"}, "anomaly_rule queries_per_hour of agt_1"),
        ({"credential_id": LATER}, "anomaly_rule queries_per_hour of bot"),
        ({"metric": None, "id": "anr_1"}, "anomaly_rule anr_1"),
    ],
)
def test_the_label(values: Values, words: str) -> None:
    assert ANOMALY_RULE.describe({**QUERIES, **values}) == words


def test_two_entries_of_one_identity() -> None:
    """By name before any request; by name and by id after the names are resolved."""
    one, other, by_id = {**QUERIES, "credential_id": LATER}, QUERIES, {**QUERIES, "credential_id": "agt_1"}
    found = matching.duplicate_entries(ANOMALY_RULE, [one, other, by_id, one, {**QUERIES, "credential_id": None}], str)
    assert found == [
        "0 and 3 are both anomaly_rule queries_per_hour of bot; keep one of them",
        "1 and 4 are both anomaly_rule queries_per_hour of all agents; keep one of them",
    ]
    assert conflicts([planned([], by_id), planned([], by_id)], str) == [
        "0 and 1 would both be anomaly_rule queries_per_hour of agt_1; keep one of them"
    ]


HOURS = "floor: not available for metric active_hours, only for queries_per_hour, bytes_per_hour, errors_per_hour; "


def test_values_that_do_not_go_together() -> None:
    wrong = {"metric": "active_hours", "floor": 3}
    assert validation.validate(ANOMALY_RULE, wrong) == [f"{HOURS}omit it, or set it to null"]
    (reported,) = validation.validate_entry(ANOMALY_RULE, wrong, "anomaly_rules[0]: ")
    assert reported.startswith(f"anomaly_rules[0]: {HOURS}")
    assert validation.validate(ANOMALY_RULE, {**wrong, "floor": None}) == []
    for task in ({"id": "anr_1", "metric": "active_hours"}, {"id": "anr_1", **wrong}):
        with pytest.raises(TaskError, match=f"^anomaly_rule queries_per_hour of all agents: {HOURS}"):
            planned([live(floor=3)], task)


@pytest.mark.parametrize("value", [0.1, 3, "3", "4.5", 1e300, 10**30])
def test_numbers(value: Any) -> None:
    assert validation.validate(ANOMALY_RULE, {**QUERIES, "floor": value}) == []


@pytest.mark.parametrize("value", [0, -1, 0.0, "0", "", "many", float("nan"), float("inf"), "inf", 10**400, [3], {}])
def test_no_numbers(value: Any) -> None:
    (reported,) = validation.validate(ANOMALY_RULE, {**QUERIES, "floor": value})
    assert reported.startswith("floor: ") and reported.endswith(" is not allowed; it must be a number greater than 0")


def test_a_whole_number_of_the_server_is_a_number() -> None:
    assert validation.response_error(ANOMALY_RULE, live(floor=3, sigma_threshold=2.5)) is None
    others: list[Any] = [True, "3", {}]
    for value in others:
        assert (
            validation.response_error(ANOMALY_RULE, live(floor=value))
            == "an object in which the type of floor is not float"
        )


def test_what_a_task_needs_to_find_one() -> None:
    assert validation.missing_identity(ANOMALY_RULE, QUERIES) is None
    assert validation.missing_identity(ANOMALY_RULE, {"credential_id": "agt_1"}) == (
        "metric: missing; set metric, or id, to identify the anomaly_rule"
    )


def test_an_empty_text_is_null() -> None:
    assert validation.explicit_nulls(ANOMALY_RULE, {"credential_id": "", "floor": None, "metric": ""}) == {
        "credential_id": None,
        "floor": None,
    }
