# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module pgbeam.cloud.database, run by ansible-playbook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness import API_KEY, Project, Sandbox
from tests.integration.conftest import PASSWORD_LOOKUP, Ansible, Modules
from tests.module_runner import run_module
from tests.postgres import Postgres
from tests.unit.scripted import ScriptedServer

HOST = "db1.example.com"
LOGIN: dict[str, Any] = {"host": HOST, "name": "orders", "username": "app", "password": PASSWORD_LOOKUP}
UNKNOWN_BEFORE_A_WRITE = ("id", "connection_string", "created_at", "updated_at")


def test_a_whole_life(ansible: Ansible, project: Project) -> None:
    """Check, do, repeat, update, absent, and absent again: check mode foretells each, and nothing is done twice."""
    steps: list[tuple[dict[str, Any], str, list[str]]] = [
        ({**LOGIN, "ssl_mode": "require"}, "created", ["host", "port", "name", "username", "password", "ssl_mode"]),
        ({**LOGIN, "ssl_mode": "require", "host": HOST.upper()}, "unchanged", []),
        ({**LOGIN, "cache_config": {"ttl_seconds": 5}}, "updated", ["cache_config.ttl_seconds"]),
        ({**LOGIN, "cache_config": {"ttl_seconds": 5}}, "unchanged", []),
        ({**LOGIN, "pool_region": "", "query_timeout_ms": 0}, "unchanged", []),
        ({"host": HOST, "name": "orders", "state": "absent"}, "deleted", []),
        ({"host": HOST, "name": "orders", "state": "absent"}, "unchanged", []),
    ]
    tasks = [
        {
            "name": f"{how} {n}",
            "pgbeam.cloud.database": {"project_id": project.id, **options},
            "check_mode": how == "foresee",
        }
        for n, (options, *dummy) in enumerate(steps)
        for how in ("foresee", "do")
    ]
    run = ansible.play(tasks, "--diff")
    assert run.status == 0
    # Were one of them of a task in check mode, the task after it would have nothing left to write.
    assert [method for method, dummy in run.writes] == ["POST", "PATCH", "DELETE"]
    for n, (dummy, action, changes) in enumerate(steps):
        foreseen, result = run.result(f"foresee {n}"), run.result(f"do {n}")
        assert (result["action"], result["changes"]) == (action, changes)
        assert result["changed"] == (action != "unchanged")
        for key in ("action", "changes", "diff", "changed"):
            assert foreseen[key] == result[key]
        assert foreseen["database"].keys() == result["database"].keys()
        for key, value in foreseen["database"].items():
            assert value is None or value == result["database"][key] or key in UNKNOWN_BEFORE_A_WRITE
    assert project.databases() == []


def test_optional_fields_that_the_server_leaves_out(modules: Modules, sandbox: Sandbox) -> None:
    project = sandbox.project(omit_zero=True)
    project.register()
    zero: dict[str, Any] = {"role": "primary", "pool_region": "", "query_timeout_ms": 0, "auto_read_routing": False}
    result = modules.database(project, **LOGIN, **zero).result("database")
    assert result["action"] == "unchanged"
    assert result["database"]["pool_region"] is None


def test_nothing_on_the_second_page_is_registered_twice(ansible: Ansible, sandbox: Sandbox) -> None:
    project = sandbox.project(page_limit=20)
    names = [f"db{n:02d}" for n in range(25)]
    for name in names:
        project.register(name=name)
    assert len(project.api("GET").json()["databases"]) == 20
    task = {
        "name": "looped",
        "pgbeam.cloud.database": {
            "project_id": project.id, "host": HOST, "name": "{{ item }}", "username": "app",
            "password": PASSWORD_LOOKUP,
        },
        "loop": names[18:],
    }  # fmt: skip
    run = ansible.play([task])
    assert [result["action"] for result in run.results("looped")] == ["unchanged"] * 7
    entries = [{**LOGIN, "name": name} for name in [*names, "new"]]
    result = ansible.databases(project, entries).result("databases")
    assert result["msg"] == "1 created, 25 unchanged"
    assert len(project.databases()) == 26


