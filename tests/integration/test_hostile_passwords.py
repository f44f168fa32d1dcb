# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords that break things: each arrives as it is, is shown nowhere, and leaves a result that tasks can use."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.harness import Project, Sandbox
from tests.integration.conftest import NATIVE, Run
from tests.integration.scanned_ansible import KEY, ScannedAnsible, look_up
from tests.secret_scan import make_secret

HOST = "db1.example.com"
VAULT_KEY = make_secret(20, 40)
#: No other text has these in it, so everything that a run leaves is searched for them.
DISTINCT = {
    "quotes": f'it\'s "{make_secret(8, 20)}"\'"',
    "newline": f"{make_secret(8, 21)}\n{make_secret(8, 22)}\n",
    "tab": f"{make_secret(8, 23)}\t \t{make_secret(8, 24)}",
    "backslashes": f"\\\\{make_secret(8, 25)}\\n\\",
    "percent": f"%s%{make_secret(8, 26)}%25%{{{{ 7 * 7 }}}}",
    "template": f"{{{{ 7 * 7 }}}}{make_secret(8, 27)}",
    "tags": f"{make_secret(8, 28)}{{% if %}}{{# no #}}",
    "hash": f"#{make_secret(8, 29)} # no comment",
    "dollar": f"$HOME${{PATH}}`id`{make_secret(8, 30)}",
    "long": make_secret(10_000, 31),
    "accent": f"é{make_secret(8, 32)}ß",
    "emoji": f"😀{make_secret(8, 33)}👩‍👩‍👧",
    "combining": f"e\u0301{make_secret(8, 34)}o\u0323\u0302",
    "blank": f" {make_secret(8, 35)} ",
}
#: Passwords that occur in names, states and numbers of every result, and are masked in quoted texts.
COMMON = {
    "prefix": "db1.exam",
    "one": "1",
    "letter": "a",
    "true": "true",
    "created": "created",
    "unchanged": "unchanged",
    "option": "password",
    "db": "db",
    "port": "5432",
    "star": "*",
}
HOSTILE = {**DISTINCT, **COMMON}
#: Keys that core adds to the result of any task.
CORES = ("exception", "_ansible", "ansible_loop_var", "item", "failed_when_result", "ansible_facts")


@pytest.fixture
def scanned(sandbox: Sandbox, tmp_path: Path) -> ScannedAnsible:
    ansible = ScannedAnsible(sandbox.url, tmp_path / "home", printed=sandbox.log)
    ansible.secrets += [*DISTINCT.values(), VAULT_KEY]
    ansible.extra = {"ANSIBLE_PIPELINING": "true", **{f"HOSTILE_{name}": word for name, word in HOSTILE.items()}}
    return ansible


@pytest.fixture
def projects(sandbox: Sandbox) -> dict[str, Project]:
    return {name: sandbox.project() for name in HOSTILE}


def hashed(project: Project, password: str) -> str:
    return hashlib.sha256(f"{project.id}{password}".encode()).hexdigest()


def shown(result: Any, password: str, path: str = "") -> Iterator[str]:
    """Return the paths of a password in a result, except in ids and the collection's own words."""
    if isinstance(result, dict):
        for name, item in result.items():
            own = name in ("id", "project_id", "action", "changes", "method", "request_id")
            if not own and not name.startswith(CORES):
                yield from shown(item, password, f"{path}.{name}")
    elif isinstance(result, list):
        for item in result:
            yield from shown(item, password, f"{path}[]")
    elif isinstance(result, str) and password != "*":  # of which the mask itself is made
        yield from [path] if password in result else []


def hold(run: Run, projects: dict[str, Project], results: dict[str, dict[str, Any]]) -> None:
    """The run went well, every password arrived, and no result of a task that had it in its options shows it."""
    assert run.status == 0, run.output[-3000:]
    for project in projects.values():
        meant = {hashed(project, HOSTILE[name]) for name in projects if projects[name] is project}
        assert set(project.passwords(salt=project.id)) == meant
    for name in COMMON:
        # Totals are the collection's own words, which contain no secret.
        counted = re.fullmatch(r"\d+ [a-z]+(, \d+ [a-z]+)*", str(results[name].get("msg")))
        assert set(shown(results[name], COMMON[name])) <= ({".msg"} if counted else set()), name


