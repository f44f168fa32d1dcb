# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration of a kind of object, from which the sandbox builds operations and the judges build rules."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter

from tests.sandbox.sdk import hints, optional, strict

Item = dict[str, Any]
#: The project or the organization that an object is in.
Holder = Any


def _nothing(*dummy: Any) -> Item:
    return {}


def _always(dummy: Item) -> bool:
    return True


@dataclass(frozen=True)
class OneTime:
    """The fields that only the answers to a create and a rotation contain, next to the object."""

    #: The key of the object in these answers.
    key: str
    #: The fields that are secret.
    secrets: tuple[str, ...]
    #: Returns all the fields for an object, with new secrets each time.
    issue: Callable[[Holder, Item], Item]


@dataclass(frozen=True)
class Operation:
    """A POST on one object, without a body, in addition to the usual operations."""

    #: Returns the answer for an object. It runs in its own thread, so it may block.
    answer: Callable[[Holder, Item], Item]
    #: Returns the answer of a failure, with its reason.
    failed: Callable[[str], Item]
    status: int = 200


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of object. Its bodies and answers are those of the SDK, with additions that the SDK lacks."""

    #: The name in messages and paths: ``database`` for ``{database_id}``.
    noun: str
    #: The path of the list. Its last parameter is also the field with the parent's id.
    path: str
    #: The key of the list in its answers.
    key: str
    #: The prefix of ids. Empty if PgBeam does not generate them.
    prefix: str
    #: The SDK's models: of the object, and of the bodies. Without one of the last two, there is no such operation.
    model: Any
    create: Any = None
    update: Any = None
    #: The parameter in the path of one object, if it is not named after the noun.
    item: str = ""
    #: The field with an object's id. Each object is also stored with ``id``.
    id_field: str = "id"
    deletable: bool = True
    #: PUT replaces the whole object, PATCH changes the fields in its body.
    update_method: Literal["PUT", "PATCH"] = "PATCH"
    #: Whether the update accepts ``If-Match``, and the key of the object in its answer if it is not the answer itself.
    conditional: bool = True
    updated_key: str = ""
    #: The fields by which a DELETE on the path of the list identifies an object in its query. A PUT on that path
    #: creates or replaces the object with these values. Without any, each object has its own path.
    named_by: tuple[str, ...] = ()
    #: Whether one object can be read alone.
    readable: bool = True
    #: The fields that are missing from the OpenAPI document of July, or differ from the SDK.
    newer: tuple[str, ...] = ()
    #: The contract's ranges and patterns, in the form of ``strict``, and those that differ in an update.
    limits: Mapping[str, Any] = field(default_factory=dict)
    update_limits: Mapping[str, Any] = field(default_factory=dict)
    #: The defaults of fields that a create omits. A PUT restores them, except for ``kept`` fields.
    defaults: Callable[[Holder], Item] = _nothing
    kept: tuple[str, ...] = ()
    #: The fields of bodies that no answer contains.
    write_only: tuple[str, ...] = ()
    #: Fields of answers that are not stored.
    computed: Callable[[Holder, Item], Item] = _nothing
    #: The identity, which no two objects of a parent share.
    unique: Callable[[Item], Any] | None = None
    #: The fields that hold the id of an object of another kind, with the key of that kind. An object that is referred
    #: to is not deleted.
    refers: Mapping[str, str] = field(default_factory=dict)
    #: Raises if a body is not valid in its project or organization.
    check: Callable[[Holder, Item], Any] = _nothing
    #: Raises if an object must not change: for an update with its body, for a DELETE with an empty one.
    keeps: Callable[[Holder, Item, Item], Any] = _nothing
    #: Returns the fields that DELETE sets in an object that it keeps; and whether an object is not deleted in this way.
    revoked: Callable[[], Item] | None = None
    live: Callable[[Item], bool] = _always
    #: Whether a create accepts an Idempotency-Key.
    keyed: bool = True
    once: OneTime | None = None
    #: Whether the plan limits the number of objects.
    limited: bool = False
    #: Further operations on one object, by the last parts of their paths.
    actions: Mapping[str, Operation] = field(default_factory=dict)
    #: For the tests: a body of a create, in which ``{n}`` stands for a number, and a tuple for the values of the
    #: numbers, without the fields in ``refers``; and what an update changes of it.
    example: Mapping[str, Any] = field(default_factory=dict)
    change: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def item_path(self) -> str:
        """The path of the operations on one object."""
        return self.path if self.named_by else f"{self.path}/{{{self.item or f'{self.noun}_id'}}}"

    @property
    def create_method(self) -> str:
        return "PUT" if self.named_by else "POST"

    @functools.cached_property
    def paths(self) -> tuple[str, ...]:
        """The paths of all its operations, as the contract writes them."""
        rotate = ("rotate",) if self.once else ()
        return (self.path, self.item_path, *(f"{self.item_path}/{action}" for action in (*rotate, *self.actions)))

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the paths of all its operations: the parents' ids, the object's, and the last part."""
        return re.compile(re.sub(r"{\w+}", "([^/]+)", self.path) + "(?:/([^/]+)(?:/(.+))?)?")

    @functools.cached_property
    def parent(self) -> str:
        """The field that holds the parent's id."""
        return str(re.findall(r"{(\w+)}", self.path)[-1])

    @functools.cached_property
    def create_body(self) -> TypeAdapter[Item]:
        return TypeAdapter(strict(self.create, "forbid", self.limits))

    @functools.cached_property
    def update_body(self) -> TypeAdapter[Item]:
        return TypeAdapter(strict(self.update, "forbid", {**self.limits, **self.update_limits}))

    @functools.cached_property
    def updatable(self) -> frozenset[str]:
        """The fields of an update."""
        return frozenset(hints(self.update) if self.update else ())

    @functools.cached_property
    def shown(self) -> frozenset[str]:
        """The fields of answers."""
        return frozenset(hints(self.model))

    @functools.cached_property
    def optional(self) -> frozenset[str]:
        """The fields that answers may lack."""
        return optional(self.model)
