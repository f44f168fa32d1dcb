# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No key and no password appears anywhere: every run of these tests is searched by its runner for both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness import API_KEY, Project, Sandbox, ansible_env
from tests.integration.conftest import PASSWORD, PASSWORD_LOOKUP, Ansible

ENTRY: dict[str, Any] = {"host": "db1", "name": "orders", "username": "app", "password": PASSWORD_LOOKUP}
LOUD = "-vvvvv"


@pytest.mark.parametrize("check", [False, True], ids=["live", "check"])
@pytest.mark.parametrize("module", ["database", "databases"])
def test_success_at_the_highest_verbosity(ansible: Ansible, project: Project, module: str, check: bool) -> None:
    options: dict[str, Any] = {"project_id": project.id, "update_password": "always"}
    options.update({"databases": [ENTRY]} if module == "databases" else ENTRY)
    task = {"name": module, f"pgbeam.cloud.{module}": options}
    for dummy in range(2):
        run = ansible.play([task], LOUD, "--diff", check=check)
        assert run.result(module)["changed"] is True
        assert "(sent, not shown)" in run.output


@pytest.mark.parametrize("module", ["database", "databases"])
def test_failures_at_the_highest_verbosity(ansible: Ansible, sandbox: Sandbox, module: str) -> None:
    """A refusal that quotes the password, a lost connection, a redirect, and options that core itself refuses."""
    tasks = []
    faults: list[dict[str, Any]] = [
        {"kind": "status", "status": 400, "code": "INVALID_INPUT", "message": f"no such password: {PASSWORD}"},
        {"kind": "drop_before", "times": 9},
        {"kind": "redirect"},
        {"kind": "html", "times": 9},
    ]
    for number, fault in enumerate(faults):
        project = sandbox.project()
        project.fault(**fault, method="POST")
        options: dict[str, Any] = {"project_id": project.id, "retries": 0}
        options.update({"databases": [ENTRY]} if module == "databases" else ENTRY)
        tasks.append({"name": f"fault {number}", f"pgbeam.cloud.{module}": options, "ignore_errors": True})
    misspelled = {"name": "orders", "host": "db1", "pasword": PASSWORD_LOOKUP}
    wrong: list[dict[str, Any]] = [misspelled, {**ENTRY, "port": "many"}, {**ENTRY, "ssl_mode": "on"}]
    for number, entry in enumerate(wrong):
        options = {"project_id": "prj_1"}
        options.update({"databases": [entry]} if module == "databases" else entry)
        tasks.append({"name": f"wrong {number}", f"pgbeam.cloud.{module}": options, "ignore_errors": True})
    run = ansible.play(tasks, LOUD)
    for task in tasks:
        assert run.result(str(task["name"]))["failed"] is True
    assert "pasword" in run.result("wrong 0")["msg"]


def test_the_role_at_the_highest_verbosity(ansible: Ansible, project: Project) -> None:
    """The key and the password from variables, live and failing."""
    variables = {
        "pgbeam_project_id": project.id,
        "pgbeam_api_key": "{{ lookup('ansible.builtin.env', 'PGBEAM_API_KEY') }}",
        "pgbeam_databases": [{"name": "a", "username": "app", "password": PASSWORD_LOOKUP}],
        "pgbeam_update_password": "always",
    }
    path = ansible.write("hosts.yml", {"all": {"hosts": {"db1": variables, "db2": variables}}})
    run = ansible.playbook("pgbeam.cloud.register_databases", "-i", path, LOUD, "--diff")
    assert run.status == 0
    assert run.changed
    project.fault("status", status=400, code="INVALID_INPUT", message=f"refused: {PASSWORD}", method="PATCH", times=9)
    failed = ansible.playbook("pgbeam.cloud.register_databases", "-i", path, LOUD)
    assert "400 INVALID_INPUT: refused: " in failed.output


