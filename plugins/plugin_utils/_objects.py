# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply the objects of one project that are not databases, kind by kind, and delete in the reverse order.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile import references
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._plan import Project
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._report import Results, as_list

#: Runs a module by its short name with these options, and returns its result.
Call = t.Callable[[str, Values], Values]
#: Statuses with which every other call would also fail.
UNIVERSAL = (401, 408, 429)


class Objects:
    """The objects of one project in one run. What the modules return is added to the results."""

    def __init__(self, project: Project, results: Results, call: Call) -> None:
        self._project = project
        self._results = results
        self._call = call
        #: The results in check mode, before the first write, of the kinds that delete objects.
        self._foreseen: dict[str, Values] = {}
        #: The ids of the objects of each kind by name and by id, and the names of objects that would be created.
        self._ids: dict[str, Values] = {}
        self._to_be_created: dict[str, set[str]] = {}
        #: The kinds that failed or were skipped.
        self._failed: set[str] = set()
        #: Why nothing more can be applied.
        self._ended = ""

    def foresee(self, project_id: str, foresee: Call) -> None:
        """Determine before the first write what will be deleted. The project must exist.

        ``foresee`` runs a module in check mode. Failures are added to the results.
        """
        prune = self._project.settings["prune"]
        for kind in KINDS:
            entries = self._project.objects.get(kind.plural, [])
            deletes = prune or any(entry.get("state") == "absent" for entry in entries)
            if not entries or not deletes or self._blocked(kind):
                continue
            result = foresee(kind.plural, self._options(kind, entries, project_id, prune))
            self._learn(kind, result)
            if result.get("failed"):
                self._add(kind, result)
            else:
                self._foreseen[kind.plural] = result

    def announcements(self) -> list[str]:
        """Return what prune will delete of each kind, with the names of the objects."""
        found = []
        for kind in KINDS:
            listed = self._foreseen.get(kind.plural, {}).get(kind.plural, [])
            pruned = listed[len(self._project.objects.get(kind.plural, [])) :]
            if pruned:
                existing = sum(bool(entry.get("id")) for entry in listed)
                objects = ", ".join(f"{kind.describe(entry)} ({entry.get('id')})" for entry in pruned)
                what = f"{len(pruned)} of the {existing} {kind.plural} of project {self._project.key}"
                found.append(f"{what}: {objects}")
        return found

    def apply(self, ended: str) -> None:
        """Apply every kind, then delete what must be absent. ``ended`` is why nothing can be applied, or empty."""
        self._ended = self._ended or ended
        project_id = self._results.project_id(self._project)
        for kind in KINDS:
            entries = self._remaining(kind)
            if entries and kind.plural not in self._failed:
                self._apply_kind(kind, entries, project_id)
            for f in PROJECT.references:
                if f.refers_to is kind and self._project.options.get(f.name_option) is not None:
                    self._set_reference(kind, f, project_id)
        for kind in reversed(KINDS):
            deleted = [entry for entry in self._planned(kind) if entry["action"] == "deleted"]
            if deleted:
                self._delete(kind, deleted, project_id)

    def find_undeclared(self, foresee: Call) -> None:
        """Add to the results undeclared objects with their own login, if a host declares objects of that kind."""
        project_id = self._results.project_id(self._project)
        for kind in KINDS:
            entries = self._project.objects.get(kind.plural, [])
            pruned = self._project.settings["prune"]  # with prune, they are part of the results
            if kind.issued and entries and project_id and not pruned and kind.plural not in self._failed:
                options = self._options(kind, entries, project_id, prune=True)
                result = foresee(kind.plural, {**options, "prune_limit": "100%"})
                if result.get("failed"):
                    self._add(kind, result)
                    continue
                found = (result.get(kind.plural) or [])[len(entries) :]
                self._results.undeclared.append({**self._origin(kind), kind.plural: found})

    def _planned(self, kind: Resource) -> list[Values]:
        listed: list[Values] = self._foreseen.get(kind.plural, {}).get(kind.plural, [])
        return listed

    def _remaining(self, kind: Resource) -> list[Values]:
        """Return the entries of a kind that delete nothing."""
        entries = self._project.objects.get(kind.plural, [])
        if kind.plural not in self._foreseen:
            return entries
        planned = self._planned(kind)
        return [entry for entry, foreseen in zip(entries, planned) if foreseen["action"] != "deleted"]

    def _apply_kind(self, kind: Resource, entries: list[Values], project_id: str) -> None:
        why = self._blocked(kind)
        if why:
            self._skip(kind, entries, why)
            return
        foreseen = self._foreseen.get(kind.plural, {})
        as_declared = all(entry["action"] == "unchanged" for entry in self._planned(kind))
        if foreseen and as_declared and not foreseen.get("warnings"):
            self._add(kind, foreseen)
            return
        result = self._call(kind.plural, self._options(kind, entries, project_id))
        self._learn(kind, result)
        if result.get("warnings"):
            result["warnings"] = self._relevant(kind, result["warnings"], project_id)
        self._add(kind, result)

    def _set_reference(self, kind: Resource, f: Field, project_id: str) -> None:
        """Set the project's reference to an object of this kind, which now exists."""
        before = self._results.projects[self._project.key]
        why = self._ended or (self._failure(kind.plural) if kind.plural in self._failed else "")
        if why:
            result = {**before, "failed": True, "msg": f"{f.name_option}: not set, because {why}"}
            self._results.projects[self._project.key] = result
            return
        named = self._resolved(PROJECT, {f.name_option: self._project.options[f.name_option]})
        if named.get(f.name) and named.get(f.name) == before["project"].get(f.name):
            return
        # In check mode, a project that does not exist is predicted again as a whole.
        options = {"id": project_id} if project_id else {**self._project.options, "id": None}
        result = self._call("project", {**options, **named, **self._project.connection})
        if result.get("warnings"):
            result["warnings"] = self._relevant(PROJECT, result["warnings"], project_id)
        self._results.projects[self._project.key] = merged(before, result) if project_id else result

    def _blocked(self, kind: Resource) -> str:
        """Return why a kind cannot be applied, such as missing referenced objects, or an empty text."""
        needed = [f.refers_to.plural for f in kind.references if f.refers_to]
        return self._ended or next((self._failure(plural) for plural in needed if plural in self._failed), "")

    def _delete(self, kind: Resource, deleted: list[Values], project_id: str) -> None:
        """Delete objects, unless one of a kind that refers to them may still exist."""
        users = [user.plural for user in KINDS if any(f.refers_to is kind for f in user.references)]
        why = self._ended or next((self._failure(p) for p in (kind.plural, *users) if p in self._failed), "")
        if why:
            self._skip(kind, deleted, why)
            return
        entries = [{**_identity(kind, entry), "state": "absent"} for entry in deleted]
        self._add(kind, self._call(kind.plural, self._options(kind, entries, project_id)))

    def _options(self, kind: Resource, entries: list[Values], project_id: str, prune: bool = False) -> Values:
        settings = self._project.settings
        return {
            kind.parent: project_id,
            kind.plural: [self._resolved(kind, entry) for entry in entries],
            "prune": prune,
            "prune_limit": settings["prune_limit"],
            "parallel": settings["parallel"],
            **{f"update_{secret}": settings["update_password"] for secret in kind.secret_names},
            **self._project.connection,
        }

    def _resolved(self, resource: Resource, entry: Values) -> Values:
        """Replace names of objects that this run knows by their ids, so that no module lists them again."""
        values = dict(entry)
        for f in resource.references:
            if entry.get("state") == "absent" and f.name not in resource.identity:  # the module ignores it too
                continue
            known = self._ids.get(f.refers_to.plural if f.refers_to else "", {})
            named = entry.get(f.name_option)
            if named is not None and named in known:
                del values[f.name_option]
                values[f.name] = known[named]
        return values

    def _learn(self, kind: Resource, result: Values) -> None:
        """Store the ids of the objects that exist after a module ran."""
        ids, created = self._ids.setdefault(kind.plural, {}), self._to_be_created.setdefault(kind.plural, set())
        for entry in result.get(kind.plural) or []:
            if entry["action"] in ("deleted", "failed", "skipped") or len(kind.identity) != 1:
                continue
            name = entry.get(kind.identity[0])
            if entry.get("id"):
                ids.update({entry["id"]: entry["id"], name: entry["id"]})
            else:
                created.add(name)

    def _relevant(self, kind: Resource, warnings: list[t.Any], project_id: str) -> list[t.Any]:
        """Return the warnings without those on missing objects that this run would create."""
        expected = [
            references.missing(f.refers_to, project_id, name)
            for f in kind.references
            if f.refers_to
            for name in self._to_be_created.get(f.refers_to.plural, ())
        ]
        return [warning for warning in warnings if not any(text in str(warning) for text in expected)]

    def _add(self, kind: Resource, result: Values) -> None:
        self._results.objects.append({**self._origin(kind), **result})
        if result.get("failed"):
            self._failed.add(kind.plural)
            self._ended = self._ended or ending(result, kind.plural)

    def _skip(self, kind: Resource, entries: list[Values], why: str) -> None:
        """Report entries that are not applied."""
        self._failed.add(kind.plural)
        skipped: list[Values] = [
            {"action": "skipped", **{name: entry.get(name) for name in kind.summary}, "changes": []}
            for entry in entries
        ]
        result = {"changed": False, "failed": False, "msg": f"{len(entries)} skipped: {why}", kind.plural: skipped}
        self._results.objects.append({**self._origin(kind), **result})

    def _origin(self, kind: Resource) -> Values:
        return {"project": self._project.key, "kind": kind.plural}

    def _failure(self, plural: str) -> str:
        return f"the {plural} of {self._project.key} could not be applied"


def merged(first: Values, second: Values) -> Values:
    """Combine the results of two calls for one object."""
    both = {**first, **second, "changed": first.get("changed") or second.get("changed")}
    if first.get("changed"):
        both["action"] = first.get("action")
    for name in ("changes", "warnings", "deprecations", "diff"):
        parts = [part for result in (first, second) for part in as_list(result.get(name))]
        if parts or name == "changes":
            both[name] = parts
    return both


def ending(result: Values, plural: str) -> str:
    """Return why every other module would fail too after this result of a list module, or an empty text."""
    error = result.get("error") or {}
    status = error.get("status")
    refused = any((entry.get("error") or {}).get("status") == 401 for entry in result.get(plural) or [])
    if refused or (error and (status is None or status in UNIVERSAL or status >= 500)):
        return "PgBeam refused the calls, failed or could not be reached"
    return ""


def _identity(kind: Resource, entry: Values) -> Values:
    """Return the options that identify an object in the result of a list module."""
    names = ["id"] if entry.get("id") else kind.identity
    return {name: entry[name] for name in names}
