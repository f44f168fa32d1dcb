# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox is what the modules are tested against, so it is tested itself: by the vendor's own SDK and contract."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from pgbeam import ApiError, PgBeamClient

from tests.contract import DOCUMENT, judge
from tests.harness import API_KEY, DATABASE, Organization, Project, Sandbox
from tests.tree import ROOT

pytestmark = pytest.mark.once
OF_AN_ORGANIZATION = {"Authorization": "Bearer pbo_of-the-default-organization"}


@pytest.fixture
def organization(sandbox: Sandbox) -> Organization:
    return sandbox.organization()


def test_a_port_that_is_taken_is_told_in_one_sentence(sandbox: Sandbox) -> None:
    port = sandbox.url.rpartition(":")[2]
    command = [sys.executable, "-m", "tests.sandbox", "--port", port]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"Port {port} of 127.0.0.1 cannot be used (Address already in use): name another, or take a free one with "
        "--port 0.\n"
    )


def made(organization: Organization, **fields: Any) -> Project:
    """A project of the organization, with its first database."""
    return Project(organization.url, organization.create_project(**fields)["project"]["id"])


def test_the_official_sdk_drives_it(project: Project, sandbox: Sandbox) -> None:
    with PgBeamClient(token=API_KEY, base_url=sandbox.url) as client:
        api = client.databases
        body = {"host": "127.0.0.1", "port": 1, "name": "orders", "username": "app", "password": "Sdk-1"}
        bodies: list[Any] = [{**body, "name": f"db{n}"} for n in range(5)]
        ids = [api.create_database(project.id, body=each)["id"] for each in bodies]
        page = api.list_databases(project.id, page_size=3)
        rest = api.list_databases(project.id, page_size=3, page_token=page["next_page_token"])
        assert [item["id"] for item in page["databases"] + rest["databases"]] == ids
        assert not rest.get("next_page_token")
        assert api.update_database(project.id, ids[0], body={"ssl_mode": "require"})["ssl_mode"] == "require"
        assert api.get_database(project.id, ids[0])["ssl_mode"] == "require"
        assert api.test_database_connection(project.id, ids[0])["ok"] is False
        api.delete_database(project.id, ids[0])
        with pytest.raises(ApiError) as caught:
            api.get_database(project.id, ids[0])
        assert caught.value.status == 404
    judge(project.record())


def test_the_official_sdk_drives_projects(organization: Organization, sandbox: Sandbox) -> None:
    with PgBeamClient(token=API_KEY, base_url=sandbox.url) as client:
        api = client.projects
        bodies: list[Any] = [{"name": f"shop{n}", "org_id": organization.id, "database": DATABASE} for n in range(3)]
        answers = [api.create_project(body=body) for body in bodies]
        ids = [answer["project"]["id"] for answer in answers]
        page = api.list_projects(org_id=organization.id, page_size=2, sort_by="created_at")
        rest = api.list_projects(org_id=organization.id, page_size=2, page_token=page["next_page_token"])
        assert [item["id"] for item in page["projects"] + rest["projects"]] == ids
        assert (page["total"], rest["total"], rest.get("next_page_token")) == (3, 3, None)
        assert api.get_project(ids[0])["database_count"] == 1
        assert client.databases.list_databases(ids[0])["databases"] == [answers[0]["database"]]
        assert api.update_project(ids[0], body={"tags": ["a"]})["tags"] == api.get_project(ids[0])["tags"] == ["a"]
        api.delete_project(ids[0])
        with pytest.raises(ApiError) as caught:
            api.get_project(ids[0])
        assert caught.value.status == 404
    assert list(organization.truth()) == ids[1:]
    judge(organization.record() + sandbox.project_of(ids[0]).record())


