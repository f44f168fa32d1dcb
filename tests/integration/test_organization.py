# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to an organization: self-hosted proxies with a token, members, and invitations that send mail."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Organization, Sandbox
from tests.integration.conftest import Ansible, Modules, Run

PAST = "2020-01-01T00:00:00Z"
LABEL, EMAIL = "vpc-us-east", "sam@example.com"


@pytest.fixture
def organization(sandbox: Sandbox) -> Organization:
    return sandbox.organization()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "proxy.json"


def task(module: str, organization: Organization, **options: Any) -> dict[str, Any]:
    """A task. ``no_log`` and ``check_mode`` are its keywords, the others are options of the module."""
    keywords: dict[str, Any] = {name: options.pop(name) for name in ("no_log", "check_mode") if name in options}
    return {"name": module, f"pgbeam.cloud.{module}": {"org_id": organization.id, **options}, **keywords}


def enroll(modules: Ansible, organization: Organization, **options: Any) -> Run:
    return modules.play([task("self_host_enrollment", organization, region_label=LABEL, **options)], "--diff")


def invite(modules: Ansible, organization: Organization, **options: Any) -> Run:
    return modules.play([task("org_invitation", organization, **{"email": EMAIL, **options})], "--diff")


def posts(run: Run) -> list[str]:
    """The last part of the path of each POST."""
    return [path.rpartition("/")[2] for method, path in run.writes if method == "POST"]