def test_a_secret_that_is_part_of_a_result_is_masked(ansible: Ansible, project: Project) -> None:
    """The search that spares core's masking must see a secret wherever it stands: here in a host name."""
    ansible.secrets.append("hunter2")
    entry = {"host": "db-hunter2.example.com", "name": "orders", "username": "app", "password": "hunter2"}
    path = ansible.write("vars.yml", {"entry": entry})
    task = {
        "name": "databases",
        "pgbeam.cloud.databases": {"project_id": project.id, "databases": ["{{ entry }}"]},
    }
    run = ansible.play([task], "-e", f"@{path}")
    assert run.status == 0
    assert run.result("databases")["databases"][0]["host"] == "db-********.example.com"


def test_the_sandbox_keeps_no_secret(ansible: Ansible, project: Project) -> None:
    assert ansible.database(project, **ENTRY).status == 0
    text = json.dumps(project.record())
    assert PASSWORD not in text
    assert json.dumps(PASSWORD)[1:-1] not in text
    assert API_KEY not in text


def broken_requests(folder: Path, raised: str) -> str:
    """Write a requests library whose calls raise what nobody catches, and return its place for PYTHONPATH."""
    package = folder / "broken" / "requests"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import os\n"
        "class RequestException(OSError): pass\n"
        "class Session:\n"
        "    headers = {}\n"
        f"    def request(self, *a, **k): raise {raised}\n"
    )
    return str(package.parent)


def test_an_unexpected_exception_is_told_without_its_text(ansible: Ansible, project: Project, tmp_path: Path) -> None:
    """A fault of the collection's own."""
    path = {"PYTHONPATH": broken_requests(tmp_path, "LookupError(repr((a, k, self.auth)))")}
    run = ansible.adhoc("database", f"project_id={project.id} host=a name=b", LOUD, env=path)
    assert "unexpected LookupError at __init__.py:5; this is a bug in pgbeam.cloud, please report it" in run.output


def test_a_traceback_that_was_asked_for(ansible: Ansible, project: Project, tmp_path: Path) -> None:
    """Core can be told to show tracebacks; the exception's text, which may quote a secret, is not in them."""
    raised = "LookupError(os.environ['DB_PASSWORD'] + os.environ['PGBEAM_API_KEY'])"
    env = {"PYTHONPATH": broken_requests(tmp_path, raised), "ANSIBLE_DISPLAY_TRACEBACK": "always"}
    arguments = f'project_id={project.id} host=a name=b password="{PASSWORD_LOOKUP}"'
    run = ansible.adhoc("database", arguments, LOUD, env=env)
    assert "unexpected LookupError at __init__.py:5" in run.output


@pytest.mark.parametrize("module", ["database", "databases"])
def test_what_core_logs_to_syslog(ansible: Ansible, project: Project, tmp_path: Path, module: str) -> None:
    """The system's log is stood in for by a module that writes to a file; a password in it would be escaped text."""
    log = tmp_path / "syslog.txt"
    (tmp_path / "instead").mkdir()
    (tmp_path / "instead" / "syslog.py").write_text(
        "def __getattr__(name): return 8\n"
        "def openlog(*args): pass\n"
        f"def syslog(priority, message): open({str(log)!r}, 'a').write(message)\n"
    )
    options: dict[str, Any] = {"project_id": project.id}
    options.update({"databases": [ENTRY]} if module == "databases" else ENTRY)
    path = ansible.write("play.yml", [{"hosts": "localhost", "tasks": [{f"pgbeam.cloud.{module}": options}]}])
    run = ansible.playbook(path, env={"PYTHONPATH": str(tmp_path / "instead"), "ANSIBLE_GATHERING": "explicit"})
    assert run.status == 0, run.output
    text = log.read_text()
    assert f"project_id={project.id}" in text
    assert "pw-Zq7" not in text
    assert API_KEY not in text
    assert ("databases=" in text) is False


def test_requests_is_missing(ansible: Ansible, project: Project, tmp_path: Path) -> None:
    package = tmp_path / "broken" / "requests"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('not here')\n")
    run = ansible.adhoc("database_info", f"project_id={project.id}", env={"PYTHONPATH": str(package.parent)})
    assert "Failed to import the required Python library (requests)" in run.output


def test_the_environment_of_the_tests_has_the_key() -> None:
    """Else the searches of this file would look for what no run had."""
    assert API_KEY in ansible_env("http://127.0.0.1", Path()).values()
