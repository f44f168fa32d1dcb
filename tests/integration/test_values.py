# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as YAML and people write them: hosts in several spellings, text that YAML takes for something else, masks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Project, Sandbox
from tests.integration.conftest import PASSWORD_LOOKUP, Ansible, Modules

LOGIN: dict[str, Any] = {"name": "orders", "username": "app", "password": PASSWORD_LOOKUP}
#: Each a spelling that is registered and another one of the same host.
SPELLINGS = [
    ("2001:DB8::1", "2001:db8:0:0:0:0:0:1"),
    ("db1.example.com.", "DB1.example.com"),
    ("bücher.example.com", "xn--bcher-kva.example.com"),
    ("FAẞ.example.com", "xn--fa-hia.example.com"),
    ("192.0.2.7", "192.0.2.7"),
]
#: These are not one host.
OTHERS = [("192.0.2.8", "::ffff:192.0.2.8"), ("fass.example.com", "faß.example.com")]


def test_one_host_in_two_spellings(modules: Modules, project: Project) -> None:
    """Found by a task, a list, prune, a filter and a replica; sent as written."""
    tasks: list[dict[str, Any]] = []
    for number, (first, second) in enumerate(SPELLINGS):
        for name, host in (("first", first), ("second", second)):
            option = {"project_id": project.id, "host": host, **LOGIN}
            tasks.append({"name": f"{name} {number}", "pgbeam.cloud.database": option})
        option = {"project_id": project.id, "host": second}
        tasks.append({"name": f"filter {number}", "pgbeam.cloud.database_info": option})
        entries = [{"host": host, **LOGIN} for host in (first, second)]
        option = {"project_id": project.id, "databases": entries}
        tasks.append({"name": f"both {number}", "ignore_errors": True, "pgbeam.cloud.databases": option})
    declared = [{"host": second, **LOGIN} for dummy, second in SPELLINGS]
    option = {"project_id": project.id, "databases": declared, "prune": True}
    tasks.append({"name": "prune", "pgbeam.cloud.databases": option})
    run = modules.play(tasks)
    for number, (first, second) in enumerate(SPELLINGS):
        assert run.result(f"first {number}")["action"] == "created", first
        assert run.result(f"second {number}")["action"] == "unchanged", second
        assert [item["host"] for item in run.result(f"filter {number}")["databases"]] == [first]
        assert "are both database orders on " in run.result(f"both {number}")["msg"]
    assert run.result("prune")["msg"] == f"{len(SPELLINGS)} unchanged"
    assert [item["host"] for item in project.databases()] == [first for first, dummy in SPELLINGS]


def test_hosts_that_are_not_one(modules: Modules, project: Project) -> None:
    entries = [{"host": host, **LOGIN} for pair in OTHERS for host in pair]
    assert modules.databases(project, entries).result("databases")["msg"] == "4 created"
    assert modules.databases(project, entries).result("databases")["msg"] == "4 unchanged"


def test_the_replicas_of_one_host(modules: Modules, project: Project) -> None:
    database_id = project.register()["id"]
    tasks = [
        {"name": host, "pgbeam.cloud.replica": {"database_id": database_id, "host": host}} for host in SPELLINGS[0]
    ]
    listed = [{"host": SPELLINGS[0][1]}]
    option = {"database_id": database_id, "replicas": listed, "prune": True}
    run = modules.play([*tasks, {"name": "list", "pgbeam.cloud.replicas": option}])
    assert [run.result(host)["action"] for host in SPELLINGS[0]] == ["created", "unchanged"]
    assert run.result("list")["msg"] == "1 unchanged"


def test_an_ipv6_address_stands_in_brackets_before_its_port(modules: Modules, project: Project) -> None:
    run = modules.database(project, host="2001:db8::1", **LOGIN)
    assert run.result("database")["diff"]["after_header"] == "database orders on [2001:db8::1]:5432"
    run = modules.database(project, host="2001:db8::2", name="orders")
    assert run.result("database")["msg"].startswith("database orders on [2001:db8::2]:5432 does not exist yet; ")