def test_a_loop_over_names_registers_each(ansible: Ansible, project: Project) -> None:
    task = {
        "name": "looped",
        "pgbeam.cloud.database": {
            "project_id": project.id, "host": HOST, "name": "{{ item }}", "username": "{{ item }}_app",
            "password": "{{ passwords[item] }}",
        },
        "loop": ["orders", "invoices"],
    }  # fmt: skip
    passwords = {name: f"{PASSWORD_LOOKUP}{name}" for name in ("orders", "invoices")}
    first = ansible.play([task], "-vvvvv", vars={"passwords": passwords})
    second = ansible.play([task], vars={"passwords": passwords})
    assert [result["action"] for result in first.results("looped")] == ["created", "created"]
    assert second.changed == 0
    assert [item["username"] for item in project.databases()] == ["orders_app", "invoices_app"]


def test_several_registrations_of_one_identity(modules: Modules, project: Project) -> None:
    ids = sorted(project.register(username=name)["id"] for name in ("app", "app", "reader"))
    failed = modules.database(project, host=HOST, name="orders", state="absent")
    assert failed.status != 0
    assert f"exists 3 times in PgBeam ({', '.join(ids)})" in failed.result("database")["msg"]
    assert not failed.writes
    result = modules.database(project, host=HOST, name="orders", username="reader", ssl_mode="allow").result("database")
    assert (result["action"], result["database"]["username"]) == ("updated", "reader")


def test_the_password_is_sent_when_asked_for(ansible: Ansible, project: Project, server: Postgres) -> None:
    """A real PostgreSQL shows which password PgBeam has."""
    project.register(host="127.0.0.1", port=server.port, password="an-old-one", ssl_mode="prefer")
    place: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "name": "orders",
        "password": PASSWORD_LOOKUP,
        "test_connection": True,
    }
    kept = ansible.database(project, **place).result("database")
    assert kept["failed"] is True
    assert kept["connection_test"]["ok"] is False
    assert kept["error"]["code"] == "CONNECTION_TEST_FAILED"
    assert "password authentication failed" in kept["msg"]
    foreseen = ansible.database(project, check=True, **place, update_password="always").result("database")
    sent = ansible.database(project, **place, update_password="always").result("database")
    assert (foreseen["changes"], foreseen["connection_test"]) == (["password"], None)
    assert sent["changes"] == ["password"]
    assert sent["connection_test"]["ok"] is True
    assert sent["connection_test"]["server_version"].startswith("1")
    assert sent["diff"]["after"] == {"password": "(sent, not shown)"}
    again = ansible.database(project, **place).result("database")
    assert (again["changed"], again["connection_test"]["ok"]) == (False, True)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "id with a slash": ({"id": "db/1"}, "id: 'db/1' is not an id"),
    "project of dots": ({"project_id": ".."}, "project_id: '..' is not an id"),
    "empty key": ({"api_key": ""}, "api_key: missing; set api_key, or PGBEAM_API_KEY"),
    "key with a line break": ({"api_key": "pbu_x\n"}, "api_key: the key contains whitespace"),
    "no URL": ({"api_url": "api.pgbeam.com"}, "api_url: 'api.pgbeam.com' is not an API URL"),
    "http": (
        {"api_url": "http://api.pgbeam.com"},
        "api_url: 'http://api.pgbeam.com' would send the API key unencrypted",
    ),
    "ca_path": ({"ca_path": "/no/such.pem"}, "ca_path: '/no/such.pem' does not exist"),
    "timeout": ({"timeout": 0}, "timeout: 0 is not allowed; it must be a whole number from 1 to"),
}


def test_bad_input_is_refused_before_any_request(ansible: Ansible, project: Project) -> None:
    tasks = [
        {
            "name": name,
            "pgbeam.cloud.database": {"project_id": project.id, **LOGIN, **options},
            "ignore_errors": True,
        }
        for name, (options, dummy) in BAD.items()
    ]
    run = ansible.play(tasks)
    for name, (dummy, message) in BAD.items():
        result = run.result(name)
        assert result["failed"] is True, name
        assert message in result["msg"], name
    assert run.requests == []


FAULTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "HTML from a gateway": (
        {"kind": "html", "times": 9},
        ["502 with a body that is not a JSON object", "run again later"],
    ),
    "project not found": (
        {"kind": "status", "status": 404, "code": "NOT_FOUND"},
        ["404 NOT_FOUND", "project prj_", "not found, or not visible to this API key"],
    ),
    "payment": (
        {"kind": "status", "status": 402, "code": "PAYMENT_REQUIRED"},
        ["402 PAYMENT_REQUIRED", "pay the open invoice"],
    ),
    "redirect": ({"kind": "redirect"}, ["307 redirects to https://elsewhere.example.com/v1", "set api_url"]),
    "truncated": ({"kind": "truncate"}, ["200 with a body that is not a JSON object"]),
    "lost": ({"kind": "drop_before", "times": 9}, ["connection lost to", "check api_url"]),
    "too slow": ({"kind": "stall", "seconds": 1.5, "times": 9}, ["did not answer within 1 s"]),
    "a long Retry-After": (
        {"kind": "status", "status": 429, "code": "RATE_LIMITED", "retry_after": "3600"},
        ["429 RATE_LIMITED", "waiting another 3600 s would exceed retry_budget (20 s)"],
    ),
}


@pytest.mark.parametrize("envelope", ["error", "problem"])
def test_failures_are_reported_in_one_sentence(ansible: Ansible, sandbox: Sandbox, envelope: str) -> None:
    tasks = []
    for name, case in FAULTS.items():
        project = sandbox.project(envelope=envelope)
        project.fault(method="GET", **case[0])
        options = {"project_id": project.id, "retries": 1, "retry_budget": 20, "timeout": 1}
        tasks.append({"name": name, "pgbeam.cloud.database_info": options, "ignore_errors": True})
    run = ansible.play(tasks)
    for name, (dummy, parts) in FAULTS.items():
        result = run.result(name)
        assert result["msg"].startswith("GET databases of project prj_"), name
        for part in parts:
            assert part in result["msg"], name
        assert set(result["error"]) == {
            "status", "code", "message", "method", "path", "request_id", "attempts", "fields", "outcome_unknown",
        }  # fmt: skip


@pytest.mark.parametrize("envelope", ["error", "problem"])
def test_a_refusal_of_the_server_is_quoted(modules: Modules, sandbox: Sandbox, envelope: str) -> None:
    project = sandbox.project(envelope=envelope, plan_limit=0)
    result = modules.database(project, **LOGIN).result("database")
    assert result["msg"].startswith(
        f"POST database orders on {HOST}:5432: 403 PLAN_LIMIT_REACHED: The plan allows 0 databases. (request req_"
    )
    assert result["msg"].endswith("or upgrade the plan, then run again")
    assert (result["error"]["status"], result["error"]["code"]) == (403, "PLAN_LIMIT_REACHED")
    assert result["error"]["request_id"].startswith("req_")


@pytest.mark.parametrize("retries", [0, 2], ids=["outcome unknown", "retried"])
@pytest.mark.parametrize("kind", ["drop_after", "drop_before"])
def test_a_lost_answer_never_registers_twice(modules: Modules, project: Project, kind: str, retries: int) -> None:
    project.fault(kind, method="POST")
    run = modules.database(project, **LOGIN, retries=retries)
    created = kind == "drop_after" or retries > 0
    assert (run.status == 0) == created
    assert len(project.databases()) == created
    keys = {entry["headers"]["idempotency-key"] for entry in run.exchanges if entry["method"] == "POST"}
    assert len(keys) == 1
    if created:
        result = run.result("database")
        assert (result["action"], result["database"]["id"]) == ("created", project.databases()[0]["id"])


def test_a_username_that_changes_without_its_password(ansible: Ansible, project: Project) -> None:
    project.register(username="old")
    run = ansible.database(project, **LOGIN)
    assert run.result("database")["changes"] == ["username"]
    assert "PgBeam keeps the old password; set update_password: always for this run" in " ".join(run.output.split())
    assert "PgBeam keeps" not in ansible.database(project, **LOGIN, update_password="always").output


