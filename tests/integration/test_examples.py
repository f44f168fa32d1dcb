# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the documentation is run as its reader would, from the top of the page to its end."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.agent_usage import AGENT_USAGE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.anomaly import ANOMALY
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.approval import APPROVAL
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.usage import USAGE

from generate.modules import modules
from tests import examples
from tests.examples import Block, Command
from tests.harness import API_KEY, Organization, Project, Sandbox, ansible_env
from tests.integration.conftest import PASSWORD, Ansible, Run
from tests.samples import create, sample, whole
from tests.tree import ROOT

pytestmark = [pytest.mark.once, pytest.mark.long]

REGISTER = "pgbeam.cloud.register_databases"
VAULT_KEY = "vault-key"
IMPORTS = ("import_playbook", "ansible.builtin.import_playbook")
#: What the role leaves behind.
RESULTS = ("pgbeam_result", "pgbeam_project_result", "pgbeam_replica_results")

#: By page and title, or the first words of a command: what is not run, and why.
NOT_RUN = {
    ("docs/docsite/rst/awx.rst", "Input configuration"): "AWX reads it, not Ansible",
    ("docs/docsite/rst/awx.rst", "Injector configuration"): "AWX reads it, not Ansible",
    **{
        ("docs/docsite/rst/awx.rst", f"{title} configuration of PgBeam agent"): "AWX reads it, not Ansible"
        for title in ("Input", "Injector")
    },
    **{
        ("docs/docsite/rst/awx.rst", title): "test_hand_over.py runs it, with stand-ins of Vault and AWX"
        for title in (
            "register_with_vault.yml",
            "The task that lists, with AWX in place of Vault",
            "The task that hands over, with AWX in place of Vault",
        )
    },
    ("docs/docsite/rst/awx.rst", "execution-environment.yml"): "it is the repository's, which the session awx reads",
    ("docs/docsite/rst/awx.rst", "ansible-playbook pgbeam.cloud.awx.configure"): "test_configure_awx.py runs it",
}


@dataclass(frozen=True)
class Given:
    """What the reader of a page has before its first example."""

    #: Registrations that exist before, by their id on the page.
    registered: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: What PgBeam has seen of the queries to its registrations, by the hash that the page has for each.
    queries: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Variables of the examples that are no whole play.
    variables: dict[str, Any] = field(default_factory=dict)
    #: Replacements of texts of the page that cannot be used here; {home} is the directory of the page.
    replaced: dict[str, str] = field(default_factory=dict)
    #: The members of the page's organizations, each with a role.
    members: dict[str, str] = field(default_factory=dict)
    #: How the page's projects behave; see tests/sandbox/models.py.
    settings: dict[str, Any] = field(default_factory=dict)
    #: The entries of the read-only lists of these projects, by the key of the list.
    seeded: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


