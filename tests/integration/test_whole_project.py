# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role from nothing: a project, its databases, their replicas and its other objects, in one run."""

from __future__ import annotations

import json
import stat
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS

from generate.declared import Resource
from tests import samples
from tests.harness import Organization, Sandbox
from tests.integration.conftest import PASSWORD, PASSWORD_LOOKUP, Ansible, Run
from tests.integration.scanned_ansible import ScannedAnsible
from tests.sandbox import kinds as sandbox_kinds
from tests.sandbox.declaration import Kind

REGISTER = "pgbeam.cloud.register_databases"
AUDIT = "pgbeam.cloud.audit_databases"
ENSURE = "Ensure PgBeam matches what the hosts declare"
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
AGENTS: list[dict[str, Any]] = [
    {"name": "reporting-bot", "policy": "readers", "status": "disabled"},
    {"name": "support-bot", "policy": "writers"},
]  # fmt: skip


#: What objects of other kinds refer to, or refer to by name, by the plural of its kind.
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "policies": [READERS, {"name": "writers", "access_mode": "read_write"}],
    "agents": AGENTS,
    "anomaly_rules": [
        {"agent": "reporting-bot", "metric": "queries_per_hour", "sigma_threshold": 4.5},
        {"metric": "bytes_per_hour"},
    ],
}


def in_sandbox(kind: Resource) -> Kind:
    """What the sandbox has of a kind."""
    return sandbox_kinds.KINDS[kind.items_key]


