# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host declares, completed and checked: its project, and its databases over the defaults.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible.argument_spec import MAX_PARALLEL
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import matching, validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._gather import VARIABLES
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS

CONTROLLER = ("localhost", "127.0.0.1", "::1")
#: Names of the machine that they are used on.
LOCAL_NAMES = re.compile(r"localhost[0-9]?(\.localdomain[0-9]?)?|ip6-(localhost|loopback)")
UPDATES = ("on_create", "always")
#: Those in which the hosts of one project must agree.
SETTINGS = [
    name
    for name, default in VARIABLES.items()
    if name not in ("project_id", "database_defaults") and not isinstance(default, list)
]


def identified(resource: Resource, values: Values) -> Values:
    """Values in which the names of other objects stand for their ids, so that they tell entries apart as these do."""
    return {**values, **{f.name: values[f.name_option] for f in resource.references if f.name_option in values}}


def fingerprint(resource: Resource, values: Values) -> str:
    """The same for values that declare the same object in the same way."""
    folded = {name: resource.field(name).normalized(values[name]) for name in resource.identity if name in values}
    return json.dumps({**values, **folded}, sort_keys=True)


@dataclass(frozen=True)
class Entry:
    """An entry of a host's list of databases."""

    declared: Values
    #: The entry over the defaults of its host.
    merged: Values
    #: The same without nulls and with a host, or None if only the controller could be its host.
    values: Values | None
    #: Whether the host is the address of the inventory host.
    filled: bool

    @functools.cached_property
    def fingerprint(self) -> str:
        """The same for entries that declare the same."""
        return fingerprint(DATABASE, self.values or {})


