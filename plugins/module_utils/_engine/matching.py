# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the object that a task refers to, by id or by identity. No I/O.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, Values

Identities = frozenset[tuple[t.Any, ...]]
REPLACE_HINT = ", or set replace: true to keep the one that matches the task"


def identity(resource: Resource, values: Values) -> tuple[t.Any, ...]:
    """Return the normalized identity of an object. Two objects with the same identity are duplicates."""
    return tuple(resource.field(n).normalized(resource.identity_value(values, n)) for n in resource.identity)


class Index:
    """The server's objects of one parent, by id and by identity."""

    def __init__(self, resource: Resource, existing: list[Values]) -> None:
        self._resource = resource
        self._by_id = {item.get(resource.id_field): item for item in existing}
        self._by_identity: dict[tuple[t.Any, ...], list[Values]] = {}
        for item in self._by_id.values():
            if resource.has_expired(item):
                continue
            self._by_identity.setdefault(identity(resource, item), []).append(item)

    @property
    def size(self) -> int:
        return len(self._by_id)

    def without(self, items: t.Sequence[Values]) -> Index:
        ids = self._ids(items)
        return Index(self._resource, [item for key, item in self._by_id.items() if key not in ids]) if ids else self

    def duplicates_of(self, values: Values) -> list[Values]:
        """Return the other objects with the same identity."""
        key = self._resource.id_field
        return [m for m in self._by_identity.get(identity(self._resource, values), []) if m[key] != values[key]]

    def with_id(self, identifier: str | None) -> Values | None:
        """Return the object with this id, or None if it does not exist."""
        return self._by_id.get(identifier)

    def find(
        self, wanted: Values, state: str = "present", shared: Identities = frozenset(), replace: bool = False
    ) -> Values | None:
        """Return the object that ``wanted`` refers to, or None if it does not exist.

        - If ``wanted`` has an id, only the id counts. Otherwise the identity does.
        - If several objects match, the tie breaker selects one.
        - The tie breaker must also match a single object if ``shared`` contains the identity, because another entry of
          the list has it too, and on deletion, because a second run must not delete another object.
        - With ``replace``, an object that already matches ``wanted`` is selected: the others are left over from an
          interrupted replacement.

        Raises TaskError if several objects still match.
        """
        if self._resource.id_field in wanted:
            found = self.with_id(wanted[self._resource.id_field])
            return None if found and state == "present" and self._resource.has_expired(found) else found
        key = identity(self._resource, wanted)
        matches = self._by_identity.get(key, [])
        breaker = self._resource.tie_breaker
        if breaker in wanted:
            agreeing = [m for m in matches if m.get(breaker) == wanted[breaker]]
            if agreeing or state == "absent" or key in shared:
                matches = agreeing
        hint = ""
        if len(matches) > 1 and state == "present" and self._resource.replaceable:
            fitting = [m for m in matches if not self._resource.changed_fields(wanted, m)]
            if len(fitting) == 1:
                matches, hint = (fitting, "") if replace else (matches, REPLACE_HINT)
        if len(matches) > 1:
            raise TaskError(self._ambiguity(wanted, matches) + hint)
        return matches[0] if matches else None

    def duplicate_warnings(self) -> list[str]:
        """Return a sentence for each group of objects that differ only in their ids."""
        if not self._resource.identity:
            return []
        duplicates: dict[tuple[t.Any, ...], list[Values]] = {}
        for key, items in self._by_identity.items():
            for item in items:
                duplicates.setdefault((*key, item.get(self._resource.tie_breaker)), []).append(item)
        return [self._ambiguity(items[0], items) for items in duplicates.values() if len(items) > 1]

    def _ambiguity(self, wanted: Values, matches: list[Values]) -> str:
        key = self._resource.id_field
        ids = ", ".join(sorted(m[key] for m in matches))
        tie = self._resource.tie_breaker
        if tie and len({item.get(tie) for item in matches}) > 1:
            remedy = f"set {key} to choose one" if tie in wanted else f"set {key} or {tie} to choose one"
        else:
            or_delete = f", or delete the duplicates by {key} with state: absent" if self._resource.deletable else ""
            remedy = f"set {key} to choose one{or_delete}"
        return f"{self._resource.describe(wanted)} exists {len(matches)} times in PgBeam ({ids}); {remedy}"

    def unclaimed(self, claimed: t.Iterable[Values]) -> list[Values]:
        """The objects that no entry claims, in the server's order."""
        ids = self._ids(claimed)
        return [item for key, item in self._by_id.items() if key not in ids]

    def _ids(self, items: t.Iterable[Values]) -> set[str]:
        return {item[self._resource.id_field] for item in items}


def shared_identities(resource: Resource, entries: list[Values], index: Index) -> Identities:
    """Return the identities that several entries of one list share, so that only the tie breaker distinguishes them."""
    objects = [index.find(entry) if resource.id_field in entry else entry for entry in entries]
    counts = Counter(identity(resource, values) for values in objects if values)
    return frozenset(key for key, count in counts.items() if count > 1)


class EntryIndex:
    """Entries of a list by the object that each refers to: by id, or by identity and, if set, tie breaker."""

    def __init__(self, resource: Resource, entries: t.Iterable[Values] = ()) -> None:
        self._resource = resource
        self._seen: dict[tuple[t.Any, ...], list[tuple[int, t.Any]]] = {}
        for place, entry in enumerate(entries):
            self.add(entry, place)

    def add(self, entry: Values, place: int) -> None:
        self._seen.setdefault(self._key(entry), []).append((place, entry.get(self._resource.tie_breaker)))

    def find(self, entry: Values) -> int | None:
        """Return the position of an added entry that refers to the same object, or None."""
        breaker = entry.get(self._resource.tie_breaker)
        added = self._seen.get(self._key(entry), [])
        by_id = self._resource.id_field in entry
        return next((p for p, other in added if by_id or None in (breaker, other) or breaker == other), None)

    def _key(self, entry: Values) -> tuple[t.Any, ...]:
        key = self._resource.id_field
        return (key, entry[key]) if key in entry else identity(self._resource, entry)


def duplicate_entries(resource: Resource, entries: list[Values], name: t.Callable[[int], str]) -> list[str]:
    """Return a sentence for each pair of entries of the same object. ``name`` returns the label of an entry."""
    found = []
    seen = EntryIndex(resource)
    for index, entry in enumerate(entries):
        earlier = seen.find(entry)
        if earlier is not None:
            identifier = entry.get(resource.id_field)
            what = f"{resource.noun} {identifier}" if identifier else resource.describe(entry)
            found.append(f"{name(earlier)} and {name(index)} are both {what}; keep one of them")
        seen.add(entry, index)
    return found
