# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Summarize a run: a line for each project and list, the failures, and the drift.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._plan import Project
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._values import SECRETS

NOTHING = "No host of this play declares anything in pgbeam_databases or the other lists."
#: The texts for databases and replicas, and for the other kinds.
REGISTERED = {
    "created": "is declared but not registered",
    "updated": "differs in",
    "replaced": "differs in",
    "deleted": "is registered but should not be",
}
EXISTING = {
    **REGISTERED,
    "created": "is declared but does not exist",
    "deleted": "exists but should not",
}


#: What PgBeam does not show, so that an audit cannot compare it.
NOT_COMPARED = SECRETS.union(*(kind.issued for kind in KINDS))


@dataclass
class Results:
    """The results of the modules: by project, those of replicas as a list with project and database."""

    projects: dict[str, Values] = field(default_factory=dict)
    databases: dict[str, Values] = field(default_factory=dict)
    replicas: list[Values] = field(default_factory=list)
    #: The results of the other kinds, each with its project and kind: first applied, then deleted objects.
    objects: list[Values] = field(default_factory=list)
    #: The undeclared objects of these kinds that an audit found.
    undeclared: list[Values] = field(default_factory=list)
    #: The failed lookups of projects.
    lookups: dict[str, Values] = field(default_factory=dict)

    @property
    def all(self) -> list[Values]:
        by_project = (*self.lookups.values(), *self.projects.values(), *self.databases.values())
        return [*by_project, *self.replicas, *self.objects]

    def project_id(self, project: Project) -> str:
        """The id of a project, empty if it does not exist yet."""
        created = self.projects.get(project.key)
        return ((created.get("project") or {}).get("id") if created else project.id) or ""


def as_list(value: t.Any) -> list[t.Any]:
    """Return a value, such as a diff, as a list."""
    return value if isinstance(value, list) else [value] if value else []


def lines(results: Results, check_mode: bool) -> list[str]:
    """Return a line for each module's result and each tested connection."""
    note = " (check mode, nothing was written)" if check_mode else ""
    return [f"{label}: {text}{note}" for label, text, dummy in _outcomes(results)] + _tested(results) or [NOTHING]


def failures(results: Results) -> list[str]:
    """Return the failures, then the other results."""
    failed = [f"{key}: {result.get('msg')}" for key, result in results.lookups.items()]
    failed += [f"{label}: {text}" for label, text, result in _outcomes(results) if result.get("failed")]
    return failed + [f"{label}: {text}" for label, text, result in _outcomes(results) if not result.get("failed")]


def _outcomes(results: Results) -> t.Iterator[tuple[str, str, Values]]:
    for key, result in results.projects.items():
        yield key, result["msg"] if result.get("failed") else f"project {result['action']}", result
    for key, result in results.databases.items():
        yield key, result.get("msg", ""), result
    for result in results.replicas:
        yield f"replicas of {result['database']}", result.get("msg", ""), result
    for result in results.objects:
        yield f"{result['kind']} of {result['project']}", result.get("msg", ""), result


def _tested(results: Results) -> list[str]:
    tested = []
    for result in results.databases.values():
        for entry in result.get("databases") or []:
            test = entry.get("connection_test")
            if test:
                version = test.get("server_version") or "(unknown version)"
                latency = "?" if test.get("latency_ms") is None else test["latency_ms"]
                tested.append(f"{_described(DATABASE, entry)}: PostgreSQL {version}, connected in {latency} ms")
    return tested


def drift(results: Results) -> list[str]:
    """Return a sentence for each object that differed from the declarations; passwords cannot be compared."""
    several = len(results.databases) > 1
    found = []
    for key, result in results.projects.items():
        found += _differs(f"project {key}", result, REGISTERED)
    for key, result in results.databases.items():
        belongs = f" of {key}" if several else ""
        for entry in result.get("databases") or []:
            found += _differs(f"{_described(DATABASE, entry)}{belongs}", entry, REGISTERED)
    for result in results.replicas:
        belongs = f" of {result['database']}" + (f" of {result['project']}" if several else "")
        for entry in result.get("replicas") or []:
            found += _differs(f"{REPLICA.describe(entry)}{belongs}", entry, REGISTERED)
    kinds = {kind.plural: kind for kind in KINDS}
    for result in (*results.objects, *results.undeclared):
        belongs = f" of {result['project']}" if several else ""
        for entry in result.get(result["kind"]) or []:
            found += _differs(f"{kinds[result['kind']].describe(entry)}{belongs}", entry, EXISTING)
    return found


def _differs(label: str, result: Values, words: dict[str, str]) -> list[str]:
    action = result.get("action")
    changes = [name for name in result.get("changes") or [] if name not in NOT_COMPARED]
    if action not in words or (action == "updated" and not changes):
        return []
    if action == "replaced" and changes == ["id"]:
        return [f"{label} is registered more than once"]
    named = f" {', '.join(changes)}" if action in ("updated", "replaced") else ""
    return [f"{label} {words[action]}{named}"]


def _described(resource: Resource, entry: Values) -> str:
    return resource.describe(entry).removeprefix(f"{resource.noun} ")
