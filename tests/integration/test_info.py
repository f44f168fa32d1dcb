# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that read projects, replicas, regions and organizations, without ansible-playbook around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness import Organization, Sandbox
from tests.integration.test_project import Done, Runner
from tests.sandbox.platform import REGIONS

Values = dict[str, Any]


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


OPTIONS: dict[str, Values] = {
    "project_info": {"org_id": "org_sandbox"},
    "replica_info": {"database_id": "{database}"},
    "region_info": {},
    "organization_info": {},
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
def test_an_answer_that_is_not_the_contract_s(run: Runner, sandbox: Sandbox, module: str) -> None:
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


REFUSED: list[tuple[str, Values, str]] = [
    ("project_info", {}, "org_id: missing; set org_id or id"),
    ("project_info", {"name": "shop"}, "org_id: missing; set org_id or id"),
    ("project_info", {"org_id": ""}, "org_id: '' is not allowed; it must be an organization's id"),
    ("project_info", {"id": "prj/1"}, "id: 'prj/1' is not an id"),
    ("replica_info", {"database_id": ""}, "database_id: empty; without check mode, set the id of an existing"),
    ("replica_info", {"database_id": "db_1", "port": 0}, "port: 0 is not allowed"),
    ("region_info", {"provider": "ibm"}, "value of provider must be one of: aws, azure, gcp, got: ibm"),
    ("region_info", {"id": ".."}, "id: '..' is not an id"),
]


@pytest.mark.parametrize("module, options, message", REFUSED)
def test_what_is_refused_before_any_request(run: Runner, module: str, options: Values, message: str) -> None:
    done = run(module, **options)
    assert done.failed
    assert message in done.result["msg"]
    assert done.methods == []
