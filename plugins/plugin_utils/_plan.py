# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a whole run: the declarations of all hosts by project, and what prevents applying them.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import matching
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.redact import Redactor
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile import secrets_file
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _prune
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._declared import (
    CONTROLLER,
    SETTINGS,
    Entry,
    Host,
    fingerprint,
    identified,
)
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._gather import VARIABLES
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._values import SECRETS

MIN_UNAMBIGUOUS = 4  # characters of a secret that is also masked inside other words


@dataclass(frozen=True)
class Replicas:
    """The replicas of one database; ``index`` is its position in the project's list."""

    index: int
    database: str
    declared: list[Values]


@dataclass(frozen=True)
class Project:
    """The declarations for one project. Its first database is the one that it is created with."""

    key: str
    #: Empty for a project that is identified by its organization and name.
    id: str
    #: The options of the project itself, empty if no host declares it.
    options: Values
    databases: list[Values]
    replicas: list[Replicas]
    #: The settings that its hosts share: api_key, prune and so on.
    settings: dict[str, t.Any]
    #: The entries of each kind that a host declares, by plural.
    objects: dict[str, list[Values]] = dataclasses.field(default_factory=dict)

    @property
    def connection(self) -> Values:
        """The connection options of every module."""
        return {name: self.settings[name] or None for name in ("api_key", "api_url")}


@dataclass(frozen=True)
class Plan:
    """The projects of a run, or the reasons to refuse it."""

    projects: list[Project]
    problems: list[str]


def plan(hosts: list[Host], view: _prune.View, check_mode: bool) -> Plan:
    """Merge the declarations of the hosts. ``view`` contains the hosts that the run sees, on which prune depends."""
    problems = _host_problems(hosts, view.hostvars)
    groups = _grouped(hosts)
    projects = []
    for key, members in groups.items():
        project, found = _project(key, members)
        projects.append(project)
        problems += found
        if project.settings["prune"]:
            problems += _prune.problems(key, _prune.Claims(project.databases, project.objects), view)
    projects = [_with_replicas_apart(project) for project in projects]
    problems += _secrets_file_problems(projects, check_mode)
    if problems:  # which may quote a secret that was set for another option
        problems = _masked(problems, hosts)
    return Plan([] if problems else projects, problems)


def _masked(problems: list[str], hosts: list[Host]) -> list[str]:
    """Mask secrets in the sentences. A short one is only masked as a whole value: its letters are in any word."""
    found = secrets(hosts)
    masked: list[str] = Redactor(text if len(text) >= MIN_UNAMBIGUOUS else repr(text) for text in found).mask(problems)
    return masked


def secrets(hosts: list[Host]) -> set[str]:
    """Return the keys and passwords of these hosts."""
    return {text for host in hosts for text in _secret_texts(host.variables)}


