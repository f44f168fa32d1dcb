# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever goes wrong: no registration is made twice, none is lost from view, and nothing is said that is not so."""

from __future__ import annotations

import subprocess
import syslog
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible_collections.pgbeam.cloud.plugins.module_utils import _run

from tests.faults import CASES, ENDLESS, table
from tests.forked import run_module
from tests.harness import API_KEY, Project, Sandbox, ansible_env
from tests.integration.conftest import PASSWORD, PASSWORD_LOOKUP, Ansible
from tests.soak import kill_runs, soak
from tests.tree import ROOT

ENTRY: dict[str, Any] = {"host": "db1.example.com", "name": "orders", "username": "app", "password": PASSWORD_LOOKUP}
SCENARIOS = 60
KILLS = 6


@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
@pytest.mark.parametrize("envelope", ["error", "problem"])
def test_the_table_of_faults(ansible: Ansible, sandbox: Sandbox, envelope: str, always: bool) -> None:
    tasks: list[dict[str, Any]] = []
    projects: list[Project] = []
    for case in CASES:
        project = sandbox.project(envelope=envelope, extra_fields=always, empty_pages=not always)
        project.fault(**case.fault, method=case.on, times=ENDLESS if always else 1)
        options = {"project_id": project.id, "retries": 1, "retry_budget": 20, "timeout": 1, **ENTRY}
        name = f"{case.on} {case.injected}"
        tasks.append({"name": name, "pgbeam.cloud.database": options, "ignore_errors": True})
        projects.append(project)
    run = ansible.play(tasks)
    for case, task, project in zip(CASES, tasks, projects):
        result, there = run.result(task["name"]), project.truth()
        fails = case.always_fails if always else case.once_fails
        assert result.get("failed", False) is fails, (case.injected, result.get("msg"))
        if not fails:
            assert (result["action"], list(there)) == ("created", [result["database"]["id"]]), case.injected
            continue
        assert there == {}, case.injected
        target = (
            f"database orders on {ENTRY['host']}:5432" if case.on == "POST" else f"databases of project {project.id}"
        )
        assert result["msg"].startswith(f"{case.on} {target}: "), case.injected
        if always:
            for part in case.reads:
                assert part in result["msg"], case.injected
        error = result["error"]
        assert (error["method"], error["path"]) == (case.on, project.path), case.injected
        assert error["attempts"] == (2 if "2 attempts" in result["msg"] else 1), case.injected
        if error["status"] is not None:
            assert error["request_id"] in {entry["request_id"] for entry in project.record()}, case.injected


def test_the_table_stands_in_the_documentation() -> None:
    assert table() in (ROOT / "docs" / "reliability.md").read_text()


@pytest.mark.once
def test_an_api_that_is_dead_ends_the_run_within_its_budget(ansible: Ansible, project: Project) -> None:
    """The budget is for the failures that all entries meet, not for each entry anew."""
    project.fault("status", status=503, method="POST", times=ENDLESS)
    entries = [{**ENTRY, "name": f"db{n}"} for n in range(40)]
    run = ansible.databases(project, entries, retries=2, retry_budget=4, parallel=2)
    result = run.result("databases")
    assert "would pass retry_budget (4 s): run again later, or raise retry_budget" in result["msg"]
    assert "attempts, request req_" in result["msg"]
    assert result["summary"]["skipped"] > 20
    assert result["summary"]["failed"] + result["summary"]["skipped"] == 40


@pytest.mark.once
def test_a_rate_limit_slows_all_down_together_and_all_finish(ansible: Ansible, sandbox: Sandbox) -> None:
    """Of every window of a second, the API serves five requests."""
    project = sandbox.project(requests_per_second=5)
    run = ansible.databases(project, [{**ENTRY, "name": f"db{n}"} for n in range(40)], parallel=8, retries=5)
    assert run.result("databases")["msg"] == "40 created"
    assert len(project.truth()) == 40
    refused = sum(entry["status"] == 429 for entry in run.exchanges)
    assert refused < 30, "each thread alone would be refused some hundred times"


@pytest.mark.once
def test_random_faults(sandbox: Sandbox) -> None:
    """A slice of what ``make soak`` runs."""
    counts, bad = soak(sandbox.url, range(SCENARIOS), workers=4)
    assert not bad, bad
    assert counts["scenarios"] == SCENARIOS


def test_runs_that_are_killed(sandbox: Sandbox) -> None:
    """A slice of what ``make soak`` runs."""
    assert kill_runs(sandbox, KILLS, seed=1) == []


def _both(ansible: Ansible, project: Project, homes: list[Path]) -> None:
    """Run one inventory twice at the same time and see that both end with a result of their own."""
    entries = [{**ENTRY, "name": f"db{n}"} for n in range(12)]
    task = {"pgbeam.cloud.databases": {"project_id": project.id, "databases": entries}}
    play = ansible.write("both.yml", [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}])
    runs = []
    for home in homes:
        home.mkdir(exist_ok=True)
        env = ansible_env(project.url, home, DB_PASSWORD=PASSWORD)
        runs.append(subprocess.Popen(["ansible-playbook", play], env=env, stdout=subprocess.PIPE, text=True))
    for run in runs:
        output = run.communicate(timeout=120)[0]
        assert run.returncode == 0, output


def test_two_runs_at_once_on_one_machine(ansible: Ansible, sandbox: Sandbox) -> None:
    project = sandbox.project(latency_ms=50)
    _both(ansible, project, [ansible.home, ansible.home])
    assert len(project.truth()) == 12
    assert len(project.writes()) == 12


def test_twins_are_named_and_can_be_removed(ansible: Ansible, project: Project) -> None:
    """What two machines at once can make: the server keeps both, and every later run says which and what to do."""
    first, second = (project.register(name="orders", username="app")["id"] for dummy in range(2))
    told = f"in PgBeam 2 times ({', '.join(sorted([first, second]))})"
    for result in (
        ansible.database(project, **ENTRY).result("database"),
        ansible.databases(project, [ENTRY]).result("databases"),
    ):
        assert told in result["msg"]
        assert "state=absent" in result["msg"]
    info = ansible.play([{"name": "info", "pgbeam.cloud.database_info": {"project_id": project.id}}])
    assert told in " ".join(info.output.split())
    assert len(info.result("info")["databases"]) == 2
    assert ansible.database(project, id=second, state="absent").result("database")["action"] == "deleted"
    assert ansible.databases(project, [ENTRY], prune=True).result("databases")["msg"] == "1 unchanged"


def test_a_long_run_tells_the_systems_log_how_far_it_is(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every ten seconds; here at each entry. The log is stood in for, as the machine that tests may have none."""
    project = sandbox.project()
    log = tmp_path / "log"
    monkeypatch.setattr(_run, "PROGRESS_SECONDS", 0)
    monkeypatch.setattr(syslog, "syslog", lambda level, text: print(text, file=log.open("a")))
    monkeypatch.setattr(basic, "has_journal", False)
    entries = [{**ENTRY, "name": f"db{n}", "password": PASSWORD} for n in range(5)]
    options = {"project_id": project.id, "api_url": sandbox.url, "api_key": API_KEY, "databases": entries}
    assert run_module("databases", options, tmp_path)["msg"] == "5 created"
    told = log.read_text()
    assert [f"{n} of 5 databases of {project.id} are done" in told for n in range(1, 6)] == [True] * 5
    assert PASSWORD not in told
