# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that runs inside Ansible's own process does what it does in a process of its own, and leaves nothing."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.certificate import self_signed
from tests.harness import API_KEY, Organization, Project, Sandbox, handing_over
from tests.integration.conftest import PASSWORD, PASSWORD_LOOKUP, Ansible, Run
from tests.integration.scanned_ansible import ScannedAnsible
from tests.relay import Relay, port_of

Task = dict[str, Any]
FIRST: Task = {"host": "db1.example.com", "name": "orders", "username": "app", "password": PASSWORD_LOOKUP}
SECOND: Task = {"host": "db2.example.com", "name": "shop", "username": "app", "password": PASSWORD_LOOKUP}
#: Values that differ between any two runs, such as ids and timestamps.
VARIABLE = re.compile(r"\b(?:prj|db|rep|org|req)[_-][0-9a-z]+|\d{4}-\d\d-\d\dT[\d:.+Z-]+|127\.0\.0\.1:\d+|\bline \d+\b")


def every_module(organization: Organization, project: Project) -> list[Task]:
    """Tasks with every end that a module can have: each result, failure, warning and refusal, in both modes."""
    here = {"project_id": project.id}
    found = "{{ made.database.id }}"
    settings = {"org_id": organization.id, "name": "shop", "tags": ["a"], "database": FIRST}
    modules: list[tuple[str, str, Task, Task]] = [
        ("foresee", "database", {**here, **FIRST, "cache_config": {"ttl_seconds": 60}}, {"check_mode": True}),
        ("create", "database", {**here, **FIRST, "cache_config": {"ttl_seconds": 60}}, {"register": "made"}),
        ("repeat", "database", {**here, **FIRST}, {}),
        ("change", "database", {**here, **FIRST, "ssl_mode": "require", "pool_config": {"pool_size": 7}}, {}),
        ("test", "database", {**here, **FIRST, "test_connection": True}, {}),
        ("kept password", "database", {**here, **FIRST, "id": found, "username": "other"}, {}),
        ("refused", "database", {**here, "host": "db1:5432", "name": ["x"], "pool_config": {"pool_size": 0}}, {}),
        ("unknown option", "database", {**here, "pasword": "x"}, {}),
        ("missing", "databases", {**here}, {}),
        ("wrong key", "database_info", here, {"environment": {"PGBEAM_API_KEY": "no key"}}),
        ("refused key", "database_info", here, {"environment": {"PGBEAM_API_KEY": "no-key"}}),
        ("list", "databases", {**here, "databases": [FIRST, SECOND, {**SECOND, "name": "b"}], "parallel": 1}, {}),
        ("list again", "databases", {**here, "databases": [FIRST, {**SECOND, "port": 5433}], "prune": True}, {}),
        ("too much", "databases", {**here, "databases": [SECOND], "prune": True, "prune_limit": 0}, {}),
        ("replica", "replica", {"database_id": found, "host": "r1.example.com"}, {}),
        ("replicas", "replicas", {"database_id": found, "replicas": [{"host": "r2.example.com"}], "prune": True}, {}),
        ("read replicas", "replica_info", {"database_id": found}, {}),
        ("project", "project", settings, {}),
        ("projects", "project_info", {"org_id": organization.id}, {}),
        ("organizations", "organization_info", {"id": organization.id}, {}),
        ("regions", "region_info", {}, {}),
        ("hidden", "database", {**here, **SECOND, "ssl_mode": "disable"}, {"no_log": True}),
        ("looped", "database", {**here, **FIRST, "name": "{{ item }}"}, {"loop": ["orders", "new", ["x"]]}),
        ("later", "database_info", here, {"until": "seen.databases | length > 9", "register": "seen", "retries": 1,
                                          "delay": 0}),
        ("away", "database", {"id": found, "state": "absent"}, {}),
        ("gone", "database", {"id": "{{ made.database.id }}", "state": "absent"}, {}),
    ]  # fmt: skip
    return [{"name": name, f"pgbeam.cloud.{module}": options, **words} for name, module, options, words in modules]


