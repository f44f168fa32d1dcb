# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as AWX runs them: ansible-runner, the credential as environment, events read back, slices of an inventory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests import examples
from tests.harness import API_KEY, Project, Sandbox, ansible_env
from tests.integration.conftest import PASSWORD, PASSWORD_LOOKUP, Ansible
from tests.tree import ROOT

#: Where a job's environment has the collection awx.awx, for the playbook that configures AWX.
AWX = os.environ.get("AWX_COLLECTIONS", "")


def job(folder: Path, sandbox: Sandbox, playbook: str, inventory: Any, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a playbook as an AWX job would. Returns the status, and the events that AWX would show."""
    (folder / "project").mkdir(parents=True)
    (folder / "project" / "job.yml").write_text(f"- ansible.builtin.import_playbook: pgbeam.cloud.{playbook}\n")
    (folder / "inventory").mkdir()
    (folder / "inventory" / "hosts.json").write_text(json.dumps(inventory))
    (folder / "env").mkdir()
    (folder / "env" / "cmdline").write_text(" ".join(["-v", *words]))
    home = folder / "home"
    home.mkdir()
    command = [sys.executable, "-m", "ansible_runner", "run", str(folder), "-p", "job.yml", "--ident", "1"]
    env = ansible_env(sandbox.url, home, DB_PASSWORD=PASSWORD)
    with sandbox.watched():
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    artifacts = folder / "artifacts" / "1"
    events = [json.loads(file.read_text()) for file in sorted((artifacts / "job_events").glob("*.json"))]
    # ansible-runner writes the environment into this file; AWX shows the injected variables starred out.
    texts = [file for file in artifacts.rglob("*") if file.is_file() and file.name != "command"]
    for secret in (API_KEY, PASSWORD, json.dumps(PASSWORD)[1:-1]):
        assert secret not in done.stdout + done.stderr
        assert not [file for file in texts if secret in file.read_text(errors="replace")]
    return done.returncode, events


def inventory(project: Project, hosts: list[str], **variables: Any) -> Any:
    entry = {"name": "orders", "username": "app", "password": PASSWORD_LOOKUP}
    shared = {"pgbeam_project_id": project.id, "pgbeam_databases": [entry], **variables}
    return {"all": {"hosts": dict.fromkeys(hosts), "vars": shared}}


class PlaybookLoader(yaml.SafeLoader):
    """Reads what a playbook marks with ``!unsafe`` as the text that it is."""

    def unsafe(self, node: yaml.ScalarNode) -> Any:
        return self.construct_scalar(node)


PlaybookLoader.add_constructor("!unsafe", PlaybookLoader.unsafe)


def configured(module: str) -> list[dict[str, Any]]:
    """What the playbook that configures AWX gives this module of awx.awx, task by task."""
    text = (ROOT / "playbooks" / "awx" / "configure.yml").read_text()
    (play,) = yaml.load(text, PlaybookLoader)
    return [task[f"awx.awx.{module}"] for task in play["tasks"] if f"awx.awx.{module}" in task]


def said(events: list[dict[str, Any]]) -> str:
    return "\n".join(event.get("stdout", "") for event in events)


def test_a_job_registers_and_another_audits(sandbox: Sandbox, project: Project, tmp_path: Path) -> None:
    hosts = inventory(project, ["db1", "db2"])
    status, events = job(tmp_path / "check", sandbox, "register_databases", hosts, "--check", "--diff")
    assert (status, project.truth()) == (0, {})
    assert "(sent, not shown)" in said(events)
    status, events = job(tmp_path / "audit", sandbox, "audit_databases", hosts, "--diff")
    assert status == 2
    assert "2 drifted: orders on db1:5432 is declared but not registered" in said(events)
    status, events = job(tmp_path / "run", sandbox, "register_databases", hosts, "--diff")
    assert status == 0
    assert f"{project.id}: 2 created" in said(events)
    (stats,) = [event["event_data"] for event in events if event["event"] == "playbook_on_stats"]
    assert stats["changed"] == {"db1": 1}
    assert job(tmp_path / "again", sandbox, "audit_databases", hosts)[0] == 0


def test_two_slices_side_by_side(sandbox: Sandbox, project: Project, tmp_path: Path) -> None:
    """AWX gives each slice a part of the hosts, at the same time and in containers of their own."""
    slices = [["db1", "db3"], ["db2", "db4"]]
    outcomes: dict[int, int] = {}

    def run(number: int) -> None:
        folder = tmp_path / f"slice{number}"
        outcomes[number] = job(folder, sandbox, "register_databases", inventory(project, slices[number]))[0]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {0: 0, 1: 0}
    assert sorted(row["host"] for row in project.truth().values()) == ["db1", "db2", "db3", "db4"]


def test_a_slice_that_prunes_would_delete_what_the_others_have(
    sandbox: Sandbox, project: Project, tmp_path: Path
) -> None:
    """What the documentation warns of: nothing in a slice shows that there are others."""
    job(tmp_path / "all", sandbox, "register_databases", inventory(project, ["db1", "db2"]))
    hosts = inventory(project, ["db1"], pgbeam_prune=True)
    status, events = job(tmp_path / "slice", sandbox, "register_databases", hosts, "--check")
    assert status == 0
    assert f"{project.id}: 1 deleted, 1 unchanged in check mode" in said(events)


def test_the_template_that_can_prune_is_not_sliced() -> None:
    templates = configured("job_template")
    assert [template["job_slice_count"] for template in templates] == [1, 1]
    assert "ask_job_slice_count_on_launch" not in {name for template in templates for name in template}


def test_the_credential_type_is_the_same_wherever_it_is_shown() -> None:
    (made,) = configured("credential_type")
    for page, titles in (
        ("docs/docsite/rst/awx.rst", ("Input configuration", "Injector configuration")),
        ("README.md", ("# input configuration",)),
    ):
        shown: dict[str, Any] = {}
        for block in examples.blocks(page, examples.read(page)):
            shown |= yaml.safe_load(block.text) if block.title in titles else {}
        assert shown == {**made["inputs"], **made["injectors"]}, page


def test_the_guide_names_what_the_playbook_makes() -> None:
    guide = examples.read("docs/docsite/rst/awx.rst")
    for module in ("credential_type", "credential", "execution_environment", "job_template", "schedule"):
        for made in configured(module):
            assert f"*{made['name']}*" in guide


class Controller(ThreadingHTTPServer):
    """As much of AWX's API as its modules need: collections of objects that are found by name."""

    KNOWN = ("organizations", "projects", "inventories", "credentials")

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ControllerHandler)
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.writes: list[str] = []
        for kind, name in zip(self.KNOWN, ("Default", "databases", "fleet", "Vault")):
            self.add(kind, {"name": name})

    def add(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        items = self.objects.setdefault(kind, [])
        number = len(items) + 1
        url = f"/api/v2/{kind}/{number}/"
        related = {name: f"{url}{name}/" for name in ("credentials", "survey_spec", "labels", "instance_groups")}
        items.append({"id": number, "url": url, "type": kind.rstrip("s"), "related": related, **body})
        return items[-1]

    @contextmanager
    def running(self) -> Iterator[str]:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{self.server_address[1]}"
        finally:
            self.shutdown()
            self.server_close()


class _ControllerHandler(BaseHTTPRequestHandler):
    server: Controller

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        place = urlsplit(self.path)
        parts = place.path.strip("/").split("/")[2:]
        body = json.loads(sent) if sent else {}
        status, answer = 200, self._found(parts, parse_qs(place.query))
        if self.command != "GET":
            self.server.writes.append(f"{self.command} {'/'.join(parts)}")
        if self.command == "POST":
            owner = self.server.objects[parts[0]][int(parts[1]) - 1] if len(parts) > 1 else None
            if owner is None:
                status, answer = 201, self.server.add(parts[0], body)
            elif parts[2] == "survey_spec":
                owner["survey_spec"] = body
            else:
                owner.setdefault(f"of {parts[2]}", []).append(self.server.objects[parts[2]][body["id"] - 1])
                status, answer = 204, None
        self.send_response(status)
        content = json.dumps(answer).encode() if answer is not None else b""
        self.send_header("Content-Type", "application/json")
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _found(self, parts: list[str], query: dict[str, list[str]]) -> Any:
        if not parts or parts == ["ping"]:
            return {"version": "24.6.1"}
        kind = "job_templates" if parts[0] == "unified_job_templates" else parts[0]
        items = self.server.objects.get(kind, [])
        if len(parts) > 2:
            owner = items[int(parts[1]) - 1]
            if parts[2] == "survey_spec":
                return owner.get("survey_spec", {})
            items = owner.get(f"of {parts[2]}", [])
        elif len(parts) == 2:
            return items[int(parts[1]) - 1]
        name = query.get("name", [None])[0]
        found = [item for item in items if name in (None, item.get("name"))]
        return {"count": len(found), "results": found, "next": None}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the parent's name for it
        pass


for _method in ("GET", "POST", "PATCH", "DELETE"):
    setattr(_ControllerHandler, f"do_{_method}", _ControllerHandler._answer)


def controlled(url: str, home: Path, **extra: str) -> dict[str, str]:
    """What the environment of a run that configures AWX has beside that of every run."""
    return {
        "ANSIBLE_COLLECTIONS_PATH": f"{ansible_env('', home)['ANSIBLE_COLLECTIONS_PATH']}{os.pathsep}{AWX}",
        "CONTROLLER_HOST": url,
        "CONTROLLER_OAUTH_TOKEN": "token",
        **extra,
    }


CONFIGURE = ["pgbeam.cloud.awx.configure", "-e", "awx_project=databases", "-e", "awx_inventory=fleet"]
needs_awx = pytest.mark.skipif(not AWX, reason="AWX_COLLECTIONS does not say where the collection awx.awx is")


@needs_awx
def test_the_playbook_that_configures_awx(ansible: Ansible) -> None:
    """The real modules of awx.awx, against as much of a controller as they need."""
    controller = Controller()
    with controller.running() as url:
        env = controlled(url, ansible.home)
        words = [*CONFIGURE, "-e", "awx_image=example.com/ee", "-e", "awx_vault_credential=Vault"]
        run = ansible.playbook(*words, env=env)
        assert run.status == 0, run.output
        made = {kind: [item["name"] for item in items] for kind, items in controller.objects.items()}
        before = len(controller.writes)
        assert ansible.playbook(*words, env=env).status == 0
    assert made["credential_types"] == ["PgBeam"]
    assert made["credentials"] == ["Vault", "PgBeam"]
    assert made["job_templates"] == ["Register the databases with PgBeam", "Audit the databases of PgBeam"]
    assert made["schedules"] == ["Audit the databases of PgBeam every night"]
    (kind,) = controller.objects["credential_types"]
    assert kind["injectors"]["env"] == {"PGBEAM_API_KEY": "{{ api_key }}", "PGBEAM_API_URL": "{{ api_url }}"}
    assert controller.objects["credentials"][1]["inputs"]["api_key"] == API_KEY
    register, audit = controller.objects["job_templates"]
    assert register["ask_job_type_on_launch"] is True
    assert {item["name"] for item in register["of credentials"]} == {"PgBeam", "Vault"}
    questions = [[question["variable"] for question in each["survey_spec"]["spec"]] for each in (register, audit)]
    assert questions == [["pgbeam_hosts", "pgbeam_test_connection"], ["pgbeam_hosts"]]
    required = [question["required"] for question in audit["survey_spec"]["spec"]]
    assert required == [False], "AWX would refuse the schedule, which gives no answers"
    assert not [write for write in controller.writes[before:] if write.startswith("POST")], "nothing is made twice"


@needs_awx
def test_without_a_key_the_playbook_that_configures_awx_wants_the_credential(ansible: Ansible) -> None:
    controller = Controller()
    with controller.running() as url:
        env = controlled(url, ansible.home, PGBEAM_API_KEY="")
        run = ansible.playbook(*CONFIGURE, env=env)
        assert run.status == 2
        stopped = run.result("Have the template that registers")
        assert "returned 0 items, expected 1" in stopped["msg"], "the guide quotes it"
        assert "job_templates" not in controller.objects
        controller.add("credentials", {"name": "PgBeam"})
        assert ansible.playbook(*CONFIGURE, env=env).status == 0
    assert len(controller.objects["job_templates"]) == 2
