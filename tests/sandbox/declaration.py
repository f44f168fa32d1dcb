# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kind of object is: a declaration, from which the sandbox makes its operations and the judges their rules."""

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
    """What the answers to a create and to a rotation hold once, beside the object."""

    #: The object's place in these answers.
    key: str
    #: Those of the fields that are secret.
    secrets: tuple[str, ...]
    #: All the fields, secret or not, for an object; new ones each time.
    issue: Callable[[Holder, Item], Item]


@dataclass(frozen=True)
class Operation:
    """A POST on one object, without a body, that is not made from the rest of its kind."""

    #: The answer, for an object. It runs in a thread of its own, so it may wait.
    answer: Callable[[Holder, Item], Item]
    #: The answer of one that has failed, with the reason.
    failed: Callable[[str], Item]
    status: int = 200


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of object. Its bodies and answers are the SDK's; what the SDK does not have is beside them."""

    #: As in messages and in paths: ``database`` for ``{database_id}``.
    noun: str
    #: The path of the list. Its last parameter is also the field that holds the parent's id.
    path: str
    #: The list's place in its answers.
    key: str
    #: What ids begin with; empty if PgBeam does not make them.
    prefix: str
    #: The SDK's models: of the object, and of the bodies. Without one of the last two, there is no such operation.
    model: Any
    create: Any = None
    update: Any = None
    #: The parameter in the path of one object, if its name is not the noun's.
    item: str = ""
    #: PUT replaces the whole object, PATCH changes the fields that it names.
    update_method: Literal["PUT", "PATCH"] = "PATCH"
    #: Whether the update takes ``If-Match``, and the object's place in its answer, which else is the object itself.
    conditional: bool = True
    updated_key: str = ""
    deletable: bool = True
    #: The field that holds an object's id. Objects are stored with ``id`` as well.
    id_field: str = "id"
    #: The fields by which a DELETE on the path of the list names an object in its query. A PUT on that path creates the
    #: object with these values or replaces it. Without any, each object has a path of its own.
    named_by: tuple[str, ...] = ()
    #: Whether one object can be read alone.
    readable: bool = True
    #: The fields that the OpenAPI document of July does not have, or has otherwise than the SDK.
    newer: tuple[str, ...] = ()
    #: The contract's ranges and patterns, as ``strict`` has them; and those that are others in an update.
    limits: Mapping[str, Any] = field(default_factory=dict)
    update_limits: Mapping[str, Any] = field(default_factory=dict)
    #: What an object begins with where its create leaves it out. A PUT brings it back, ``kept`` fields aside.
    defaults: Callable[[Holder], Item] = _nothing
    kept: tuple[str, ...] = ()
    #: The fields of bodies that no answer holds.
    write_only: tuple[str, ...] = ()
    #: Fields that answers have and that are not stored.
    computed: Callable[[Holder, Item], Item] = _nothing
    #: What no two objects of a parent have in common.
    unique: Callable[[Item], Any] | None = None
    #: The fields that hold the id of an object of another kind, with the key of that kind. An object that is referred
    #: to is not deleted.
    refers: Mapping[str, str] = field(default_factory=dict)
    #: Raises where a body is not acceptable in its project.
    check: Callable[[Holder, Item], Any] = _nothing
    #: Raises where an object must stay as it is: for an update with its body, or for a DELETE with an empty one.
    keeps: Callable[[Holder, Item, Item], Any] = _nothing
    #: What DELETE changes of an object that it leaves where it is, for ever; and whether an object is not so yet.
    revoked: Callable[[], Item] | None = None
    live: Callable[[Item], bool] = _always
    #: Whether a create takes an Idempotency-Key.
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