NOT_TEXT: dict[str, tuple[Any, str]] = {
    "boolean": (True, "true is a boolean, not text; put it in quotes"),
    "number": (1.1, "1.1 is a number, not text; put it in quotes"),
    "list": (["a"], "['a'] is a list; it must be text"),
    "dictionary": ({"a": "b"}, "{'a': 'b'} is a dictionary; it must be text"),
}
#: For each module a task that is well apart from one option, and the options that take text.
TEXTS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    (
        "database",
        {"project_id": "prj_1", "host": "db1", **LOGIN},
        ("project_id", "id", "host", "name", "username", "ssl_mode", "role", "pool_region"),
    ),
    ("database_info", {"project_id": "prj_1"}, ("project_id", "id", "host", "name", "role", "api_url")),
    (
        "project",
        {"org_id": "org_1", "name": "shop"},
        ("org_id", "id", "name", "description", "cloud", "residency", "status", "default_policy_profile_id", "ca_path"),
    ),
    ("project_info", {"org_id": "org_1"}, ("org_id", "id", "name")),
    ("replica", {"database_id": "db_1", "host": "r1"}, ("database_id", "id", "host", "ssl_mode")),
    ("replica_info", {"database_id": "db_1"}, ("database_id", "id", "host")),
    ("organization_info", {}, ("id", "name", "slug")),
    ("region_info", {}, ("id",)),
]
#: Paths of nested texts.
DEEP: list[tuple[str, dict[str, Any], str]] = [
    ("databases", {"project_id": "prj_1", "databases": [{"host": "db1", "name": True}]}, "name: true is a boolean"),
    ("databases", {"project_id": "prj_1", "databases": [{"host": 1.5, "name": "a"}]}, "host: 1.5 is a number"),
    (
        "database",
        {"project_id": "prj_1", "host": "db1", "name": "a", "pool_config": {"pool_mode": True}},
        "pool_config.pool_mode: true is a boolean",
    ),
    (
        "project",
        {"org_id": "org_1", "name": "shop", "database": {"host": "db1", "name": "a", "username": True}},
        "database.username: true is a boolean",
    ),
    ("project", {"org_id": "org_1", "name": "shop", "tags": ["a", False]}, "tags[1]: false is a boolean"),
    (
        "project",
        {"org_id": "org_1", "name": "shop", "allowed_cidrs": [{"cidr": "10.0.0.0/8", "label": 1.5}]},
        "allowed_cidrs[0].label: 1.5 is a number",
    ),
    (
        "project",
        {"org_id": "org_1", "name": "shop", "state": "absent", "expected_databases": [True]},
        "expected_databases: true is a boolean",
    ),
    ("replicas", {"database_id": "db_1", "replicas": [{"host": False}]}, "host: false is a boolean"),
]
#: One rule for whole numbers on all releases of ansible-core.
NO_NUMBERS: list[tuple[str, dict[str, Any], str]] = [
    ("database", {"project_id": "prj_1", "host": "db1", "name": "a", "port": 5432.0}, "port: 5432.0 is not allowed"),
    ("database", {"project_id": "prj_1", "host": "db1", "name": "a", "port": "5432.0"}, "port: '5432.0' is not"),
    ("database", {"project_id": "prj_1", "host": "db1", "name": "a", "timeout": 5.0}, "timeout: 5.0 is not allowed"),
    ("databases", {"project_id": "prj_1", "databases": [{"host": "a", "name": "b", "port": 1.0}]}, "port: 1.0 is not"),
]


def test_text_is_text(ansible: Ansible) -> None:
    """What YAML takes for something else is refused before any request, in every text option of every module."""
    expected: dict[str, str] = {}
    tasks: list[dict[str, Any]] = []

    def add(module: str, options: dict[str, Any], message: str) -> None:
        name = f"task {len(tasks)}."
        tasks.append({"name": name, "ignore_errors": True, f"pgbeam.cloud.{module}": options})
        expected[name] = message

    for number, (module, options, names) in enumerate(TEXTS):
        kinds = list(NOT_TEXT.values())
        for place, option in enumerate(names):
            value, message = kinds[(number + place) % len(kinds)]
            add(module, {**options, option: value}, f"{option}: {message}")
    for module, options, message in (*DEEP, *NO_NUMBERS):
        add(module, options, message)
    run = ansible.play(tasks)
    assert run.requests == []
    for name, message in expected.items():
        result = run.result(name)
        assert result["failed"] and message in result["msg"], (name, result["msg"])


