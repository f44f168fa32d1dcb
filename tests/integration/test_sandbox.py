# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox is what the modules are tested against, so it is tested itself: by the vendor's own SDK and contract."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from openapi_core.exceptions import OpenAPIError
from pgbeam import ApiError, PgBeamClient, models
from pgbeam.operations import OPERATIONS_BY_TAG
from pydantic import ValidationError

from tests.contract import DIFFERENCES, DOCUMENT, differences, judge
from tests.harness import API_KEY, DATABASE, Organization, Project, Sandbox, Scope
from tests.sandbox.declaration import Kind
from tests.sandbox.kinds import KINDS
from tests.sandbox.sdk import hints, optional
from tests.tree import ROOT

pytestmark = pytest.mark.once
OF_AN_ORGANIZATION = {"Authorization": "Bearer pbo_of-the-default-organization"}


@pytest.fixture
def organization(sandbox: Sandbox) -> Organization:
    return sandbox.organization()


def test_a_port_in_use_is_reported_in_one_sentence(sandbox: Sandbox) -> None:
    port = sandbox.url.rpartition(":")[2]
    command = [sys.executable, "-m", "tests.sandbox", "--port", port]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"Port {port} of 127.0.0.1 cannot be used (Address already in use); choose another, or use a free one with "
        "--port 0\n"
    )


def made(organization: Organization, **fields: Any) -> Project:
    """A project of the organization, with its first database."""
    return Project(organization.url, organization.create_project(**fields)["project"]["id"])


def each_kind(where: Callable[[Kind], Any] = lambda dummy: True) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "kind", [kind for kind in KINDS.values() if where(kind)], ids=lambda kind: str(kind.noun)
    )


@pytest.fixture
def holder(sandbox: Sandbox, kind: Kind) -> Scope:
    """What the objects of a kind are in."""
    return sandbox.organization() if kind.parent == "org_id" else sandbox.project()


