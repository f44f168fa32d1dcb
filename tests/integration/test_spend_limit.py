# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The spend limit of an organization: one object that always exists, and is read as a part of the plan."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Organization, Sandbox
from tests.integration.conftest import Ansible, Modules, Run

SHOWN = {"org_id", "plan", "spend_limit", "spend_capped", "spend_capped_at"}


@pytest.fixture
def organization(sandbox: Sandbox) -> Organization:
    return sandbox.organization()


def play(modules: Ansible, organization: Organization, check: bool = False, **options: Any) -> Run:
    task = {"name": "limit", "pgbeam.cloud.spend_limit": {"org_id": organization.id, **options}}
    return modules.play([task], "--diff", check=check)


def paths(organization: Organization) -> tuple[str, str]:
    above = f"/v1/organizations/{organization.id}"
    return f"{above}/plan", f"{above}/spend-limit"


@pytest.mark.parametrize("omit_zero", [False, True])
def test_a_life(modules: Modules, organization: Organization, omit_zero: bool) -> None:
    """Check mode predicts each change, which takes one write and is not repeated."""
    organization.settings(omit_zero=omit_zero)
    plan, written = paths(organization)
    before = None
    for limit in (500, 500.5, 0, 250, None, 1e6):
        foreseen = play(modules, organization, check=True, spend_limit=limit)
        assert organization.plan().get("spend_limit") == (before if before or not omit_zero else None)
        done = play(modules, organization, spend_limit=limit)
        for run in (foreseen, done):
            result = run.result("limit")
            assert (result["action"], result["changed"], result["changes"]) == ("updated", True, ["spend_limit"])
            # A server that leaves zeros out shows the limit of 0 as none.
            old = None if omit_zero and before == 0 else before
            assert (result["diff"]["before"], result["diff"]["after"]) == ({"spend_limit": old}, {"spend_limit": limit})
            assert result["diff"]["before_header"] == f"spend_limit of organization {organization.id}"
            assert result["spend_limit"].keys() == SHOWN
        assert foreseen.result("limit")["spend_limit"]["spend_limit"] == limit
        assert foreseen.result("limit")["spend_limit"]["spend_capped"] is None
        assert (foreseen.requests, done.requests) == ([("GET", plan)], [("GET", plan), ("PUT", written)])
        assert done.exchanges[-1]["body"] == {"spend_limit": limit}
        before = limit
        if omit_zero and limit == 0:
            continue
        for check in (True, False):
            again = play(modules, organization, check=check, spend_limit=limit)
            result = again.result("limit")
            assert (result["action"], result["changed"], result["changes"]) == ("unchanged", False, [])
            assert result["spend_limit"]["spend_limit"] == limit
            assert again.requests == [("GET", plan)]


def test_null_without_a_limit_changes_nothing(modules: Modules, organization: Organization) -> None:
    run = play(modules, organization, spend_limit=None)
    assert (run.result("limit")["action"], run.writes) == ("unchanged", [])


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({}, "spend_limit: missing; set a value, or null to clear it"),
        ({"spend_limit": "many"}, "spend_limit: 'many' is not allowed; it must be a number of 0 or more"),
        ({"spend_limit": ""}, "spend_limit: '' is not allowed; it must be a number of 0 or more"),
        ({"spend_limit": True}, "spend_limit: true is not allowed; it must be a number of 0 or more"),
        ({"spend_limit": -1}, "spend_limit: -1 is not allowed; it must be a number of 0 or more"),
        ({"spend_limit": "-0.5"}, "spend_limit: '-0.5' is not allowed; it must be a number of 0 or more"),
        ({"spend_limit": float("nan")}, "spend_limit: nan is not allowed; it must be a number of 0 or more"),
        ({"spend_limit": 1, "org_id": ""}, "org_id: '' is not an id"),
        ({"spend_limit": 1, "org_id": None}, "org_id: '' is not an id"),
        ({"spend_limit": 1, "org_id": "a/b"}, "org_id: 'a/b' is not an id"),
        ({"spend_limit": 1, "state": "absent"}, "Unsupported parameters"),
        ({"spend_limit": 1, "id": "org_1"}, "Unsupported parameters"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_is_refused_before_any_request(
    modules: Modules, organization: Organization, options: dict[str, Any], reported: str, check: bool
) -> None:
    run = play(modules, organization, check=check, **options)
    assert reported in run.result("limit")["msg"]
    assert run.requests == []


def test_an_organization_that_the_key_may_not_see(modules: Modules, organization: Organization) -> None:
    organization.fault("status", method="GET", status=404, code="NOT_FOUND")
    missing = play(modules, organization, spend_limit=5)
    unseen = play(modules, Organization(organization.url, "org_unknown"), spend_limit=5)
    for run, status in ((missing, "404 NOT_FOUND"), (unseen, "403 FORBIDDEN")):
        result = run.result("limit")
        assert (result["failed"], result["changed"], run.writes) == (True, False, [])
        assert result["msg"].startswith("GET spend_limit of organization org_") and status in result["msg"]


def test_what_the_api_refuses(modules: Modules, organization: Organization) -> None:
    organization.fault("status", method="PUT", status=403, code="FORBIDDEN")
    result = play(modules, organization, spend_limit=5).result("limit")
    assert (result["failed"], result["changed"], result["action"]) == (True, False, "failed")
    assert result["msg"].startswith(f"PUT spend_limit of organization {organization.id}")
    assert (result["changes"], result["spend_limit"]["spend_limit"]) == ([], None)
    assert result["error"]["path"] == paths(organization)[1]
    assert organization.plan()["spend_limit"] is None


@pytest.mark.parametrize("limit", [7, None])
@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_answer_is_looked_up(
    modules: Modules, organization: Organization, limit: float | None, applied: bool
) -> None:
    play(modules, organization, spend_limit=5)
    organization.fault("drop_after" if applied else "drop_before", method="PUT")
    run = play(modules, organization, spend_limit=limit, retries=0)
    result = run.result("limit")
    assert [method for method, path in run.requests] == ["GET", "PUT", "GET"]
    if applied:
        assert (run.status, result["action"], result["changes"]) == (0, "updated", ["spend_limit"])
    else:
        assert (result["failed"], result["changed"], result["error"]["outcome_unknown"]) == (True, False, True)
        assert "the change may have been applied; run the task again to find out" in result["msg"]
    assert organization.plan()["spend_limit"] == (limit if applied else 5)


def test_an_answer_without_the_organization(modules: Modules, organization: Organization) -> None:
    organization.settings(left_out=["org_id"])
    result = play(modules, organization, spend_limit=5).result("limit")
    assert "an object without a usable org_id" in result["msg"]


def test_null_of_a_playbook(ansible: Ansible, organization: Organization) -> None:
    """It differs from an omitted option, also with real Ansible."""
    for limit in (5, None):
        result = play(ansible, organization, spend_limit=limit).result("limit")
        assert (result["action"], result["spend_limit"]["spend_limit"]) == ("updated", limit)
    assert "spend_limit: missing" in play(ansible, organization).result("limit")["msg"]
