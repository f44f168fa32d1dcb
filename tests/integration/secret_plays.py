# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One playbook with everything that the collection does and every way to fail, each with secrets in reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.parsing.vault import VaultLib, VaultSecret

from generate.modules import modules
from tests.harness import Organization, Project, Sandbox
from tests.integration.scanned_ansible import PASSWORDS, ScannedAnsible, look_up
from tests.samples import DAYS, create, found_or_created, needed, sample

REGISTER = "pgbeam.cloud.register_databases"
AUDIT = "pgbeam.cloud.audit_databases"
LOUD = "-vvvvv"
QUOTES = (
    "{password} {password:json} {password:utf8json} {password:percent} {password:lower} {password:base64} "
    "{password:html} {key}"
)
ODD, LONG, PLAIN, MISSPELLED = map(look_up, ("ODD", "LONG", "PLAIN", "MISSPELLED"))
ENTRY = needed(modules()["database"].resource)
#: The effects of the server, or of its replacement, on a call.
FAULTS: dict[str, dict[str, Any]] = {
    "refusal": {"kind": "status", "status": 400, "code": "INVALID_INPUT", "message": f"refused: {QUOTES}"},
    "problem": {"kind": "status", "status": 409, "code": "CONFLICT", "message": f"clash: {QUOTES}"},
    "401": {"kind": "status", "status": 401, "code": "UNAUTHORIZED", "message": "{key} is not known, nor {key:base64}"},
    "page": {"kind": "html", "message": QUOTES},
    "lost": {"kind": "drop_before"},
    "late": {"kind": "stall", "seconds": 1.5},
    "cut": {"kind": "truncate"},
    "list": {"kind": "not_object"},
    "server": {"kind": "status", "status": 500, "code": "INTERNAL_ERROR", "message": f"broken: {QUOTES}"},
    "redirect": {"kind": "redirect", "location": "https://e.example.com/v1/{key}/{password:percent}?k={key}"},
}
#: Those after which a listing shows that the write was made.
SETTLED = ("late", "cut", "list")
WRITERS = [name for name, module in modules().items() if module.writes]
READERS = [name for name in modules() if name not in WRITERS]
#: Those whose tasks hold a secret, each with its name.
HOLDERS = {
    name: secret for name, module in modules().items() if module.writes for secret in module.resource.secret_names
}
#: The identity of another object than the sample.
NEW = {"password": {"name": "new"}, "secret": {"url": "https://new.example.com/"}}
#: The secrets that may be as long as that.
LONG_ONES = ("password",)


@dataclass(frozen=True)
class Place:
    """An organization with a project, ``shop``, with one database and what tasks refer to by name."""

    organization: Organization
    project: str
    database: str
    #: Where tasks keep the secrets that the API shows once.
    issued: Path

    @staticmethod
    def make(sandbox: Sandbox, scanned: ScannedAnsible, **settings: Any) -> Place:
        organization = sandbox.organization(**settings)
        made = organization.create_project(database=ENTRY)
        project = made["project"]["id"]
        fields = {f.name: f for module in modules().values() for f in module.resource.references}
        for reference in fields.values():
            found_or_created(organization, reference, project, "", 1)
        organization.post(f"/v1/projects/{project}/webhooks", needed(modules()["webhook"].resource))
        create(sandbox.project_of(project), modules()["cache_rule"].resource, made["database"]["id"], "")
        create(organization, modules()["org_member"].resource, organization.id, "")
        return Place(organization, project, made["database"]["id"], scanned.issued)

    def options(self, module: str, project: str = "new", **entry: Any) -> dict[str, Any]:
        """A task's options: to read, or for one object with these fields."""
        form, resource = modules()[module].form, modules()[module].resource
        parents = {"org_id": self.organization.id, "project_id": self.project, "database_id": self.database}
        options: dict[str, Any] = {n: parents[n] for n in (*resource.ancestors, resource.parent) if n}
        given = needed(resource)
        if not resource.creatable:
            given |= {f.name: sample(resource, f) for f in resource.writable}
        for f in resource.references:
            if f.refers_to and given.pop(f.name, None):
                (given[f.name_option],) = needed(f.refers_to, 1).values()
        if resource.issued:
            given["secrets_file"] = str(self.issued / f"{module}-{self.project}.json")
        if form == "info":
            options |= {f.name: DAYS[f.name] for f in resource.query if f.required}
        if form == "list":
            options[resource.plural] = [{**given, **entry}]
        elif form == "item" and resource.nested:
            first = {**needed(resource.nested), **entry}
            options |= {**given, "name": project, resource.nested.noun: first}
        elif form == "item":
            options |= {**given, **entry}
        elif resource.computed:
            reference = resource.references[0]
            (options[reference.name],) = needed(reference.refers_to, 1).values()  # type: ignore[arg-type]  # it has one
            options |= given
        return {**options, "retries": 0, "timeout": 5}