class Driver:
    """The vendor's SDK, and behind it plain requests, for the objects of one kind in one project or organization."""

    def __init__(self, client: PgBeamClient, project: Scope, kind: Kind) -> None:
        self.project, self.kind, self._client = project, kind, client
        above = [other for other in KINDS.values() if f"{other.noun}_id" == kind.parent]
        self.parent = Driver(client, project, above[0]).create(0)["id"] if above else project.id
        self.parents = {"project_id": project.id, kind.parent: self.parent}
        self.parents = {name: self.parents[name] for name in re.findall(r"{(\w+)}", kind.path)}
        self._referred = {
            field: Driver(client, project, KINDS[key]).create(0)["id"] for field, key in kind.refers.items()
        }

    def sdk(self, method: str, path: str, *ids: str, **arguments: Any) -> Any:
        """What the SDK's function for an operation returns."""
        for tag, metas in OPERATIONS_BY_TAG.items():
            for name, meta in metas.items():
                if (meta.method, meta.path) == (method, path):
                    return getattr(getattr(self._client, tag), name)(*self.parents.values(), *ids, **arguments)
        raise AssertionError(f"the SDK has no {method} {path}")

    def body(self, number: int = 0) -> dict[str, Any]:
        chosen = {n: v[number] if isinstance(v, tuple) else v for n, v in self.kind.example.items()}
        example = {n: v.format(n=number) if isinstance(v, str) else v for n, v in chosen.items()}
        return {**example, **self._referred}

    def update_body(self, number: int = 0) -> dict[str, Any]:
        whole = self.body(number) if self.kind.update_method == "PUT" and self.kind.create else {}
        return {**whole, **self.kind.change}

    def update(self, item: dict[str, Any]) -> dict[str, Any]:
        answer = self.sdk(self.kind.update_method, self.kind.item_path, *self.of(item), body=self.update_body())
        changed: dict[str, Any] = answer[self.kind.updated_key] if self.kind.updated_key else answer
        return changed

    def of(self, item: dict[str, Any]) -> tuple[str, ...]:
        """What leads to an object below the path of the list: its id, if it has a path of its own."""
        return () if self.kind.named_by else (item[self.kind.id_field],)

    def delete(self, item: dict[str, Any]) -> None:
        self.sdk("DELETE", self.kind.item_path, *self.of(item), **{name: item[name] for name in self.kind.named_by})

    def create(self, number: int) -> dict[str, Any]:
        if not self.kind.create:
            return self.project.put(self.kind.key, **{self.kind.parent: self.parent}, **self.body(number))
        answer: dict[str, Any] = self.sdk(self.kind.create_method, self.kind.path, body=self.body(number))
        return self.shown(answer)

    def shown(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The object in the answer to a create."""
        held: dict[str, Any] = answer[self.kind.once.key] if self.kind.once else answer
        return held

    def request(self, method: str, item: str = "", **arguments: Any) -> requests.Response:
        path = self.kind.path.format(**self.parents)
        headers = {"Authorization": f"Bearer {API_KEY}", **arguments.pop("headers", {})}
        url = f"{self.project.url}{path}" + (f"/{item}" if item else "")
        return requests.request(method, url, headers=headers, timeout=10, **arguments)


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[PgBeamClient]:
    with PgBeamClient(token=API_KEY, base_url=sandbox.url) as client:
        yield client


def moment(item: dict[str, Any]) -> dict[str, Any]:
    """When an object was changed, if it shows that."""
    return {name: item[name] for name in ("updated_at",) if name in item}


@each_kind()
def test_the_official_sdk_drives_it(client: PgBeamClient, holder: Scope, kind: Kind) -> None:
    driver = Driver(client, holder, kind)
    made = [driver.create(number) for number in range(3)]
    page = driver.sdk("GET", kind.path, page_size=2)
    rest = driver.sdk("GET", kind.path, page_size=2, page_token=page["next_page_token"])
    assert page[kind.key] + rest[kind.key] == made
    assert not rest.get("next_page_token")
    expected = made[0]
    if kind.update:
        expected = driver.update(made[0])
        assert expected == {**made[0], **kind.change, **moment(expected)}
    if kind.readable:
        assert driver.sdk("GET", kind.item_path, made[0]["id"]) == expected
    judge(holder.record())
    if not kind.deletable:
        return
    driver.delete(made[0])
    if kind.revoked:
        revoked = driver.sdk("GET", kind.path)[kind.key][0]
        assert revoked == {**expected, **{name: revoked[name] for name in kind.revoked()}, **moment(revoked)}
        assert not kind.live(revoked)
        driver.delete(made[0])
    else:
        assert driver.sdk("GET", kind.path)[kind.key] == made[1:]
        calls: list[Callable[[], Any]] = [lambda: driver.delete(made[0])]
        calls += [lambda: driver.sdk("GET", kind.item_path, made[0]["id"])] if kind.readable else []
        for call_again in calls:
            with pytest.raises(ApiError) as caught:
                call_again()
            assert caught.value.status == 404
    judge(holder.record())


@each_kind()
def test_it_refuses_bodies_that_the_contract_does_not_allow(client: PgBeamClient, holder: Scope, kind: Kind) -> None:
    driver = Driver(client, holder, kind)
    body = driver.body()
    (item,) = driver.of(driver.create(0)) or ("",)
    stored = holder.stored(kind.key)
    requests = [(kind.create_method, "", body)] if kind.create else []
    requests += [(kind.update_method, item, driver.update_body())] if kind.update else []
    for method, path, right in requests:
        wrong = [{**right, "colour": "red"}, *({**right, name: {"a": 1}} for name in right)]
        if method != "PATCH":
            accepted = kind.create or kind.update
            required = hints(accepted).keys() - optional(accepted)
            wrong += [{name: value for name, value in right.items() if name != missing} for missing in required]
        for each in wrong:
            refused = driver.request(method, path, json=each)
            (named,) = {"colour"} & each.keys() or [name for name in right if each.get(name) != right[name]]
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "INVALID_INPUT")
            assert refused.json()["error"]["message"].startswith(named)
        for text in ("", "{", "[]"):
            headers = {"Content-Type": "application/json"}
            assert driver.request(method, path, data=text, headers=headers).status_code == 400
    assert holder.stored(kind.key) == stored


@pytest.mark.parametrize("envelope", ["error", "problem"])
@each_kind(lambda kind: kind.update and kind.conditional)
def test_an_update_of_what_has_changed_since(client: PgBeamClient, holder: Scope, kind: Kind, envelope: str) -> None:
    holder.settings(envelope=envelope)
    driver = Driver(client, holder, kind)
    item = driver.create(0)["id"]

    def update(body: Any, tag: str) -> requests.Response:
        return driver.request(kind.update_method, item, json=body, headers={"If-Match": tag})

    tag = driver.request("GET", item).headers["ETag"]
    assert update(driver.update_body(), f'"other", {tag}').status_code == 200
    theirs = driver.request("GET", item)
    now = theirs.headers["ETag"]
    for stale in (tag, '"other"', f"W/{now}", now.strip('"')):
        refused = update(driver.update_body(), stale)
        assert (refused.status_code, refused.headers["ETag"]) == (412, now)
        assert "PRECONDITION_FAILED" in refused.text
    assert driver.request("GET", item).json() == theirs.json()
    assert [update(driver.update_body(), held).status_code for held in (now, "*", "x" * 1025)] == [200, 200, 400]
    judge(holder.record())


@each_kind(lambda kind: kind.update and kind.conditional)
def test_another_writer_of_any_object(client: PgBeamClient, holder: Scope, kind: Kind) -> None:
    driver = Driver(client, holder, kind)
    made = driver.create(0)
    holder.fault("other_writer", change=dict(kind.change))
    tag = driver.request("GET", made["id"]).headers["ETag"]
    headers = {"If-Match": tag}
    assert driver.request(kind.update_method, made["id"], json=driver.update_body(), headers=headers).status_code == 412
    theirs = driver.request("GET", made["id"]).json()
    assert theirs == {**made, **kind.change, "updated_at": theirs["updated_at"]}
    judge(holder.record())


@each_kind(lambda kind: kind.create and kind.keyed and not kind.named_by)
def test_an_idempotency_key_makes_one_object(client: PgBeamClient, holder: Scope, kind: Kind) -> None:
    driver = Driver(client, holder, kind)
    headers = {"Idempotency-Key": f"{holder.id}-{kind.key}"}
    before = len(holder.stored(kind.key))
    holder.fault("drop_after", method="POST")
    with pytest.raises(requests.ConnectionError):
        driver.request("POST", json=driver.body(), headers=headers)
    answers = [driver.request("POST", json=driver.body(), headers=headers) for dummy in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len(holder.stored(kind.key)) == before + 1
    assert driver.request("POST", json={**driver.body(), "colour": 1}, headers=headers).status_code == 409


def test_the_official_sdk_reads_the_read_only_lists(client: PgBeamClient, organization: Organization) -> None:
    """Alerts, requests for approval and usage, as the parameters select them; the usage of agents with its sum."""
    project = made(organization)
    alert = {"project_id": project.id, "severity": "info", "title": "Much.", "created_at": "2026-11-01T08:00:00Z"}
    alerts = [
        {**alert, "id": f"ano_{number}", "kind": kind, "status": status}
        for number, (kind, status) in enumerate(itertools.product(("off_hours", "egress_spike"), ("open", "resolved")))
    ]
    project.seed("anomalies", *alerts)
    read = client.anomalies.list_anomaly_alerts
    assert read(project.id)["anomalies"] == alerts
    assert read(project.id, kind="egress_spike")["anomalies"] == alerts[2:]
    page = read(project.id, status="open", page_size=1)
    rest = read(project.id, status="open", page_size=1, page_token=page["next_page_token"])
    assert page["anomalies"] + rest["anomalies"] == [alerts[0], alerts[2]]
    assert client.approvals.list_approval_requests(project.id, status="pending") == {"approvals": []}

    counts = dict.fromkeys(set(hints(models.DailyUsage)) - {"day"}, 5)
    days = [{**counts, "day": f"2026-11-0{number}"} for number in (1, 2, 3)]
    organization.seed("usage", *days)
    project.seed("usage", *({**day, "region": "eu-central-1"} for day in days))
    of_organization, of_project = client.analytics.get_organization_usage, client.analytics.get_project_usage
    window = {"start_date": "2026-11-02", "end_date": "2026-11-03"}
    assert of_organization(organization.id, **window)["usage"] == days[1:]
    assert [row["region"] for row in of_project(project.id, **window)["usage"]] == ["eu-central-1"] * 2

    line = {name: 2 for name, kind in hints(models.AgentUsageLine).items() if kind in (int, float)}
    project.seed("agents", *({**line, "credential_id": name} for name in ("agt_1", "agt_2")))
    report = client.agents.get_agent_usage_breakdown(project.id, end="2026-12-01T00:00:00Z")
    assert (report["totals"]["entries"], len(report["agents"])) == (4, 2)
    assert (report["requested_start"], report["requested_end"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    refused: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (read, {"kind": "spike"}),
        (read, {"page_size": 101}),
        (of_project, {"start_date": "2026-11-02", "end_date": "2026-11-01"}),
        (of_project, {"start_date": "2026-11-02", "end_date": "2026-11-31"}),
        (client.agents.get_agent_usage_breakdown, {"start": "2020-01-01T00:00:00Z"}),
    ]
    for ask, given in refused:
        with pytest.raises(ApiError) as caught:
            ask(project.id, **given)
        assert caught.value.status == 400
    with pytest.raises(ApiError) as caught:
        read("prj_unknown")
    assert caught.value.status == 404
    judge([entry for scope in (organization, project) for entry in scope.record() if entry["status"] == 200])


def agent(project: Project, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A new agent with a policy of its own, and the answer that has its secrets."""
    policy = project.create("policies", name="readers")["id"]
    answer = project.create("agents", **{"name": "bot", "policy_profile_id": policy, **fields})
    return answer["credential"], answer


def call(project: Project, method: str, path: str, **arguments: Any) -> requests.Response:
    return Organization(project.url, "").api(method, f"/{project.id}/{path}", **arguments)


def test_a_put_replaces_the_whole_policy(project: Project) -> None:
    rules = [{"table": "users", "column": "email", "kind": "hash"}]
    given = {"name": "readers", "max_rows": 5, "masking_rules": rules, "statement_rules": {"deny": ["ddl"]}}
    made = project.create("policies", **given)
    assert (made["max_rows"], made["approval_timeout_seconds"], made["query_mode"]) == (5, 300, "sql")
    assert made["statement_rules"] == {"allow": [], "deny": ["ddl"]}
    path = f"policies/{made['id']}"
    assert call(project, "PUT", path, json={"max_rows": 6}).status_code == 400
    other = call(project, "PUT", path, json={"name": "writers", "access_mode": "read_write"}).json()
    initial = project.create("policies", name="initial")
    same = ("id", "created_at", "updated_at")
    assert other == {**initial, "name": "writers", "access_mode": "read_write", **{name: other[name] for name in same}}
    assert (other["id"], other["created_at"]) == (made["id"], made["created_at"])


def test_a_put_without_the_query_mode_keeps_it(project: Project) -> None:
    path = f"policies/{project.create('policies', name='readers')['id']}"
    assert call(project, "PUT", path, json={"name": "readers", "query_mode": "templates"}).status_code == 400
    project.fault("other_writer", change={"query_mode": "templates"})
    assert call(project, "PUT", path, json={"name": "readers"}).json()["query_mode"] == "templates"
    assert call(project, "PUT", path, json={"name": "readers", "query_mode": "sql"}).json()["query_mode"] == "sql"


REFUSED_POLICIES: dict[str, dict[str, Any]] = {
    "empty name": {"name": ""},
    "long name": {"name": "x" * 129},
    "negative": {"max_rows": -1},
    "fraction": {"max_rows": 1.5},
    "boolean": {"max_rows": True},
    "null": {"max_rows": None},
    "choice": {"write_mode": "off"},
    "boolean for a choice": {"approval_mode": False},
    "null for a kind": {"masking_rules": [{"table": "t", "column": "c", "kind": None}]},
    "half a rule": {"row_filters": [{"table": "t"}]},
    "unknown field of a rule": {"row_filters": [{"table": "t", "predicate": "true", "schema": "s"}]},
    "text for a list": {"table_allowlist": "orders"},
    "a field that is only read": {"id": "pol_1"},
}


@pytest.mark.parametrize("case", REFUSED_POLICIES)
def test_it_refuses_policies_that_the_contract_does_not_allow(project: Project, case: str) -> None:
    response = call(project, "POST", "policies", json={"name": "readers", **REFUSED_POLICIES[case]})
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(next(iter(REFUSED_POLICIES[case])))
    assert project.stored("policies") == {}


def test_an_annotation_is_put_and_deleted_by_its_table_and_column(project: Project) -> None:
    path = "schema-annotations"

    def put(text: str, **of: str | None) -> str:
        answer = call(project, "PUT", path, json={"table_name": "orders", "description": text, **of})
        return str(answer.json()["id"])

    def delete(**of: str) -> int:
        return call(project, "DELETE", path, params=of).status_code

    table, column = put("Orders."), put("In cents.", column_name="total")
    assert put("All orders.", schema_name="", column_name=None) == table != column
    assert {item["description"] for item in project.stored("annotations").values()} == {"All orders.", "In cents."}
    assert [delete(), delete(table_name=""), delete(table_name="orders", colour="red")] == [400] * 3
    assert delete(table_name="orders", schema_name="billing") == 404
    assert [delete(table_name="orders", column_name="total") for dummy in range(2)] == [204, 404]
    assert list(project.stored("annotations")) == [table]
    assert call(project, "DELETE", f"{path}/{table}").status_code in (404, 405)


def test_a_policy_in_use_is_kept(project: Project) -> None:
    credential, dummy = agent(project)
    policy = credential["policy_profile_id"]
    of_project(project, "PATCH", json={"default_policy_profile_id": policy})
    in_use = call(project, "DELETE", f"policies/{policy}")
    assert (in_use.status_code, in_use.json()["error"]["code"]) == (409, "CONFLICT")
    of_project(project, "PATCH", json={"default_policy_profile_id": ""})
    assert call(project, "DELETE", f"policies/{policy}").status_code == 409
    assert call(project, "DELETE", f"agents/{credential['id']}").status_code == 204
    assert call(project, "DELETE", f"policies/{policy}").status_code == 204
    assert project.stored("agents")[credential["id"]]["policy_profile_id"] == policy
    judge(project.record())


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"policy_profile_id": "pol_unknown"}, "policy_profile_id"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2120-01-01"}, "expires_at"),
        ({"expires_at": "2120-13-01T00:00:00Z"}, "expires_at"),
        ({"status": "disabled"}, "status"),
        ({"principal_type": "robot"}, "principal_type"),
    ],
    ids=str,
)
def test_it_refuses_agents_that_the_contract_does_not_allow(project: Project, fields: Any, wrong: str) -> None:
    policy = project.create("policies", name="readers")["id"]
    response = call(project, "POST", "agents", json={"name": "bot", "policy_profile_id": policy, **fields})
    assert (response.status_code, response.json()["error"]["message"].startswith(wrong)) == (400, True)
    assert project.stored("agents") == {}


