# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role from nothing: a project, its databases, their replicas and its other objects, in one run."""

from __future__ import annotations

import json
import stat
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS

from tests import samples
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


#: What agents may read.
READERS: dict[str, Any] = {
    "name": "readers", "access_mode": "read_only", "table_allowlist": ["orders", "customers"],
    "masking_rules": [{"table": "customers", "column": "email", "kind": "hash"}],
}  # fmt: skip
BOTS = ("reporting-bot", "support-bot")


#: Some objects of the kinds that others refer to, or that protect data.
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "policies": [READERS, {"name": "writers", "access_mode": "read_write"}],
    "agents": [{"name": name, "policy": policy} for name, policy in zip(BOTS, ("readers", "writers"))],
    "honeytokens": [{"relation_name": "salaries", "action": "kill"}],
}


def everything(ansible: Ansible, organization: Organization, **changed: Any) -> str:
    """The same project with the samples, which both of its hosts declare."""
    shop = {"org_id": organization.id, "name": "shop", "default_policy": "readers"}
    declared = {f"pgbeam_{plural}": entries for plural, entries in SAMPLES.items()}
    with_files = [{**agent, "secrets_file": str(ansible.home / f"{agent['name']}.json")} for agent in SAMPLES["agents"]]
    declared["pgbeam_agents"] = with_files
    return inventory(ansible, organization, **{"pgbeam_project": shop, **declared, **changed})


def listings(run: Run) -> list[str]:
    """The last part of the path of each GET, of those below a project."""
    return sorted(path.rpartition("/")[2] for method, path in run.requests if method == "GET")


def made(organization: Organization) -> dict[str, Any]:
    """The only project, with all that is in it."""
    (project,) = organization.truth().values()
    return project


def told(run: Run) -> Any:
    return run.result("Report what changed")["msg"]


def refusal(run: Run) -> str:
    """What the role fails with."""
    return str(run.result("Ensure PgBeam matches what the hosts declare")["msg"])


def test_from_nothing(ansible: Ansible, organization: Organization) -> None:
    path = inventory(ansible, organization)
    foreseen = ansible.playbook(REGISTER, "-i", path, "--diff", check=True)
    assert foreseen.status == 0, foreseen.output
    key = f"{organization.id}/shop"
    note = " (check mode, nothing was written)"
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


def test_the_other_objects_from_nothing(ansible: Ansible, organization: Organization) -> None:
    path = everything(ansible, organization)
    key = f"{organization.id}/shop"
    foreseen = ansible.playbook(REGISTER, "-i", path, "--diff", check=True)
    assert foreseen.status == 0, foreseen.output
    kinds = [kind for kind in KINDS if kind.plural in SAMPLES]
    counted = [f"{kind.plural} of {key}: {len(SAMPLES[kind.plural])} created" for kind in kinds]
    assert told(foreseen)[-len(kinds) :] == [f"{line} (check mode, nothing was written)" for line in counted]
    for shown in ('"name": "readers"', '"name": "reporting-bot"', '"relation_name": "salaries"', '"column": "email"'):
        assert shown in foreseen.output
    assert "none of the policies" not in foreseen.output
    assert told(foreseen)[0] == f"{key}: project created (check mode, nothing was written)"
    assert organization.projects() == []

    first = ansible.playbook(REGISTER, "-i", path, "-vvvvv", "--diff")
    assert first.status == 0, first.output
    assert told(first)[-len(kinds) :] == counted
    project = made(organization)
    assert {item["name"] for item in project["policies"]} == {"readers", "writers"}
    policies = {item["id"]: item["name"] for item in project["policies"]}
    assigned = {agent["name"]: policies[agent["policy_profile_id"]] for agent in project["agents"]}
    assert assigned == {"reporting-bot": "readers", "support-bot": "writers"}
    assert policies[project["default_policy_profile_id"]] == "readers"
    assert [item["relation_name"] for item in project["honeytokens"]] == ["salaries"]
    for agent in project["agents"]:
        file = ansible.home / f"{agent['name']}.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        issued = json.loads(file.read_text())
        assert issued["id"] == agent["id"]
        ansible.secrets += [issued["connection_string"], issued["mcp_token"]]
    ansible.check_secrecy(first, first.output + json.dumps(first.events), ["the role"])

    second = ansible.playbook(REGISTER, "-i", path, "-vvvvv")
    assert (second.status, second.changed, second.writes) == (0, 0, [])
    paths = [kind.path.rpartition("/")[2] for kind in kinds]
    assert listings(second) == sorted(["projects", "projects", "databases", "replicas", *paths])
    audited = ansible.playbook(AUDIT, "-i", path)
    assert audited.status == 0, audited.output