def entry(name: str) -> dict[str, Any]:
    return {"host": HOST, "name": f"orders_{name}", "username": "app", "password": look_up(f"HOSTILE_{name}")}


def tasks_of(name: str, project: Project, module: str) -> list[dict[str, Any]]:
    """A registration, and the tasks that use what it returned."""
    one = "done.database" if module == "database" else "done.databases[0]"
    outcome = "done" if module == "database" else "done.databases[0]"
    sums = ["done.summary.created == 1", "done.summary.failed == 0"] if module == "databases" else []
    given = entry(name) if module == "database" else {"databases": [entry(name)]}
    checks = [
        f"{outcome}.action == 'created'",
        f"'password' in {outcome}.changes",
        f"{one}.port == 5432",
        "done.changed is true",
        *sums,
        f"back.databases | length == 1 and back.databases[0].id == {one}.id",
        "back.databases[0].port == 5432",
    ]
    read = {"project_id": project.id, "id": f"{{{{ {one}.id }}}}"}
    return [
        {"name": f"register {name}", f"pgbeam.cloud.{module}": {"project_id": project.id, **given}, "register": "done"},
        {"name": "read back", "pgbeam.cloud.database_info": read, "register": "back"},
        {"name": f"use {name}", "ansible.builtin.assert": {"that": checks, "quiet": True}},
    ]


@pytest.mark.once
@pytest.mark.parametrize("module", ["database", "databases"])
def test_through_a_module(scanned: ScannedAnsible, projects: dict[str, Project], module: str) -> None:
    tasks = [task for name in COMMON for task in tasks_of(name, projects[name], module)]
    if module == "database":
        for name in DISTINCT:
            tasks += tasks_of(name, projects[name], module)[:1]
    else:
        for name in DISTINCT:
            projects[name] = projects["long"]
        listed = {"project_id": projects["long"].id, "databases": [entry(name) for name in DISTINCT]}
        tasks.append({"name": "register them", "pgbeam.cloud.databases": listed})
    run = scanned.play(tasks, "-vvv", "--diff")
    hold(run, projects, {name: run.result(f"register {name}") for name in COMMON})


def test_through_the_role(scanned: ScannedAnsible, projects: dict[str, Project]) -> None:
    """From a lookup, a vaulted variable or an unsafe one; no source makes a template of a password."""
    for number, (name, password) in enumerate(HOSTILE.items()):
        source = f'"{look_up(f"HOSTILE_{name}")}"\n'
        if number % 3 == 1:
            cipher = VaultLib().encrypt(password, VaultSecret(VAULT_KEY.encode())).decode()
            source = "!vault |\n" + "".join(f"  {line}\n" for line in cipher.splitlines())
        elif number % 3 == 2 and name in DISTINCT:  # core parses unsafe text again: "true" would be a boolean
            source = f"!unsafe {json.dumps(password, ensure_ascii=False)}\n"
        scanned.write(f"inventory/host_vars/h_{name}.yml", f"secret: {source}project: {projects[name].id}\n")
    variables = {
        "pgbeam_project_id": "{{ project }}",
        "pgbeam_databases": [{"name": "orders", "host": HOST, "username": "app", "password": "{{ secret }}"}],
    }
    hosts: dict[str, Any] = {f"h_{name}": {} for name in HOSTILE}
    inventory = scanned.write("inventory/hosts.yml", {"all": {"hosts": hosts, "vars": variables}})
    role = {"name": "role", "ansible.builtin.include_role": {"name": "pgbeam.cloud.pgbeam"}}
    mine = "pgbeam_result[project]"
    checks = [
        f"{mine}.summary.created == 1 and {mine}.summary.failed == 0",
        f"{mine}.databases[0].action == 'created'",
        f"{mine}.databases[0].port == 5432",
        f"{mine}.databases[0].id is match('db_[0-9a-f]+$')",
    ]
    use = {"name": "use", "ansible.builtin.assert": {"that": checks, "quiet": True}}
    key = scanned.write("vault-key", VAULT_KEY)
    run = scanned.play([role, use], "-i", inventory, "--vault-password-file", key, "-vvv", "--diff", hosts="all")
    by_project = run.result("Ensure PgBeam matches what the hosts declare")["databases"]
    hold(run, projects, {name: by_project[project.id] for name, project in projects.items()})


