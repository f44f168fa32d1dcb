# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that read what no task writes, and projects and replicas, mostly without ansible-playbook around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.agent_usage import AGENT_USAGE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.plan import PLAN
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.usage import USAGE

from tests.harness import Organization, Sandbox
from tests.integration.conftest import Ansible
from tests.integration.test_project import Done, Runner
from tests.samples import whole
from tests.sandbox.platform import REGIONS

Values = dict[str, Any]
TODAY = "2026-11-21"


@pytest.fixture
def run(sandbox: Sandbox, tmp_path: Path) -> Runner:
    return Runner(sandbox.url, tmp_path)


@pytest.fixture
def organization(sandbox: Sandbox) -> Organization:
    return sandbox.organization(page_limit=2)


def read(run: Runner, module: str, **options: Any) -> Done:
    """Run a module that reads in check mode and live, which is one."""
    foreseen, done = run(module, check=True, **options), run(module, **options)
    assert foreseen.result == done.result
    assert foreseen.methods == done.methods
    assert not done.result.get("changed")
    assert set(done.methods) <= {"GET"}
    return done


def ids(done: Done, key: str) -> list[str]:
    return [item["id"] for item in done.result[key]]


def test_projects(run: Runner, organization: Organization, sandbox: Sandbox) -> None:
    known = [organization.create_project(name=name)["project"]["id"] for name in ("shop", "stock", "shop", "Shop")]
    sandbox.organization().create_project()
    cases: list[tuple[Values, list[str], int]] = [
        ({}, known, 2), ({"name": "stock"}, known[1:2], 2), ({"name": "none"}, [], 2), ({"name": "Shop"}, known[3:], 2),
        ({"id": known[1]}, known[1:2], 1), ({"id": known[1], "name": "shop"}, [], 1), ({"id": "prj_none"}, [], 1),
    ]  # fmt: skip
    for options, found, calls in cases:
        done = read(run, "project_info", org_id=organization.id, **options)
        assert (ids(done, "projects"), len(done.methods)) == (found, calls), options
        assert ("warnings" in done.result) == (options == {}), "two of one name are there, and in one answer only"
    without = read(run, "project_info", id=known[0])
    assert (ids(without, "projects"), without.exchanges[0]["query"]) == (known[:1], {})
    assert read(run, "project_info", id=known[0], org_id=None).result == without.result
    duplicates = read(run, "project_info", org_id=organization.id, name="shop")
    assert f"exists 2 times in PgBeam ({', '.join(sorted([known[0], known[2]]))})" in str(duplicates.result["warnings"])
    organization.api("DELETE", f"/{known[0]}")
    assert ids(read(run, "project_info", org_id=organization.id), "projects") == known[1:]
    assert ids(read(run, "project_info", id=known[0]), "projects") == []


def test_all_fields_of_a_project_are_returned(run: Runner, sandbox: Sandbox) -> None:
    """With every field, null if the server omits it, and with unknown fields."""
    organization = sandbox.organization(omit_zero=True, extra_fields=True)
    organization.create_project()
    (project,) = read(run, "project_info", org_id=organization.id).result["projects"]
    assert (project["tags"], project["allowed_cidrs"], project["database_count"]) == (None, None, 1)
    assert project["shard"] == {"number": 7}


def test_regions(run: Runner) -> None:
    cases: list[tuple[Values, list[str]]] = [
        ({}, ["us-east-1", "eu-central-1", "westeurope"]), ({"provider": "azure"}, ["westeurope"]),
        ({"available": True}, ["us-east-1", "eu-central-1"]), ({"available": False}, ["westeurope"]),
        ({"available": "no", "provider": "aws"}, []), ({"id": "us-east-1"}, ["us-east-1"]), ({"id": "mars-1"}, []),
    ]  # fmt: skip
    for options, found in cases:
        done = read(run, "region_info", **options)
        assert ids(done, "regions") == found, options
        assert [(e["path"], e["query"]) for e in done.exchanges] == [("/v1/regions", {})]
    assert read(run, "region_info").result["regions"] == REGIONS


def test_organizations(run: Runner, sandbox: Sandbox) -> None:
    """A personal key sees all organizations of its user, and its role in each; an organization's key sees its own."""
    other = sandbox.organization()
    everything = read(run, "organization_info")
    assert {"org_sandbox", other.id} <= set(ids(everything, "organizations"))
    assert {item["role"] for item in everything.result["organizations"]} == {"owner"}
    assert [(e["path"], e["query"]) for e in everything.exchanges] == [("/v1/organizations", {})]
    own = read(run, "organization_info", api_key="pbo_of-the-sandbox")
    assert own.result["organizations"] == [
        {"id": "org_sandbox", "name": "org_sandbox", "slug": "org-sandbox", "role": None}
    ]
    cases: list[tuple[Values, list[str]]] = [
        ({"name": other.id}, [other.id]), ({"slug": other.id.replace("_", "-")}, [other.id]), ({"slug": other.id}, []),
        ({"id": other.id}, [other.id]), ({"id": "org_none"}, []), ({"id": other.id, "name": "org_sandbox"}, []),
    ]  # fmt: skip
    for options, found in cases:
        assert ids(read(run, "organization_info", **options), "organizations") == found, options


