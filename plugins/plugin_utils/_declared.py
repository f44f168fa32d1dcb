# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declarations of one host, completed with its defaults and checked.

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
#: Names that refer to the local machine.
LOCAL_NAMES = re.compile(r"localhost[0-9]?(\.localdomain[0-9]?)?|ip6-(localhost|loopback)")
UPDATES = ("on_create", "always")
WITH_EXTRA_VARS = "with -e, pass it as JSON or in a file"
#: The settings in which the hosts of one project must agree.
SETTINGS = [
    name
    for name, default in VARIABLES.items()
    if name not in ("project_id", "database_defaults") and not isinstance(default, list)
]


def identified(resource: Resource, values: Values) -> Values:
    """Return the values with the names of referenced objects as their ids, which identify entries in the same way."""
    return {**values, **{f.name: values[f.name_option] for f in resource.references if f.name_option in values}}


def fingerprint(resource: Resource, values: Values) -> str:
    """Return a text that is equal for values that declare the same object in the same way."""
    folded = {name: resource.field(name).normalized(values[name]) for name in resource.identity if name in values}
    return json.dumps({**values, **folded}, sort_keys=True)


@dataclass(frozen=True)
class Entry:
    """An entry of a host's list of databases."""

    declared: Values
    #: The entry merged onto the defaults of its host.
    merged: Values
    #: The same without nulls and with a host, or None if its host could only be the controller.
    values: Values | None
    #: Whether the host was filled in from the inventory host.
    filled: bool

    @functools.cached_property
    def fingerprint(self) -> str:
        """A text that is equal for entries that declare the same."""
        return fingerprint(DATABASE, self.values or {})


@dataclass
class Host:
    """One host with its variables. If it has problems, the rest may be incomplete."""

    name: str
    address: str
    variables: dict[str, t.Any]
    entries: list[Entry] = field(default_factory=list)
    #: The entries of the other lists by variable, without nulls that mean omitted.
    objects: dict[str, list[Values]] = field(default_factory=dict)
    #: The database that the project is created with, if it declares one.
    first: Entry | None = None
    #: Sentences without the name of the host.
    problems: list[str] = field(default_factory=list)
    #: Variables of the host that look like one of the role's, with that one.
    typos: dict[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Values:
        declared: Values = self.variables["project"]
        return declared

    @property
    def key(self) -> str:
        """The project that the host belongs to: its id, or its organization and name."""
        named = f"{self.project.get('org_id')}/{self.project.get('name')}" if self.project else ""
        return str(self.variables["project_id"] or self.project.get("id") or named)

    @property
    def is_controller(self) -> bool:
        """Whether the host is the machine that Ansible runs on, so that it is not a PostgreSQL server."""
        return self.name in CONTROLLER and self.address in CONTROLLER


def read(name: str, gathered: Values) -> Host:
    """Return the host with its entries completed, and with all problems that can be found without a request.

    ``gathered`` contains the ``address`` of the host and the parts that ``_gather.gather`` returns.
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
    """Merge an entry onto the defaults of its host, with the host's address if it has no host."""
    merged = _merge(host.variables["database_defaults"], declared)
    values = validation.drop_nulls(merged)
    if "host" in values or "id" in values:
        return Entry(declared, merged, values, filled=False)
    return Entry(declared, merged, None if host.is_controller else {**values, "host": host.address}, filled=True)


def _merge(defaults: Values, declared: Values) -> Values:
    merged = {**defaults, **declared}
    for name, value in declared.items():
        if isinstance(value, dict) and isinstance(defaults.get(name), dict):
            merged[name] = {**defaults[name], **value}
    return merged


def _setting_problems(host: Host) -> list[str]:
    """Return a sentence for each variable with an invalid value."""
    found = []
    for name, default in VARIABLES.items():
        value, variable = host.variables[name], f"pgbeam_{name}"
        if isinstance(default, list):
            if not isinstance(value, list):
                found.append(f"{variable}: {validation.kind(value)} was given; it must be a list ({WITH_EXTRA_VARS})")
        elif isinstance(default, dict):
            if not isinstance(value, dict):
                found.append(
                    f"{variable}: {validation.kind(value)} was given; it must be a dictionary ({WITH_EXTRA_VARS})"
                )
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
    """Check the pgbeam_project of a host, and complete the database in it."""
    project = host.project
    # An empty id, such as the default of a template, counts as omitted.
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
        host.problems.append(f"{label}: {validation.kind(declared)} was given; it must be a dictionary")
        return None
    entry = complete(host, declared)
    host.problems += _entry_problems(host, entry, label)
    if not entry.merged.get("host"):
        host.problems.append(f"{label}: host is missing; set it to the PostgreSQL server")
    host.problems += [
        f"{label}: {option} is not allowed here, because the project is created with this database; "
        f"omit {option}, or declare another database"
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
            host.problems.append(f"{label}: {validation.kind(declared)} was given; it must be a dictionary")


def as_given(kind: Resource, declared: Values) -> Values:
    """Return an entry without nulls, except those that clear a field."""
    return {**validation.drop_nulls(declared), **validation.explicit_nulls(kind, declared)}


def _add_entry(host: Host, declared: t.Any, label: str) -> None:
    if not isinstance(declared, dict):
        host.problems.append(f"{label}: {validation.kind(declared)} was given; it must be a dictionary")
        return
    entry = complete(host, declared)
    host.entries.append(entry)
    found = _entry_problems(host, entry, label)
    if not found and entry.filled and entry.values and is_local(host.address):
        found = [
            f"{validation.entry_label(label, declared)}: host is missing, and {host.address} in ansible_host "
            "is a different machine for PgBeam; set host to a name that PgBeam can reach"
        ]
    host.problems += found


def _entry_problems(host: Host, entry: Entry, label: str) -> list[str]:
    """Return a sentence for each problem of an entry and its replicas."""
    found = validation.shape_errors(f"{label}.replicas", entry.merged.get("replicas"))
    if found:
        return found
    # If only the controller could be its host, another sentence reports it, unless another host has the entry.
    values = entry.values or {**validation.drop_nulls(entry.merged), "host": host.name}
    replicas = values.get("replicas") or []
    labels = [validation.entry_label(f"replicas[{index}]", replica) for index, replica in enumerate(replicas)]
    found = _list_problems(DATABASE, values, "", "replicas")
    for replica, replica_label in zip(replicas, labels):
        found += _list_problems(REPLICA, replica, f"{replica_label}: ")
    found = found or matching.duplicate_entries(REPLICA, replicas, lambda index: labels[index])
    return [f"{validation.entry_label(label, values)}: {problem}" for problem in found]


def _list_problems(resource: Resource, values: Values, where: str, *more: str) -> list[str]:
    """Return the sentences that the list module of a resource would report for an entry."""
    missing = validation.missing_identity(resource, identified(resource, values), where)
    return validation.validate_entry(resource, values, where, *more) + ([missing] if missing else [])


def is_local(address: str) -> bool:
    """Whether an address is only valid on the local machine or link, so that PgBeam would reach another one."""
    name = address.strip("[]").rstrip(".").lower()
    if LOCAL_NAMES.fullmatch(name) or name.endswith(".localhost"):
        return True
    try:
        ip = ipaddress.ip_address(name)
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_link_local or ip.is_unspecified
