# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for a resource with secrets that are shown once, an explicit null, moments, and the id of another object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import timestamp, validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan, make_plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import UnresolvedName, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.agent import AGENT

NEW = {"name": "bot", "policy_profile_id": "pol_1"}
ISSUED = ["connection_string", "mcp_token"]
LATER = UnresolvedName("readers")
FUTURE = "2099-01-01T00:00:00Z"


def live(**fields: Any) -> Values:
    known = {"id": "agt_1", "project_id": "prj_1", **NEW, "principal_type": "agent", "status": "active"}
    return AGENT.with_all_fields({**known, **fields})


def planned(server: Values | None, wanted: Values) -> Plan:
    return make_plan(AGENT, {"project_id": "prj_1", "name": "bot", **wanted}, server, "present", False)


@dataclass
class Case:
    server: Values | None
    task: Values
    action: str = "unchanged"
    body: Values = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    issues: bool = False
    deferred: Values = field(default_factory=dict)


CREATED = ["name", "policy_profile_id"]
CASES = {
    "create": Case(None, NEW, "created", NEW, CREATED, True),
    "create-that-never-expires": Case(None, {**NEW, "expires_at": None}, "created", NEW, CREATED, True),
    "create-that-expires": Case(
        None, {**NEW, "expires_at": FUTURE}, "created", {**NEW, "expires_at": FUTURE}, [*CREATED, "expires_at"], True
    ),
    "create-disabled": Case(
        None, {**NEW, "status": "disabled"}, "created", NEW, [*CREATED, "status"], True, {"status": "disabled"}
    ),
    "create-is-no-rotation": Case(None, {**NEW, "rotate": True}, "created", NEW, CREATED, True),
    "create-with-a-policy-that-does-not-exist-yet": Case(
        None, {"policy_profile_id": LATER}, "created", {"name": "bot"}, CREATED, True
    ),
    "unchanged": Case(live(), NEW),
    "unchanged-null-for-null": Case(live(), {"expires_at": None}),
    "unchanged-the-same-moment": Case(live(expires_at="2099-01-01T01:30:00.000+01:30"), {"expires_at": FUTURE}),
    "unchanged-in-the-past": Case(live(expires_at="2020-01-01T00:00:00Z"), {"expires_at": "2020-01-01T00:00:00Z"}),
    "unchanged-though-the-policy-does-not-exist-yet": Case(live(), {"policy_profile_id": LATER}),
    "update-of-one-field": Case(live(), {"status": "disabled"}, "updated", {"status": "disabled"}, ["status"]),
    "rotation": Case(live(), {"rotate": True}, "updated", {}, ISSUED, True),
    "rotation-with-an-update": Case(
        live(status="disabled"), {"rotate": True, "status": "active"}, "updated", {"status": "active"},
        ["status", *ISSUED], True,
    ),
    "no-rotation": Case(live(), {"rotate": False}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_plan(case: Case) -> None:
    plan = planned(case.server, case.task)
    assert (plan.action, plan.body, plan.changes) == (case.action, case.body, case.changes)
    assert (plan.issues_secrets, plan.deferred) == (case.issues, case.deferred)
    assert not plan.conditional
    assert set(plan.after) == set(plan.changes)


REFUSED = {
    "policy_profile_id": (
        {"policy_profile_id": "pol_2"},
        "policy_profile_id is 'pol_1' and cannot be changed to 'pol_2'",
    ),
    "principal_type": ({"principal_type": "human"}, "principal_type is 'agent' and cannot be changed to 'human'"),
    "expires_at": ({"expires_at": None}, f"expires_at is '{FUTURE}' and cannot be changed to null"),
}


@pytest.mark.parametrize(("task", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_set_at_creation_cannot_change(task: Values, why: str) -> None:
    with pytest.raises(TaskError, match=f"agent bot: {why}"):
        planned(live(expires_at=FUTURE), task)


def test_a_null_that_cannot_change() -> None:
    """Of a nullable field, null is what the server has, not what it does not show."""
    with pytest.raises(TaskError, match=f"agent bot: expires_at is null and cannot be changed to '{FUTURE}'"):
        planned(live(expires_at=None), {"expires_at": FUTURE})


def test_what_a_create_needs() -> None:
    with pytest.raises(TaskError, match="agent bot does not exist yet; set policy_profile_id to create it"):
        planned(None, {})
    with pytest.raises(TaskError, match="agent bot: expires_at 2020-01-01T00:00:00Z is in the past"):
        planned(None, {**NEW, "expires_at": "2020-01-01T00:00:00Z"})


def test_one_that_has_expired_is_reported_with_the_remedy() -> None:
    """A task that ensures that it is present would otherwise end well although nobody can log in with it."""
    expired = live(expires_at="2020-01-01T01:00:00+01:00")
    for wanted in ({}, {"expires_at": "2020-01-01T00:00:00Z"}, {"rotate": True}, {"status": "disabled"}):
        assert planned(expired, wanted).warnings == [
            "agent bot: expires_at 2020-01-01T01:00:00+01:00 is in the past; delete the agent with state: absent, then "
            "create it again"
        ]
    assert make_plan(AGENT, {"name": "bot"}, expired, "absent", False).warnings == []
    assert [planned(live(expires_at=moment), {}).warnings for moment in (None, FUTURE)] == [[], []]


def test_a_prediction_has_null_for_an_id_that_is_not_known_yet() -> None:
    predicted = planned(None, {"policy_profile_id": LATER, "status": "disabled"}).predict()
    assert (predicted["policy_profile_id"], predicted["status"], predicted["id"]) == (None, "disabled", None)


def test_only_a_nullable_option_that_was_given_is_null_on_purpose() -> None:
    assert validation.explicit_nulls(AGENT, {"expires_at": None, "status": None}) == {"expires_at": None}
    assert validation.explicit_nulls(AGENT, {"name": "bot"}) == {}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2027-01-31T12:00:00Z", "2027-01-31T12:00:00.000000Z"),
        ("2027-01-31t13:00:00.5+01:00", "2027-01-31T12:00:00.500000Z"),
        ("2027-01-31 12:00:00.123456789z", "2027-01-31T12:00:00.123456Z"),
        ("2026-12-31T23:30:00-00:30", "2027-01-01T00:00:00.000000Z"),
    ],
)
def test_the_one_spelling_of_a_moment(text: str, canonical: str) -> None:
    assert timestamp.canonical(text) == canonical
    assert timestamp.canonical(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "", "tomorrow", "2027-01-31", "2027-01-31T12:00Z", "2027-01-31T12:00:00", "2027-02-30T12:00:00Z",
        "0001-01-01T00:00:00+01:00",
    ],
)  # fmt: skip
def test_an_invalid_timestamp(text: str) -> None:
    with pytest.raises(ValueError):
        timestamp.canonical(text)