def test_a_plan(run: Runner, organization: Organization) -> None:
    """As the API has it, with its limits and with what no contract knows."""
    for omit_zero in (False, True):
        organization.settings(omit_zero=omit_zero, extra_fields=True)
        done = read(run, "plan_info", org_id=organization.id)
        answer = organization.plan()
        assert done.result["plan"].items() >= answer.items()
        assert done.result["plan"].keys() == {*answer, *(f.name for f in PLAN.fields)}
        assert (done.result["plan"]["spend_limit"], done.result["plan"]["limits"]["max_databases"]) == (None, 100)
        assert [e["path"] for e in done.exchanges] == [f"/v1/organizations/{organization.id}/plan"]
    unseen = run("plan_info", org_id="org_unknown")
    assert unseen.result["msg"].startswith("GET plan of organization org_unknown: 403 FORBIDDEN")
    organization.settings(left_out=["org_id"])
    assert "an object without a usable org_id" in run("plan_info", org_id=organization.id).result["msg"]


def test_usage(run: Runner, organization: Organization, sandbox: Sandbox) -> None:
    """Of a project by region, or of an organization; in the order of the API, from the first day to the last."""
    counts = {f.name: number for number, f in enumerate(USAGE.fields) if f.type == "int"}
    days = [f"2026-11-{number:02d}" for number in (3, 2, 1)]
    project = sandbox.project()
    project.seed("usage", *({**counts, "day": day, "region": region} for day in days for region in ("eu", "us")))
    organization.seed("usage", *({**counts, "day": day} for day in days))
    of_project, of_organization = {"project_id": project.id}, {"org_id": organization.id}
    cases: list[tuple[Values, str, str, list[tuple[str, str | None]]]] = [
        (of_project, "2026-11-01", "2026-11-02", [(day, region) for day in days[1:] for region in ("eu", "us")]),
        (of_project, "2026-11-01", "2026-11-01", [("2026-11-01", "eu"), ("2026-11-01", "us")]),
        (of_organization, "2026-10-01", "2026-11-30", [(day, None) for day in days]),
        ({**of_organization, "project_id": None}, "2026-12-01", "2026-12-31", []),
    ]
    for parent, start, end, found in cases:
        done = read(run, "usage_info", **parent, start_date=start, end_date=end)
        assert [(row["day"], row["region"]) for row in done.result["usage"]] == found
        assert all(row.items() >= counts.items() for row in done.result["usage"])
        assert [e["query"] for e in done.exchanges] == [{"start_date": start, "end_date": end}]


def test_the_usage_of_agents(run: Runner, sandbox: Sandbox) -> None:
    project = sandbox.project()
    agents = whole(AGENT_USAGE)["agents"]
    project.seed("agents", *agents)
    window: Values = {"start": "2026-09-01T00:00:00+02:00", "end": "2026-12-01T00:00:00Z"}
    for options in (window, {}, {"start": "2026-11-01t00:00:00Z"}):
        done = run("agent_usage_info", project_id=project.id, **options)
        report = done.result["agent_usage"]
        assert (report["project_id"], report["agents"], report["complete"]) == (project.id, agents, True)
        assert report["totals"]["entries"] == agents[0]["entries"]
        assert report.keys() == {f.name for f in AGENT_USAGE.fields}
        assert [e["query"] for e in done.exchanges] == [options]


def test_a_date_without_quotes(ansible: Ansible, organization: Organization) -> None:
    """YAML makes a date of it, which no other option takes."""
    organization.seed("usage", {**dict.fromkeys((f.name for f in USAGE.fields if f.type == "int"), 7), "day": TODAY})
    task = f"{{org_id: {organization.id}, start_date: {TODAY}, end_date: '{{{{ today }}}}'}}"
    ansible.write(
        "play.yml",
        "- hosts: localhost\n  gather_facts: false\n"
        f"  vars: {{today: {TODAY}}}\n"
        f"  tasks:\n    - name: usage\n      pgbeam.cloud.usage_info: {task}\n"
        f"    - name: other\n      pgbeam.cloud.organization_info: {{name: {TODAY}}}\n",
    )
    run = ansible.playbook("play.yml")
    assert run.result("usage")["usage"][0]["queries_total"] == 7
    assert "put it in quotes" in run.result("other")["msg"]


OPTIONS: dict[str, Values] = {
    "project_info": {"org_id": "org_sandbox"},
    "replica_info": {"database_id": "{database}"},
    "region_info": {},
    "organization_info": {},
    "plan_info": {"org_id": "org_sandbox"},
    "usage_info": {"org_id": "org_sandbox", "start_date": "2026-11-01", "end_date": "2026-11-30"},
}
each_module = pytest.mark.parametrize("module", OPTIONS)


