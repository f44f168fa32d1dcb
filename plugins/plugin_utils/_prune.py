# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether a run may prune: only if it sees everything that the inventory declares for a project.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import matching, validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._declared import Host, complete, identified
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._gather import VARIABLES
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS

#: The variables that hold lists of objects.
LISTS = [name for name, default in VARIABLES.items() if isinstance(default, list)]
ADVICE = "run on all hosts of the project, or without pgbeam_prune"
Variables = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class View:
    """The hosts of a run, by name, from the play's magic variables."""

    #: The hosts that ran the role.
    gathered: list[str]
    #: The hosts of the batch (ansible_play_batch), those still in the play (ansible_play_hosts), and all that the play
    #: targets (ansible_play_hosts_all).
    batch: list[str]
    active: list[str]
    targeted: list[str]
    #: The value of --limit.
    limit: str = ""
    #: The AWX job template of which the run is a slice.
    sliced: str = ""
    #: The inventory's hosts that the play does not target.
    others: list[str] = field(default_factory=list)
    #: The variables of all hosts that other hosts can see: without play variables and role parameters.
    hostvars: t.Mapping[str, Variables] = field(default_factory=dict)


class Claims:
    """The declarations of a run for a project, to find what prune would delete."""

    def __init__(self, databases: list[Values], objects: dict[str, list[Values]]) -> None:
        self._databases = databases
        self._by_database = matching.EntryIndex(DATABASE, databases)
        #: The kinds that are pruned, by plural.
        self._by_object = {
            kind.plural: matching.EntryIndex(kind, (identified(kind, values) for values in objects[kind.plural]))
            for kind in KINDS
            if objects.get(kind.plural)
        }

    def unclaimed(self, host: Host) -> tuple[bool, list[str]]:
        """Return whether a host declares objects, and the kinds of which prune would delete some.

        Only kinds that the run prunes count. Raises if the host's variables cannot be read.
        """
        databases = _wanted(host) if self._databases or not self._by_object else []
        deleted = {self._deleted_kind(values) for values in databases}
        found = [kind.plural for kind in (DATABASE, REPLICA) if kind in deleted]
        declares_any = bool(databases)
        for kind in KINDS:
            index = self._by_object.get(kind.plural)
            if index:
                entries = [identified(kind, entry) for entry in _present(host.variables[kind.plural])]
                declares_any = declares_any or bool(entries)
                found += [kind.plural] if any(index.find(entry) is None for entry in entries) else []
        return declares_any, found

    def _deleted_kind(self, values: Values) -> Resource | None:
        """Return what prune would delete because the run does not declare it: the database, a replica, or nothing."""
        index = self._by_database.find(values)
        if index is None:
            return DATABASE
        kept = self._databases[index].get("replicas") or []
        claimed = matching.EntryIndex(REPLICA, kept)
        deleted = bool(kept) and any(claimed.find(replica) is None for replica in values.get("replicas") or [])
        return REPLICA if deleted else None


def problems(key: str, claims: Claims, view: View) -> list[str]:
    """Return a sentence for each reason why pruning a project could delete what another host declares."""
    why = unseen(view)
    found = []
    if why:
        found.append(
            f"pgbeam_prune: this run does not see every list of project {key}, because {why}; run on all hosts at "
            "once, or without pgbeam_prune"
        )
    return found + _unseen_hosts(key, claims, view)


def unseen(view: View) -> str | None:
    """Return why a run does not see the lists of all hosts that the play targets, or None."""
    if view.sliced:
        return f"it is one slice of the AWX job template {view.sliced}, or part of a workflow of the same name"
    if view.limit:
        return "--limit is set"
    if set(view.active) != set(view.targeted):
        return f"{some(set(view.targeted) ^ set(view.active))} failed or left the play"
    if set(view.batch) != set(view.targeted):
        missing = some(set(view.targeted) ^ set(view.batch))
        return f"{missing} is not in this batch (serial), or was added while the play ran"
    if set(view.gathered) != set(view.targeted):
        return f"{some(set(view.targeted) ^ set(view.gathered))} did not run the role"
    return None


def _unseen_hosts(key: str, claims: Claims, view: View) -> list[str]:
    """Return a sentence for the first host outside the play whose objects prune may delete."""
    for name in view.others:
        try:
            why = _risk(key, name, view.hostvars[name], claims)
        except Exception:  # core raises various exceptions, and values of wrong types cause others
            why = f"its variables cannot be read here, so it may declare objects of project {key}; {ADVICE}"
        if why:
            return [f"pgbeam_prune: {name} is not among the play's hosts, and {why}"]
    return []


def _risk(key: str, name: str, variables: Variables, claims: Claims) -> str | None:
    """Return why prune may delete objects of a host outside the play, or None. Raises on unreadable variables."""
    host = _declared(name, variables)
    if not host.project.get("database") and not any(host.variables[own] for own in LISTS):
        return None
    own = host.key
    if "{{" in own or "{%" in own:  # ansible-core before 2.19 returns templates that it cannot evaluate
        raise ValueError(own)
    if own and own != key and ("/" in own) == ("/" in key):  # an id has no slash
        return None
    declares_any, unclaimed = claims.unclaimed(host)
    if declares_any and own and own != key:
        return (
            f"refers to its project as {own}, so this run cannot determine whether that is {key}; "
            "refer to both by id, or to both by org_id and name"
        )
    if not unclaimed:
        return None
    if own:
        return f"declares {validation.listed(unclaimed)} of {key}; {ADVICE}"
    kinds = validation.listed(unclaimed)
    return f"declares {kinds} but no project that this run can see, so they may belong to {key}; {ADVICE}"


def _declared(name: str, variables: Variables) -> Host:
    values = {own: variables.get(f"pgbeam_{own}") or default for own, default in VARIABLES.items()}
    return Host(name, variables.get("ansible_host") or name, values)


def _wanted(host: Host) -> list[Values]:
    """Return the databases that a host declares as present. Raises if its variables cannot be read."""
    first, listed = host.project.get("database"), host.variables["databases"]
    if not isinstance(listed, list):
        raise TypeError
    entries = [complete(host, declared).values for declared in [*listed, *([first] if first else [])]]
    return _present([values for values in entries if values is not None])


def _present(entries: t.Any) -> list[Values]:
    """Return the entries of a list that are not ``absent``. Raises if it is not a list of dictionaries."""
    if not isinstance(entries, list):
        raise TypeError
    return [entry for entry in entries if entry.get("state") != "absent"]


def some(names: set[str]) -> str:
    """Return the first of these names, and the number of the others."""
    first, *others = sorted(names)
    return f"{first} (and {len(others)} more)" if others else first