def test_a_policy_of_another_project_is_refused(project: Project, sandbox: Sandbox) -> None:
    theirs = sandbox.project().create("policies", name="readers")["id"]
    assert call(project, "POST", "agents", json={"name": "bot", "policy_profile_id": theirs}).status_code == 400


def test_a_revoked_agent_never_comes_back(project: Project) -> None:
    credential, dummy = agent(project, expires_at="2120-01-01T00:00:00.5+02:00")
    path = f"agents/{credential['id']}"
    statuses = [call(project, "PATCH", path, json={"status": s}).json()["status"] for s in ("disabled", "active")]
    assert statuses == ["disabled", "active"]
    assert call(project, "PATCH", path, json={"status": "revoked"}).status_code == 400
    assert [call(project, "DELETE", path).status_code for dummy in range(2)] == [204, 204]
    refused = [call(project, "PATCH", path, json={"status": "active"}), call(project, "POST", f"{path}/rotate")]
    assert [(r.status_code, r.json()["error"]["code"]) for r in refused] == [(409, "INVALID_STATE")] * 2
    assert call(project, "GET", path).json()["status"] == "revoked"
    judge(project.record())


def test_a_rotation_issues_new_secrets(client: PgBeamClient, project: Project) -> None:
    credential, first = agent(project)
    second = client.agents.rotate_agent_credential(project.id, credential["id"])
    assert second["credential"] == {**credential, "updated_at": second["credential"]["updated_at"]}
    assert second["mcp_url"] == first["mcp_url"]
    secrets = ("connection_string", "mcp_token")
    assert all(first[name] != second[name] for name in secrets)  # type: ignore[literal-required]
    hashes = {name: hashlib.sha256(f"s{second[name]}".encode()).hexdigest() for name in secrets}  # type: ignore[literal-required]
    assert project.secrets("s") == {credential["id"]: hashes}
    key = {"Idempotency-Key": project.id}
    again = [call(project, "POST", f"agents/{credential['id']}/rotate", headers=key).json() for dummy in range(2)]
    assert again[0] == again[1] != second
    judge(project.record())