@each_module
def test_a_key_that_is_not_accepted(run: Runner, sandbox: Sandbox, module: str) -> None:
    database = sandbox.project().register()["id"]
    options = {name: value.format(database=database) for name, value in OPTIONS[module].items()}
    assert not read(run, module, **options).failed
    done = run(module, **options, api_key="of-nobody")
    assert (done.result["error"]["status"], done.methods) == (401, ["GET"])
    assert "check api_key (or PGBEAM_API_KEY) and that the key is not revoked" in done.result["msg"]


@each_module
def test_an_answer_that_violates_the_contract(run: Runner, sandbox: Sandbox, module: str) -> None:
    project = sandbox.project()
    database = project.register()["id"]
    options = {name: value.format(database=database) for name, value in OPTIONS[module].items()}
    scope = project if module == "replica_info" else sandbox.default_organization
    for kind, reported in (
        ("html", "502 with a body that is not a JSON object"),
        ("truncate", "200 with a body that is"),
    ):
        scope.fault(kind, method="GET")
        done = run(module, **options)
        assert done.failed
        assert reported in done.result["msg"]
        assert done.methods == ["GET"]


DAYS = {"start_date": "2026-11-01", "end_date": "2026-11-02"}
REFUSED: list[tuple[str, Values, str]] = [
    ("project_info", {}, "org_id: missing; set org_id or id"),
    ("project_info", {"name": "shop"}, "org_id: missing; set org_id or id"),
    ("project_info", {"org_id": ""}, "org_id: '' is not allowed; it must be an organization's id"),
    ("project_info", {"id": "prj/1"}, "id: 'prj/1' is not an id"),
    ("replica_info", {"database_id": ""}, "database_id: empty, which is allowed only in check mode; set the id of an"),
    ("replica_info", {"database_id": "db_1", "port": 0}, "port: 0 is not allowed"),
    ("region_info", {"provider": "ibm"}, "value of provider must be one of: aws, azure, gcp, got: ibm"),
    ("region_info", {"id": ".."}, "id: '..' is not an id"),
    *(
        ("approval_info", {"project_id": "p", "status": value}, f"status: {value!r} is {reported}")
        for value, reported in (
            ("open", "not allowed; it must be one of pending, approved, rejected, expired, executed, failed"),
            ("", "not allowed; it must be one of pending"),
            (["pending"], "a list; it must be text"),
        )
    ),
    ("anomaly_info", {"project_id": "p", "kind": "spike"}, "kind: 'spike' is not allowed; it must be one of volume_"),
    ("anomaly_info", {"project_id": "p", "severity": "high"}, "value of severity must be one of: info, warning"),
    ("anomaly_info", {"project_id": "p", "id": "a/b"}, "id: 'a/b' is not an id"),
    ("plan_info", {"org_id": ""}, "org_id: '' is not an id"),
    ("plan_info", {}, "missing required arguments: org_id"),
    ("plan_info", {"org_id": "o", "id": "x"}, "Unsupported parameters"),
    ("usage_info", DAYS, "project_id: missing; set project_id or org_id"),
    ("usage_info", {**DAYS, "project_id": "p", "org_id": "o"}, "org_id: project_id is also set; keep one of them"),
    ("usage_info", {**DAYS, "org_id": "o/p"}, "org_id: 'o/p' is not an id"),
    ("usage_info", {**DAYS, "org_id": ""}, "org_id: empty, which is allowed only in check mode; set the id of"),
    ("usage_info", {"org_id": "o", "start_date": "2026-11-01"}, "missing required arguments: end_date"),
    ("usage_info", {**DAYS, "org_id": "o", "id": "x"}, "Unsupported parameters"),
    ("usage_info", {**DAYS, "org_id": "o", "end_date": True}, "end_date: true is a boolean, not text"),
    ("usage_info", {**DAYS, "org_id": "o", "end_date": "2026-10-31"}, "end_date: '2026-10-31' is before start_date ('"),
    *(
        ("usage_info", {**DAYS, "org_id": "o", "end_date": text}, f"{text!r} is not allowed; it must be a date such as")
        for text in ("", "2026-11", "2026-11-31", "20261130", "30.11.2026", "2026-W48-1", "2026-11-30T00:00:00Z")
    ),
    *(
        ("agent_usage_info", {"project_id": "p", "start": start, **end}, f"start: {start!r} is {reported}")
        for start, end, reported in (
            ("2026-11-01", {}, "not allowed; it must be a date and time with a time zone"),
            ("2020-01-01T00:00:00Z", {}, "more than 92 days before now; set a later time"),
            ("2199-01-01T00:00:00Z", {}, "after now; set an earlier time"),
            ("2026-08-30T00:00:00Z", {"end": "2026-12-01T00:00:00Z"}, "more than 92 days before end ('2026-12-01T00:"),
            ("2026-11-02T00:00:00Z", {"end": "2026-11-02T00:30:00+01:00"}, "after end ('2026-11-02T00:30:00+01:00')"),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("module, options, message", REFUSED)
def test_what_is_refused_before_any_request(run: Runner, module: str, options: Values, message: str) -> None:
    done = run(module, **options)
    assert done.failed
    assert message in done.result["msg"]
    assert done.methods == []
