# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role from nothing: a project, its databases and their replicas, in one run of one inventory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Organization, Sandbox
from tests.integration.conftest import PASSWORD_LOOKUP, Ansible, Run

REGISTER = "pgbeam.cloud.register_databases"
AUDIT = "pgbeam.cloud.audit_databases"
CIDRS = [{"cidr": "10.0.0.1", "label": "office"}]


@pytest.fixture
def organization(sandbox: Sandbox) -> Organization:
    return sandbox.organization()


def inventory(ansible: Ansible, organization: Organization, **changed: Any) -> str:
    """Two servers of one project: three databases, two replicas of one of them."""
    group = {
        "pgbeam_project": {"org_id": organization.id, "name": "shop", "tags": ["prod", "eu"], "allowed_cidrs": CIDRS},
        "pgbeam_database_defaults": {"username": "app", "password": PASSWORD_LOOKUP},
        **changed,
    }
    orders = {"name": "orders", "replicas": [{"host": "r1"}, {"host": "r2", "port": 6432, "ssl_mode": "require"}]}
    hosts = {
        "db1": {"pgbeam_databases": [orders, {"name": "invoices"}]},
        "db2": {"pgbeam_databases": [{"name": "stock", "ssl_mode": "verify-full"}]},
    }
    return ansible.write("inventory/hosts.yml", {"pg": {"hosts": hosts, "vars": group}})


def told(run: Run) -> Any:
    return run.result("Report what changed")["msg"]


def test_from_nothing(ansible: Ansible, organization: Organization) -> None:
    path = inventory(ansible, organization)
    foreseen = ansible.playbook(REGISTER, "-i", path, "--diff", check=True)
    assert foreseen.status == 0, foreseen.output
    key = f"{organization.id}/shop"
    note = " in check mode, nothing was written"
    assert told(foreseen) == [
        f"{key}: project created{note}",
        f"{key}: 2 created{note}",
        f"replicas of database orders on db1:5432: 2 created{note}",
    ]
    for shown in (
        '"allowed_cidrs"',
        '"host": "r2"',
        '"name": "invoices"',
        '"name": "orders"',
        '"ssl_mode": "verify-full"',
    ):
        assert shown in foreseen.output
    assert organization.projects() == []

    first = ansible.playbook(REGISTER, "-i", path, "-vvvvv", "--diff")
    assert first.status == 0, first.output
    assert told(first) == [
        f"{key}: project created",
        f"{key}: 2 created, 1 unchanged",
        "replicas of database orders on db1:5432: 2 created",
    ]
    (project,) = organization.truth().values()
    assert (project["name"], sorted(project["tags"])) == ("shop", ["eu", "prod"])
    assert project["allowed_cidrs"] == [{"cidr": "10.0.0.1/32", "label": "office"}]
    assert sorted((d["host"], d["name"]) for d in project["databases"]) == [
        ("db1", "invoices"), ("db1", "orders"), ("db2", "stock"),
    ]  # fmt: skip
    assert sorted((r["host"], r["port"]) for r in project["replicas"]) == [("r1", 5432), ("r2", 6432)]

    second = ansible.playbook(REGISTER, "-i", path)
    assert (second.status, second.changed, second.writes) == (0, 0, [])
    assert [method for method, dummy in second.requests] == ["GET"] * 4
    audited = ansible.playbook(AUDIT, "-i", path)
    assert audited.status == 0, audited.output


def test_a_project_whose_own_database_is_named(ansible: Ansible, organization: Organization) -> None:
    """It is one of the databases from then on, and no twin of one that a host names."""
    own = {"host": "db2", "name": "stock", "ssl_mode": "verify-full"}
    path = inventory(ansible, organization, pgbeam_project={"org_id": organization.id, "name": "shop", "database": own})
    for created in (True, False):
        run = ansible.playbook(REGISTER, "-i", path)
        assert run.status == 0, run.output
        assert bool(run.writes) == created
    (project,) = organization.truth().values()
    assert project["databases"][0]["name"] == "stock"
    assert len(project["databases"]) == 3


def test_drift_of_each_kind_is_told_and_put_right(
    ansible: Ansible, sandbox: Sandbox, organization: Organization
) -> None:
    """The audit tells of a replica that only a replacement can put right, too."""
    path = inventory(ansible, organization, pgbeam_prune=True)
    assert ansible.playbook(REGISTER, "-i", path).status == 0
    (made,) = organization.projects()
    project = sandbox.project_of(made["id"])
    databases = {item["name"]: item for item in project.databases()}
    organization.api("PATCH", f"/{made['id']}", json={"tags": ["prod"]})
    project.api("PATCH", f"/{databases['stock']['id']}", json={"ssl_mode": "prefer"})
    (replica,) = [r for r in project.replicas(databases["orders"]["id"]) if r["host"] == "r2"]
    project.register_replica(databases["orders"]["id"], host="r2", port=6432, ssl_mode="disable")
    project.register_replica(databases["orders"]["id"], host="r9")
    audited = ansible.playbook(AUDIT, "-i", path)
    assert audited.status == 2
    drift = audited.result("Say what drifted")["msg"]
    assert drift.startswith("4 drifted: ")
    for part in (
        f"project {organization.id}/shop differs in tags; ",
        "stock on db2:5432 differs in ssl_mode; ",
        "replica r2:6432 of database orders on db1:5432 differs in id; ",
        "replica r9:5432 of database orders on db1:5432 is registered but not declared",
    ):
        assert part in drift
    assert ansible.playbook(REGISTER, "-i", path, "-e", "pgbeam_replace_replicas=true").status == 0
    assert ansible.playbook(AUDIT, "-i", path).status == 0
    kept = {r["host"]: r["id"] for r in project.replicas(databases["orders"]["id"])}
    assert kept.keys() == {"r1", "r2"}
    assert kept["r2"] == replica["id"]