def module_tasks(sandbox: Sandbox, scanned: ScannedAnsible) -> list[dict[str, Any]]:
    """Every module: successes, then every kind of failure. The names of failures begin with "fails"."""
    tasks: list[dict[str, Any]] = []

    def add(name: str, module: str, given: dict[str, Any], **keywords: Any) -> None:
        tasks.append({"name": f"{name}: {module}", f"pgbeam.cloud.{module}": given, "ignore_errors": True, **keywords})

    for module in WRITERS:
        place = Place.make(sandbox, scanned)
        secret, again = holding(module), resending(module)
        add("works", module, place.options(module, **secret))
        add("works again", module, {**place.options(module, **secret), **again})
        for name, fault in FAULTS.items():
            if module not in HOLDERS and name not in ("refusal", "page", "server"):
                continue
            place = Place.make(sandbox, scanned, envelope="problem" if name == "problem" else "error")
            resource = modules()[module].resource
            verb = resource.create_verb if resource.creatable else resource.update_verb
            place.organization.fault(**fault, method=verb, times=9)
            secret = holding(module, LONG if name == "problem" and HOLDERS.get(module) in LONG_ONES else ODD)
            waits = {"timeout": 1} if name == "late" else {}
            begin = "works" if name in SETTLED else "fails when it writes"
            add(f"{begin}, {name}", module, {**place.options(module, **secret), **waits})
    for module in READERS:
        place = Place.make(sandbox, scanned)
        resource = modules()[module].resource
        ends = "" if resource.parent else resource.path
        scope = sandbox.default_organization if ends else place.organization
        scope.fault(**FAULTS["refusal"], method="GET", path_ends=ends)
        add("fails, refusal", module, place.options(module))
        add("works", module, place.options(module))
    for module, name in HOLDERS.items():
        place = Place.make(sandbox, scanned)
        resource = modules()[module].resource
        place.organization.fault(**FAULTS["refusal"], method="PUT" if resource.update_verb == "PUT" else "PATCH")
        resent = {**place.options(module, "shop", **{name: ODD}), **resending(module)}
        add("fails when it writes, refusal", module, resent)
        action = resource.offered_action
        assert action
        place.organization.fault("failed_test", method="POST", path_ends=action.verb, message=f"FATAL: {QUOTES}")
        add("fails when it writes, test", module, {**place.options(module, **holding(module)), action.option: True})
    place.organization.fault(**FAULTS["refusal"], method="DELETE")
    pruned = {**place.options("databases", password=ODD, name="other"), "prune": True}
    add("fails when it writes, refusal", "databases", pruned)
    for module in (*HOLDERS, "database_info"):
        given = place.options(module, **holding(module))
        add("fails, exception", module, given, environment={"PYTHONPATH": broken(scanned)})
        add("fails, user in the URL", module, {**given, "api_url": f"https://me:{PLAIN}@h/"})
    for module in [name for name in WRITERS if modules()[name].resource.path_has_parent]:
        parent = modules()[module].resource.parent
        add("fails, key as an id", module, {**place.options(module), parent: look_up("PGBEAM_API_KEY") + "/"})
        if module in HOLDERS:
            add("fails, secret as an id", module, {**place.options(module, **holding(module)), parent: ODD})
    misread: dict[str, dict[str, Any]] = {
        "misspelled": {"pasword": MISSPELLED},
        "misspelled in a dictionary": {"cache_config": {"pasword": MISSPELLED}, "password": ODD},
        "password as a number": {"port": ODD, "password": ODD},
        "password as a choice": {"ssl_mode": ODD, "password": ODD},
        "password as a dictionary": {"cache_config": ODD, "password": ODD},
        "dictionary as a password": {"password": {"key": ODD}},
    }
    misread_secrets: dict[str, dict[str, Any]] = {
        "misspelled": {"secert": MISSPELLED},
        "secret as a boolean": {"enabled": ODD, "secret": ODD},
        "secret as a choice": {"event_types": [ODD], "secret": ODD},
        "dictionary as a secret": {"secret": {"key": ODD}},
    }
    for module, secret_name in HOLDERS.items():
        for name, entry in (misread if secret_name == "password" else misread_secrets).items():
            add(f"fails, {name}", module, place.options(module, **entry))
    for module in [name for name in WRITERS if name not in HOLDERS]:
        add("fails, misspelled", module, place.options(module, pasword=MISSPELLED))
    for module in READERS:
        add("fails, misspelled", module, {**place.options(module), "pasword": MISSPELLED})
    bad = {**ENTRY, "password": ODD, "port": "many"}
    text = f"host=a password='{PLAIN}' {PLAIN}"
    for name, listed in {
        "a list in the list": [[bad, bad]],
        "text in the list": [text],
        "text for the list": f"[{{'host': 'db1', 'password': '{PLAIN}'}}]",
        "a dictionary for the list": {"password": ODD},
        "one entry is none": [bad, 5],
    }.items():
        add(f"fails, {name}", "databases", {**place.options("databases"), "databases": listed})
    add("fails, text for a dictionary", "project", {**place.options("project"), "database": text})
    return tasks


