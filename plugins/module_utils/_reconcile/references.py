# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve the names of referenced objects to the ids that the API expects.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import (
    Field,
    Resource,
    UnresolvedName,
    Values,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import Reconciler

MAX_NAMES_SHOWN = 10


def resolve(reconciler: Reconciler, entries: list[tuple[str, Values, str]]) -> list[str]:
    """Replace the names of objects with the same parent by their ids. One listing per kind of object.

    Each entry comes with its label and state. Returns a sentence for each name that does not match exactly one object.
    A missing object is not an error in check mode or for an absent entry: then the name stays.
    """
    return _resolve_all(reconciler, entries, reconciler.parent, inside=False)


def resolve_inside(reconciler: Reconciler, wanted: Values, state: str, index: Index) -> list[str]:
    """Do the same for the names of this object's children. If it does not exist, it has none."""
    if not any(isinstance(wanted.get(f.name), UnresolvedName) for f in reconciler.resource.references):
        return []
    current = index.find(wanted, state)
    if not current and reconciler.resource.id_field in wanted:
        return []  # the plan reports that there is no such object
    parent = current[reconciler.resource.id_field] if current else ""
    return _resolve_all(reconciler, [("", wanted, state)], parent, inside=True)


def _resolve_all(
    reconciler: Reconciler, entries: list[tuple[str, Values, str]], parent: str, inside: bool
) -> list[str]:
    problems = []
    listed: dict[str, list[Values]] = {}
    for f in reconciler.resource.references:
        target = t.cast(Resource, f.refers_to)
        if inside != (target.parent_noun == reconciler.resource.noun):
            continue
        named = [entry for entry in entries if isinstance(entry[1].get(f.name), UnresolvedName)]
        if named:
            targets = Reconciler(reconciler.run, target, parent)
            if target.noun not in listed:
                listed[target.noun] = targets.read_all(with_deleted=f.refers_to_deleted)
        for place, wanted, state in named:
            option = f"{place}{f.name_option or f.name}"
            if inside and not parent and state != "absent" and not reconciler.run.check_mode:
                problems.append(_without_parent(option, f, reconciler.resource.noun))
                continue
            problem = _resolve(targets, f, option, wanted, state, listed[target.noun])
            problems += [problem] if problem else []
    return problems


def _without_parent(option: str, f: Field, noun: str) -> str:
    """Return the message for a name of a child of an object that does not exist yet."""
    target = t.cast(Resource, f.refers_to)
    return (
        f"{option}: the {noun} does not exist yet, so it has no {target.plural}; create the {noun} without "
        f"{f.name_option}, then the {target.noun}, and set {f.name_option} after that"
    )


def unless_created(what: str) -> str:
    """Return the part of a warning of check mode on something that an earlier task may be the one to create."""
    return f"without check mode, the task fails unless {what} exists by then"


def missing(resource: Resource, parent: str, name: str) -> str:
    """Return the message for a name that no object has."""
    return f"none of the {resource.collection_label(parent)} is named {name!r}"


def _resolve(
    targets: Reconciler, f: Field, place: str, wanted: Values, state: str, existing: list[Values]
) -> str | None:
    resource, name = targets.resource, str(wanted[f.name])
    (key,) = resource.identity
    current = [item for item in existing if not resource.is_deleted(item)] if f.refers_to_deleted else existing
    by_name = [item for item in current if item[key] == name]
    matches = by_name or [item for item in existing if item[resource.id_field] == name]
    if len(matches) == 1:
        wanted[f.name] = matches[0][resource.id_field]
        return None
    where = resource.collection_label(targets.parent)
    if matches:
        ids = ", ".join(item[resource.id_field] for item in matches)
        return f"{place}: {len(matches)} {where} are named {name!r} ({ids}); use the id of one of them"
    if state == "absent":
        return None
    names = sorted(filter(None, (item[key] for item in current)))
    more = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
    known = ", ".join(names[:MAX_NAMES_SHOWN]) + more
    remedy = f"use an existing one: {known}" if known else "create it first"
    problem = f"{place}: {missing(resource, targets.parent, name)}; {remedy}"
    if not targets.run.check_mode:
        return problem
    targets.run.warn(f"{problem}; {unless_created(repr(name))}")
    return None