def objects(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Two objects of every kind, by its plural, most of them by their samples. The secrets go into the folder."""
    declared: dict[str, list[dict[str, Any]]] = {}
    for kind in KINDS:
        first, second = (samples.complete(kind, PASSWORD_LOOKUP, number) for number in range(2))
        entries = SAMPLES.get(kind.plural) or [{**first, **in_sandbox(kind).change}, second]
        if kind.issued:
            entries = [{**entry, "secrets_file": str(folder / f"{entry['name']}.json")} for entry in entries]
        declared[kind.plural] = entries
    return declared


def everything(ansible: Ansible, organization: Organization, folder: Path | None = None, /, **changed: Any) -> str:
    """The same project with objects of every kind, which both of its hosts declare."""
    shop = {"org_id": organization.id, "name": "shop", "default_policy": "readers"}
    declared = {f"pgbeam_{plural}": entries for plural, entries in objects(folder or ansible.home).items()}
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
    return str(run.result(ENSURE)["msg"])


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


def test_the_whole_from_nothing(sandbox: Sandbox, organization: Organization, tmp_path: Path) -> None:
    """Every list of the role in one inventory. Check mode shows all of it, a second run only reads, once a kind."""
    scanned = ScannedAnsible(sandbox.url, tmp_path / "home", printed=sandbox.log)
    scanned.secrets.append(PASSWORD)
    path, declared = everything(scanned, organization, scanned.issued), objects(scanned.issued)
    key = f"{organization.id}/shop"
    counted = [f"{kind.plural} of {key}: {len(declared[kind.plural])} created" for kind in KINDS]
    foreseen = scanned.playbook(REGISTER, "-i", path, "-vvvvv", "--diff", check=True)
    assert foreseen.status == 0, foreseen.output
    assert told(foreseen)[0] == f"{key}: project created (check mode, nothing was written)"
    assert told(foreseen)[-len(KINDS) :] == [f"{line} (check mode, nothing was written)" for line in counted]
    shown = json.dumps(foreseen.result(ENSURE)["diff"])
    for kind in KINDS:
        for entry in declared[kind.plural]:
            for name in kind.needed_to_find:
                assert f'"{name}": "{entry[name]}"' in shown, kind.plural
    for shown_too in ('"name": "invoices"', '"host": "r2"', '"column": "email"', "(sent, not shown)"):
        assert shown_too in shown
    assert "none of the " not in foreseen.output, "what this run would create is not missing"
    assert organization.projects() == [] and list(scanned.issued.iterdir()) == []

    first = scanned.playbook(REGISTER, "-i", path, "-vvvvv", "--diff")
    assert first.status == 0, first.output
    assert told(first)[-len(KINDS) :] == counted
    project = made(organization)
    assert {kind.plural: len(project[kind.items_key]) for kind in KINDS} == {p: len(e) for p, e in declared.items()}
    assert (len(project["databases"]), len(project["replicas"])) == (3, 2)
    policies = {item["id"]: item["name"] for item in project["policies"]}
    assigned = {agent["name"]: policies[agent["policy_profile_id"]] for agent in project["agents"]}
    assert assigned == {"reporting-bot": "readers", "support-bot": "writers"}
    assert policies[project["default_policy_profile_id"]] == "readers"
    for agent in project["agents"]:
        file = scanned.issued / f"{agent['name']}.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert json.loads(file.read_text())["id"] == agent["id"]
    writes = Counter(method for method, path in first.writes)
    created = sum(map(len, declared.values()))
    annotations = len(declared["schema_annotations"])
    # The project with its first database, two databases and two replicas; at the end, its policy and an agent's status.
    assert writes == {"POST": 1 + 2 + 2 + created - annotations, "PUT": annotations, "PATCH": 1 + 1}

    second = scanned.playbook(REGISTER, "-i", path, "-vvvvv", "--diff")
    assert (second.status, second.changed, second.writes) == (0, 0, [])
    (orders,) = {replica["database_id"] for replica in project["replicas"]}
    above = f"/v1/projects/{project['id']}"
    listed = ["/v1/projects", above, f"{above}/databases", f"/v1/databases/{orders}/replicas"]
    listed += [kind.path.format(project_id=project["id"]) for kind in KINDS]
    assert sorted(second.requests) == sorted(("GET", path) for path in listed)
    audited = scanned.playbook(AUDIT, "-i", path)
    assert audited.status == 0, audited.output


LONG = 500


@pytest.mark.parametrize("plural", ["query_templates", "schema_annotations"])
def test_a_long_list(ansible: Ansible, sandbox: Sandbox, plural: str) -> None:
    """One listing of five pages, one write an object, several at once; a second run only lists."""
    (kind,) = (kind for kind in KINDS if kind.plural == plural)
    (find_by,) = kind.needed_to_find
    entries = [{**samples.complete(kind, ""), find_by: f"one_{number}"} for number in range(LONG)]
    project = sandbox.project(latency_ms=20)
    variables = {"pgbeam_project_id": project.id, f"pgbeam_{plural}": entries}
    path = ansible.write("inventory/hosts.yml", {"pg": {"hosts": {"db1": {}, "db2": {}}, "vars": variables}})
    path_of_kind = kind.path.format(project_id=project.id)
    first = ansible.playbook(REGISTER, "-i", path)
    assert first.status == 0, first.output
    assert Counter(first.requests) == {
        ("GET", f"/v1/projects/{project.id}/databases"): 1,
        ("GET", path_of_kind): 1,
        (kind.create_verb, path_of_kind): LONG,
    }
    # One client that waits for each answer sends no request within the time that the server takes for the one before.
    arrived = [entry["arrived"] for entry in first.exchanges if entry["method"] == kind.create_verb]
    assert any(later - earlier < 0.02 for earlier, later in pairwise(arrived))
    second = ansible.playbook(REGISTER, "-i", path)
    assert (second.status, second.changed) == (0, 0)
    assert second.requests[1:] == [("GET", path_of_kind)] * 5


def test_prune_of_each_kind(ansible: Ansible, sandbox: Sandbox, organization: Organization) -> None:
    """A policy can only be deleted after what refers to it. What no host declares a list of is kept."""
    path = everything(ansible, organization)
    assert ansible.playbook(REGISTER, "-i", path).status == 0
    project = sandbox.project_of(made(organization)["id"])
    old = project.create("policies", name="old")
    project.create("agents", name="old-bot", policy_profile_id=old["id"])
    organization.api("PATCH", f"/{project.id}", json={"default_policy_profile_id": old["id"]})
    project.create("honeytokens", relation_name="bonuses", action="audit_only")
    project.create("approval_rules", name="old-rule")
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
    for run, verb in ((foreseen, "would delete"), (pruned, "will delete")):
        assert run.status == 0, run.output
        said = " ".join(run.output.split())
        assert f"pgbeam_prune: {verb} 1 of the 3 policies of project {key}: policy old ({old['id']})" in said
        assert "agent old-bot" in said and "approval_rule old-rule" in said
        assert f"agents of {key}: 2 unchanged" in str(told(run)) and f"agents of {key}: 1 deleted" in str(told(run))
    assert [path.split("/")[-2] for method, path in pruned.writes] == [
        "projects", "approval-rules", "agents", "policies",
    ]  # fmt: skip
    after = made(organization)
    assert {item["name"] for item in after["policies"]} == {"readers", "writers"}
    assert len(after["honeytokens"]) == 3
    again = ansible.playbook(REGISTER, "-i", path)
    assert (again.status, again.writes) == (0, [])
    assert listings(again).count("policies") == listings(again).count("agents") == 1


def test_drift_of_every_kind(ansible: Ansible, sandbox: Sandbox, organization: Organization) -> None:
    """One object of each is changed, one deleted and one created behind the role's back; the audit reports them all."""
    path = everything(ansible, organization, pgbeam_prune=True)
    assert ansible.playbook(REGISTER, "-i", path).status == 0
    found, declared = made(organization), objects(ansible.home)
    project = sandbox.project_of(found["id"])
    for kind in reversed(KINDS):
        above = kind.path.format(project_id=project.id)
        first, second = (
            next(item for item in found[kind.items_key] if all(item[n] == entry[n] for n in kind.needed_to_find))
            for entry in declared[kind.plural]
        )
        identity = {name: value for name, value in second.items() if name in kind.identity and value is not None}
        if kind.put_by_identity:
            assert project._call("DELETE", above, params=identity).ok
        else:
            assert project._call("DELETE", f"{above}/{second['id']}").ok
        if in_sandbox(kind).update_method == "PATCH" and kind.update_verb:
            assert project._call("PATCH", f"{above}/{first['id']}", json={"status": "active"}).ok
        elif kind.update_verb:
            kept = {name: value for name, value in first.items() if name in kind.identity}
            place = above if kind.put_by_identity else f"{above}/{first['id']}"
            assert project._call("PUT", place, json={**samples.needed(kind), **kept}).ok
    for kind in KINDS:
        samples.create(project, kind, project.id, PASSWORD, 2)
    audited = ansible.playbook(AUDIT, "-i", path)
    assert (audited.status, audited.writes) == (2, [])
    drift = audited.result("Report the drift")["msg"].partition(" differences: ")[2].split("; ")
    for kind in KINDS:
        own = sorted(text for text in drift if text.startswith(f"{kind.noun} "))
        ends = ["differs in", "is declared but does not exist", "exists but should not"]
        assert [end for end in ends if not any(end in text for text in own)] == ([] if kind.update_verb else ends[:1])
        assert len(own) == (3 if kind.update_verb else 2), own
    kept = ansible.playbook(AUDIT, "-i", everything(ansible, organization)).result("Report the drift")["msg"]
    assert "agent reporting-bot2 exists but should not" in kept
    assert kept.count("exists but should not") == 1
    said = (
        "audit: this run does not see every list, because --limit is set, and does not report undeclared agents; run it"
    )
    without: dict[str, Any] = {"pgbeam_agents": [], "pgbeam_anomaly_rules": []}
    for lists, reported in (({}, True), (without, False)):
        path = everything(ansible, organization, **lists)
        limited = ansible.playbook(AUDIT, "-i", path, "--limit", "db1")
        assert (said in " ".join(limited.output.split())) == reported
        assert "agent reporting-bot2" not in limited.result("Report the drift")["msg"]


@pytest.mark.parametrize(
    "method, plural, status, code",
    [
        ("POST", "policies", 402, "PLAN_LIMIT_REACHED"),
        ("POST", "policies", 403, "FORBIDDEN"),
        ("GET", "honeytokens", 403, "FORBIDDEN"),
    ],
)
def test_a_kind_that_is_refused_does_not_stop_the_others(
    ansible: Ansible,
    sandbox: Sandbox,
    organization: Organization,
    method: str,
    plural: str,
    status: int,
    code: str,
) -> None:
    """Those that may refer to its objects are skipped. With prune, the lists are read before the first write."""
    assert ansible.playbook(REGISTER, "-i", inventory(ansible, organization)).status == 0
    project = sandbox.project_of(made(organization)["id"])
    project.fault("status", status=status, code=code, method=method, path_ends=f"/{plural}", times=99)
    run = ansible.playbook(REGISTER, "-i", everything(ansible, organization, pgbeam_prune=True))
    assert run.status == 2
    said = refusal(run)
    assert said.count(f"{status} {code}: ") == 1
    key = f"{organization.id}/shop"
    skipped = {"policies": ["agents", "anomaly_rules"]}.get(plural, [])
    for each, refused in zip(skipped, [plural, *skipped]):
        assert f"{each} of {key}: 2 skipped: the {refused} of {key} could not be applied" in said
    assert (f"{key}: default_policy: not set, because the policies of {key} could not be applied" in said) == bool(
        skipped
    )
    after = made(organization)
    missing = {kind.plural for kind in KINDS if not after[kind.items_key]}
    assert missing == {plural, *skipped}


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


def test_drift_of_each_kind_is_reported_and_corrected(
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
        "replica r2:6432 of database orders on db1:5432 is registered more than once; ",
        "replica r9:5432 of database orders on db1:5432 is registered but should not be",
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
        told = f"{organization.id}/shop and {made['id']} are the same project; refer to each the same way on all hosts"
        assert told in run.result(ENSURE)["msg"]
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
def test_no_project_is_created_if_its_second_database_is_invalid(
    ansible: Ansible, organization: Organization, odd: Any, problem: str
) -> None:
    path = inventory(ansible, organization)
    ansible.write("inventory/host_vars/db2.yml", {"pgbeam_databases": [{"name": "stock", **odd}]})
    run = ansible.playbook(REGISTER, "-i", path)
    assert run.status != 0
    told = run.result(ENSURE)["msg"]
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