def test_the_official_sdk_drives_replicas(project: Project, sandbox: Sandbox) -> None:
    database, other = project.register()["id"], project.register()["id"]
    with PgBeamClient(token=API_KEY, base_url=sandbox.url) as client:
        api = client.projects
        same: Any = {"host": "replica1.example.com", "port": 5432}
        ids = [api.create_replica(database, body=same)["id"] for dummy in range(3)]
        page = api.list_replicas(database, page_size=2)
        rest = api.list_replicas(database, page_size=2, page_token=page["next_page_token"])
        assert [(item["id"], item["ssl_mode"]) for item in page["replicas"] + rest["replicas"]] == [
            (replica, "prefer") for replica in ids
        ]
        assert api.list_replicas(other) == {"replicas": []}
        api.delete_replica(database, ids[0])
        for wrong in ((database, ids[0]), (other, ids[1]), ("db_unknown", ids[1])):
            with pytest.raises(ApiError) as caught:
                api.delete_replica(*wrong)
            assert caught.value.status == 404
    judge(project.record())


def test_the_official_sdk_reads_regions_and_organizations(organization: Organization, sandbox: Sandbox) -> None:
    default = sandbox.default_organization
    before = len(default.record())
    with PgBeamClient(token=API_KEY, base_url=sandbox.url) as client:
        regions = {region["id"]: region for region in client.platform.list_regions()["regions"]}
        seen = client.account.list_organizations()["organizations"]
    assert {"us-east-1", "eu-central-1"} <= {name for name, region in regions.items() if region["available"]}
    assert {region["provider"] for region in regions.values() if region["status"] == "draining"} == {"azure"}
    assert {default.id, organization.id} <= {item["id"] for item in seen}
    assert all(item["role"] for item in seen)
    answer = requests.get(f"{sandbox.url}/v1/organizations", headers=OF_AN_ORGANIZATION, timeout=10).json()
    assert answer == {"organizations": [{"id": default.id, "name": default.id, "slug": "org-sandbox"}]}
    judge(default.record()[before:])