def _secret_texts(value: t.Any, secret: bool = False) -> t.Iterator[str]:
    """Yield the texts and numbers under the names of secrets, at any depth."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in SECRETS and isinstance(item, (int, float)) and not isinstance(item, bool):
                yield str(item)
            yield from _secret_texts(item, secret or name in SECRETS)
    elif isinstance(value, list):
        for item in value:
            yield from _secret_texts(item, secret)
    elif secret and isinstance(value, str) and value:
        yield value


def _host_problems(hosts: list[Host], hostvars: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[str]:
    """Return a sentence for each problem with the variables of single hosts, prefixed with the hosts."""
    found: dict[str, set[str]] = {}
    for host in hosts:
        problems = list(host.problems)
        for typo, meant in host.typos.items():
            if f"pgbeam_{meant}" not in hostvars[host.name] and host.variables[meant] == VARIABLES[meant]:
                problems.append(f"{typo}: not a variable of this role; did you mean pgbeam_{meant}?")
        listed = next((name for name in _prune.LISTS if host.variables[name]), None)
        if not problems and listed and not host.key:
            problems.append(
                f"pgbeam_{listed} is set but pgbeam_project_id is missing; set it to the id of the project, or declare "
                "the project in pgbeam_project"
            )
        for problem in problems:
            found.setdefault(problem, set()).add(host.name)
    return [f"{_prune.some(names)}: {problem}" for problem, names in found.items()]


def _grouped(hosts: list[Host]) -> dict[str, list[Host]]:
    """Return the hosts of each project with declarations."""
    groups: dict[str, list[Host]] = {}
    for host in hosts:
        declares = any(host.variables[name] for name in (*_prune.LISTS, "prune", "project"))
        if not host.problems and host.key and declares:
            groups.setdefault(host.key, []).append(host)
    return groups


def _project(key: str, members: list[Host]) -> tuple[Project, list[str]]:
    """Return a project with the entries of all its hosts, and a sentence for each contradiction."""
    host = members[0]
    entries, found = _merged(members)
    databases = list(entries.values())
    options: Values = {}
    candidates = (values for values in databases if values.get("state") != "absent" and "id" not in values)
    first = host.first.values if host.first else next(candidates, None)
    if host.project and first is not None:
        own = host.first.fingerprint if host.first else ""
        others = (values for same, values in entries.items() if values is not first and same != own)
        databases = [first, *others]
        options = {**host.project, "database": _without(first, "state", "replicas")}
        if host.first and not found:
            labels = ["pgbeam_project.database", "an entry of pgbeam_databases"]
            found = matching.duplicate_entries(DATABASE, databases, lambda index: labels[min(index, 1)])
    elif host.project:
        options = dict(host.project)
    settings = {name: host.variables[name] for name in SETTINGS if name != "project"}
    project_id = str(host.variables["project_id"] or host.project.get("id") or "")
    objects = {}
    for kind in KINDS:
        declared, contradictions = _merged_objects(kind, members)
        found += contradictions
        if declared:
            objects[kind.plural] = declared
    return Project(key, project_id, options, databases, [], settings, objects), _conflicts(key, members) + found


def _with_replicas_apart(project: Project) -> Project:
    replicas = [
        Replicas(index, DATABASE.describe(values), values["replicas"])
        for index, values in enumerate(project.databases)
        if values.get("replicas") and values.get("state") != "absent"
    ]
    databases = [_without(values, "replicas") for values in project.databases]
    return dataclasses.replace(project, databases=databases, replicas=replicas)


def _without(values: Values, *names: str) -> Values:
    return {name: value for name, value in values.items() if name not in names}


def _conflicts(key: str, members: list[Host]) -> list[str]:
    """Return a sentence for each setting in which two hosts of a project differ, without its values."""
    first, *others = members
    found = []
    for setting in SETTINGS:
        other = next((host for host in others if host.variables[setting] != first.variables[setting]), None)
        if other:
            found.append(
                f"{first.name} and {other.name} share project {key} but differ in pgbeam_{setting}; set the same value"
            )
    return found


def _merged(members: list[Host]) -> tuple[dict[str, Values], list[str]]:
    """Return the entries of all hosts by fingerprint, and a sentence for each contradictory or incomplete entry."""
    entries: dict[str, Values] = {}
    origins: list[str] = []
    problems: list[str] = []
    for host in members:
        for entry in host.entries:
            if entry.values is None:
                problems += _missing_host(host, entry, members)
            elif entry.fingerprint not in entries:
                entries[entry.fingerprint] = entry.values
                origins.append(f"an entry of {host.name}")
    problems += matching.duplicate_entries(DATABASE, list(entries.values()), lambda index: origins[index])
    return entries, problems


def _merged_objects(kind: Resource, members: list[Host]) -> tuple[list[Values], list[str]]:
    """Return the entries of one kind of all hosts, and a sentence for each contradiction."""
    entries: dict[str, Values] = {}
    origins: list[str] = []
    for host in members:
        for values in host.objects.get(kind.plural, []):
            key = fingerprint(kind, values)
            if key not in entries:
                entries[key] = values
                origins.append(f"an entry of {host.name}")
    declared = list(entries.values())
    compared = [identified(kind, values) for values in declared]
    return declared, matching.duplicate_entries(kind, compared, lambda index: origins[index])


def _secrets_file_problems(projects: list[Project], check_mode: bool) -> list[str]:
    """Return a sentence for each secrets file that cannot be written or that several objects share."""
    labelled = [
        (f"project {project.key}: {kind.describe(entry)}: ", os.path.expanduser(os.path.expandvars(path)))
        for project in projects
        for kind in KINDS
        for entry in project.objects.get(kind.plural, [])
        if entry.get("state") != "absent" and (path := entry.get("secrets_file"))
    ]
    return secrets_file.problems(labelled, check_mode)


def _missing_host(host: Host, entry: Entry, members: list[Host]) -> list[str]:
    """Return a sentence if the entry's host could only be the controller, unless another host declares it too."""
    servers = (other for other in members if other.name not in CONTROLLER)
    if any(entry.declared == same.declared for other in servers for same in other.entries):
        return []
    return [
        f"{host.name}: the entry {entry.merged.get('name')!r} of pgbeam_databases has no host, and {host.name} is "
        "where Ansible runs; set its host to the PostgreSQL server, or move it to that server's inventory host"
    ]