@dataclass
class Host:
    """One host with its variables. Where ``problems`` has sentences, the rest may be incomplete."""

    name: str
    address: str
    variables: dict[str, t.Any]
    entries: list[Entry] = field(default_factory=list)
    #: The entries of the other lists by their variable, without the nulls that mean nothing.
    objects: dict[str, list[Values]] = field(default_factory=dict)
    #: The database that the project is created with, if it declares one.
    first: Entry | None = None
    #: Sentences that do not name the host.
    problems: list[str] = field(default_factory=list)
    #: Variables of the host that are nearly one of the role's, with that one.
    typos: dict[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Values:
        declared: Values = self.variables["project"]
        return declared

    @property
    def key(self) -> str:
        """What the hosts of one project have in common: its id, or its organization and name."""
        named = f"{self.project.get('org_id')}/{self.project.get('name')}" if self.project else ""
        return str(self.variables["project_id"] or self.project.get("id") or named)

    @property
    def is_controller(self) -> bool:
        """Whether the host can only be where Ansible runs, so that it is no PostgreSQL server."""
        return self.name in CONTROLLER and self.address in CONTROLLER


def read(name: str, gathered: Values) -> Host:
    """The host with its entries completed, and with every problem that can be found without a request.

    ``gathered`` is what the host has gathered: its ``address``, and the parts that ``_gather.gather`` returns.
    """
    host = Host(name, gathered["address"], gathered["values"], typos=gathered["typos"])
    host.problems = gathered["problems"] or _setting_problems(host)
    if not host.problems:
        for index, declared in enumerate(host.variables["databases"]):
            _add_entry(host, declared, f"pgbeam_databases[{index}]")
        for kind in KINDS:
            _add_objects(host, kind)
        if host.project:
            _read_project(host)
    return host


def complete(host: Host, declared: Values) -> Entry:
    """An entry over its host's defaults, with the address of the host where it has none of its own."""
    merged = _over(host.variables["database_defaults"], declared)
    values = validation.drop_nulls(merged)
    if "host" in values or "id" in values:
        return Entry(declared, merged, values, filled=False)
    return Entry(declared, merged, None if host.is_controller else {**values, "host": host.address}, filled=True)


def _over(defaults: Values, declared: Values) -> Values:
    merged = {**defaults, **declared}
    for name, value in declared.items():
        if isinstance(value, dict) and isinstance(defaults.get(name), dict):
            merged[name] = {**defaults[name], **value}
    return merged


def _setting_problems(host: Host) -> list[str]:
    """Sentences on the variables whose values are of a wrong type or not allowed."""
    found = []
    for name, default in VARIABLES.items():
        value, variable = host.variables[name], f"pgbeam_{name}"
        if isinstance(default, list):
            if not isinstance(value, list):
                found.append(f"{variable}: it must be a list; with -e, pass it as JSON or in a file")
        elif isinstance(default, dict):
            if not isinstance(value, dict):
                found.append(f"{variable}: it must be a dictionary; with -e, pass it as JSON or in a file")
        elif isinstance(default, bool):
            if value not in (True, False):
                found.append(f"{variable}: {value!r} is not allowed; it must be true or false")
        elif isinstance(default, int):
            if not isinstance(value, int) or not 1 <= value <= MAX_PARALLEL:
                found.append(
                    f"{variable}: {value!r} is not allowed; it must be a whole number from 1 to {MAX_PARALLEL}"
                )
        elif name == "prune_limit":
            found += validation.limit_errors(value, variable)
        elif name == "update_password" and value not in UPDATES:
            found.append(f"{variable}: {value!r} is not allowed; it must be one of {', '.join(UPDATES)}")
        elif not isinstance(value, str) and (name != "project_id" or isinstance(value, (bool, float, dict, list))):
            found.append(f"{variable}: the value is not text; put it in quotes")
    return found


def _read_project(host: Host) -> None:
    """Check a host's pgbeam_project, and complete the database that it declares."""
    project = host.project
    # An id may be the empty default of a template, and then counts as none.
    values = {option: value for option, value in project.items() if option != "database" and (value or option != "id")}
    found = validation.unknown_options({"id", *(f.name for f in PROJECT.options)}, values, "pgbeam_project.")
    found += validation.validate(PROJECT, values, "pgbeam_project.")
    project_id = host.variables["project_id"]
    if project_id and project.get("id") not in (None, project_id):
        found.append("pgbeam_project_id: pgbeam_project.id is a different id; set only one of them")
    elif not project_id and not project.get("id") and not (project.get("org_id") and project.get("name")):
        found.append("pgbeam_project: it identifies no project; set org_id and name, or id")
    host.problems += found
    declared = project.get("database")
    if declared is not None and declared != {}:
        host.first = _add_first(host, declared)


def _add_first(host: Host, declared: t.Any) -> Entry | None:
    label = "pgbeam_project.database"
    if not isinstance(declared, dict):
        host.problems.append(f"{label} is not a dictionary of options")
        return None
    entry = complete(host, declared)
    host.problems += _entry_problems(host, entry, label)
    if not entry.merged.get("host"):
        host.problems.append(f"{label}: host is missing; set it to the PostgreSQL server")
    host.problems += [
        f"{label}: the project is created with it; omit {option}, or declare another database"
        for option in ("id", "state")
        if entry.merged.get(option) not in (None, "present")
    ]
    return entry


def _add_objects(host: Host, kind: Resource) -> None:
    host.objects[kind.plural] = []
    for index, declared in enumerate(host.variables[kind.plural]):
        label = f"pgbeam_{kind.plural}[{index}]"
        if isinstance(declared, dict):
            values = as_given(kind, declared)
            host.objects[kind.plural].append(values)
            host.problems += _list_problems(kind, values, f"{validation.entry_label(label, values)}: ")
        else:
            host.problems.append(f"{label} is not a dictionary of options")


def as_given(kind: Resource, declared: Values) -> Values:
    """An entry without its nulls, except those that clear a field."""
    return {**validation.drop_nulls(declared), **validation.explicit_nulls(kind, declared)}


def _add_entry(host: Host, declared: t.Any, label: str) -> None:
    if not isinstance(declared, dict):
        host.problems.append(f"{label} is not a dictionary of options")
        return
    entry = complete(host, declared)
    host.entries.append(entry)
    found = _entry_problems(host, entry, label)
    if not found and entry.filled and entry.values and is_local(host.address):
        found = [
            f"{validation.entry_label(label, declared)}: host is missing, and {host.address} in ansible_host "
            "is another machine to PgBeam; set host to a name that PgBeam can reach"
        ]
    host.problems += found


def _entry_problems(host: Host, entry: Entry, label: str) -> list[str]:
    """What keeps an entry, or one of its replicas, from being registered."""
    replicas = entry.merged.get("replicas")
    if replicas is not None and not (isinstance(replicas, list) and all(isinstance(r, dict) for r in replicas)):
        return [f"{label}.replicas: it must be a list of dictionaries"]
    # Where only the controller could be its host, another sentence says so, if no other host has the entry.
    values = entry.values or {**validation.drop_nulls(entry.merged), "host": host.name}
    replicas = values.get("replicas") or []
    labels = [validation.entry_label(f"replicas[{index}]", replica) for index, replica in enumerate(replicas)]
    found = _list_problems(DATABASE, values, "", "replicas")
    for replica, its in zip(replicas, labels):
        found += _list_problems(REPLICA, replica, f"{its}: ")
    found = found or matching.duplicate_entries(REPLICA, replicas, lambda index: labels[index])
    return [f"{validation.entry_label(label, values)}: {problem}" for problem in found]


def _list_problems(resource: Resource, values: Values, where: str, *more: str) -> list[str]:
    """What the list form of a resource's module says of an entry."""
    missing = validation.missing_identity(resource, identified(resource, values), where)
    return validation.validate_entry(resource, values, where, *more) + ([missing] if missing else [])


def is_local(address: str) -> bool:
    """Whether an address means the machine, or the link, that it is used on: PgBeam reaches another one by it."""
    name = address.strip("[]").rstrip(".").lower()
    if LOCAL_NAMES.fullmatch(name) or name.endswith(".localhost"):
        return True
    try:
        ip = ipaddress.ip_address(name)
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_link_local or ip.is_unspecified
