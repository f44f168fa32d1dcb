# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox is what the modules are tested against, so it is tested itself: by the vendor's own SDK and contract."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pgbeam import ApiError, PgBeamClient

from tests.contract import DOCUMENT, judge
from tests.harness import API_KEY, Project, Sandbox

pytestmark = pytest.mark.once


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
def test_the_judge_judges(project: Project) -> None:
    """A judge that accepts all would make every other test's judgement worth nothing."""
    project.register()
    (exchange,) = project.record()
    judge([exchange])
    for wrong in (
        {**exchange, "body": {**exchange["body"], "port": 0}},
        {**exchange, "response": exchange["response"].replace('"ssl_mode"', '"tls_mode"')},
    ):
        with pytest.raises(Exception, match=r"port|[Ss]chema|[Ii]nvalid"):
            judge([wrong])