def only(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (item,) = found.values()
    return item


def holds(organization: Organization, file: Path) -> bool:
    """Whether a file has the token that the server holds for the only enrollment."""
    held = json.loads(file.read_text())
    digest = hashlib.sha256(f"s{held['token']}".encode()).hexdigest()
    return organization.secrets("s") == {held["id"]: {"token": digest}}


# --- self-hosted proxies


def test_the_token_is_in_the_file_and_nowhere_else(ansible: Ansible, organization: Organization, file: Path) -> None:
    enrolling = task("self_host_enrollment", organization, region_label=LABEL, secrets_file=str(file))
    run = ansible.play([enrolling], "--diff", "-vvvvv")
    result = run.result("self_host_enrollment")
    assert (result["action"], result["changes"]) == ("created", ["region_label"])
    assert list(json.loads(file.read_text())) == ["id", "token"]
    assert holds(organization, file)
    ansible.secrets.append(json.loads(file.read_text())["token"])
    ansible.check_secrecy(run, run.output + json.dumps(run.events), ["self_host_enrollment"])
    again = ansible.play([enrolling], "--diff", "-vvvvv")
    assert (again.result("self_host_enrollment")["action"], again.writes) == ("unchanged", [])


def test_an_expired_enrollment_is_reported(modules: Modules, organization: Organization, file: Path) -> None:
    """A new token of it would not let a proxy connect either."""
    enroll(modules, organization, secrets_file=str(file))
    organization.put("enrollments", id=only(organization.stored("enrollments"))["id"], expires_at=PAST)
    for rotate, action in ((False, "unchanged"), (True, "updated")):
        run = enroll(modules, organization, secrets_file=str(file), rotate=rotate)
        assert run.result("self_host_enrollment")["action"] == action
        reported = f"{LABEL}: expires_at {PAST} is in the past; delete the self_host_enrollment with state: absent"
        assert reported in run.output


def test_a_rotation(modules: Modules, organization: Organization, file: Path) -> None:
    enroll(modules, organization, secrets_file=str(file), description="ours")
    before = json.loads(file.read_text())
    rotating = {"rotate": True, "secrets_file": str(file)}
    foreseen = enroll(modules, organization, check_mode=True, **rotating).result("self_host_enrollment")
    run = enroll(modules, organization, **rotating)
    result = run.result("self_host_enrollment")
    assert posts(run) == ["rotate"]
    assert result["diff"]["after"] == {"token": "(new, not shown)"} == foreseen["diff"]["after"]
    assert (result["action"], result["changes"]) == ("updated", ["token"])
    assert result["self_host_enrollment"]["description"] == "ours"
    assert json.loads(file.read_text())["id"] == before["id"] and holds(organization, file)


def test_a_lost_token_costs_one_rotation(modules: Modules, organization: Organization, file: Path) -> None:
    organization.fault("drop_after", method="POST", times=2)
    run = enroll(modules, organization, secrets_file=str(file), retries=1)
    assert run.result("self_host_enrollment")["action"] == "created"
    assert posts(run) == ["self-host-enrollments", "self-host-enrollments", "rotate"]
    assert "the response with its secrets was lost, so new ones were issued" in run.output
    assert holds(organization, file)


def test_an_approval_rule_excludes_a_proxy(modules: Modules, organization: Organization, file: Path) -> None:
    project = organization.create_project()["project"]["id"]
    path = f"/v1/projects/{project}/approval-rules"
    rule = organization.post(path, {"name": "all"})
    run = enroll(modules, organization, secrets_file=str(file))
    message = run.result("self_host_enrollment")["msg"]
    assert message.startswith(f"POST self_host_enrollment {LABEL}: 409 CONFLICT: ")
    assert message.endswith("disable those rules (module approval_rule, enabled: false), then run again")
    assert not file.exists() and organization.stored("enrollments") == {}
    assert organization._call("PUT", f"{path}/{rule['id']}", json={"name": "all", "enabled": False}).ok
    assert enroll(modules, organization, secrets_file=str(file)).status == 0


def test_a_revoked_enrollment_stays_revoked(modules: Modules, organization: Organization, file: Path) -> None:
    first = enroll(modules, organization, secrets_file=str(file)).result("self_host_enrollment")
    gone = [
        enroll(modules, organization, state="absent").result("self_host_enrollment")["action"] for dummy in range(2)
    ]
    assert gone == ["deleted", "unchanged"]
    assert only(organization.stored("enrollments"))["revoked_at"]
    second = enroll(modules, organization, secrets_file=str(file)).result("self_host_enrollment")
    assert second["action"] == "created"
    assert second["self_host_enrollment"]["id"] != first["self_host_enrollment"]["id"]
    info = modules.play([task("self_host_enrollment_info", organization)]).result("self_host_enrollment_info")
    assert [item["id"] for item in info["self_host_enrollments"]] == [second["self_host_enrollment"]["id"]]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"expires_at": PAST}, f"self_host_enrollment {LABEL}: expires_at {PAST} is in the past"),
        ({"expires_at": "2099-01-01T00:00:00"}, "it must be a date and time with a time zone"),
        ({"region_label": ""}, "region_label: '' is not allowed; it must be text of 1 to 100 characters"),
        ({"region_label": None}, "region_label: missing; set region_label"),
        ({"description": "x" * 501}, "it must be text of at most 500 characters"),
    ],
)
def test_an_enrollment_that_is_refused(
    modules: Modules, organization: Organization, file: Path, options: dict[str, Any], why: str
) -> None:
    given = {"region_label": LABEL, "secrets_file": str(file), **options}
    run = modules.play([task("self_host_enrollment", organization, **given)])
    assert why in run.result("self_host_enrollment")["msg"]
    assert run.writes == []


# --- members


def test_a_member_changes_and_leaves(modules: Modules, organization: Organization) -> None:
    organization.put("members", email="Alex@Example.com")
    options: dict[str, Any] = {"email": "alex@example.com", "role": "auditor"}
    for check in (True, False):
        result = modules.play([task("org_member", organization, **options)], "--diff", check=check).result("org_member")
        assert (result["action"], result["changes"]) == ("updated", ["role"])
        assert result["diff"]["before"] == {"role": "member"}
        assert (result["org_member"]["email"], result["org_member"]["role"]) == ("Alex@Example.com", "auditor")
    assert modules.play([task("org_member", organization, **options)]).result("org_member")["action"] == "unchanged"
    leaving = task("org_member", organization, email="ALEX@example.com", state="absent")
    assert [e["result"]["action"] for e in modules.play([leaving, leaving]).events] == ["deleted", "unchanged"]
    assert organization.stored("members") == {}


@pytest.mark.parametrize("check", [True, False])
def test_somebody_who_is_no_member(modules: Modules, organization: Organization, check: bool) -> None:
    run = modules.play([task("org_member", organization, email=EMAIL, role="admin")], check=check)
    assert run.result("org_member")["msg"] == (
        f"org_member {EMAIL} was not found in organization {organization.id}, or is not visible to this API key; "
        "invite this person with the module org_invitation"
    )
    assert run.writes == []