def test_one_object_of_every_kind(ansible: Ansible, organization: Organization) -> None:
    """Each by its sample: a further kind needs no line here."""
    declared: dict[str, Any] = {}
    for kind in KINDS:
        entry = samples.complete(kind, PASSWORD_LOOKUP)
        for f in kind.references:
            if entry.pop(f.name, None) and f.refers_to:
                (entry[f.name_option],) = samples.needed(f.refers_to).values()
        if kind.issued:
            entry["secrets_file"] = str(ansible.home / f"{kind.noun}.json")
        declared[f"pgbeam_{kind.plural}"] = [entry]
    path = inventory(ansible, organization, **declared)
    foreseen = ansible.playbook(REGISTER, "-i", path, "--diff", check=True)
    first = ansible.playbook(REGISTER, "-i", path, "-vvvvv", "--diff")
    second = ansible.playbook(REGISTER, "-i", path, "-vvvvv")
    for run, action in ((foreseen, "created"), (first, "created"), (second, "unchanged")):
        assert run.status == 0, run.output
        for kind in KINDS:
            assert f" of {organization.id}/shop: 1 {action}" in " ".join(told(run)), kind.plural
    assert (second.changed, second.writes) == (0, [])
    project = made(organization)
    assert {kind.plural: len(project[kind.items_key]) for kind in KINDS} == {kind.plural: 1 for kind in KINDS}
    assert len(listings(second)) == 4 + len(KINDS)


def test_prune_of_each_kind(ansible: Ansible, sandbox: Sandbox, organization: Organization) -> None:
    """A policy can only be deleted after what refers to it. What no host declares a list of is kept."""
    path = everything(ansible, organization)
    assert ansible.playbook(REGISTER, "-i", path).status == 0
    project = sandbox.project_of(made(organization)["id"])
    old = project.create("policies", name="old")
    project.create("agents", name="old-bot", policy_profile_id=old["id"])
    organization.api("PATCH", f"/{project.id}", json={"default_policy_profile_id": old["id"]})
    project.create("honeytokens", relation_name="bonuses", action="audit_only")
    path = everything(ansible, organization, pgbeam_prune=True, pgbeam_honeytokens=[])
    before = organization.truth()
    foreseen = ansible.playbook(REGISTER, "-i", path, check=True)
    key = f"{organization.id}/shop"
    path = everything(ansible, organization, pgbeam_prune=True, pgbeam_policies=[{"name": "x"}])
    refused = ansible.playbook(REGISTER, "-i", path)
    assert refused.status == 2
    assert "of the 3 policies" in refusal(refused) and refused.writes == []
    assert organization.truth() == before
    path = everything(ansible, organization, pgbeam_prune=True, pgbeam_honeytokens=[])
    pruned = ansible.playbook(REGISTER, "-i", path)
    for run in (foreseen, pruned):
        assert run.status == 0, run.output
        said = " ".join(run.output.split())
        assert f"pgbeam_prune: deleting 1 of the 3 policies of project {key}: policy old ({old['id']})" in said
        assert "agent old-bot" in said
        assert f"agents of {key}: 2 unchanged" in str(told(run)) and f"agents of {key}: 1 deleted" in str(told(run))
    assert [path.split("/")[-2] for method, path in pruned.writes] == ["projects", "agents", "policies"]
    after = made(organization)
    assert {item["name"] for item in after["policies"]} == {"readers", "writers"}
    assert len(after["honeytokens"]) == 2
    again = ansible.playbook(REGISTER, "-i", path)
    assert (again.status, again.writes) == (0, [])
    assert listings(again).count("policies") == listings(again).count("agents") == 1