CONNECTED = {"ok": True, "latency_ms": 9.5, "server_version": "17.2"}
ORDERS = {"host": "db1.example.com", "name": "orders"}
LOGIN = {"username": "app", "password": PASSWORD}
COLLEAGUES = {"alex@example.com": "member", "sam@example.com": "member", "robin@example.com": "admin"}
HOSTS = ["db1.example.com", "db2.example.com"]
BY_ID = {"normalized_sql": "SELECT name, price FROM products WHERE id = $1", "recommendation": "great"}
COUNT = {"normalized_sql": "SELECT count(*) FROM products"}
GIVEN = {
    "docs/reliability.md": Given(registered={"db_2": ORDERS}),
    "docs/docsite/rst/adopting.rst": Given(
        registered={
            "db_orders": {**ORDERS, "ssl_mode": "prefer"},
            "db_invoices": {"host": "db1.example.com", "name": "invoices", "ssl_mode": "prefer"},
            "db_orders2": {"host": "db2.example.com", "name": "orders", "ssl_mode": "prefer"},
            "db_legacy": {"host": "db0.example.com", "name": "legacy"},
            "db_first": {**ORDERS, "project": "prj_twice"},
            "db_second": {**ORDERS, "project": "prj_twice"},
        }
    ),
    "docs/docsite/rst/awx.rst": Given(replaced={"'/tmp'": "'{home}'"}),
    "docs/docsite/rst/coming_from_terraform.rst": Given(
        registered={
            "db_orders": {
                **ORDERS,
                "ssl_mode": "require",
                "cache_config": {"enabled": True, "ttl_seconds": 300, "max_entries": 10000, "swr_seconds": 30},
            }
        }
    ),
    "docs/docsite/rst/inventory_patterns.rst": Given(variables={"vault_passwords": dict.fromkeys(HOSTS, PASSWORD)}),
    "docs/docsite/rst/organization.rst": Given(
        members={"you@example.com": "owner", "alex@example.com": "member", "robin@example.com": "member"},
        replaced={
            "/etc/pgbeam/": "{home}/",
            "become: true": "become: false",
            "proxy1.example.com:": "proxy1.example.com: {{ansible_connection: local, "
            "ansible_python_interpreter: '{{{{ ansible_playbook_python }}}}'}}",
        },
    ),
    "docs/docsite/rst/monitoring.rst": Given(
        seeded={
            **{resource.plural: [whole(resource)] for resource in (ANOMALY, APPROVAL)},
            "usage": [{**whole(USAGE), "day": day} for day in ("2026-11-20", "2026-11-21")],
            "agents": whole(AGENT_USAGE)["agents"],
        }
    ),
    "docs/docsite/rst/policies_and_agents.rst": Given(
        replaced={"/etc/reporting-bot/": "{home}/reporting-", "/etc/support-bot/": "{home}/support-"}
    ),
    "docs/docsite/rst/query_caching.rst": Given(
        registered={"db_orders": ORDERS},
        queries={
            "5d41402abc4b2a76": {**BY_ID, "call_count": 128400, "avg_latency_ms": 42.5},
            "7d793037a0760186": COUNT,
        },
    ),
    "docs/docsite/rst/troubleshooting.rst": Given(settings={"plan_limit": 0}),
    "plugins/modules/cache_rule.py": Given(queries={"a1b2c3d4e5f60718": BY_ID}),
    "plugins/modules/cache_rules.py": Given(queries={"a1b2c3d4e5f60718": BY_ID, "7d793037a0760186": COUNT}),
    "plugins/modules/cache_rule_info.py": Given(queries={"a1b2c3d4e5f60718": BY_ID}),
    "plugins/modules/database.py": Given(variables={"vault_passwords": {"orders": PASSWORD, "invoices": PASSWORD}}),
    "plugins/modules/databases.py": Given(variables={"pgbeam_databases": [{**ORDERS, **LOGIN}]}),
    "plugins/modules/org_member.py": Given(members=COLLEAGUES),
    "plugins/modules/org_members.py": Given(members=COLLEAGUES),
    "plugins/modules/organization_info.py": Given(replaced={"slug: acme": "slug: org-sandbox"}),
    "plugins/modules/policies.py": Given(variables={"agent_policies": [{"name": "readers"}, {"name": "writers"}]}),
    "plugins/modules/replicas.py": Given(variables={"orders_replicas": [{"host": "replica1.example.com"}]}),
    "plugins/filter/connection_string.py": Given(
        variables={"registered": {"database": {"connection_string": "postgresql://app:YOUR_PASSWORD@h:5432/orders"}}},
        replaced={"/etc/orders": "{home}"},
    ),
}