#: Passwords that a template engine would evaluate, or fail on.
TEMPLATES = {
    "expression": f"{make_secret(8, 60)}{{{{ 7 * 7 }}}}{make_secret(8, 61)}",
    "closing": f"{make_secret(8, 62)}}}}}{make_secret(8, 63)}{{{{{make_secret(8, 64)}",
    "statement": f"{make_secret(8, 65)}{{%{make_secret(8, 66)}",
    "comment": f"{make_secret(8, 67)}{{#w#}}{make_secret(8, 68)}",
    "whole": f"{{{{ {make_secret(12, 69)} }}}}",
    "undefined": f"{{{{ {make_secret(12, 70)}.{make_secret(8, 71)} }}}}{{{{ omit }}}}",
    "literal": f"['{make_secret(12, 72)}', {{'a': 1}}]",
}
SOURCES = ["lookup", "vaulted", "vaulted in the entry", "unsafe", "vaulted file"]


def vaulted(text: str) -> str:
    cipher: bytes = VaultLib().encrypt(text, VaultSecret(VAULT_KEY.encode()))
    return cipher.decode()


def inline(text: str) -> str:
    return "!vault |\n" + "".join(f"  {line}\n" for line in vaulted(text).splitlines())


def host_variables(source: str, name: str) -> str:
    """The YAML of a host whose password comes from a source, which may be vaulted as a whole."""
    password = TEMPLATES[name]
    unsafe = f"!unsafe {json.dumps(password)}"
    secret = inline(password)
    values = {
        "lookup": f'secret: "{look_up(f"TEMPLATE_{name}")}"\n',
        "vaulted": f"secret: {secret}",
        "vaulted in the entry": f"secret: &secret {secret}pgbeam_database_defaults:\n  password: *secret\n",
        "unsafe": f"secret: {unsafe}\n",
        "vaulted file": vaulted(f"secret: {unsafe}\n"),
    }
    return values[source]


@pytest.mark.parametrize("native", NATIVE)
def test_no_source_makes_a_template_of_a_password(scanned: ScannedAnsible, sandbox: Sandbox, native: str) -> None:
    """Each password arrives as it is meant, and neither the role nor the audit shows one."""
    scanned.secrets += TEMPLATES.values()
    scanned.extra |= {f"TEMPLATE_{name}": password for name, password in TEMPLATES.items()}
    # Cores before 2.19 turn the text that a template returns into what it looks like, and then it is refused.
    cases = [(source, name) for source in SOURCES for name in TEMPLATES if name != "literal" or "entry" in source]
    projects = {case: sandbox.project() for case in cases}
    for number, (source, name) in enumerate(cases):
        scanned.write(f"inventory/host_vars/h{number}.yml", host_variables(source, name))
    hosts = {
        f"h{number}": {
            "pgbeam_project_id": project.id,
            "pgbeam_databases": [
                {"name": "orders", "username": "app", **({} if "entry" in case[0] else {"password": "{{ secret }}"})}
            ],
        }
        for number, (case, project) in enumerate(projects.items())
    }
    inventory = scanned.write("inventory/hosts.yml", {"all": {"hosts": hosts}})
    scanned.write("inventory/group_vars/all.yml", f"pgbeam_api_key: {inline(KEY)}")
    words = ["-i", inventory, "--vault-password-file", scanned.write("vault-key", VAULT_KEY), "-vvvvv", "--diff"]
    env = {"ANSIBLE_JINJA2_NATIVE": native, "PGBEAM_API_KEY": "another-key"}
    run = scanned.playbook("pgbeam.cloud.register_databases", *words, env=env)
    assert run.status == 0, run.results("Ensure PgBeam matches what the hosts declare")
    arrived = {case: project.passwords(salt=project.id) for case, project in projects.items()}
    assert arrived == {case: [hashed(project, TEMPLATES[case[1]])] for case, project in projects.items()}
    audited = scanned.playbook("pgbeam.cloud.audit_databases", *words, env=env)
    assert audited.status == 0, audited.output[-3000:]