def test_a_project_that_is_named_in_two_ways(ansible: Ansible, organization: Organization) -> None:
    """Each of the two lists would prune what the other one declares, so nothing is written, no setting either."""
    path = inventory(ansible, organization, pgbeam_prune=True)
    assert ansible.playbook(REGISTER, "-i", path).status == 0
    (made,) = organization.projects()
    moved = {"org_id": organization.id, "name": "shop", "tags": ["moved"]}
    path = inventory(ansible, organization, pgbeam_prune=True, pgbeam_project=moved)
    by_id = {"pgbeam_project_id": made["id"], "pgbeam_project": {}}
    ansible.write("inventory/host_vars/db2.yml", by_id)
    before = organization.truth()
    for check in (True, False):
        run = ansible.playbook(REGISTER, "-i", path, check=check)
        assert run.status == 2
        told = f"{organization.id}/shop and {made['id']} are one project; name it on all hosts in one way"
        assert told in run.result("Ensure PgBeam matches what the hosts declare")["msg"]
        assert run.writes == []
    assert organization.truth() == before


def test_a_password_of_a_new_project_is_sent_once(ansible: Ansible, organization: Organization) -> None:
    """Made with the project, the first database has its password, and check mode could not foresee another call."""
    path = inventory(ansible, organization, pgbeam_update_password="always")
    made = ansible.playbook(REGISTER, "-i", path)
    assert made.status == 0, made.output
    (project,) = organization.projects()
    databases = ("POST", f"/v1/projects/{project['id']}/databases")
    passwords = [entry for entry in made.writes if "replicas" not in entry[1]]
    assert passwords == [("POST", "/v1/projects"), ("PATCH", f"/v1/projects/{project['id']}"), databases, databases]
    again = ansible.playbook(REGISTER, "-i", path)
    assert [method for method, dummy in again.writes] == ["PATCH"] * 3


TYPO = {"host": "r1", "sl_mode": "require"}


@pytest.mark.parametrize(
    "odd, problem",
    [
        ({"port": 99999}, "port: 99999 is not allowed; it must be a whole number from 1 to 65535"),
        ({"replicas": [TYPO]}, "replicas[0] (r1): sl_mode: there is no such option; did you mean ssl_mode?"),
        ({"replicas": [{"host": "r"}, {"host": "R"}]}, "replicas[0] (r) and replicas[1] (R) are both replica R:5432"),
    ],
)
def test_no_project_is_made_whose_second_database_cannot_be(
    ansible: Ansible, organization: Organization, odd: Any, problem: str
) -> None:
    path = inventory(ansible, organization)
    ansible.write("inventory/host_vars/db2.yml", {"pgbeam_databases": [{"name": "stock", **odd}]})
    run = ansible.playbook(REGISTER, "-i", path)
    assert run.status != 0
    told = run.result("Ensure PgBeam matches what the hosts declare")["msg"]
    assert told.startswith(f"db2: pgbeam_databases[0] (stock on db2): {problem}")
    assert run.requests == []


def test_prune_before_there_is_a_project(ansible: Ansible, organization: Organization) -> None:
    """Its first database is shown with it, so that no other is left to show, and there is nothing to prune."""
    databases = {"pgbeam_databases": [{"name": "orders"}]}
    path = inventory(ansible, organization, pgbeam_prune=True)
    for host in ("db1", "db2"):
        ansible.write(f"inventory/host_vars/{host}.yml", databases if host == "db1" else {"pgbeam_databases": []})
    for check in (True, False):
        run = ansible.playbook(REGISTER, "-i", path, check=check)
        assert run.status == 0, run.output
    (project,) = organization.truth().values()
    assert [item["name"] for item in project["databases"]] == ["orders"]


@pytest.mark.parametrize(
    "project, problem",
    [
        ({"nam": "shop"}, "pgbeam_project.nam: there is no such option; did you mean name?"),
        ({"name": "shop"}, "pgbeam_project does not say which one; give its org_id and name, or its id"),
        ({"org_id": "org_1", "name": "shop", "state": "absent"}, "pgbeam_project.state: there is no such option"),
        ({"id": "prj_1", "database": {"name": "a"}}, "pgbeam_project.database names no host"),
        (
            {"id": "prj_1", "database": {"name": "a", "host": "h", "state": "absent"}},
            "leave state out, or name another",
        ),
    ],
)
def test_a_project_that_cannot_be_used(
    ansible: Ansible, organization: Organization, project: Any, problem: str
) -> None:
    run = ansible.playbook(REGISTER, "-i", inventory(ansible, organization, pgbeam_project=project))
    assert run.status != 0
    assert problem in run.output
    assert run.requests == []
