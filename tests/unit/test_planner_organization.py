# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for what belongs to an organization: self-hosted proxies, members and invitations."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan, make_plan, plan_nothing
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.org_invitation import ORG_INVITATION
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.org_member import ORG_MEMBER
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.self_host_enrollment import SELF_HOST_ENROLLMENT

PAST, FUTURE = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


def enrollment(**fields: Any) -> Values:
    return SELF_HOST_ENROLLMENT.with_all_fields({"id": "she_1", "org_id": "org_1", "region_label": "vpc", **fields})


def member(**fields: Any) -> Values:
    return ORG_MEMBER.with_all_fields({"id": "mem_1", "email": "Alex@example.com", "role": "member", **fields})


def invitation(**fields: Any) -> Values:
    known = {"id": "inv_1", "email": "sam@example.com", "role": "member", "status": "pending", "expires_at": FUTURE}
    return ORG_INVITATION.with_all_fields({**known, **fields})


def planned(resource: Resource, there: list[Values], wanted: Values, state: str = "present") -> Plan:
    wanted = {"org_id": "org_1", **wanted}
    return make_plan(resource, wanted, Index(resource, there).find(wanted, state), state, False)


@pytest.mark.parametrize(
    ("there", "task", "action", "changes", "issues"),
    [
        ([], {"region_label": "vpc"}, "created", ["region_label"], True),
        ([], {"region_label": "vpc", "expires_at": FUTURE}, "created", ["region_label", "expires_at"], True),
        ([enrollment()], {"region_label": "vpc", "description": "", "expires_at": None}, "unchanged", [], False),
        ([enrollment(expires_at=PAST)], {"region_label": "vpc", "expires_at": PAST}, "unchanged", [], False),
        ([enrollment()], {"region_label": "vpc", "rotate": True}, "updated", ["token"], True),
        ([enrollment()], {"id": "she_1", "rotate": True}, "updated", ["token"], True),
        ([], {"region_label": "vpc", "rotate": True}, "created", ["region_label"], True),
    ],
)
def test_an_enrollment(there: list[Values], task: Values, action: str, changes: list[str], issues: bool) -> None:
    plan = planned(SELF_HOST_ENROLLMENT, there, task)
    assert (plan.action, plan.changes, plan.issues_secrets) == (action, changes, issues)
    assert bool(plan.body) == (action == "created")
    assert set(plan.after) == set(plan.changes)


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ({"description": "theirs"}, "description is 'ours' and cannot be changed to 'theirs'"),
        ({"expires_at": None}, f"expires_at is '{FUTURE}' and cannot be changed to null"),
    ],
)
def test_what_is_set_when_a_proxy_is_enrolled(task: Values, why: str) -> None:
    anew = "set the current value, omit the option, or delete the self_host_enrollment with state: absent first"
    with pytest.raises(TaskError, match=f"self_host_enrollment vpc: {why}; {anew}"):
        planned(
            SELF_HOST_ENROLLMENT, [enrollment(description="ours", expires_at=FUTURE)], {"region_label": "vpc", **task}
        )


@pytest.mark.parametrize(
    ("resource", "item", "deleted"),
    [
        (SELF_HOST_ENROLLMENT, {"revoked_at": None}, False),
        (SELF_HOST_ENROLLMENT, {}, False),
        (SELF_HOST_ENROLLMENT, {"revoked_at": FUTURE}, True),
        (ORG_INVITATION, {"status": "pending"}, False),
        (ORG_INVITATION, {"status": "accepted"}, True),
        (ORG_INVITATION, {"status": "rejected"}, True),
        (ORG_INVITATION, {"status": "canceled"}, True),
        (ORG_MEMBER, {}, False),
    ],
)
def test_what_the_api_still_shows(resource: Resource, item: Values, deleted: bool) -> None:
    assert resource.is_deleted(item) is deleted


