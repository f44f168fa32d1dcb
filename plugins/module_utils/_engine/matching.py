# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which object a task means: by its id, else by its identity. No I/O.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, Values

Identities = frozenset[tuple[t.Any, ...]]
REPLACE_HINT = ", or set replace: true to keep the one that is as the task says"


def identity(resource: Resource, values: Values) -> tuple[t.Any, ...]:
    """What two objects must share to be the same registration, ready to compare."""
    return tuple(resource.field(n).normalized(resource.identity_value(values, n)) for n in resource.identity)


class Index:
    """The server's objects of one parent, to find the one that a task means."""

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
        """The other objects of the same identity."""
        key = self._resource.id_field
        return [m for m in self._by_identity.get(identity(self._resource, values), []) if m[key] != values[key]]

    def with_id(self, identifier: str | None) -> Values | None:
        """The object with this id, None where there is none."""
        return self._by_id.get(identifier)

    def find(
        self, wanted: Values, state: str = "present", shared: Identities = frozenset(), replace: bool = False
    ) -> Values | None:
        """The object that ``wanted`` means, None where there is none.

        By id where that is named, else by identity, where the tie breaker narrows a tie. It has to agree even without
        a tie where ``shared`` holds the identity, as the list names it twice, and where a deletion names it: the second
        run must not delete the other one. Where objects may be replaced, one that is as wanted already is meant: the
        others are what a replacement that was interrupted has left. Raises TaskError where it is not clear which object
        is meant.
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
        if len(matches) > 1 and replace and state == "present":
            fitting = [m for m in matches if not self._resource.changed_fields(wanted, m)]
            matches = fitting if len(fitting) == 1 else matches
        if len(matches) > 1:
            hint = "" if replace or state == "absent" or not self._resource.replaceable else REPLACE_HINT
            raise TaskError(self._told(wanted, matches) + hint)
        return matches[0] if matches else None

    def duplicate_warnings(self) -> list[str]:
        """Sentences on the objects that nothing but their ids tells apart."""
        if not self._resource.identity:
            return []
        alike: dict[tuple[t.Any, ...], list[Values]] = {}
        for key, items in self._by_identity.items():
            for item in items:
                alike.setdefault((*key, item.get(self._resource.tie_breaker)), []).append(item)
        return [self._told(items[0], items) for items in alike.values() if len(items) > 1]

    def _told(self, wanted: Values, matches: list[Values]) -> str:
        key = self._resource.id_field
        ids = ", ".join(sorted(m[key] for m in matches))
        removing = f", or remove each that is too many with its {key} and state=absent"
        return (
            f"{self._resource.describe(wanted)} is in PgBeam {len(matches)} times ({ids}); "
            f"name the one you mean by {key}{removing if self._resource.deletable else ''}"
        )

    def unclaimed(self, claimed: t.Iterable[Values]) -> list[Values]:
        """The objects that no entry claims, in the server's order."""
        ids = self._ids(claimed)
        return [item for key, item in self._by_id.items() if key not in ids]

    def _ids(self, items: t.Iterable[Values]) -> set[str]:
        return {item[self._resource.id_field] for item in items}


def shared_identities(resource: Resource, entries: list[Values], register: Index) -> Identities:
    """The identities that several entries of one list share, told apart by the tie breaker alone."""
    there = [register.find(entry) if resource.id_field in entry else entry for entry in entries]
    counts = Counter(identity(resource, values) for values in there if values)
    return frozenset(key for key, count in counts.items() if count > 1)


class EntryIndex:
    """Entries of a list by the object that each means: its id, or its identity and, where it names one, tie breaker."""

    def __init__(self, resource: Resource, entries: t.Iterable[Values] = ()) -> None:
        self._resource = resource
        self._seen: dict[tuple[t.Any, ...], list[tuple[int, t.Any]]] = {}
        for place, entry in enumerate(entries):
            self.add(entry, place)

    def add(self, entry: Values, place: int) -> None:
        self._seen.setdefault(self._key(entry), []).append((place, entry.get(self._resource.tie_breaker)))

    def find(self, entry: Values) -> int | None:
        """The place of an added entry that means the same object, None where there is none."""
        breaker = entry.get(self._resource.tie_breaker)
        added = self._seen.get(self._key(entry), [])
        by_id = self._resource.id_field in entry
        return next((p for p, other in added if by_id or None in (breaker, other) or breaker == other), None)

    def _key(self, entry: Values) -> tuple[t.Any, ...]:
        key = self._resource.id_field
        return (key, entry[key]) if key in entry else identity(self._resource, entry)


def duplicate_entries(resource: Resource, entries: list[Values], name: t.Callable[[int], str]) -> list[str]:
    """Sentences on entries of one list that mean one object. ``name`` tells an entry's place in words."""
    found = []
    claims = EntryIndex(resource)
    for index, entry in enumerate(entries):
        earlier = claims.find(entry)
        if earlier is not None:
            identifier = entry.get(resource.id_field)
            what = f"{resource.noun} {identifier}" if identifier else resource.describe(entry)
            found.append(f"{name(earlier)} and {name(index)} are both {what}; keep one of them")
        claims.add(entry, index)
    return found
