# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One playbook with everything that the collection does and every way to fail, each with secrets in reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.vault import VaultLib, VaultSecret

from tests.harness import Project, Sandbox
from tests.integration.watched import PASSWORDS, Watched, look_up

REGISTER = "pgbeam.cloud.register_databases"
AUDIT = "pgbeam.cloud.audit_databases"
LOUD = "-vvvvv"
QUOTES = (
    "{password} {password:json} {password:utf8json} {password:percent} {password:lower} {password:base64} "
    "{password:html} {key}"
)
ENTRY = {"host": "db1", "name": "orders", "username": "app"}
#: What the server, or what stands for it, does to a call.
FAULTS: dict[str, dict[str, Any]] = {
    "refusal": {"kind": "status", "status": 400, "code": "INVALID_INPUT", "message": f"refused: {QUOTES}"},
    "problem": {"kind": "status", "status": 409, "code": "CONFLICT", "message": f"clash: {QUOTES}"},
    "401": {"kind": "status", "status": 401, "code": "UNAUTHORIZED", "message": "{key} is not known, nor {key:base64}"},
    "page": {"kind": "html", "message": QUOTES},
    "lost": {"kind": "drop_before"},
    "redirect": {"kind": "redirect", "location": "https://e.example.com/v1/{key}/{password:percent}?k={key}"},
}


def options(module: str, project: Project, **entry: Any) -> dict[str, Any]:
    """A task's options for one database, or to read."""
    given: dict[str, Any] = {"project_id": project.id, "retries": 0, "timeout": 5}
    if module == "database_info":
        return given
    return {**given, "databases": [{**ENTRY, **entry}]} if module == "databases" else {**given, **ENTRY, **entry}


def module_tasks(sandbox: Sandbox, watched: Watched) -> list[dict[str, Any]]:
    """Every module: successes, then every kind of failure. The names of those begin with "fails"."""
    odd, long, plain = look_up("ODD"), look_up("LONG"), look_up("PLAIN")
    tasks: list[dict[str, Any]] = []

    def add(name: str, module: str, given: dict[str, Any], **keywords: Any) -> None:
        tasks.append({"name": f"{name}: {module}", f"pgbeam.cloud.{module}": given, "ignore_errors": True, **keywords})

    for module in ("database", "databases", "database_info"):
        project = sandbox.project()
        sends = {} if module == "database_info" else {"update_password": "always"}
        for dummy in range(2):
            add("works", module, {**options(module, project, password=odd), **sends})
        for name, fault in FAULTS.items():
            project = sandbox.project(envelope="problem" if name == "problem" else "error")
            project.fault(**fault, method="GET" if module == "database_info" else "POST", times=9)
            add(f"fails, {name}", module, options(module, project, password=long if name == "problem" else odd))
        project = sandbox.project()
        wrong = {"project_id": odd}
        add(
            "fails, exception",
            module,
            options(module, project, password=odd),
            environment={"PYTHONPATH": broken(watched)},
        )
        add("fails, key as an id", module, {**options(module, project), "project_id": look_up("PGBEAM_API_KEY") + "/"})
        add("fails, user in the URL", module, {**options(module, project), "api_url": f"https://me:{plain}@h/"})
        if module != "database_info":
            add("fails, password as an id", module, {**options(module, project, password=odd), **wrong})
        misread: dict[str, dict[str, Any]] = {
            "misspelled": {"pasword": look_up("MISSPELLED")},
            "misspelled in a dictionary": {"cache_config": {"pasword": look_up("MISSPELLED")}, "password": odd},
            "password as a number": {"port": odd, "password": odd},
            "password as a choice": {"ssl_mode": odd, "password": odd},
            "password as a dictionary": {"cache_config": odd, "password": odd},
            "dictionary as a password": {"password": {"key": odd}},
        }
        for name, entry in misread.items():
            if module != "database_info":
                add(f"fails, {name}", module, options(module, project, **entry))
            elif name == "misspelled":
                add(f"fails, {name}", module, {**options(module, project), **entry})
    project = sandbox.project()
    bad = {**ENTRY, "password": odd, "port": "many"}
    for name, listed in {
        "a list in the list": [[bad, bad]],
        "text in the list": [f"host=a password='{plain}' {plain}"],
        "text for the list": f"[{{'host': 'db1', 'password': '{plain}'}}]",
        "a dictionary for the list": {"password": odd},
        "one entry is none": [bad, 5],
    }.items():
        add(f"fails, {name}", "databases", {"project_id": project.id, "databases": listed})
    return tasks


