# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever fails: no duplicate registrations, no lost writes, no false reports."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import socket
import subprocess
import sys
import syslog
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from ansible.module_utils import basic
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible import module as ansible_module
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile import reconciler

from tests.contract import judge
from tests.faults import CASES, ENDLESS, SCENES, CaseTrial, table
from tests.faults import run as run_case
from tests.harness import API_KEY, Project, Sandbox, ansible_env
from tests.integration.conftest import PASSWORD, PASSWORD_LOOKUP, Ansible, Modules
from tests.module_runner import run_module
from tests.soak.kills import KILLED, kill_runs
from tests.soak.runs import soak
from tests.tree import ROOT

ENTRY: dict[str, Any] = {"host": "db1.example.com", "name": "orders", "username": "app", "password": PASSWORD_LOOKUP}
SCENARIOS = 36
KILLS = len(KILLED)


@pytest.mark.once
@pytest.mark.long
@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
@pytest.mark.parametrize("envelope", ["error", "problem"])
def test_the_table_of_faults(sandbox: Sandbox, envelope: str, always: bool) -> None:
    trials = [(sandbox.url, case, always, envelope) for case in CASES]
    with multiprocessing.get_context("fork").Pool(16) as pool:  # they wait more than they work
        wrong = pool.starmap(run_case, trials, chunksize=1)
    assert not any(wrong), "\n".join(itertools.chain(*wrong))


#: One of each way to end, and of each scene; once and always, in turns.
SLICE = ("GET 503", "POST 408", "POST 402", "PATCH with a password connection reset after the write", "DELETE 503",
         "POST truncated JSON", "test-connection 503", "2nd POST of a list a key that is revoked during the run",
         "PATCH after the POST of a project 503", "DELETE after the POST of a replacement 503")  # fmt: skip


def test_a_slice_of_the_table_as_ansible_runs_it(ansible: Ansible, sandbox: Sandbox) -> None:
    tasks: list[dict[str, Any]] = []
    trials: list[CaseTrial] = []
    for case in CASES:
        name = f"{case.on} {case.injected}"
        if name in SLICE:
            trial = CaseTrial.prepare(sandbox, case, always=True, envelope="problem")
            trials.append(trial)
            module = f"pgbeam.cloud.{SCENES[case.on].module}"
            tasks.append({"name": name, module: look_up_passwords(trial.options), "ignore_errors": True})
    assert len(tasks) == len(SLICE)
    settings = {"retries": 1, "retry_budget": 20, "timeout": 1}
    run = ansible.play(tasks, module_defaults={"group/pgbeam.cloud.all": settings})
    for task, trial in zip(tasks, trials):
        assert trial.wrong(run.result(task["name"])) == []