BODY: dict[str, Any] = {"host": "db1", "port": 5432, "name": "orders", "username": "app", "password": "x"}
CACHE = {"enabled": True, "ttl_seconds": 1, "max_entries": 1, "swr_seconds": 1}
REFUSED = {
    "unknown field": {**BODY, "colour": "red"},
    "null": {**BODY, "ssl_mode": None},
    "text for a number": {**BODY, "port": "5432"},
    "number for a text": {**BODY, "name": 5},
    "range": {**BODY, "port": 65536},
    "white space": {**BODY, "host": "db 1"},
    "empty": {**BODY, "password": ""},
    "choice": {**BODY, "ssl_mode": "on"},
    "half an object": {**BODY, "cache_config": {"enabled": True}},
    "range in an object": {**BODY, "cache_config": {**CACHE, "ttl_seconds": 86401}},
    "missing": {key: value for key, value in BODY.items() if key != "port"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses_what_the_contract_does_not_allow(project: Project, case: str) -> None:
    response = project.api("POST", json=REFUSED[case])
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "INVALID_INPUT"
    assert project.databases() == []


PROJECT: dict[str, Any] = {"name": "shop", "database": BODY}
REFUSED_PROJECTS = {
    "unknown field": {**PROJECT, "colour": "red"},
    "unknown field of the database": {**PROJECT, "database": {**BODY, "colour": "red"}},
    "a field of updates": {**PROJECT, "agents_disabled": True},
    "a field that is only read": {**PROJECT, "queries_per_second": 1},
    "no database": {"name": "shop"},
    "no name": {"database": BODY},
    "long name": {**PROJECT, "name": "x" * 101},
    "many tags": {**PROJECT, "tags": [str(n) for n in range(11)]},
    "long tag": {**PROJECT, "tags": ["x" * 51]},
    "choice": {**PROJECT, "cloud": "moon"},
}


@pytest.mark.parametrize("case", REFUSED_PROJECTS)
def test_it_refuses_projects_that_the_contract_does_not_allow(organization: Organization, case: str) -> None:
    response = organization.api("POST", json={"org_id": organization.id, **REFUSED_PROJECTS[case]})
    assert response.status_code == 400
    assert organization.truth() == {}


@pytest.mark.parametrize(
    "body",
    [
        {"cloud": "gcp"},
        {"self_hosted": True},
        {"proxy_host": "elsewhere.example.com"},
        {"database": BODY},
        {"name": None},
        {"status": "gone"},
        {"allowed_cidrs": ["10.0.0.0/8"]},
        {"allowed_cidrs": [{"cidr": "10.0.0.0/33"}]},
        {"allowed_cidrs": [{"cidr": "db1.example.com"}]},
        {"allowed_cidrs": [{"cidr": "10.0.0.1"}] * 51},
    ],
    ids=str,
)
def test_it_refuses_updates_of_projects_that_the_contract_does_not_allow(project: Project, body: Any) -> None:
    assert of_project(project, "PATCH", json=body).status_code == 400


def of_project(project: Project, method: str, **kwargs: Any) -> requests.Response:
    """Call the API for the project itself."""
    return Organization(project.url, "").api(method, f"/{project.id}", **kwargs)


def test_an_update_stores_networks_and_clears_what_it_should(project: Project) -> None:
    sent = ["10.0.0.1", "10.1.2.3/8", "2001:DB8::1", "2001:db8::1/32"]
    cidrs = [{"cidr": cidr, "label": "a"} for cidr in sent] + [{"cidr": "192.0.2.0/24"}]
    fields = {"allowed_cidrs": cidrs, "default_policy_profile_id": "pol_1", "agents_disabled": True}
    answer = of_project(project, "PATCH", json=fields).json()
    stored = ["10.0.0.1/32", "10.0.0.0/8", "2001:db8::1/128", "2001:db8::/32"]
    assert answer["allowed_cidrs"] == [{"cidr": cidr, "label": "a"} for cidr in stored] + cidrs[-1:]
    assert (answer["default_policy_profile_id"], answer["agents_disabled"]) == ("pol_1", True)
    for sent_profile, stored_profile in ((None, "pol_1"), ("", None)):
        answer = of_project(project, "PATCH", json={"default_policy_profile_id": sent_profile}).json()
        assert answer["default_policy_profile_id"] == stored_profile
    assert of_project(project, "GET").json() == answer
    judge(project.record())


def test_a_project_is_made_with_its_database_or_not_at_all(sandbox: Sandbox) -> None:
    organization = sandbox.organization(plan_limit=0)
    body = {**PROJECT, "org_id": organization.id}
    response = organization.api("POST", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "PLAN_LIMIT_REACHED")
    assert organization.truth() == {}
    organization.settings(plan_limit=1)
    twins = [made(organization), made(organization)]
    assert [item["name"] for item in organization.projects()] == ["shop", "shop"]
    assert twins[0].api("POST", json=BODY).status_code == 403
    (kept,) = organization.truth()[twins[0].id]["databases"]
    assert kept == {k: v for k, v in twins[0].databases()[0].items() if k != "connection_string"}


@pytest.mark.parametrize(("method", "body"), [("DELETE", None), ("PATCH", {"status": "deleted"})])
def test_a_deleted_project_is_gone_with_all_that_it_had(organization: Organization, method: str, body: Any) -> None:
    project = made(organization)
    database = project.databases()[0]["id"]
    project.register_replica(database)
    assert of_project(project, method, json=body).ok
    for path in ("", "/databases", f"/databases/{database}"):
        assert organization.api("GET", f"/{project.id}{path}").status_code == 404
    gone = [of_project(project, "DELETE"), of_project(project, "PATCH", json={}), project.api("POST", json=BODY)]
    assert [response.status_code for response in gone] == [404, 404, 404]
    assert replicas_of(project, database).status_code == 404
    assert organization.projects() == []
    assert (organization.truth(), project.truth(), project.replica_truth()) == ({}, {}, {})


def replicas_of(project: Project, database: str, method: str = "GET", replica: str = "") -> requests.Response:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    place = f"{project.url}/v1/databases/{database}/replicas"
    return requests.request(method, f"{place}/{replica}" if replica else place, headers=headers, timeout=10)


def test_a_deleted_database_is_gone_with_its_replicas(project: Project) -> None:
    database, other = project.register()["id"], project.register()["id"]
    project.register_replica(database)
    kept = project.register_replica(other, port=6432)
    assert project.replicas(other) == [kept]
    assert project.api("DELETE", f"/{database}").status_code == 204
    assert project.replica_truth() == {kept["id"]: kept}
    assert replicas_of(project, database).status_code == 404
    assert project.record()[-1]["path"] == f"/v1/databases/{database}/replicas"


def test_a_replica_is_only_listed_and_deleted(project: Project) -> None:
    database = project.register()["id"]
    replica = project.register_replica(database)["id"]
    assert [replicas_of(project, database, method, replica).status_code for method in ("GET", "PATCH")] == [405, 405]
    assert replicas_of(project, database, "DELETE", replica).status_code == 204


@pytest.mark.parametrize(
    ("path", "query", "other"),
    [
        ("/projects", {"org_id": "{org}"}, "page"),
        ("/projects/{project}", {}, "page_size"),
        ("/projects/{project}/databases", {"page_size": "2"}, "sort_by"),
        ("/projects/{project}/databases/{database}", {}, "fields"),
        ("/databases/{database}/replicas", {"page_size": "2"}, "org_id"),
        ("/regions", {}, "page_size"),
        ("/organizations", {}, "page_size"),
    ],
)
def test_it_refuses_query_parameters_that_the_contract_does_not_name(
    organization: Organization, path: str, query: dict[str, str], other: str
) -> None:
    project = made(organization)
    ids = {"org": organization.id, "project": project.id, "database": project.databases()[0]["id"]}
    url = f"{organization.url}/v1{path.format(**ids)}"
    named = {name: value.format(**ids) for name, value in query.items()}
    headers = {"Authorization": f"Bearer {API_KEY}"}
    assert requests.get(url, named, headers=headers, timeout=10).status_code == 200
    refused = requests.get(url, {**named, other: "1"}, headers=headers, timeout=10)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "INVALID_INPUT")
    assert refused.json()["error"]["message"].startswith(f"{other}: ")


def test_an_organization_that_a_key_may_not_see(project: Project, organization: Organization) -> None:
    theirs = made(organization)
    assert theirs.api("GET").status_code == project.api("GET", headers=OF_AN_ORGANIZATION).status_code == 200
    assert theirs.api("GET", headers=OF_AN_ORGANIZATION).status_code == 404
    unseen = [
        organization.api("GET", params={"org_id": organization.id}, headers=OF_AN_ORGANIZATION),
        organization.api("GET", params={"org_id": "org_unknown"}),
        organization.api("POST", json={**PROJECT, "org_id": "org_unknown"}),
    ]
    assert [(r.status_code, r.json()["error"]["code"]) for r in unseen] == [(403, "FORBIDDEN")] * 3


def test_no_password_is_in_the_record(organization: Organization) -> None:
    password = 'Nested-"1'
    quoted = {"status": 400, "code": "INVALID_INPUT", "message": "not {password}", "method": "POST"}
    organization.fault("status", **quoted)
    body = {**PROJECT, "org_id": organization.id, "database": {**BODY, "password": password}}
    assert organization.api("POST", json=body).json()["error"]["message"] == f"not {password}"
    project = made(organization, database={"password": password})
    assert organization.api("POST", json={**body, "database": [{"password": password}]}).status_code == 400
    recorded = organization.record() + project.record()
    assert [entry["body"]["name"] for entry in recorded] == ["shop"] * 3
    assert "Nested-" not in json.dumps(recorded)


def test_faults_by_organization(organization: Organization, sandbox: Sandbox) -> None:
    """They hit what is done with its projects, too: the only way to a project that a run is yet to make."""
    project, stranger = made(organization), made(sandbox.organization())
    database = project.databases()[0]["id"]
    organization.fault("status", times=3)
    assert stranger.api("GET").status_code == 200
    listed = organization.api("GET", params={"org_id": organization.id})
    assert [r.status_code for r in (listed, project.api("GET"), replicas_of(project, database))] == [503] * 3
    assert project.api("GET").status_code == 200
    organization.fault("drop_after", method="POST")
    organization.clear_faults()
    made(organization)
    scopes = {entry["scope"]: entry["fault"] for entry in organization.record() + project.record() if entry["fault"]}
    assert scopes == {organization.id: "status", project.id: "status"}
    assert organization.writes() == [("POST", "/v1/projects")] * 2


def test_what_is_set_for_databases_holds_for_the_rest(sandbox: Sandbox) -> None:
    organization = sandbox.organization(
        envelope="problem", omit_zero=True, extra_fields=True, page_limit=1, empty_pages=True
    )
    projects = [made(organization), made(organization)]
    assert [item["id"] for item in organization.projects()] == [project.id for project in projects]
    pages = [entry for entry in organization.record() if entry["method"] == "GET"]
    assert [len(json.loads(page["response"])["projects"]) for page in pages] == [0, 1, 0, 1]
    shown = of_project(projects[0], "GET").json()
    assert {"description", "tags", "allowed_cidrs", "cloud", "default_policy_profile_id"}.isdisjoint(shown)
    assert {"database_count", "proxy_host", "max_connections", "shard"} <= set(shown)
    database = projects[0].databases()[0]["id"]
    replicas = [projects[0].register_replica(database)["id"] for dummy in range(2)]
    assert [item["id"] for item in projects[0].replicas(database)] == replicas
    refusals = [
        organization.api("POST", json={"org_id": organization.id}),
        organization.api("GET", params={"org_id": organization.id, "page_token": "x"}),
        replicas_of(projects[0], database, "DELETE", "rep_unknown"),
    ]
    assert {r.headers["Content-Type"] for r in refusals} == {"application/problem+json"}
    judge(organization.record() + projects[0].record())


def test_an_idempotency_key_makes_one_project(organization: Organization) -> None:
    body = {**PROJECT, "org_id": organization.id}
    headers = {"Idempotency-Key": organization.id}
    answers = [organization.api("POST", json=body, headers=headers).json() for dummy in range(2)]
    assert answers[0] == answers[1]
    assert list(organization.truth()) == [answers[0]["project"]["id"]]
    assert organization.api("POST", json={**body, "name": "other"}, headers=headers).status_code == 409


def test_idempotency_keys(project: Project) -> None:
    def post(name: str, key: str) -> tuple[int, str]:
        response = project.api("POST", json={**BODY, "name": name}, headers={"Idempotency-Key": key})
        return response.status_code, response.json().get("id", "")

    first = post("a", f"{project.id}-1")
    assert post("a", f"{project.id}-1") == first
    assert post("b", f"{project.id}-1")[0] == 409
    assert post("a", f"{project.id}-2") != first
    assert len(project.databases()) == 2


def test_projects_are_kept_apart(project: Project, sandbox: Sandbox) -> None:
    known = project.register()["id"]
    assert sandbox.project().api("GET", f"/{known}").status_code == 404
    assert Project(sandbox.url, "prj_unknown").api("GET").status_code == 404


def test_latency_delays_one_project_and_no_other(project: Project, sandbox: Sandbox) -> None:
    slow = sandbox.project(latency_ms=2000)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(slow.api, "GET")
        while not slow.record():
            time.sleep(0.01)
        assert project.api("GET").status_code == 200
        assert slow.record()[0]["status"] is None
        assert waiting.result().elapsed.total_seconds() >= 2


@pytest.mark.skipif(not DOCUMENT.exists(), reason="the published OpenAPI document is not at hand")
def test_the_judge_judges(project: Project, organization: Organization) -> None:
    """A judge that accepts all would make every other test's judgement worth nothing."""
    project.register_replica(project.register()["id"])
    made(organization)
    database, replica = project.record()
    (whole,) = organization.record()
    judge([database, replica, whole])
    for exchange, field in ((database, "ssl_mode"), (replica, "database_id"), (whole, "org_id")):
        for wrong in (
            {**exchange, "body": {**exchange["body"], "port": 0, "name": 0}},
            {**exchange, "response": exchange["response"].replace(f'"{field}"', '"another"')},
        ):
            with pytest.raises(Exception, match=r"port|[Ss]chema|[Ii]nvalid"):
                judge([wrong])