@pytest.mark.parametrize("kind", ["drop_after", "truncate", "late_status", "not_object", "stall", None])
def test_no_secret_of_an_agent_is_in_the_record(sandbox: Sandbox, kind: str | None) -> None:
    project = sandbox.project(extra_fields=True)
    policy = project.create("policies", name="readers")["id"]
    body = {"name": "bot", "policy_profile_id": policy}
    key = {"Idempotency-Key": project.id}
    if kind:
        project.fault(kind, method="POST")
        with contextlib.suppress(requests.ConnectionError):
            call(project, "POST", "agents", json=body, headers=key)
    answer = call(project, "POST", "agents", json=body, headers=key).json()
    path = f"agents/{answer['credential']['id']}"
    project.fault("status", message="not {password}", method="PATCH")
    quoted = call(project, "PATCH", path, json={"status": "active"}).text
    assert answer["connection_string"] in quoted
    rotated = call(project, "POST", f"{path}/rotate").json()
    seen = json.dumps([project.record(), project.stored("agents"), call(project, "GET", path).json()])
    for secret in (answer["connection_string"], answer["mcp_token"], rotated["mcp_token"]):
        assert secret not in seen and secret[:-8] not in seen
    assert '"(not recorded)"' in project.record()[-2]["response"]
    assert len(project.stored("agents")) == 1
    judge(project.record())