def broken(watched: Watched) -> str:
    """Write a requests library whose calls raise what nobody catches, and return its place for PYTHONPATH."""
    path = watched.write(
        "broken/requests/__init__.py",
        "class RequestException(OSError): pass\n"
        "class Session:\n"
        "    headers = {}\n"
        "    def request(self, *a, **k):\n"
        "        raise LookupError(repr((a, k, self.auth(type('', (), {'headers': {}})).headers)))\n",
    )
    return str(Path(path).parent.parent)


def role_plays(sandbox: Sandbox, watched: Watched) -> tuple[list[dict[str, Any]], str]:
    """The playbooks and the role over groups of hosts, each with a trouble of its own; and the inventory."""
    secret = VaultSecret(PASSWORDS["VAULT_KEY"].encode())
    cipher = VaultLib().encrypt(PASSWORDS["VAULTED"], secret).decode()
    vaulted = "".join(f"  {line}\n" for line in cipher.splitlines())
    watched.write("inventory/group_vars/all.yml", f"vaulted: !vault |\n{vaulted}")
    login = {"username": "app", "password": "{{ vaulted }}"}
    groups: dict[str, dict[str, Any]] = {}
    plays: list[dict[str, Any]] = []

    def add(name: str, project: Project, databases: Any, playbook: str = "", **more: Any) -> None:
        variables = {"pgbeam_project_id": project.id, "pgbeam_databases": databases, **more}
        groups[name] = {"hosts": {f"{name}{n}": {} for n in range(2)}, "vars": variables}
        if playbook:
            plays.append({"import_playbook": playbook, "vars": {"pgbeam_hosts": name}})
        else:
            role = {"name": f"role: {name}", "ansible.builtin.include_role": {"name": "pgbeam.cloud.pgbeam"}}
            went_on = {"name": f"failed: {name}", "ansible.builtin.debug": {"var": "pgbeam_result"}}
            tasks = [{"name": name, "block": [role], "rescue": [went_on]}]
            plays.append({"hosts": name, "gather_facts": False, "tasks": tasks})

    fine = sandbox.project()
    many = [{"name": name, "username": "app", "password": look_up(name)} for name in ("ODD", "LONG", "PLAIN")]
    key = {"pgbeam_api_key": look_up("PGBEAM_API_KEY")}
    add("good", fine, [{"name": "a", **login}, *many], REGISTER, pgbeam_update_password="always", **key)
    audited = sandbox.project()
    audited.register(name="a", host="good0")
    add("audited", audited, [{"name": "a", "host": "good0", **login}], AUDIT, **key)
    for name in ("refusal", "problem", "401", "redirect"):  # not what would be tried again, as the role would wait
        project = sandbox.project(envelope="problem" if name == "problem" else "error")
        project.fault(**FAULTS[name], method="POST", times=99)
        add(f"fault_{name}", project, [{"name": "a", **login}, many[0]])
    add("misspelled", fine, [{"name": "a", "username": "app", "pasword": look_up("MISSPELLED")}])
    add("misplaced", fine, [{"name": "a", **login, "ssl_mode": "{{ vaulted }}"}])
    add("as_text", fine, f"[{{'name': 'a', 'password': '{look_up('PLAIN')}'}}")
    add("as_texts", fine, ["password={{ vaulted }} {{ vaulted }}"])
    add("nested", fine, [[{"name": "a", **login}]])
    add("defaults", fine, [{"name": "a"}], pgbeam_database_defaults="username=app password={{ vaulted }} x")
    add("undefined", fine, [{"name": "a", **login, "host": "{{ missing }}"}])
    add(
        "two_keys",
        fine,
        [{"name": "a", **login}],
        pgbeam_api_key=f"{look_up('PGBEAM_API_KEY')}{{{{ inventory_hostname }}}}",
    )
    # The last one, since a playbook that fails on every host ends the run.
    add("drifted", fine, [{"name": "b", **login}], AUDIT)
    return plays, watched.write("inventory/hosts.yml", {"all": {"children": groups}})


def everything(sandbox: Sandbox, watched: Watched) -> tuple[str, list[str]]:
    """One playbook with all of it, and the words of its command line."""
    key = watched.write("vault-key", PASSWORDS["VAULT_KEY"])
    plays, inventory = role_plays(sandbox, watched)
    modules = {"hosts": "localhost", "gather_facts": False, "tasks": module_tasks(sandbox, watched)}
    playbook = watched.write("play.yml", [modules, *plays])
    return playbook, ["-i", inventory, "--vault-password-file", key, LOUD]