def look_up_passwords(value: Any) -> Any:
    if isinstance(value, list):
        return [look_up_passwords(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {k: PASSWORD_LOOKUP if k == "password" else look_up_passwords(v) for k, v in value.items()}


def test_a_sandbox_that_begins_with_faults() -> None:
    fault = json.dumps({"kind": "status", "status": 429, "retry_after": "7"})
    command = [sys.executable, "-m", "tests.sandbox", "--port", "0", "--project", "prj_1", "--fault", fault]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        project = Project(process.stdout.readline().strip(), "prj_1")
        first, second = project.api("GET"), project.api("GET")
        process.terminate()
    assert (first.status_code, first.headers["Retry-After"], second.status_code) == (429, "7", 200)


def test_the_sandbox_closes_connections_and_resets_them(project: Project) -> None:
    for kind, reported in (("drop_before", "RemoteDisconnected"), ("reset_before", "ConnectionResetError")):
        project.fault(kind)
        with pytest.raises(requests.ConnectionError, match=reported):
            project.api("GET")


def test_the_sandbox_adds_and_leaves_out_what_a_contract_lets_it(sandbox: Sandbox) -> None:
    project = sandbox.project(extra_fields=True, omit_zero=True, connection_test={"ok": True})
    made = project.register()
    tested = project.api("POST", f"/{made['id']}/test-connection").json()
    refused = project.api("GET", "/db_unknown").json()
    for answer in (made, made["cache_config"], made["pool_config"], tested, refused, refused["error"]):
        assert "shard" in answer
    assert {"connection_string", "pool_region"}.isdisjoint(made)


@pytest.mark.once
@pytest.mark.parametrize("module", ["database", "databases", "project", "replica", "replicas"])
def test_check_mode_fails_for_a_bad_key_as_the_live_run_does(sandbox: Sandbox, tmp_path: Path, module: str) -> None:
    """What is foreseen without asking whether it is allowed is a promise that nobody can keep."""
    entry = {"host": "db1", "name": "orders", "username": "app", "password": PASSWORD}
    options: dict[str, dict[str, Any]] = {
        "database": {"project_id": sandbox.project().id, **entry},
        "databases": {"project_id": sandbox.project().id, "databases": [entry]},
        "project": {"org_id": sandbox.organization().id, "name": "shop", "database": entry},
        "replica": {"database_id": "db_1", "host": "r1"},
        "replicas": {"database_id": "db_1", "replicas": [{"host": "r1"}]},
    }
    given = {"api_url": sandbox.url, "api_key": "not_one_of_ours", "retries": 0, **options[module]}
    foreseen, live = (run_module(module, given, tmp_path, check) for check in (True, False))
    assert (foreseen["failed"], foreseen["changed"], foreseen["error"]["status"]) == (True, False, 401)
    for result in (foreseen, live):
        result["msg"] = result["msg"].replace(result["error"].pop("request_id"), "")
    assert (foreseen["msg"], foreseen["error"]) == (live["msg"], live["error"])


def test_the_table_stands_in_the_documentation() -> None:
    assert table() in (ROOT / "docs" / "reliability.md").read_text()


@pytest.mark.once
def test_an_api_that_is_dead_ends_the_run_within_its_budget(modules: Modules, project: Project) -> None:
    """The budget is for the failures of all entries together, not for each entry."""
    project.fault("status", status=503, method="POST", times=ENDLESS)
    entries = [{**ENTRY, "name": f"db{n}"} for n in range(40)]
    run = modules.databases(project, entries, retries=2, retry_budget=4, parallel=2)
    result = run.result("databases")
    assert "would exceed retry_budget (4 s): run again later, or raise retry_budget" in result["msg"]
    assert "attempts, request req_" in result["msg"]
    assert result["summary"]["skipped"] > 20
    assert result["summary"]["failed"] + result["summary"]["skipped"] == 40


@pytest.mark.once
@pytest.mark.parametrize("listens", [True, False], ids=["silent", "not there"])
def test_an_api_that_does_not_answer_at_all(modules: Modules, project: Project, listens: bool) -> None:
    """It reports the number of attempts, and takes no longer than the budget."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if not listens:
            listener.close()
        began = time.monotonic()
        entries = [{**ENTRY, "name": f"db{n}"} for n in range(40)]
        run = modules.databases(project, entries, retries=9, retry_budget=4, timeout=1, api_url=url)
        took = time.monotonic() - began
    result = run.result("databases")
    assert result["msg"].startswith(f"GET databases of project {project.id}: ")
    assert f"({result['error']['attempts']} attempts)" in result["msg"]
    assert result["error"]["attempts"] > 1
    assert "would exceed retry_budget (4 s): run again later, or raise retry_budget" in result["msg"]
    assert took < 4 + 1 + 25, "the rest is for a busy machine; without a budget it would be minutes"


@pytest.mark.once
def test_a_rate_limit_slows_all_down_together_and_all_finish(modules: Modules, sandbox: Sandbox) -> None:
    """Of every window of a second, the API serves ten requests."""
    project = sandbox.project(requests_per_second=10)
    run = modules.databases(project, [{**ENTRY, "name": f"db{n}"} for n in range(40)], parallel=8, retries=5)
    assert run.result("databases")["msg"] == "40 created"
    assert len(project.truth()) == 40
    refused = sum(entry["status"] == 429 for entry in run.exchanges)
    assert refused < 30, "each thread alone would be refused some hundred times"


@pytest.mark.once
@pytest.mark.long
def test_random_faults(sandbox: Sandbox) -> None:
    """A slice of what ``make soak`` runs."""
    counts, bad = soak(sandbox.url, range(SCENARIOS), batch=SCENARIOS // 3, workers=3)
    assert not bad, bad
    assert counts["scenarios, each an item of a loop"] == SCENARIOS


@pytest.mark.once
@pytest.mark.long
def test_runs_that_are_killed(sandbox: Sandbox) -> None:
    """A slice of what ``make soak`` runs."""
    counts, wrong = kill_runs(sandbox.url, KILLS, seed=1, workers=KILLS)
    assert not wrong, wrong
    assert counts.total() == KILLS


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
    judge(project.record())


def test_two_runs_at_once_on_one_machine(ansible: Ansible, sandbox: Sandbox) -> None:
    project = sandbox.project(latency_ms=50)
    _both(ansible, project, [ansible.home, ansible.home])
    assert len(project.truth()) == 12
    assert len(project.writes()) == 12


def test_duplicates_are_reported_and_can_be_deleted(modules: Modules, project: Project) -> None:
    """Two machines can create duplicates: the server keeps both, and every later run reports them and the remedy."""
    first, second = (project.register(name="orders", username="app")["id"] for dummy in range(2))
    reported = f"2 times in PgBeam ({', '.join(sorted([first, second]))})"
    for result in (
        modules.database(project, **ENTRY).result("database"),
        modules.databases(project, [ENTRY]).result("databases"),
    ):
        assert reported in result["msg"]
        assert "state: absent" in result["msg"]
    info = modules.play([{"name": "info", "pgbeam.cloud.database_info": {"project_id": project.id}}])
    assert reported in " ".join(info.output.split())
    assert len(info.result("info")["databases"]) == 2
    assert modules.database(project, id=second, state="absent").result("database")["action"] == "deleted"
    assert modules.databases(project, [ENTRY], prune=True).result("databases")["msg"] == "1 unchanged"


def test_a_long_run_reports_progress_to_the_log_and_the_terminal(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every few seconds; here at each entry. Both are stood in for, as the machine that tests may have no log."""
    project = sandbox.project()
    log, terminal = tmp_path / "log", tmp_path / "terminal"
    monkeypatch.setattr(ansible_module, "SHOW", lambda text: print(text, file=terminal.open("a")))
    monkeypatch.setattr(reconciler, "PROGRESS_SECONDS", 0)
    monkeypatch.setattr(syslog, "syslog", lambda level, text: print(text, file=log.open("a")))
    monkeypatch.setattr(basic, "has_journal", False)
    entries = [{**ENTRY, "name": f"db{n}", "password": PASSWORD} for n in range(5)]
    options = {"project_id": project.id, "api_url": sandbox.url, "api_key": API_KEY, "databases": entries}
    assert run_module("databases", options, tmp_path)["msg"] == "5 created"
    lines = [f"{n} of 5 databases of project {project.id}" for n in range(1, 6)]
    assert terminal.read_text().splitlines() == lines
    assert [line in log.read_text() for line in lines] == [True] * 5
    assert PASSWORD not in log.read_text()
    before = log.read_text()
    hidden = {"project_id": sandbox.project().id, "_ansible_no_log": True}
    assert run_module("databases", {**options, **hidden}, tmp_path)["msg"] == "5 created"
    assert (log.read_text(), terminal.read_text().splitlines()) == (before, lines)