def test_the_secret_of_a_webhook(project: Project) -> None:
    """It is in no answer and in no record, and an update without it keeps it."""
    body = {"url": "https://hooks.example.com", "secret": "Zq7-hidden", "description": "ours"}
    path = f"webhooks/{project.create('webhooks', **body)['id']}"
    assert call(project, "PUT", path, json={"url": body["url"], "enabled": False}).json()["description"] == ""
    held = project.secrets("s")
    assert call(project, "PUT", path, json={**body, "secret": "Zq7-other"}).ok
    assert project.secrets("s") != held
    assert call(project, "PUT", path, json=body).ok
    assert project.secrets("s") == held
    assert call(project, "PUT", path, json={**body, "url": "http://hooks.example.com"}).status_code == 400
    project.settings(delivery={"status": "failed", "error": "refused"})
    delivery = call(project, "POST", f"{path}/test")
    assert (delivery.status_code, delivery.json()["status"], delivery.json()["error"]) == (202, "failed", "refused")
    assert call(project, "POST", "webhooks/whk_1/test").status_code == 404
    assert "Zq7" not in json.dumps([project.record(), project.stored("webhooks"), call(project, "GET", path).json()])
    judge(project.record())


def test_a_domain_is_verified_after_some_attempts(project: Project) -> None:
    project.settings(verified_after=2)
    added = project.create("domains", domain="DB.example.com")
    assert (added["verified"], added["dns_instructions"]["cname_host"]) == (False, "DB.example.com")
    again = call(project, "POST", "domains", json={"domain": "db.example.com"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "RESOURCE_EXISTS")
    path = f"domains/{added['id']}"
    answers = [call(project, "POST", f"{path}/verify").json() for dummy in range(3)]
    assert [answer["verified"] for answer in answers] == [False, True, True]
    assert "error" in answers[0] and answers[1] == answers[2]
    assert answers[1]["domain"] == call(project, "GET", "domains").json()["domains"][0]
    assert call(project, "GET", path).status_code == call(project, "PUT", path, json={}).status_code == 405
    assert call(project, "DELETE", path).status_code == 204
    never = project.create("domains", domain="db.example.com")["id"]
    project.settings(verified_after=None)
    assert not call(project, "POST", f"domains/{never}/verify").json()["verified"]
    for name in ("db.example.com.", "a_b.example.com", "-a.example.com", ""):
        assert call(project, "POST", "domains", json={"domain": name}).status_code == 400
    judge([entry for entry in project.record() if entry["status"] != 405])


def test_honeytokens_are_unique(project: Project) -> None:
    def put(path: str = "", **fields: Any) -> int:
        body = {"relation_name": "cards", "action": "kill", **fields}
        return call(project, "PUT" if path else "POST", f"honeytokens{path}", json=body).status_code

    made = project.create("honeytokens", relation_name="cards", action="kill")
    assert made["schema_name"] is None
    assert [put(schema_name=name) for name in (None, "", "public", "billing")] == [409, 409, 409, 201]
    path = f"/{made['id']}"
    assert [put(path, schema_name=name) for name in ("public", "billing")] == [200, 409]
    assert call(project, "GET", f"honeytokens{path}").json()["schema_name"] == "public"
    assert put(path) == 200
    assert call(project, "GET", f"honeytokens{path}").json()["schema_name"] is None
    assert call(project, "DELETE", f"honeytokens{path}").status_code == 204
    assert put() == 201
    judge(project.record())


def test_a_plan_limits_agents_that_are_not_revoked(project: Project) -> None:
    project.settings(plan_limit=1)
    credential, dummy = agent(project)
    body = {"name": "bot", "policy_profile_id": credential["policy_profile_id"]}
    refused = call(project, "POST", "agents", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "PLAN_LIMIT_REACHED")
    call(project, "DELETE", f"agents/{credential['id']}")
    assert call(project, "POST", "agents", json=body).status_code == 201


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


def test_replicas_are_those_of_one_database(client: PgBeamClient, project: Project) -> None:
    database, other = project.register()["id"], project.register()["id"]
    replica = project.register_replica(database)
    assert client.projects.list_replicas(other) == {"replicas": []}
    for wrong in ((other, replica["id"]), ("db_unknown", replica["id"])):
        with pytest.raises(ApiError) as caught:
            client.projects.delete_replica(*wrong)
        assert caught.value.status == 404
    assert project.replicas(database) == [replica]


def test_the_official_sdk_tests_connections(client: PgBeamClient, project: Project) -> None:
    database = project.register(host="127.0.0.1", port=1)["id"]
    assert client.databases.test_database_connection(project.id, database)["ok"] is False
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
    duplicates = [made(organization), made(organization)]
    assert [item["name"] for item in organization.projects()] == ["shop", "shop"]
    assert duplicates[0].api("POST", json=BODY).status_code == 403
    (kept,) = organization.truth()[duplicates[0].id]["databases"]
    assert kept == {k: v for k, v in duplicates[0].databases()[0].items() if k != "connection_string"}


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
    assert (organization.truth(), project.truth(), project.stored("replicas")) == ({}, {}, {})


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
    assert project.stored("replicas") == {kept["id"]: kept}
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
        ("/organizations/{org}/plan", {}, "page_size"),
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


def test_the_official_sdk_limits_spending(organization: Organization, client: PgBeamClient) -> None:
    for limit in (500, 0.5, None):
        changed = client.analytics.update_spend_limit(organization.id, body={"spend_limit": limit})
        assert changed == client.analytics.get_organization_plan(organization.id)
        assert (changed["org_id"], changed["spend_limit"]) == (organization.id, limit)
    judge(organization.record())
    place = f"{organization.url}/v1/organizations/{organization.id}/spend-limit"
    headers = {"Authorization": f"Bearer {API_KEY}"}
    refused: list[Any] = [{"spend_limit": "500"}, {"limit": 5}, []]
    for body in refused:
        assert requests.put(place, json=body, headers=headers, timeout=10).status_code == 400


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
    assert {"description", "tags", "allowed_cidrs", "default_policy_profile_id"}.isdisjoint(shown)
    assert {"cloud", "database_count", "proxy_host", "max_connections", "shard"} <= set(shown)
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


def test_keys_that_the_contract_does_not_declare(sandbox: Sandbox) -> None:
    """The contract promises them for creates; the guide documents that the server also honors them on PATCH."""
    for honoured in (False, True):
        project = sandbox.project(undeclared_keys=honoured)
        path, key = f"/{project.register()['id']}", {"Idempotency-Key": project.id}
        first = project.api("PATCH", path, json={"ssl_mode": "require"}, headers=key).json()
        project.api("PATCH", path, json={"ssl_mode": "allow"})
        again = project.api("PATCH", path, json={"ssl_mode": "require"}, headers=key).json()
        assert (again == first) is honoured
        assert project.databases()[0]["ssl_mode"] == ("allow" if honoured else "require")


def test_every_read_has_the_tag_of_what_it_shows(project: Project, organization: Organization) -> None:
    database = project.register()["id"]
    project.register_replica(database)
    reads = {
        "project": of_project(project, "GET"),
        "databases": project.api("GET"),
        "database": project.api("GET", f"/{database}"),
        "replicas": replicas_of(project, database),
        "projects": organization.api("GET", params={"org_id": organization.id}),
    }
    tags = {name: answer.headers["ETag"] for name, answer in reads.items()}
    assert all(re.fullmatch('"[0-9a-f]{32}"', tag) for tag in tags.values())
    assert len({*tags.values()}) == len(tags), "a list's tag is not that of the only item in it"
    changed = project.api("PATCH", f"/{database}", json={"ssl_mode": "require"})
    made_now = project.api("POST", json=BODY)
    assert "ETag" not in changed.headers and "ETag" not in made_now.headers, "the contract has it on reads only"
    assert project.api("GET").headers["ETag"] != tags["databases"]
    assert project.api("GET", f"/{database}").headers["ETag"] != tags["database"]


def test_a_read_of_what_the_client_has(project: Project) -> None:
    path = f"/{project.register()['id']}"
    tag = project.api("GET", path).headers["ETag"]
    for held in (tag, f'"other", W/{tag}', "*"):
        answer = project.api("GET", path, headers={"If-None-Match": held})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    assert project.api("GET", path, headers={"If-None-Match": '"other"'}).status_code == 200
    judge(project.record())


def test_an_update_of_a_project_that_has_changed_since(project: Project) -> None:
    def patch(body: Any, tag: str) -> requests.Response:
        return of_project(project, "PATCH", json=body, headers={"If-Match": tag})

    tag = of_project(project, "GET").headers["ETag"]
    assert patch({"description": "ours"}, tag).status_code == 200
    now = of_project(project, "GET").headers["ETag"]
    refused = patch({"description": ""}, tag)
    assert (refused.status_code, refused.headers["ETag"]) == (412, now)
    assert patch({"description": ""}, now).status_code == 200
    judge(project.record())


@pytest.mark.parametrize(
    ("etag", "answered", "as_it_is", "quoted"),
    [
        ("", None, 200, 200),
        ('W/"{tag}"', 'W/"[0-9a-f]{32}"', 412, 200),
        ("{tag}", "[0-9a-f]{32}", 412, 200),
        ('"{tag}', '"[0-9a-f]{32}', 412, 200),
    ],
    ids=["none", "weak", "bare", "half"],
)
def test_servers_with_other_tags(sandbox: Sandbox, etag: str, answered: str | None, as_it_is: int, quoted: int) -> None:
    """A proxy changes the tag; the server behind it still has the strong one."""
    project = sandbox.project(etag=etag)
    path = f"/{project.register()['id']}"
    tag = project.api("GET", path).headers.get("ETag")
    assert tag is None if answered is None else re.fullmatch(answered, tag or "")
    sent = [tag or '"any"', f'"{re.sub(r"[^0-9a-f]", "", tag or "")}"']
    statuses = [project.api("PATCH", path, json={}, headers={"If-Match": one}).status_code for one in sent]
    assert statuses == [as_it_is, quoted]


def test_a_new_database_has_the_defaults_of_the_guide_or_of_a_setting(sandbox: Sandbox) -> None:
    guides, others = (
        sandbox.project(),
        sandbox.project(initial={"ssl_mode": "require", "pool_config": {"pool_size": 7}}),
    )
    made_now = guides.register()
    assert made_now["cache_config"] == {"enabled": False, "ttl_seconds": 60, "max_entries": 10000, "swr_seconds": 30}
    assert (made_now["pool_config"]["pool_mode"], made_now["ssl_mode"]) == ("transaction", "verify-full")
    pool = {"pool_size": 7, "min_pool_size": 1, "pool_mode": "transaction", "max_active": 200}
    assert (others.register()["ssl_mode"], others.register()["pool_config"]) == ("require", pool)
    sent = {"pool_size": 3, "min_pool_size": 2, "pool_mode": "session"}
    assert others.register(pool_config=sent)["pool_config"] == {**sent, "max_active": 200}


def test_answers_without_the_objects(sandbox: Sandbox) -> None:
    project = sandbox.project(left_out=["cache_config", "pool_config"])
    database = project.register()
    answers = [database, *project.databases(), project.api("GET", f"/{database['id']}").json()]
    assert all({"cache_config", "pool_config"}.isdisjoint(answer) for answer in answers)
    assert project.truth()[database["id"]]["cache_config"]["enabled"] is False
    judge(project.record())


def test_another_writer_between_read_and_write(project: Project, sandbox: Sandbox) -> None:
    path = f"/{project.register()['id']}"
    change = {"cache_config": {"swr_seconds": 777}, "username": "theirs"}
    project.fault("other_writer", change=change, times=2, skip=1)
    project.fault("drop_after", method="PATCH", skip=3)

    def patch(tag: str = "") -> int:
        headers = {"If-Match": tag} if tag else {}
        return project.api("PATCH", path, json={"ssl_mode": "require"}, headers=headers).status_code

    tag = project.api("GET", path).headers["ETag"]
    assert patch(tag) == 200, "skipped"
    read = project.api("GET", path)
    assert patch(read.headers["ETag"]) == 412
    kept = project.api("GET", path).json()
    assert kept["cache_config"] == {**read.json()["cache_config"], "swr_seconds": 777}
    assert kept["username"] == "theirs"
    project.api("PATCH", path, json={"username": "ours"}, headers={"If-Match": "*"})
    assert project.api("GET", path).json()["username"] == "ours", "one without a tag overwrites it"
    with pytest.raises(requests.ConnectionError):
        patch()
    assert [entry["other_writer"] for entry in project.record() if entry["method"] == "PATCH"] == [
        None, change, change, None,
    ]  # fmt: skip
    judge(project.record())


def test_another_writer_of_a_project(organization: Organization) -> None:
    project = made(organization, tags=["ours"])
    networks = [{"cidr": "10.0.0.0/8", "label": "ours"}, {"cidr": "10.1.0.0/16", "label": "ours"}]
    assert of_project(project, "PATCH", json={"allowed_cidrs": networks}).ok
    theirs = [{"cidr": "192.0.2.0/24"}, {"cidr": "10.0.0.0/8", "label": "theirs"}]
    organization.fault("other_writer", change={"tags": ["theirs"], "allowed_cidrs": theirs})
    database = project.databases()[0]["id"]
    assert project.api("PATCH", f"/{database}", json={"role": "replica"}).ok, "it has no tags, so it is not meant"
    tag = of_project(project, "GET").headers["ETag"]
    assert of_project(project, "PATCH", json={"tags": ["more"]}, headers={"If-Match": tag}).status_code == 412
    kept = of_project(project, "GET").json()
    assert (kept["tags"], kept["allowed_cidrs"]) == (["ours", "theirs"], networks[1:] + theirs)


def test_another_writer_needs_what_the_contract_allows(project: Project) -> None:
    path = f"/{project.register()['id']}"
    project.fault("other_writer", change={"port": 0})
    assert project.api("PATCH", path, json={}).status_code == 500


def test_headers_on_demand(project: Project) -> None:
    headers = {
        "Deprecation": "@1767225600",
        "Sunset": "Wed, 01 Jul 2026 00:00:00 GMT",
        "Link": '</v2>; rel="successor-version"',
    }
    project.fault("headers", headers=headers, method="GET", times=2)
    project.fault("status", method="GET")
    project.settings(page_limit=1)
    assert [project.register() and "Sunset" in project.api("GET").headers for dummy in range(3)] == [True, True, False]
    project.fault("headers", headers=headers)
    listed = project.api("GET")
    assert {name: listed.headers[name] for name in ("Deprecation", "Sunset")} == {
        "Deprecation": "@1767225600", "Sunset": "Wed, 01 Jul 2026 00:00:00 GMT",
    }  # fmt: skip
    assert listed.headers["Link"].endswith('rel="next", </v2>; rel="successor-version"'), "beside what it has"


def test_a_412_and_a_date_in_the_past_on_demand(project: Project) -> None:
    path = f"/{project.register()['id']}"
    project.fault("status", status=412, code="PRECONDITION_FAILED", method="PATCH", retry_after="date-60")
    refused = project.api("PATCH", path, json={})
    assert (refused.status_code, refused.headers["ETag"]) == (412, project.api("GET", path).headers["ETag"])
    past = parsedate_to_datetime(refused.headers["Retry-After"])
    assert 58 <= (datetime.now(timezone.utc) - past).total_seconds() <= 62


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


#: What is wrong with a request, by the judge that finds it: the exchange, where in its body, and the value.
WRONG_REQUESTS: dict[str, tuple[str, list[tuple[str, str, Any]]]] = {
    "sdk": (
        "extra_forbidden|(int|list|string)_type|literal_error|missing",
        [
            ("database", "colour", "red"),
            ("policy", "colour", "red"),
            ("policy", "max_rows", "5"),
            ("policy", "approval_mode", False),
            ("agent", "status", "active"),
            ("honeytoken", "action", "warn"),
            ("webhook", "event_types", ["blocked"]),
            ("webhook", "format", "xml"),
            ("domain", "verified", True),
            ("database", "port", "5432"),
            ("database", "port", True),
            ("database", "ssl_mode", "on"),
            ("database", "cache_config", {"enabled": True}),
            ("replica", "name", "orders"),
            ("replica", "host", 5),
            ("project", "agents_disabled", True),
            ("project", "database", {**BODY, "id": "db_1"}),
            ("change", "tags", "prod"),
            ("change", "allowed_cidrs", [{"cidr": "10.0.0.0/8", "note": "office"}]),
        ],
    ),
    "openapi": (
        "Request body",
        [
            ("database", "port", 0),
            ("replica", "host", "a b"),
            ("project", "name", ""),
            ("change", "tags", ["x"] * 11),
            ("policy", "max_rows", -1),
            ("agent", "name", ""),
            ("webhook", "description", "x" * 257),
            ("domain", "domain", "a b"),
        ],
    ),
}
WRONG_ANSWERS: dict[str, list[tuple[str, str, str]]] = {
    "sdk": [
        ("database", '"ssl_mode"', '"another"'),
        ("database", '"port":5432', '"port":"5432"'),
        ("database", '"enabled":false', '"enabled":0'),
        ("replica", '"database_id"', '"another"'),
        ("project", '"org_id"', '"another"'),
        ("change", '"status":"active"', '"status":"gone"'),
        ("list", '"databases"', '"entries"'),
        ("policy", '"query_mode"', '"another"'),
        ("agent", '"mcp_token"', '"another"'),
        ("agent", '"credential":{', '"another":{'),
        ("agent", '"mcp_token":"(not recorded)"', '"mcp_token":5'),
        ("honeytoken", '"action":"kill"', '"action":"warn"'),
        ("webhook", '"enabled":true', '"enabled":1'),
        ("delivery", '"delivery_id"', '"another"'),
        ("domain", '"verified":false', '"verified":0'),
        ("verification", '"verified"', '"another"'),
        ("problem", '"code":"NOT_FOUND"', '"code":"GONE"'),
        ("problem", '"status":404', '"status":400'),
        ("problem", '"title"', '"another"'),
        ("envelope", '"message"', '"another"'),
    ],
    "openapi": [("database", '"port":5432', '"port":0'), ("envelope", '"message"', '"another"')],
}


@pytest.mark.parametrize("judge_named", ["sdk", "openapi"])
def test_the_judges_judge(sandbox: Sandbox, judge_named: str) -> None:
    """A judge that accepts all would make every other test's judgement worth nothing."""
    if judge_named == "openapi" and not DOCUMENT.exists():
        pytest.skip("the published OpenAPI document is not at hand")
    document = DOCUMENT if judge_named == "openapi" else ROOT / "there-is-none"
    organization = sandbox.organization(extra_fields=True)
    project = made(organization)
    project.settings(extra_fields=True)
    project.register_replica(project.register()["id"])
    assert of_project(project, "PATCH", json={"tags": ["ours"]}).ok
    project.databases()
    project.api("GET", "/db_unknown")
    project.settings(envelope="problem")
    project.api("GET", "/db_unknown")
    policy = project.create("policies", name="readers")["id"]
    assert call(project, "PUT", f"policies/{policy}", json={"name": "readers", "approval_mode": "ddl"}).ok
    project.create("agents", name="bot", policy_profile_id=policy)
    project.create("honeytokens", relation_name="cards", action="kill")
    webhook = project.create("webhooks", url="https://a.example.com", event_types=["masked"])["id"]
    assert call(project, "POST", f"webhooks/{webhook}/test").status_code == 202
    domain = project.create("domains", domain="db.example.com")["id"]
    assert call(project, "POST", f"domains/{domain}/verify").json()["verified"]
    names = (
        "database", "replica", "change", "list", "envelope", "problem", "made", "policy", "agent", "honeytoken",
        "webhook", "delivery", "domain", "verification",
    )  # fmt: skip
    exchanges = {**dict(zip(names, project.record())), "project": organization.record()[0]}
    judge(list(exchanges.values()), document)
    pattern, wrong_requests = WRONG_REQUESTS[judge_named]
    for name, field, value in wrong_requests:
        body = {**exchanges[name]["body"], field: value}
        with pytest.raises(Exception, match=pattern):
            judge([{**exchanges[name], "body": body}], document)
    for name, right, wrong in WRONG_ANSWERS[judge_named]:
        response = re.sub(re.escape(right).replace(":", ": ?"), wrong, exchanges[name]["response"])
        assert response != exchanges[name]["response"]
        with pytest.raises((ValidationError, AssertionError, OpenAPIError)):
            judge([{**exchanges[name], "response": response}], document)


@pytest.mark.parametrize(
    ("changed", "reported"),
    [
        ({"path": "/v1/projects/prj_1/databases/db_1/replicas"}, "there is no operation"),
        ({"method": "PUT"}, "there is no operation"),
        ({"query": {"colour": "red"}}, "extra_forbidden"),
        ({"query": {"page_size": "many"}}, "int_parsing"),
        ({"body": {}}, "list_databases has no body"),
        ({"headers": {"if-match": '"1"'}}, "does not take If-Match"),
    ],
    ids=str,
)
def test_the_sdk_judges_more_than_bodies(project: Project, changed: Any, reported: str) -> None:
    project.databases()
    (listed,) = project.record()
    unnamed = {**listed, "headers": {}}
    judge([unnamed])
    with pytest.raises((ValidationError, AssertionError), match=reported):
        judge([{**unnamed, **changed}], ROOT / "there-is-none")


def test_if_match_is_judged(project: Project) -> None:
    path = f"/{project.register()['id']}"
    project.api("PATCH", path, json={})
    update = {**project.record()[-1], "headers": {"content-type": "application/json"}}
    for held in ('"a"', '"a", "b"', "*"):
        judge([{**update, "headers": {**update["headers"], "if-match": held}}])
    for held in ('W/"a"', "a", '"a', ""):
        with pytest.raises(AssertionError, match="which matches nothing"):
            judge([{**update, "headers": {**update["headers"], "if-match": held}}])


@pytest.mark.skipif(not DOCUMENT.exists(), reason="the published OpenAPI document is not at hand")
def test_what_differs_between_the_judges_is_written_down() -> None:
    assert differences() == set(DIFFERENCES)
