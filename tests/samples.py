# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values for the tests that hold for every resource, from the samples in its words."""

from __future__ import annotations

from generate import words
from generate.declared import Field, Resource, Values


def sample(resource: Resource, field: Field, within: str = "") -> object:
    """The sample of a field, or of the member of one at the path ``within``; of an object, those of its members."""
    if (field.elements or field).fields:
        below = f"{within}.{field.name}" if within else field.name
        one = {member.name: sample(resource, member, below) for member in (field.elements or field).fields}
        return [one] if field.elements else one
    return words.read(resource.noun).sample(field, within)


def whole(resource: Resource) -> Values:
    """An object of the API as a server returns it, with the fields that it never returns left out."""
    return {field.name: sample(resource, field) for field in resource.fields if not field.secret}


def needed(resource: Resource) -> Values:
    """What a task declares to find or create an object, without its parent and its secrets."""
    found = {name for name in resource.identity if resource.field(name).identity_default is None}
    return {
        field.name: sample(resource, field)
        for field in resource.writable
        if (field.name in found or field.required) and not field.secret and field.name != resource.parent
    }


def body(resource: Resource, secret: str) -> Values:
    """The body of the smallest create, with this value for each secret."""
    initial = {field.name: field.identity_default for field in resource.writable if field.identity_default is not None}
    return {**needed(resource), **initial, **{field.name: secret for field in resource.writable if field.secret}}