@dataclass
class Reader:
    """Runs the examples of a page, in its own directory, against a sandbox with its projects and organizations."""

    ansible: Ansible
    page: str
    text: str
    projects: dict[str, Project]
    organizations: dict[str, Organization]
    last: Run | None = None
    #: The files with plays that no command has run yet.
    plays: list[str] = field(default_factory=list)
    #: Whether a file with variables or hosts was written since the last playbook ran.
    untried: bool = False

    def read(self) -> None:
        self.prepare()
        for block in examples.blocks(self.page, self.text):
            self._follow(block)
        for name in self.plays:
            self._play(name)
        if self.untried:
            self._run(Command(["ansible-playbook", REGISTER, "-i", "inventory"], 0))

    def lay_out(self, folder: str) -> None:
        """Write the page's files that belong to this folder, and encrypt what the page encrypts. Run nothing else."""
        self.prepare()
        for block in examples.blocks(self.page, self.text):
            if block.name and block.name.startswith(f"{folder}/"):
                self.ansible.write(block.name, block.text)
            elif block.language in ("console", "shell"):
                for command in examples.commands(block):
                    if "ansible-vault" in " ".join(command.words):
                        self._run(command)

    def prepare(self) -> None:
        """Give the reader what the page assumes."""
        given = GIVEN.get(self.page, Given())
        for scope in (*self.projects.values(), *self.organizations.values()):
            scope.settings(connection_test=CONNECTED, **given.settings)
        for organization in self.organizations.values():
            for email, role in given.members.items():
                organization.put("members", email=email, role=role)
        for placeholder, fields in given.registered.items():
            project = self.projects[fields.get("project", next(iter(self.projects)))]
            made = project.register(**{name: value for name, value in fields.items() if name != "project"})
            self.text = re.sub(rf"\b{placeholder}\b", made["id"], self.text)
        for project, (key, entries) in itertools.product(self.projects.values(), given.seeded.items()):
            project.seed(key, *entries)
        for words, instead in given.replaced.items():
            self.text = self.text.replace(words, instead.format(home=self.ansible.home))
        if self.page.startswith("plugins/modules/"):
            self._create_samples()
        for query_hash, seen in given.queries.items():
            for project in self.projects.values():
                for registration in project.databases():
                    project.see_query(registration["id"], query_hash=query_hash, **seen)
        names = sorted(set(re.findall(r"\bvault_\w+", self.text)))
        self.secrets = {name: API_KEY if name.endswith("_key") else PASSWORD for name in names}
        self.secrets.update({name: value for name, value in given.variables.items() if name in names})
        self.ansible.write(VAULT_KEY, "the-vault-key\n")
        self.ansible.write("given.json", json.dumps({**self.secrets, **given.variables}))

    def _create_samples(self) -> None:
        """Make the objects of the project that the examples of a module have by sample id, or refer to by name."""
        (block,) = examples.blocks(self.page, self.text)
        module = modules()[Path(self.page).stem]
        siblings = [f.refers_to for f in module.resource.references if f.refers_to]
        referred = [target for target in siblings if target.parent == module.resource.parent]
        for resource in {module.resource.noun: module.resource for module in modules().values()}.values():
            if not resource.path_has_parent or resource.parent != "project_id":
                continue
            if resource.computed or not resource.writable:
                continue
            identifier = str(sample(resource, resource.field("id")))
            if resource in referred or identifier in block.text:
                (project,) = self.projects.values()
                # It may exist since another one refers to it.
                found = project.pages(resource.path.format(project_id=project.id), resource.items_key)
                made = found[0] if found else create(project, resource, project.id, PASSWORD)
                self.text = self.text.replace(identifier, made["id"])

    def _follow(self, block: Block) -> None:
        if block.language == "yaml" and (self.page, block.title) not in NOT_RUN:
            self._take(block)
        elif block.language in ("console", "shell"):
            for command in examples.commands(block):
                if (self.page, " ".join(command.words[:2])) not in NOT_RUN:
                    self._run(command)
        elif block.language == "text" and self.last:
            for line in filter(None, map(str.strip, block.text.splitlines())):
                assert line in self.last.output, f"{self.page} promises {line!r}\n{self.last.output}"

    def _take(self, block: Block) -> None:
        content = yaml.safe_load(block.text)
        if block.name:
            self.ansible.write(block.name, block.text)
            if _plays(content):
                self.plays.append(block.name)
            else:
                self.untried = True
            return
        assert isinstance(content, list), f"{self.page}: this block is no play and no tasks, and names no file: {block}"
        if not _plays(content):
            content = [{"name": "Run the tasks", "hosts": "localhost", "gather_facts": False, "tasks": content}]
        self.ansible.write("unnamed.yml", content)
        self._play("unnamed.yml")

    def _play(self, name: str) -> None:
        inventory = ["-i", "inventory"] if self._path("inventory").exists() else []
        self._run(Command(["ansible-playbook", name, *inventory, "-e", "@given.json"], 0))

    def _run(self, command: Command) -> None:
        if command.words[0] == "ansible-vault" and command.words[1] in ("create", "edit"):
            name = command.words[2]
            assert self._path(name).exists() == (command.words[1] == "edit"), f"{self.page}: {command.words}"
            self._vault(name)
            return
        words = [word for word in command.words if word != "--ask-vault-pass"]
        self.last = self.ansible.command(words, {"ANSIBLE_VAULT_PASSWORD_FILE": VAULT_KEY})
        assert self.last.status == command.status, f"{self.page}: {' '.join(words)}\n{self.last.output}"
        if words[0] == "ansible-playbook":
            self.plays = [name for name in self.plays if name not in words]
            self.untried = False

    def _vault(self, name: str) -> None:
        path = self.ansible.write(name, self.secrets)
        subprocess.run(
            ["ansible-vault", "encrypt", "--vault-password-file", VAULT_KEY, path],
            cwd=self.ansible.home, env=ansible_env("", self.ansible.home), capture_output=True, check=True,
        )  # fmt: skip

    def _path(self, name: str) -> Path:
        return self.ansible.home / name