def test_the_last_owner_stays(modules: Modules, organization: Organization) -> None:
    organization.put("members", email="alex@example.com", role="owner")
    for options in ({"role": "admin"}, {"state": "absent"}):
        result = modules.play([task("org_member", organization, email="alex@example.com", **options)]).result(
            "org_member"
        )
        assert (result["failed"], result["changed"], result["error"]["status"]) == (True, False, 409)
        assert "; an organization must have at least one owner: transfer ownership" in result["msg"]
    found = modules.play([task("org_member_info", organization)]).result("org_member_info")["org_members"]
    assert [item["role"] for item in found] == ["owner"]
    organization.put("members", email="robin@example.com", role="owner")
    demoted = modules.play([task("org_member", organization, email="alex@example.com", role="admin")])
    assert demoted.result("org_member")["action"] == "updated"


def test_nobody_becomes_an_owner(modules: Modules, organization: Organization) -> None:
    for module in ("org_member", "org_invitation"):
        run = modules.play([task(module, organization, email=EMAIL, role="owner")])
        assert "role: 'owner' is not allowed; it must be one of admin, member, " in run.result(module)["msg"]
        assert run.exchanges == []


def test_many_members_cost_one_listing(modules: Modules, organization: Organization) -> None:
    for number in range(3):
        organization.put("members", email=f"m{number}@example.com")
    entries = [{"email": f"M{n}@example.com", "role": "auditor"} for n in range(2)] + [
        {"email": "m2@example.com", "state": "absent"}
    ]
    run = modules.play([task("org_members", organization, org_members=entries)])
    assert run.result("org_members")["msg"] == "2 updated, 1 deleted"
    assert sorted(method for method, path in run.requests) == ["DELETE", "GET", "PATCH", "PATCH"]
    entries = [*entries[:2], {"email": "new@example.com"}]
    run = modules.play([task("org_members", organization, org_members=entries)])
    assert run.result("org_members")["msg"].startswith(
        "org_members[2] (new@example.com): org_member new@example.com was"
    )
    assert run.writes == []


# --- invitations


def test_an_invitation_is_sent_once(modules: Modules, organization: Organization) -> None:
    foreseen = invite(modules, organization, check_mode=True, role="auditor").result("org_invitation")
    result = invite(modules, organization, role="auditor").result("org_invitation")
    assert foreseen.keys() == result.keys()
    assert (result["action"], result["org_member"]) == ("created", {})
    assert (result["org_invitation"]["status"], result["org_invitation"]["role"]) == ("pending", "auditor")
    for options in ({}, {"role": "auditor"}, {"email": EMAIL.upper()}):
        again = invite(modules, organization, **options)
        assert again.result("org_invitation")["action"] == "unchanged"
        assert [path.rpartition("/")[2] for method, path in again.requests] == ["invitations"]
    refused = invite(modules, organization, role="admin")
    assert "role is 'auditor' and cannot be changed to 'admin'" in refused.result("org_invitation")["msg"]
    assert refused.writes == []


def test_who_has_accepted_is_not_invited_again(modules: Modules, organization: Organization) -> None:
    invite(modules, organization, role="auditor")
    organization.put("invitations", id=only(organization.stored("invitations"))["id"], status="accepted")
    member = organization.put("members", email="Sam@Example.com", role="auditor")
    for check in (True, False):
        run = invite(modules, organization, role="auditor", check_mode=check)
        result = run.result("org_invitation")
        assert (result["action"], result["changed"], result["changes"]) == ("unchanged", False, [])
        assert (result["org_invitation"], result["org_member"]) == ({}, {**member, "image": None})
        assert [path.rpartition("/")[2] for method, path in run.requests] == ["invitations", "members"]
        assert "warnings" not in result
        other = invite(modules, organization, role="admin", check_mode=check)
        assert other.result("org_invitation")["action"] == "unchanged"
        assert (
            f"org_invitation {EMAIL}: org_member Sam@Example.com exists with the role 'auditor', not 'admin'; "
            "change it with the module org_member"
        ) in other.output
        assert other.writes == []
    gone = invite(modules, organization, state="absent")
    assert (gone.result("org_invitation")["action"], gone.writes) == ("unchanged", [])
    assert len(organization.stored("members")) == 1