def test_a_member() -> None:
    plan = planned(ORG_MEMBER, [member()], {"email": "alex@EXAMPLE.com", "role": "auditor"})
    assert (plan.action, plan.body, plan.changes) == ("updated", {"role": "auditor"}, ["role"])
    assert planned(ORG_MEMBER, [member()], {"email": "alex@example.com"}).action == "unchanged"
    owner = [member(role="owner")]
    assert planned(ORG_MEMBER, owner, {"email": "alex@example.com"}).predict()["role"] == "owner"
    assert planned(ORG_MEMBER, owner, {"email": "alex@example.com"}, "absent").action == "deleted"
    assert planned(ORG_MEMBER, [], {"email": "alex@example.com"}, "absent").action == "unchanged"
    assert ORG_MEMBER.actions == ("updated", "deleted", "unchanged", "failed", "skipped")


@pytest.mark.parametrize(
    ("named", "remedy"),
    [
        ({"email": "sam@example.com"}, "invite this person with the module org_invitation"),
        ({"id": "mem_2"}, "check the id, or omit it and set email"),  # a new member has another id
    ],
    ids=["email", "id"],
)
def test_somebody_who_is_no_member(named: Values, remedy: str) -> None:
    (what,) = named.values()
    why = f"org_member {what} was not found in organization org_1.*; {remedy}$"
    with pytest.raises(TaskError, match=why):
        planned(ORG_MEMBER, [member()], {**named, "role": "auditor"})


@pytest.mark.parametrize(
    ("there", "task", "action"),
    [
        ([], {"role": "auditor"}, "created"),
        ([invitation()], {}, "unchanged"),
        ([invitation()], {"role": "member"}, "unchanged"),
        ([invitation(expires_at=PAST)], {}, "created"),
        ([invitation(expires_at=PAST), invitation(id="inv_2")], {}, "unchanged"),
    ],
)
def test_an_invitation(there: list[Values], task: Values, action: str) -> None:
    plan = planned(ORG_INVITATION, there, {"email": "Sam@example.com", **task})
    assert plan.action == action
    assert ORG_INVITATION.actions == ("created", "deleted", "unchanged", "failed", "skipped")


def test_an_invitation_with_another_role() -> None:
    why = "org_invitation sam@example.com: role is 'member' and cannot be changed to 'admin'; .* state: absent"
    with pytest.raises(TaskError, match=why):
        planned(ORG_INVITATION, [invitation()], {"email": "sam@example.com", "role": "admin"})


def test_an_invitation_that_has_expired_is_found_by_its_id_to_be_removed() -> None:
    expired = [invitation(expires_at=PAST)]
    assert planned(ORG_INVITATION, expired, {"email": "sam@example.com"}, "absent").action == "unchanged"
    assert planned(ORG_INVITATION, expired, {"id": "inv_1"}, "absent").action == "deleted"
    with pytest.raises(TaskError, match="org_invitation inv_1 was not found in organization org_1"):
        planned(ORG_INVITATION, expired, {"id": "inv_1"})
    assert Index(ORG_INVITATION, expired).unclaimed([]) == expired, "so that prune removes it"
    assert Index(ORG_INVITATION, [*expired, invitation(id="inv_2")]).duplicate_warnings() == []


@pytest.mark.parametrize(
    ("task", "warnings"),
    [
        ({}, []),
        ({"role": "member"}, []),
        (
            {"role": "admin"},
            [
                "org_invitation alex@example.com: org_member Alex@example.com exists with the role 'member', "
                "not 'admin'; change it with the module org_member"
            ],
        ),
    ],
)
def test_somebody_who_is_a_member_already(task: Values, warnings: list[str]) -> None:
    plan = plan_nothing(ORG_INVITATION, {"email": "alex@example.com", **task}, member())
    assert (plan.action, plan.body, plan.changes, plan.predict()) == ("unchanged", {}, [], {})
    assert (plan.became, plan.warnings) == (member(), warnings)