def test_an_integer_is_its_digits(ansible: Ansible, project: Project) -> None:
    """Templates make integers of digits. A secret is another matter: 007 would become another password."""
    login = {**LOGIN, "name": 2026, "username": 7}
    run = ansible.database(project, host="db1", **login, port="5432")
    assert run.result("database")["action"] == "created"
    (database,) = project.databases()
    assert (database["name"], database["username"]) == ("2026", "7")
    refused = ansible.database(project, host="db1", name="b", username="app", password=7)
    assert (
        refused.result("database")["msg"]
        == "password: the value is a number, not text; put it in quotes, even in a vault file"
    )


NO_HOSTS = (
    "db1.example.com:5433", "[2001:db8::1]", "https://db1.example.com", "postgresql://db1/orders", "app@db1",
    "/var/run/postgresql", "db1,db2", "10.0.0.0/8", "10.0.0.300", "10.0.0", "5432", "-db1", "db1..example.com",
    "*.example.com", "db1 ", "x" * 64 + ".example.com", "fe80::1%eth0", "::1%a@b:1", "0x7f000001", "1.0x7f",
    "bü cher.de",
)  # fmt: skip
HOSTS = (
    "db1",
    "db_1.internal",
    "DB1.EXAMPLE.COM.",
    "10.0.0.1",
    "db.उदाहरण.example",
    "bu\u0308cher.db_1",
    "xn--bcher-kva.example.com",
    "a.1-2.b",
)


def test_what_is_no_host_is_not_registered(modules: Modules, project: Project) -> None:
    entries = [{"host": host, "name": "a"} for host in NO_HOSTS]
    tasks = [
        {
            "name": f"task {number}.",
            "ignore_errors": True,
            "pgbeam.cloud.databases": {"project_id": project.id, "databases": [entry]},
        }
        for number, entry in enumerate(entries)
    ]
    run = modules.play(tasks)
    assert run.requests == []
    for number, host in enumerate(NO_HOSTS):
        message = run.result(f"task {number}.")["msg"]
        assert f"host: {host!r} is not allowed; it must be a host name or an IP address, and nothing else" in message
    good = [{"host": host, **LOGIN} for host in HOSTS]
    assert modules.databases(project, good).result("databases")["msg"] == f"{len(HOSTS)} created"


@pytest.mark.parametrize("mask", ["********", "the-********-manager", "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"])
def test_a_masked_value_does_not_come_back(ansible: Ansible, project: Project, mask: str) -> None:
    """A result in which core has masked a secret is no source for another task."""
    known = project.register()["id"]
    tasks: list[dict[str, Any]] = [
        {"name": "name", "pgbeam.cloud.database": {"project_id": project.id, "id": known, "name": mask}},
        {"name": "password", "pgbeam.cloud.database": {
            "project_id": project.id, "id": known, "password": mask, "update_password": "always",
        }},
    ]  # fmt: skip
    run = ansible.play([{**task, "ignore_errors": True} for task in tasks])
    assert run.result("name")["msg"].startswith("name: ")
    assert "contains the mask of a secret" in run.result("name")["msg"]
    if mask == "the-********-manager":  # which may well be a password
        assert run.result("password")["action"] == "updated"
    else:
        assert "password: the value is the mask of a secret" in run.result("password")["msg"]
        assert not run.writes


def test_a_summary_keeps_its_words(ansible: Ansible, sandbox: Sandbox) -> None:
    """A password of one letter hides nothing of what the collection counts."""
    project = sandbox.project(plan_limit=1)
    entries = [{"host": "db1", "name": name, "username": "app", "password": "e"} for name in ("a", "b")]
    ansible.secrets = [secret for secret in ansible.secrets if len(secret) > 1]
    run = ansible.databases(project, entries[:1])
    assert run.result("databases")["msg"] == "1 created"
    run = ansible.databases(project, entries)
    assert run.result("databases")["msg"].endswith(" [1 unchanged, 1 failed]")


def test_the_version_at_the_end_of_the_url(ansible: Ansible, project: Project) -> None:
    for end in ("/v1", "/v1/"):
        run = ansible.database(project, host="db1", **LOGIN, api_url=f"{ansible.url}{end}")
        assert run.status == 0, run.output
    assert len(project.databases()) == 1