def test_who_has_declined_or_left_is_invited_again(modules: Modules, organization: Organization) -> None:
    for status in ("rejected", "canceled", "accepted"):
        identifier = invite(modules, organization).result("org_invitation")["org_invitation"]["id"]
        organization.put("invitations", id=identifier, status=status)
    assert invite(modules, organization).result("org_invitation")["action"] == "created"
    assert len(organization.stored("invitations")) == 4


def test_an_invitation_that_has_expired(modules: Modules, organization: Organization) -> None:
    old = invite(modules, organization).result("org_invitation")["org_invitation"]["id"]
    organization.put("invitations", id=old, expires_at=PAST)
    info = task("org_invitation_info", organization)
    assert [i["id"] for i in modules.play([info]).result("org_invitation_info")["org_invitations"]] == [old]
    organization.fault("status", method="POST", status=409, code="CONFLICT")
    result = invite(modules, organization).result("org_invitation")
    assert result["failed"] and result["msg"].endswith(
        "if PgBeam has a pending invitation for this email, look it up with the module org_invitation_info, "
        "revoke it by its id, then run again"
    )
    new = invite(modules, organization).result("org_invitation")
    assert new["action"] == "created"
    organization.fault("status", method="DELETE", status=409, code="CONFLICT")
    kept = invite(modules, organization, state="absent").result("org_invitation")
    assert kept["failed"] and kept["msg"].endswith("delete or disable that object first, then run again")
    assert invite(modules, organization).result("org_invitation")["action"] == "unchanged"
    pruning = task("org_invitations", organization, org_invitations=[{"email": EMAIL}], prune=True)
    assert modules.play([pruning]).result("org_invitations")["msg"] == "1 deleted, 1 unchanged"
    stored = organization.stored("invitations")
    assert (stored[old]["status"], stored[new["org_invitation"]["id"]]["status"]) == ("canceled", "pending")


@pytest.mark.parametrize("fault", ["drop_after", "late_status", "truncate", "drop_before"])
def test_a_lost_answer_is_looked_up_and_not_sent_twice(
    modules: Modules, organization: Organization, fault: str
) -> None:
    organization.fault(fault, method="POST")
    run = invite(modules, organization, retries=5)
    assert posts(run) == ["invitations"]
    (sent,) = [entry for entry in run.exchanges if entry["method"] == "POST"]
    assert "idempotency-key" not in sent["headers"]
    result = run.result("org_invitation")
    if fault == "drop_before":
        assert (result["failed"], result["changed"], result["error"]["outcome_unknown"]) == (True, False, True)
    else:
        assert (result["failed"], result["action"]) == (False, "created")
        assert only(organization.stored("invitations"))["id"] == result["org_invitation"]["id"]


def test_a_rate_limited_invitation_is_sent_again(modules: Modules, organization: Organization) -> None:
    organization.fault("status", method="POST", status=429, code="RATE_LIMITED", retry_after="1")
    run = invite(modules, organization)
    assert (run.result("org_invitation")["action"], posts(run)) == ("created", ["invitations", "invitations"])


def test_joiners_of_whom_some_are_there(modules: Modules, organization: Organization) -> None:
    organization.put("members", email="a@example.com", role="admin")
    organization.post(f"/v1/organizations/{organization.id}/invitations", {"email": "b@example.com"})
    entries = [{"email": f"{name}@example.com", "role": "member"} for name in "ABCD"]
    joining = task("org_invitations", organization, org_invitations=entries)
    foreseen = modules.play([joining], check=True).result("org_invitations")
    run = modules.play([joining])
    result = run.result("org_invitations")
    assert result["msg"] == foreseen["msg"] == "2 created, 2 unchanged"
    assert [entry["action"] for entry in result["org_invitations"]] == ["unchanged", "unchanged", "created", "created"]
    assert [bool(entry["org_member"]) for entry in result["org_invitations"]] == [True, False, False, False]
    assert [method for method, path in run.requests] == ["GET", "GET", "POST", "POST"]
    assert "exists with the role 'admin', not 'member'" in run.output
    assert modules.play([joining]).result("org_invitations")["msg"] == "4 unchanged"