def holding(module: str, secret: str = ODD) -> dict[str, Any]:
    """Return the options for a new object with a secret; nothing if it has none."""
    name = HOLDERS.get(module)
    return {name: secret, **NEW[name]} if name else {}


def resending(module: str) -> dict[str, Any]:
    """The option with which a task sends its secret again."""
    return {f"update_{HOLDERS[module]}": "always"} if module in HOLDERS else {}


def broken(scanned: ScannedAnsible) -> str:
    """Write a requests library whose calls raise what nobody catches, and return its place for PYTHONPATH."""
    path = scanned.write(
        "broken/requests/__init__.py",
        "class RequestException(OSError): pass\n"
        "class Session:\n"
        "    headers = {}\n"
        "    cookies = type('Cookies', (), {'set_policy': id})\n"
        "    def request(self, *a, **k):\n"
        "        raise LookupError(repr((a, k, self.auth(type('', (), {'headers': {}})).headers)))\n",
    )
    return str(Path(path).parent.parent)


def role_plays(sandbox: Sandbox, scanned: ScannedAnsible) -> tuple[list[dict[str, Any]], str]:
    """The playbooks and the role over groups of hosts, each with a trouble of its own; and the inventory."""
    secret = VaultSecret(PASSWORDS["VAULT_KEY"].encode())
    cipher = VaultLib().encrypt(PASSWORDS["VAULTED"], secret).decode()
    vaulted = "".join(f"  {line}\n" for line in cipher.splitlines())
    scanned.write("inventory/group_vars/all.yml", f"vaulted: !vault |\n{vaulted}")
    login = {"username": "app", "password": "{{ vaulted }}"}
    groups: dict[str, dict[str, Any]] = {}
    plays: list[dict[str, Any]] = []

    def add(name: str, project: Project | None, databases: Any, playbook: str = "", **more: Any) -> None:
        variables = {"pgbeam_databases": databases, **({"pgbeam_project_id": project.id} if project else {}), **more}
        hosts = 2 if name in ("good", "two_keys") else 1
        groups[name] = {"hosts": {f"{name}{n}": {} for n in range(hosts)}, "vars": variables}
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
    add("misspelled", fine, [{"name": "a", "username": "app", "pasword": MISSPELLED}])
    add("misplaced", fine, [{"name": "a", **login, "ssl_mode": "{{ vaulted }}"}])
    add("as_text", fine, f"[{{'name': 'a', 'password': '{PLAIN}'}}")
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
    organization = sandbox.organization()
    shop = {"org_id": organization.id, "name": "shop"}
    replicas = [{"host": "replica1"}]
    bot = {"name": "bot", "policy": "readers", "secrets_file": str(scanned.issued / "whole.json")}
    objects: dict[str, Any] = {"pgbeam_policies": [{"name": "readers"}], "pgbeam_agents": [bot]}
    add("whole", None, [{"name": "a", **login, "replicas": replicas}], pgbeam_project=shop, **objects, **key)
    add("project_misspelled", None, [{"name": "a", **login}], pgbeam_project={**shop, "pasword": MISSPELLED})
    add("project_as_text", None, [{"name": "a", **login}], pgbeam_project="name=shop password={{ vaulted }} x")
    replicas = [{"host": "replica1", "pasword": MISSPELLED}]
    add("replica_misspelled", fine, [{"name": "a", **login, "replicas": replicas}])
    # The last one, since a playbook that fails on every host ends the run.
    add("drifted", fine, [{"name": "b", **login}], AUDIT)
    return plays, scanned.write("inventory/hosts.yml", {"all": {"children": groups}})


def everything(sandbox: Sandbox, scanned: ScannedAnsible) -> tuple[str, list[str]]:
    """One playbook with all of it, and the words of its command line."""
    key = scanned.write("vault-key", PASSWORDS["VAULT_KEY"])
    plays, inventory = role_plays(sandbox, scanned)
    modules = {"hosts": "localhost", "gather_facts": False, "tasks": module_tasks(sandbox, scanned)}
    playbook = scanned.write("play.yml", [modules, *plays])
    return playbook, ["-i", inventory, "--vault-password-file", key, LOUD]
