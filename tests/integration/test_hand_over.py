# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipe of the AWX guide that hands the secrets of new agents over, with the real modules of both collections.

Vault and AWX are stood in for; see tests/vault_api.py and tests/awx_api.py.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import examples
from tests.awx_api import ADMIN, Awx
from tests.harness import Project, ansible_env
from tests.integration.conftest import Ansible, Run
from tests.vault_api import TOKEN, Vault

#: Where the session has the collections awx.awx and community.hashi_vault.
COLLECTIONS = os.environ.get("AWX_COLLECTIONS", "")
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        not COLLECTIONS or not importlib.util.find_spec("hvac"),
        reason="AWX_COLLECTIONS does not name the folder of the collections, or hvac is missing",
    ),
]

GUIDE = "docs/docsite/rst/awx.rst"
PLAYBOOK = "register_with_vault.yml"
AGENTS = "inventory/group_vars/postgres/agents.yml"
AWX_TASKS = {
    "List the agents whose secrets Vault has": "The task that lists, with AWX in place of Vault",
    "Hand the secrets over": "The task that hands over, with AWX in place of Vault",
}
LEFT_OUT = "Check that Vault could be read"
Store = dict[str, dict[str, str]]


def block(title: str) -> Any:
    """The content of the guide's block of this title."""
    (found,) = [each for each in examples.blocks(GUIDE, examples.read(GUIDE)) if each.title == title]
    return yaml.safe_load(found.text)


def with_awx(content: Any) -> Any:
    """The playbook with the tasks for AWX in the places of those for Vault."""
    if isinstance(content, list):
        return [with_awx(item) for item in content if not isinstance(item, dict) or item.get("name") != LEFT_OUT]
    if isinstance(content, dict):
        title = AWX_TASKS.get(content.get("name", ""))
        return block(title)[0] if title else {name: with_awx(item) for name, item in content.items()}
    return content


@dataclass
class Job:
    """Runs the recipe for one project, with Vault or AWX as the store."""

    ansible: Ansible
    project: Project
    vault: Vault
    awx: Awx
    store: str
    env: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        play = block(PLAYBOOK)
        self.ansible.write("job.yml", play if self.store == "vault" else with_awx(play))
        self.ansible.write(AGENTS, block(AGENTS))
        group = {"pgbeam_project_id": self.project.id}
        hosts = {"postgres": {"hosts": {"db1.example.com": {}, "db2.example.com": {}}, "vars": group}}
        self.ansible.write("inventory/hosts.yml", hosts)
        (self.ansible.home / "tmp").mkdir()
        self.awx.add(
            "credential_types",
            name="PgBeam agent",
            kind="cloud",
            inputs=block("Input configuration of PgBeam agent"),
            injectors=block("Injector configuration of PgBeam agent"),
        )

    def refuse(self, refused: bool) -> None:
        """Let the store take nothing, or take secrets again."""
        self.vault.read_only = refused
        self.awx.refused = {"POST credentials": {"detail": "No."}} if refused else {}

    def run(self, playbook: str = "job.yml", check: bool = False) -> Run:
        paths = os.pathsep.join([ansible_env("", self.ansible.home)["ANSIBLE_COLLECTIONS_PATH"], COLLECTIONS])
        env = {**self.env, "ANSIBLE_COLLECTIONS_PATH": paths, "TMPDIR": str(self.ansible.home / "tmp")}
        run = self.ansible.playbook(playbook, "-i", "inventory", "-vvvvv", "--diff", check=check, env=env)
        shown_once = [
            secrets[name] for secrets in self.stored().values() for name in ("connection_string", "mcp_token")
        ]
        self.ansible.secrets += shown_once
        self.ansible.check_secrecy(run, run.output + json.dumps(run.events), ["the job"])
        assert not list((self.ansible.home / "tmp").rglob("*.json")), "no file with secrets is left"
        return run

    def stored(self) -> Store:
        """The secrets that the store has, by the agent's name."""
        if self.store == "vault":
            return dict(self.vault.secrets)
        agents = self.awx.one("credential_types", "PgBeam agent")["id"]
        credentials = self.awx.objects["credentials"].values()
        return {each["name"]: self.awx.secrets[each["id"]] for each in credentials if each["credential_type"] == agents}

    def works(self) -> bool:
        """Whether the secrets in the store are those that the server has."""
        (agent,) = self.project.stored("agents").values()
        held = self.stored()["reporting-bot"]
        hashes = self.project.secrets("s")[agent["id"]]
        return hashes == {name: hashlib.sha256(f"s{held[name]}".encode()).hexdigest() for name in hashes}


@pytest.fixture(params=["vault", "awx"])
def job(request: pytest.FixtureRequest, ansible: Ansible, project: Project) -> Iterator[Job]:
    vault, awx = Vault(), Awx()
    ansible.secrets += [TOKEN, ADMIN]
    with ExitStack() as running:
        env = {
            "VAULT_ADDR": running.enter_context(vault.running()),
            "VAULT_TOKEN": TOKEN,
            "CONTROLLER_HOST": running.enter_context(awx.running()),
            "CONTROLLER_OAUTH_TOKEN": ADMIN,
        }
        made = Job(ansible, project, vault, awx, request.param, env)
        made.prepare()
        yield made


def test_secrets_are_handed_over_once(job: Job) -> None:
    dry = job.run(check=True)
    assert (dry.status, job.stored(), job.project.stored("agents")) == (0, {}, {}), dry.output
    first = job.run()
    assert first.status == 0, first.output
    assert job.works()
    held = job.stored()
    again = job.run()
    assert (again.status, again.writes, job.stored()) == (0, [], held), again.output
    audited = job.run("pgbeam.cloud.audit_databases")
    assert audited.status == 0, audited.output


def test_secrets_that_could_not_be_handed_over_are_rotated(job: Job) -> None:
    job.refuse(True)
    failed = job.run()
    assert (failed.status, job.stored(), len(job.project.stored("agents"))) == (2, {}, 1)
    reason = failed.result("Check that every secret was stored")["msg"]
    assert ("Permission denied" if job.store == "vault" else "No.") in reason, reason
    job.refuse(False)
    later = job.run()
    assert later.status == 0, later.output
    assert [Path(path).name for method, path in later.writes] == ["rotate"]
    assert job.works()


def test_a_run_that_fails_later_hands_over_what_it_has(job: Job) -> None:
    job.project.fault("status", status=403, code="FORBIDDEN", method="POST", path_ends="/honeytokens", times=99)
    job.ansible.write(
        "inventory/group_vars/postgres/more.yml", {"pgbeam_honeytokens": [{"relation_name": "x", "action": "kill"}]}
    )
    assert job.run().status == 2
    assert job.works()