def test_drift_of_other_objects(ansible: Ansible, sandbox: Sandbox, organization: Organization) -> None:
    path = everything(ansible, organization, pgbeam_prune=True)
    assert ansible.playbook(REGISTER, "-i", path).status == 0
    found = made(organization)
    project = sandbox.project_of(found["id"])
    (readers,) = [item["id"] for item in found["policies"] if item["name"] == "readers"]
    (token,) = [item["id"] for item in found["honeytokens"]]
    project._call("PUT", f"/v1/projects/{project.id}/policies/{readers}", json={"name": "readers"})
    project._call("DELETE", f"/v1/projects/{project.id}/honeytokens/{token}")
    project.create("agents", name="unknown", policy_profile_id=readers)
    audited = ansible.playbook(AUDIT, "-i", path)
    assert audited.status == 2
    drift = audited.result("Report the drift")["msg"]
    assert drift.startswith("3 differences: policy readers differs in table_allowlist, masking_rules; ")
    assert "agent unknown exists but is not declared" in drift
    assert "honeytoken public.salaries is declared but does not exist" in drift
    kept = ansible.playbook(AUDIT, "-i", everything(ansible, organization))
    assert "agent unknown exists but is not declared" in kept.result("Report the drift")["msg"]
    assert "3 differences" in kept.result("Report the drift")["msg"]


@pytest.mark.parametrize("status, code", [(402, "PLAN_LIMIT_REACHED"), (403, "FORBIDDEN")])
def test_a_kind_that_is_refused_does_not_stop_the_others(
    ansible: Ansible, sandbox: Sandbox, organization: Organization, status: int, code: str
) -> None:
    assert ansible.playbook(REGISTER, "-i", inventory(ansible, organization)).status == 0
    project = sandbox.project_of(made(organization)["id"])
    project.fault("status", status=status, code=code, method="POST", path_ends="/policies", times=99)
    run = ansible.playbook(REGISTER, "-i", everything(ansible, organization))
    assert run.status == 2
    said = refusal(run)
    assert said.count(f"{status} {code}: ") == 1
    key = f"{organization.id}/shop"
    assert f"agents of {key}: 2 skipped: the policies of {key} could not be applied" in said
    assert f"{key}: default_policy was not set: the policies of {key} could not be applied" in said
    after = made(organization)
    assert (after["policies"], after["agents"], len(after["honeytokens"])) == ([], [], 1)


def test_a_project_whose_own_database_is_named(ansible: Ansible, organization: Organization) -> None:
    """It is one of the databases from then on, and no duplicate of one that a host declares."""
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
    """The audit also reports a replica that only a replacement can fix."""
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
    drift = audited.result("Report the drift")["msg"]
    assert drift.startswith("4 differences: ")
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
        told = f"{organization.id}/shop and {made['id']} are the same project; refer to it in one way on all hosts"
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
        ({"replicas": [TYPO]}, "replicas[0] (r1): sl_mode: unknown option; did you mean ssl_mode?"),
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
        ({"nam": "shop"}, "pgbeam_project.nam: unknown option; did you mean name?"),
        ({"name": "shop"}, "pgbeam_project: it identifies no project; set org_id and name, or id"),
        ({"org_id": "org_1", "name": "shop", "state": "absent"}, "pgbeam_project.state: unknown option"),
        ({"id": "prj_1", "database": {"name": "a"}}, "pgbeam_project.database: host is missing"),
        (
            {"id": "prj_1", "database": {"name": "a", "host": "h", "state": "absent"}},
            "omit state, or declare another",
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