class Seen:
    """Return the output of one run, with the same placeholders for the same values in every run."""

    def __init__(self, run: Run, log: str, home: Path) -> None:
        names: dict[str, str] = {}

        def named(value: Any) -> Any:
            text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            text = text.replace(str(home), "<home>")
            return VARIABLE.sub(lambda found: names.setdefault(found[0], f"<{len(names)}>"), text)

        self.status = run.status
        self.requests = [named([e["method"], e["path"], e["query"], e["body"], e["status"]]) for e in run.exchanges]
        self.results = {f"{e['task']} {e['status']}": json.loads(named(e["result"])) for e in run.events}
        self.printed = named(run.output)
        self.logged = [named(line) for line in log.splitlines()]


def test_results_warnings_logs_and_requests(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for way in ("inside", "handed over"):
        if way == "handed over":
            monkeypatch.setenv("TESTS_HANDED_OVER", "1")
        elif "TESTS_HANDED_OVER" in os.environ:
            monkeypatch.delenv("TESTS_HANDED_OVER")
        organization, project = sandbox.organization(), sandbox.project(connection_test={"ok": False, "error": "x"})
        project.fault("headers", headers={"Sunset": "Sat, 31 Jan 2037 23:59:59 GMT"}, path_ends="replicas", times=9)
        project.fault("status", path_ends="databases", method="POST", skip=3, status=409, code="CONFLICT")
        ansible = ScannedAnsible(sandbox.url, tmp_path / way / "home", [PASSWORD, API_KEY])
        ansible.extra = {"PYTHONPATH": ansible.log_to_file(journal=False), "PGBEAM_API_KEY": API_KEY}
        run = ansible.play(every_module(organization, project), "--diff", "-v", ignore_errors=True)
        log = (ansible.home / "system.log").read_text()
        assert PASSWORD not in log
        seen.append(Seen(run, log, ansible.home.parent))
    inside, over = seen
    assert inside.results.keys() == over.results.keys()
    for task, result in over.results.items():
        assert inside.results[task] == result, task
    assert (inside.requests, inside.status) == (over.requests, over.status)
    assert inside.logged == over.logged and len(over.logged) > len(over.results) / 2
    assert inside.printed == over.printed


def test_a_loop_keeps_its_connection(ansible: Ansible, tmp_path: Path) -> None:
    """TLS is negotiated once for the loop, by one that creates and by one that finds all as it should be."""
    certificate = self_signed(tmp_path)
    with Sandbox.start("prj_tls", certificate=certificate) as sandbox, Relay.start(to=port_of(sandbox)) as relay:
        url = f"https://127.0.0.1:{relay.port}"
        options = {**FIRST, "project_id": "prj_tls", "name": "{{ item }}", "api_url": url, "ca_path": str(certificate)}
        task = {"name": "loop", "pgbeam.cloud.database": options, "loop": ["a", "b", "c", "d"]}
        first = ansible.play([task]).results("loop")
        connections = relay.connections
        again = ansible.play([task]).results("loop")
    assert [[r["action"] for r in results] for results in (first, again)] == [["created"] * 4, ["unchanged"] * 4]
    if not handing_over():
        assert (connections, relay.connections) == (1, 2)


def test_no_item_of_a_loop_knows_of_another(ansible: Ansible, sandbox: Sandbox, tmp_path: Path) -> None:
    """Items with keys, URLs, environments, check modes, warnings and locks of their own, in one process."""
    certificate = self_signed(tmp_path)
    project = sandbox.project()
    project.fault("headers", headers={"Sunset": "Sat, 31 Jan 2037 23:59:59 GMT"})
    with (
        Sandbox.start(project.id, certificate=certificate) as other,
        Relay.start(to=port_of(sandbox)) as near,
        Relay.start(to=port_of(other)) as far,
    ):
        near_url, far_url = f"http://127.0.0.1:{near.port}", f"https://127.0.0.1:{far.port}"
        trust = {"REQUESTS_CA_BUNDLE": str(certificate)}
        items: list[dict[str, Any]] = [
            {"name": "warned", "url": near_url, "env": {"PGBEAM_API_KEY": "pbu_first"}},
            {"name": "own key", "url": near_url},
            {"name": "foreseen", "url": near_url, "env": {"PGBEAM_API_KEY": "pbu_third"}, "check": True},
            {"name": "foreseen", "url": near_url},
            {"name": "unverified", "url": far_url, "verify": False},
            {"name": "verified", "url": far_url},
            {"name": "trusted", "url": far_url, "env": trust},
            {"name": "trusted no more", "url": far_url},
        ]
        options = {
            **FIRST,
            "project_id": project.id,
            "name": "{{ item.name }}",
            "api_url": "{{ item.url }}",
            "validate_certs": "{{ item.verify | default(true) }}",
            "retry_budget": 5,
        }
        task = {
            "name": "loop",
            "pgbeam.cloud.database": options,
            "loop": items,
            "environment": "{{ item.env | default({}) }}",
            "check_mode": "{{ item.check | default(false) }}",
            "ignore_errors": True,
        }
        run = ansible.play([task])
    ends = [result.get("action") or result["error"]["code"] for result in run.results("loop")]
    assert ends == ["created"] * 5 + ["TLS", "created", "TLS"]
    assert run.output.count("deprecated operations of PgBeam") == 1
    keys = re.findall(rb"Bearer (\S+)", bytes(near.seen))
    own = API_KEY.encode()
    assert keys == [b"pbu_first"] * 2 + [own] * 2 + [b"pbu_third"] + [own] * 2


def test_a_task_that_runs_out_of_time(ansible: Ansible, sandbox: Sandbox) -> None:
    """Calls in flight end, no others start, and the next run waits for it: nothing is created twice."""
    project = sandbox.project(latency_ms=400)
    entries = [{**FIRST, "name": f"db{number}"} for number in range(12)]
    databases = {"project_id": project.id, "databases": entries, "parallel": 2}
    tasks: list[dict[str, Any]] = [
        {"name": "short", "pgbeam.cloud.databases": databases, "timeout": 2, "ignore_errors": True},
        {"name": "then", "pgbeam.cloud.databases": {**databases, "parallel": 12}},
    ]
    run = ansible.play(tasks)
    assert re.search(r"[Tt]imed out after 2 second|expected time frame \(2\)", run.result("short")["msg"])
    assert run.result("then")["summary"]["failed"] == 0
    assert sorted(item["name"] for item in project.databases()) == sorted(entry["name"] for entry in entries)
    if not handing_over():  # core lets a process of its own go on
        assert 0 < run.result("then")["summary"]["unchanged"] < 12


def test_a_list_reports_its_progress(ansible: Ansible, sandbox: Sandbox) -> None:
    project = sandbox.project(latency_ms=1100)
    entries = [{**FIRST, "name": f"db{number}"} for number in range(6)]
    run = ansible.databases(project, entries, parallel=1)
    assert run.result("databases")["msg"] == "6 created"
    reported = re.findall(rf"^(\d) of 6 databases of project {project.id}$", run.output, flags=re.MULTILINE)
    assert (not reported) if handing_over() else (reported and reported == sorted(set(reported)))


def test_a_localhost_of_the_inventory(ansible: Ansible, project: Project, tmp_path: Path) -> None:
    """It needs no interpreter, even if core would find one that lacks requests."""
    python = Path(ansible.write("bin/python3", "#!/bin/sh\nexit 7\n"))
    python.chmod(0o755)
    inventory = ansible.write(
        "hosts.yml", {"all": {"hosts": {"localhost": {"ansible_connection": "local"}, "db1": {}}}}
    )
    tasks: list[dict[str, Any]] = [
        {"name": "own", "pgbeam.cloud.database": {**FIRST, "project_id": project.id}},
        {"name": "delegated", "pgbeam.cloud.database_info": {"project_id": project.id}, "delegate_to": "localhost"},
    ]
    plays = [{"hosts": host, "gather_facts": False, "tasks": [task]} for host, task in zip(("localhost", "db1"), tasks)]
    path = os.pathsep.join([str(python.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    run = ansible.playbook(ansible.write("play.yml", plays), "-i", inventory, env={"PATH": path})
    assert run.status == 0, run.output
    assert run.result("own")["action"] == "created" and len(run.result("delegated")["databases"]) == 1
    assert "discovered_interpreter" not in run.output