def _plays(content: Any) -> bool:
    return isinstance(content, list) and all(
        {"hosts", "ansible.builtin.import_playbook"} & set(item) for item in content
    )


def read(page: str, text: str, home: Path, sandbox: Sandbox) -> None:
    """Run the examples of the page; an assertion fails if a result differs from the page."""
    reader(page, text, home, sandbox).read()


def reader(page: str, text: str, home: Path, sandbox: Sandbox) -> Reader:
    """A reader of the page, which gets projects and organizations of its own."""
    projects = {name: sandbox.project() for name in sorted(set(re.findall(r"\bprj_\w+", text)))}
    named = sorted(set(re.findall(r"\borg_(?!id\b|member|invitation)\w+", text)))
    organizations = {name: sandbox.organization() for name in named}
    for name, scope in {**projects, **organizations}.items():
        text = re.sub(rf"\b{name}\b", scope.id, text)
    return Reader(Ansible(sandbox.url, home), page, text, projects, organizations)


@pytest.mark.parametrize("page", examples.pages())
def test_a_page(page: str, sandbox: Sandbox, tmp_path: Path) -> None:
    read(page, examples.read(page), tmp_path, sandbox)


def leads_to_awx(page: str) -> bool:
    text = examples.read(page)
    return "AWX" in text and "ansible-vault" in text


def import_as_awx(reader: Reader) -> tuple[Run, Run | None]:
    """Import a page's inventory as AWX does, without a vault password, then run a job with one.

    AWX keeps the list that the import gets, and a job's inventory is a script that prints it.
    """
    listed = ["ansible-inventory", "-i", "inventory/hosts.yml", "--list", "--export", "--output", "listed.json"]
    imported = reader.ansible.command(listed)
    if imported.status:
        return imported, None
    (reader.ansible.home / "listed.sh").write_text('#!/bin/sh\ncat "$(dirname "$0")/listed.json"\n')
    (reader.ansible.home / "listed.sh").chmod(0o755)
    return imported, reader.ansible.playbook(
        REGISTER, "-i", "listed.sh", env={"ANSIBLE_VAULT_PASSWORD_FILE": VAULT_KEY}
    )