def test_settings_of_the_environment_that_cannot_be_used(ansible: Ansible, project: Project) -> None:
    env = {"REQUESTS_CA_BUNDLE": "/no/such.pem", "PGBEAM_API_URL": "https://127.0.0.1:1"}
    run = ansible.adhoc("database_info", f"project_id={project.id}", env=env)
    assert "cannot be made with these settings; check api_url and ca_path, and REQUESTS_CA_BUNDLE" in run.output
    typo = ansible.adhoc("database_info", f"project_id={project.id} api_url=https://api..example.com")
    assert "api_url: 'https://api..example.com' has an invalid host name" in typo.output


def test_a_key_of_the_environment(ansible: Ansible, project: Project) -> None:
    """The first that is not empty counts, and another user of this machine's netrc does not."""
    ansible.write(".netrc", "machine 127.0.0.1 login someone password else\n")
    (ansible.home / ".netrc").chmod(0o600)
    accepted = ansible.adhoc(
        "database_info", f"project_id={project.id}", env={"PGBEAM_API_KEY": "", "PGBEAM_TOKEN": "pbo_organization"}
    )
    assert accepted.status == 0
    ansible.secrets.append("wrong-key")
    refused = ansible.adhoc("database_info", f"project_id={project.id}", env={"PGBEAM_API_KEY": "wrong-key"})
    assert "401 UNAUTHORIZED" in refused.output
    assert "check api_key (or PGBEAM_API_KEY)" in refused.output


def test_an_adhoc_command(ansible: Ansible, project: Project) -> None:
    arguments = (
        f"project_id={project.id} host=db1 name=orders username=app "
        "password=\"{{ lookup('ansible.builtin.env', 'DB_PASSWORD') }}\""
    )
    first, second = ansible.adhoc("database", arguments, "-vvvvv"), ansible.adhoc("database", arguments)
    assert "CHANGED" in first.output
    assert "SUCCESS" in second.output
    assert len(project.databases()) == 1


def test_an_answer_about_another_database(tmp_path: Path) -> None:
    """The answer of a cache for another id proves nothing about this one."""
    path = "/v1/projects/prj_1/databases"
    one, other = ({"id": i, "project_id": "prj_1", "host": "db1", "port": 5432, "name": "a"} for i in ("db_1", "db_9"))
    reported = "200 with an object other than the requested one; check that api_url"
    with ScriptedServer().running() as server:
        options = {"project_id": "prj_1", "id": "db_1", "api_url": server.url, "api_key": API_KEY, "retries": 0}
        server.expect("GET", f"{path}/db_1", 200, other)
        result = run_module("database", {**options, "state": "absent"}, tmp_path)
        assert f"GET database db_1: {reported}" in result["msg"]
        server.expect("GET", f"{path}/db_1", 200, one)
        server.expect("PATCH", f"{path}/db_1", 200, {**other, "query_timeout_ms": 1})
        server.expect("GET", path, 200, {"databases": [one]})
        result = run_module("database", {**options, "query_timeout_ms": 1, "test_connection": True}, tmp_path)
    assert f"PATCH database a on db1:5432: {reported}" in result["msg"]
    assert (result["action"], result["changed"]) == ("failed", False)


@pytest.mark.parametrize("value", ["1e5000", "9" * 5000], ids=["exponent", "digits"])
@pytest.mark.parametrize("name", ["port", "timeout", "parallel"])
def test_a_number_of_which_python_makes_no_text(tmp_path: Path, name: str, value: str) -> None:
    options = {"project_id": "prj_1", "api_url": "http://127.0.0.1:1", "api_key": API_KEY, name: value}
    if name == "parallel":
        result = run_module("databases", {**options, "databases": []}, tmp_path)
    else:
        result = run_module("database", {**options, "host": "db1", "name": "a", "username": "app"}, tmp_path)
    # Core before 2.19 reads no exponent.
    reported = (f"{name}: ", " is not allowed; ") if "unable to convert" not in result["msg"] else (name,)
    assert all(part in result["msg"] for part in reported)
