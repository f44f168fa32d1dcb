# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains: what proves the ownership, and the wait until it is proved."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile import reconciler

from generate.modules import modules as all_modules
from tests.harness import Project
from tests.integration.conftest import Modules, Run

DOMAIN = "db.example.com"


def play(modules: Modules, project: Project, check: bool = False, **options: Any) -> Run:
    task = {"name": "domain", "pgbeam.cloud.domain": {"project_id": project.id, "domain": DOMAIN, **options}}
    return modules.play([task], "--diff", check=check)


def verifications(project: Project) -> int:
    return len([path for method, path in project.writes() if path.endswith("/verify")])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "ACTION_PAUSE", 0.05)


def test_what_is_needed_for_the_dns_records_is_returned(modules: Modules, project: Project) -> None:
    added = play(modules, project).result("domain")["domain"]
    (stored,) = project.stored("domains").values()
    assert (added["verified"], added["dns_verification_token"]) == (False, stored["dns_verification_token"])
    assert added["dns_instructions"]["txt_host"] == f"_pgbeam-verify.{DOMAIN}"
    entries = {"project_id": project.id, "domains": [{"domain": DOMAIN.upper()}]}
    run = modules.play([{"name": "domains", "pgbeam.cloud.domains": entries}])
    (entry,) = run.result("domains")["domains"]
    assert (entry["action"], entry["dns_instructions"]) == ("unchanged", added["dns_instructions"])


@pytest.mark.parametrize("domain", ["192.0.2.1", "2001:db8::1", "db.example.com.", "bücher.example", "a_b.example"])
def test_a_domain_is_a_name(modules: Modules, project: Project, domain: str) -> None:
    run = play(modules, project, domain=domain)
    allowed = "it must be a host name of at most 253 ASCII characters, without a trailing dot"
    assert f"domain: {domain!r} is not allowed; {allowed}" in run.result("domain")["msg"]
    assert run.requests == []


def test_there_is_nothing_to_replace() -> None:
    assert all("replace" not in all_modules()[name].spec for name in ("domain", "domains"))


def test_it_is_asked_once(modules: Modules, project: Project) -> None:
    project.settings(verified_after=2)
    failed = play(modules, project, verify=True).result("domain")
    records = failed["domain"]["dns_instructions"]
    assert (failed["failed"], failed["action"], failed["error"]["code"]) == (True, "created", "DOMAIN_NOT_VERIFIED")
    assert failed["changes"] == ["domain"] and "verified" not in failed["diff"]["after"]
    assert f"{DOMAIN} CNAME {records['cname_target']}" in failed["msg"]
    assert f"{records['txt_host']} TXT {records['txt_value']}" in failed["msg"]
    assert f"{records['acme_cname_host']} CNAME {records['acme_cname_target']}" in failed["msg"]
    assert verifications(project) == 1

    foreseen = play(modules, project, check=True, verify=True).result("domain")
    verified = play(modules, project, verify=True).result("domain")
    for result in (foreseen, verified):
        assert (result["action"], result["changed"], result["changes"]) == ("updated", True, ["verified"])
        assert (result["diff"]["before"], result["diff"]["after"]) == ({"verified": False}, {"verified": True})
        assert result["domain"]["verified"] is True
    assert (foreseen["domain"]["verified_at"], foreseen["verification"]) == (None, None)
    assert verified["domain"]["verified_at"]
    assert verified["verification"] == {"verified": True}

    again = play(modules, project, verify=True).result("domain")
    assert (again["changed"], again["verification"], verifications(project)) == (False, None, 2)


@pytest.mark.usefixtures("quick")
def test_it_is_asked_until_it_is_verified(modules: Modules, project: Project) -> None:
    project.settings(verified_after=4)
    result = play(modules, project, verify=True, verify_timeout=60).result("domain")
    assert (result["action"], result["changes"]) == ("created", ["domain", "verified"])
    assert (result["domain"]["verified"], verifications(project)) == (True, 4)


@pytest.mark.usefixtures("quick")
def test_the_wait_has_a_bound_for_all_domains(modules: Modules, project: Project) -> None:
    project.settings(verified_after=None)
    domains = [{"domain": f"db{number}.example.com"} for number in range(3)]
    options = {"project_id": project.id, "domains": domains, "verify": True, "verify_timeout": 1, "parallel": 1}
    began = time.monotonic()
    result = modules.play([{"name": "domains", "pgbeam.cloud.domains": options}]).result("domains")
    assert 1 <= time.monotonic() - began < 2.5
    assert (result["failed"], result["changed"], result["summary"]["created"]) == (True, True, 3)
    assert [entry["verification"]["verified"] for entry in result["domains"]] == [False] * 3
    asked = [path for method, path in project.writes() if path.endswith("/verify")]
    assert sorted(asked[:3]) == sorted(asked[3:6]) == sorted(set(asked)), "a domain that waits must not delay another"


def test_an_answer_that_is_lost(modules: Modules, project: Project) -> None:
    """A verification changes the domain, so it may have been made."""
    play(modules, project)
    project.fault("drop_after", method="POST", path_ends="/verify")
    result = play(modules, project, verify=True, retries=0).result("domain")
    assert (result["failed"], result["changed"], result["error"]["outcome_unknown"]) == (True, False, True)
    assert "the change may have been applied; run the task again to find out" in result["msg"]
    assert play(modules, project, verify=True).result("domain")["action"] == "unchanged"


@pytest.mark.parametrize(
    ("value", "reported"),
    [
        (-1, "verify_timeout: -1 is not allowed; it must be a whole number from 0 to 86400"),
        (86401, "verify_timeout: 86401 is not allowed; it must be a whole number from 0 to 86400"),
        ("long", "verify_timeout: 'long' is not allowed; it must be a whole number"),
    ],
    ids=["negative", "too long", "text"],
)
def test_an_invalid_timeout(modules: Modules, project: Project, value: Any, reported: str) -> None:
    run = play(modules, project, verify=True, verify_timeout=value)
    assert reported in run.result("domain")["msg"]
    assert run.requests == []