@pytest.mark.parametrize("page", [page for page in examples.pages() if leads_to_awx(page)])
def test_awx_can_import_the_inventory(page: str, sandbox: Sandbox, tmp_path: Path) -> None:
    following = reader(page, examples.read(page), tmp_path, sandbox)
    following.lay_out("inventory")
    imported, job = import_as_awx(following)
    assert imported.status == 0 and job, imported.output
    assert "__ansible_vault" in (tmp_path / "listed.json").read_text()
    assert job.status == 0, job.output
    (project,) = following.projects.values()
    assert len(project.truth()) >= 2


def test_awx_cannot_import_a_file_that_is_encrypted_as_a_whole(sandbox: Sandbox, tmp_path: Path) -> None:
    following = reader("wrong.md", INVENTORY.replace("SSL_MODE", "require"), tmp_path, sandbox)
    following.lay_out("inventory")
    imported, job = import_as_awx(following)
    assert imported.status and not job
    assert "Attempting to decrypt but no vault secrets found" in imported.output


INVENTORY = """
```yaml
# inventory/hosts.yml
postgres:
  hosts:
    db1.example.com:
  vars:
    pgbeam_project_id: prj_1
    pgbeam_databases:
      - {name: orders, username: app, password: "{{ vault_password }}", ssl_mode: SSL_MODE}
```

```console
ansible-vault create inventory/group_vars/postgres/vault.yml
```
"""
#: A page with an error, and the message of the failure.
WRONG = {
    "value": (INVENTORY.replace("SSL_MODE", "never"), "'never' is not allowed"),
    "option of an entry": (
        INVENTORY.replace("ssl_mode: SSL_MODE", "sslmode: allow"),
        "sslmode: unknown option",
    ),
    "option of a task": (
        "```yaml\n- pgbeam.cloud.database_info:\n    project_id: prj_1\n    nam: orders\n```\n",
        "Unsupported parameters",
    ),
    "option of a command": (
        '```console\nansible localhost -m pgbeam.cloud.database_info -a "project=prj_1"\n```\n',
        "missing required arguments",
    ),
    "output": (
        "```console\nansible localhost -m ansible.builtin.ping\n```\n\n```text\n2 hosts\n```\n",
        "promises '2 hosts'",
    ),
    "file": ("```yaml\nkey: value\n```\n", "names no file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_example_fails(case: str, sandbox: Sandbox, tmp_path: Path) -> None:
    text, why = WRONG[case]
    with pytest.raises(AssertionError, match=why):
        read("wrong.md", text, tmp_path, sandbox)


def test_what_is_not_run_is_there() -> None:
    for page, words in NOT_RUN:
        blocks = examples.blocks(page, examples.read(page))
        assert any(words == block.title or block.text.startswith(f"{words} ") for block in blocks)


def test_the_execution_environment_is_that_of_the_repository() -> None:
    page = "docs/docsite/rst/awx.rst"
    (shown,) = [b.text for b in examples.blocks(page, examples.read(page)) if b.title == "execution-environment.yml"]
    assert yaml.safe_load(shown) == yaml.safe_load(examples.read("execution-environment.yml"))


#: What begins a block in the two languages, in whatever way.
MARKS = {
    "md": r"^ *```\w+$",
    "rst": r"^ *\.\. (?:code|code-block|sourcecode|literalinclude|parsed-literal)::|^(?! *\.\. ).*::$",
}


@pytest.mark.parametrize("page", [page for page in examples.pages() if not page.endswith(".py")])
def test_no_block_is_overlooked(page: str) -> None:
    text = examples.read(page)
    marks = MARKS[page.rpartition(".")[2]]
    assert len(re.findall(marks, text, re.MULTILINE)) == len(examples.blocks(page, text))


def test_the_role_has_the_variables() -> None:
    """Ansible does not report a variable that nothing reads."""
    specs = yaml.safe_load((ROOT / "roles/pgbeam/meta/argument_specs.yml").read_text())
    known = {*specs["argument_specs"]["main"]["options"], "pgbeam_hosts", *RESULTS}
    for page in examples.pages():
        for block in examples.blocks(page, examples.read(page)):
            if block.language in ("yaml", "shell", "console"):
                assert set(re.findall(r"\bpgbeam_\w+", block.text)) <= known, page
