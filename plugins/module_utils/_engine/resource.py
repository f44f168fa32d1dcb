# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared of a kind of API object: a resource and its fields, and the options that follow from them.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import functools
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import timestamp

Values = dict[str, t.Any]
ID_PATTERN = r"(?!\.{1,2}$)[a-zA-Z0-9_.-]+"
ID_RULE = "letters, digits, '_', '.' and '-'"


class UnresolvedName(str):
    """The name of another object in the place of its id. In check mode that object need not exist yet."""

    __slots__ = ()


@dataclass(frozen=True)
class Field:
    """One field of an API object and the option of the same name."""

    name: str
    type: str = "str"
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    #: What a number must be greater than.
    exclusive_minimum: int | None = None
    #: A regular expression for the whole value, and what it allows in words.
    pattern: str | None = None
    must_be: str = ""
    #: A create is refused without it. For a member: the API wants it whenever the object is sent.
    required: bool = False
    #: The value of an identity field that the task leaves out.
    identity_default: t.Any = None
    #: Never read back, so never compared; sent on create, later only when asked for; shown nowhere.
    secret: bool = False
    #: Set by the server alone.
    read_only: bool = False
    #: A read-only field that any write may change.
    changes_on_write: bool = False
    #: Told at creation and never changed; another value than the server's fails.
    immutable: bool = False
    #: Not taken by a create: an update that follows it sends the value, where the object made has another one.
    update_only: bool = False
    #: An explicit null is a value, and an empty text means the same. Other fields take it for an option that was left
    #: out. In an identity, null is assumed if the task omits the field.
    nullable: bool = False
    #: A moment that must be in the future when the object is created.
    in_future: bool = False
    #: The resource whose id this is, and the option that takes the name of one in its place.
    refers_to: Resource | None = None
    name_option: str = ""
    #: What a list that becomes empty means, if that is more than its elements say.
    when_empty: str = ""
    #: Two values of which this makes the same are one. Raises ValueError for what is no value of the field.
    normalize: t.Callable[[str], str] | None = None
    #: How a value reads in messages and diff headers.
    display: t.Callable[[t.Any], str] = str
    #: The members of an object. Only named ones are compared; the object is sent whole.
    fields: tuple[Field, ...] = ()
    #: What a list is made of; ``maximum`` says of how many. It is compared as a set unless its order counts.
    elements: Field | None = None
    ordered: bool = False
    #: The members that tell the objects of a list apart.
    key: tuple[str, ...] = ()

    @functools.cached_property
    def zero(self) -> t.Any:
        """The value of a field that the server's answer leaves out; None if that is unknown.

        Servers leave zero values out. A documented default of another kind is not relied on.
        """
        if self.nullable:
            return None
        if self.type == "bool":
            return False
        if self.type == "int":
            return None if self.minimum else 0
        if self.type == "list":
            return []
        return "" if self.pattern and not self.choices and re.fullmatch(self.pattern, "") else None

    def equals(self, value: t.Any, current: t.Any) -> bool:
        """Whether two values mean the same to the server; of an object, the members that the first names."""
        if self.fields:
            known = self.member_values(current)
            return all(
                f.name in known and f.equals(value[f.name], known[f.name]) for f in self.fields if f.name in value
            )
        value, current = (self.zero if v is None else v for v in (value, current))
        if not self.elements:
            return bool(self.normalized(value) == self.normalized(current))
        if self.ordered:
            return len(value) == len(current) and all(map(self.elements.equals, value, current))
        left, right = self._by_key(value), self._by_key(current)
        return left.keys() == right.keys() and all(self.elements.equals(left[k], right[k]) for k in left)

    def differs(self, wanted: Values, current: Values) -> bool:
        """Whether a task wants the field otherwise than the server has it, as far as that can be seen."""
        if self.name not in wanted or self.secret:
            return False
        if self.immutable and isinstance(wanted[self.name], UnresolvedName):  # it may be what the server has
            return False
        return not self.equals(wanted[self.name], current.get(self.name))

    def member_values(self, current: t.Any) -> Values:
        """The members of an object as the server has them, without those that its answer says nothing about."""
        if current is None:
            return {}
        values = {m.name: m.zero if current.get(m.name) is None else current[m.name] for m in self.fields}
        return {name: value for name, value in values.items() if value is not None}

    def merged_onto(self, value: t.Any, current: t.Any) -> t.Any:
        """The value as it is sent: what an object's task leaves out is taken from the server's."""
        if self.fields:
            return {**self._unknown_members(current), **self.member_values(current), **value}
        if self.elements and self.key:
            old = self._by_key(current or [])
            return [self.elements.merged_onto(item, old.get(self.element_key(item))) for item in value]
        return value

    def _unknown_members(self, current: t.Any) -> Values:
        """What the server has in an object and this release does not know."""
        known = {m.name for m in self.fields}
        return {name: value for name, value in (current or {}).items() if name not in known}

    def only_known(self, value: t.Any) -> t.Any:
        """The value without the members that this release does not know."""
        if self.fields and isinstance(value, dict):
            return {m.name: m.only_known(value[m.name]) for m in self.fields if m.name in value}
        if self.elements and isinstance(value, list):
            return [self.elements.only_known(item) for item in value]
        return value

    def with_all_members(self, value: t.Any) -> t.Any:
        """A value with every member of an object named, null where only the server knows it."""
        return {**{m.name: None for m in self.fields}, **value} if self.fields else value

    def missing_members(self, value: Values) -> list[str]:
        """The members without which the API does not take this object."""
        return [m.name for m in self.fields if m.required and m.name not in value]

    def keeps_server_values(self, value: t.Any, body: t.Any) -> bool:
        """Whether a body holds anything that was read from the server, or replaces what another may extend."""
        return bool(self.elements) or (bool(self.fields) and not body.keys() <= value.keys())

    def normalized(self, value: t.Any) -> t.Any:
        """The value, ready to compare."""
        if self.nullable and value == "":
            return None
        with contextlib.suppress(ValueError):  # of more digits than Python reads, or what the server has by other rules
            if self.type == "int" and isinstance(value, str) and value.isdecimal():
                return int(value)  # a template gives text, and the role compares before core converts
            if self.type == "float" and isinstance(value, str):
                return float(value)
            if self.normalize and isinstance(value, str):
                return self.normalize(value)
        return value

    def _by_key(self, items: t.Iterable[t.Any]) -> dict[t.Any, t.Any]:
        return {self.element_key(item): item for item in items}

    def element_key(self, item: t.Any) -> t.Any:
        """What tells an element of this list from the others."""
        kind = t.cast(Field, self.elements)
        if not self.key:
            return kind.normalized(item)
        return tuple(f.normalized(item.get(f.name)) for f in kind.fields if f.name in self.key)


@dataclass(frozen=True)
class Action:
    """A POST about one object, made once the object is as the task says, if the task asks for it."""

    #: The last part of its path.
    verb: str
    #: The option that asks for it, and the key of the answer in the result.
    option: str
    result: str
    #: The member of the answer that shows its success, and the value that it then has.
    success: tuple[str, t.Any]
    #: How it is called in messages.
    label: str
    #: What has happened if it has not succeeded, the members of the answer that explain it, and what to do, for an
    #: object.
    failure: str
    reasons: tuple[str, ...]
    advice: t.Callable[[Values], str]
    #: The code of that error.
    code: str
    #: Whether it changes the object: the field that ``success`` has the name of gets the value there. The answer may
    #: then hold the object, under its noun.
    changes: bool = False
    #: The option of how many seconds it is repeated until it succeeds. Without one it is made once.
    timeout_option: str = ""


@dataclass(frozen=True)
class Resource:
    """One kind of API object: where it lives, what tells one from another, and its fields."""

    noun: str
    plural: str
    #: The collection's path. Its placeholders are options: the parent's id, and the ids of what the parent is in.
    path: str
    #: How one object is called in messages; filled from its fields.
    label_format: str
    fields: tuple[Field, ...]
    #: The option of the parent's id. Where the path does not hold it, it goes into the query of a listing.
    parent: str = ""
    #: The field that holds an object's id, and the option of the same name.
    id_field: str = "id"
    #: The fields that find an object where no id is given, and the one that narrows a tie.
    identity: tuple[str, ...] = ()
    tie_breaker: str = ""
    #: Where the one object of a parent is written that always exists: ``path`` is then where it is read. It has no id,
    #: and is neither listed, created nor deleted. An answer may hold more than its fields, of which nothing is sent.
    write_path: str = ""
    #: How an object is changed in place: only the fields of the body move. Without one it can only be replaced.
    update_verb: str = "PATCH"
    #: Whether an object has no path of its own: a PUT on the collection creates it or replaces the one of its identity,
    #: and a DELETE on the collection has the identity in its query.
    put_by_identity: bool = False
    #: Whether a task can create and delete an object. A task that declares one that is missing fails if it cannot be
    #: created; ``if_missing`` is then what to do.
    creatable: bool = True
    deletable: bool = True
    if_missing: str = ""
    #: The key of the list in a listing's answer, if that is not the plural.
    list_envelope: str = ""
    #: The key of the object in the answer to a create or an update, where that is not the object itself.
    create_envelope: str = ""
    update_envelope: str = ""
    #: The secrets beside it, which the API shows this once, and what else is kept with them.
    issued: tuple[str, ...] = ()
    kept_with_issued: tuple[str, ...] = ()
    #: The verb below an object's path that issues new ones.
    rotate_action: str = ""
    #: The resource whose first object is made with this one, in one call. Its noun is the option that says how.
    nested: Resource | None = None
    #: The field of an object that is deleted although the API still shows it, and its values then: any, if none is
    #: given.
    deleted_marker: tuple[str, tuple[str, ...]] | None = None
    #: The field with the moment from which an object is of no use: then only its id finds it, to delete it.
    expiry: str = ""
    #: Whether a create takes an idempotency key. Without one, it is not repeated once it may have been received.
    idempotency_key: bool = True
    #: The resource that an object becomes one of. While one of the same identity exists, there is nothing to create.
    becomes: Resource | None = None
    #: What to do if the API answers that another object, or its own state, does not allow a write.
    if_conflict: str = ""
    #: Whether one object can be read by its id, and whether a listing has pages.
    get_by_id: bool = True
    paged: bool = True
    #: The filters of the info module, ``id`` apart.
    filters: tuple[str, ...] = ()
    #: What the list form tells of an object.
    summary: tuple[str, ...] = ()
    #: What a task can ask for beyond the object itself.
    action: Action | None = None
    #: Takes the values of an object, or those of a task. Returns a sentence if they do not go together, else None.
    check: t.Callable[[Values], str | None] | None = None

    @property
    def parent_noun(self) -> str:
        return self.parent.removesuffix("_id")

    @property
    def path_has_parent(self) -> bool:
        """Whether the collection's path leads through the parent."""
        return bool(self.parent) and f"{{{self.parent}}}" in self.path

    @functools.cached_property
    def ancestors(self) -> tuple[str, ...]:
        """The options of the ids of what the parent is in, as the path holds them."""
        return tuple(name for name in re.findall(r"{(\w+)}", self.path) if name != self.parent)

    @property
    def is_singleton(self) -> bool:
        """Whether each parent has one object, which always exists."""
        return bool(self.write_path)

    @property
    def answer_key(self) -> str:
        """The field that shows whose answer it is."""
        return self.parent if self.is_singleton else self.id_field

    @property
    def sends_whole(self) -> bool:
        """Whether an update takes the whole object: what it leaves out goes back to its default."""
        return self.update_verb == "PUT" and not self.is_singleton

    @functools.cached_property
    def entry_options(self) -> tuple[Field, ...]:
        """What a task can say of one object of a list: its fields, and what goes with them."""
        names = [Field(f.name_option, pattern=r"[^\x00]+", must_be="a name or an id") for f in self.references]
        issuing = (Field("secrets_file", "path"), Field("rotate", "bool")) if self.issued else ()
        return (*self.writable, *names, *issuing)

    @functools.cached_property
    def options(self) -> tuple[Field, ...]:
        """What a task can say of one object: that of an object of a list, and the object nested in it."""
        nested = (Field(self.nested.noun, "dict", fields=self.nested.writable),) if self.nested else ()
        return (*self.entry_options, *nested)

    @property
    def items_key(self) -> str:
        """The key of the objects in a listing's answer."""
        return self.list_envelope or self.plural

    @property
    def create_verb(self) -> str:
        return "PUT" if self.put_by_identity else "POST"

    @property
    def shown_once(self) -> tuple[str, ...]:
        """What an answer holds that issues secrets, beside the object."""
        return (*self.issued, *self.kept_with_issued)

    @functools.cached_property
    def needed_to_find(self) -> tuple[str, ...]:
        """The fields of the identity that have no default."""
        fields = map(self.field, self.identity)
        return tuple(f.name for f in fields if f.identity_default is None and not f.nullable)

    @functools.cached_property
    def references(self) -> tuple[Field, ...]:
        """The fields that hold the id of another object and can be given by its name."""
        return tuple(f for f in self.fields if f.refers_to)

    @property
    def offered_action(self) -> Action | None:
        """The action that a task can ask for: for the object, or for the one nested in it."""
        return self.action or (self.nested.action if self.nested else None)

    @property
    def replaceable(self) -> bool:
        """Whether the API cannot update an object, and another one in its place can be otherwise."""
        return not self.update_verb and not all(f.immutable for f in self.writable)

    @property
    def change_action(self) -> str:
        """What becomes of an object that differs from its task."""
        return "replaced" if self.replaceable else "updated"

    @property
    def actions(self) -> tuple[str, ...]:
        """What can become of one object."""
        changed = bool(self.update_verb) or self.replaceable or bool(self.rotate_action) or bool(self.action)
        offered = {"created": self.creatable, self.change_action: changed, "deleted": self.deletable}
        return (*(action for action, offers in offered.items() if offers), "unchanged", "failed", "skipped")

    @functools.cached_property
    def secret_names(self) -> tuple[str, ...]:
        """The names of the secret fields, those of the nested object included."""
        inner = self.nested.secret_names if self.nested else ()
        return (*(f.name for f in self.fields if f.secret), *inner)

    def field(self, name: str) -> Field:
        return self._by_name[name]

    @functools.cached_property
    def _by_name(self) -> dict[str, Field]:
        return {f.name: f for f in self.fields}

    @functools.cached_property
    def writable(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if not f.read_only)

    @property
    def changed_names(self) -> set[str]:
        """The names that changes are told with."""
        inner = {f"{self.nested.noun}.{name}" for name in self.nested.changed_names} if self.nested else set()
        inner |= {self.action.success[0]} if self.action and self.action.changes else set()
        return inner.union(*({f.name, *(f"{f.name}.{m.name}" for m in f.fields)} for f in self.writable))

    def changed_fields(self, wanted: Values, current: Values) -> list[Field]:
        """The fields that a task wants otherwise than the server has them."""
        return [f for f in self.writable if f.differs(wanted, current)]

    def without_secrets(self, values: Values, marker: str | None = None) -> Values:
        """Values without the secrets, or with a marker in their place."""
        hidden = {f.name for f in self.fields if f.secret}
        return {k: marker if k in hidden else v for k, v in values.items() if marker or k not in hidden}

    def with_all_fields(self, values: Values) -> Values:
        """The server's object with every readable field named, null where the server leaves it out.

        A server never answers a secret; if one ever did, it would go no further than this.
        """
        own = {name: v for name, v in values.items() if name in self._by_name} if self.is_singleton else values
        return {**{f.name: None for f in self.fields if not f.secret}, **self.without_secrets(own)}

    def whole_body(self, current: Values) -> Values:
        """The body of a PUT that changes nothing: the server's object, with the fields that this release does not know.

        A field that is left out of a PUT goes back to its default. What never changes is sent only where it says which
        object is meant.
        """
        sent = {f.name for f in self.writable if not f.secret and (self.put_by_identity or not f.immutable)}
        known = {f.name for f in self.fields}
        return {n: v for n, v in current.items() if v is not None and (n in sent or n not in known)}

    def with_all_members(self, values: Values) -> Values:
        """Values with every member of each object named, null where only the server knows it."""
        known = self._by_name
        return {name: known[name].with_all_members(v) if name in known else v for name, v in values.items()}

    def only_known(self, body: Values) -> Values:
        """The body of a write without what this release does not know."""
        known = {**self._by_name, **{f.name: f for f in self.options}}
        return {name: known[name].only_known(body[name]) for name in body if name in known}

    def unknown_names(self, body: Values) -> list[str]:
        """What this release does not know in the body of a write, a member of an object with a dot."""
        known = self.only_known(body)
        inner = [f"{name}.{m}" for name, v in known.items() if isinstance(v, dict) for m in body[name] if m not in v]
        return [*(name for name in body if name not in known), *inner]

    def describe(self, values: Values) -> str:
        """The object in words, for messages and diff headers: by its identity where known, else by its id."""
        if all(values.get(name) is not None for name in self.needed_to_find):
            known = {name: self.field(name).display(self.identity_value(values, name)) for name in self.identity}
            return f"{self.noun} {self.label_format.format(**known)}"
        return f"{self.noun} {values.get(self.id_field) or '(unnamed)'}"

    def is_deleted(self, item: Values) -> bool:
        if not self.deleted_marker:
            return False
        name, values = self.deleted_marker
        return item.get(name) in values if values else item.get(name) is not None

    def has_expired(self, item: Values) -> bool:
        """Whether the moment has passed from which an object is of no use."""
        moment = item.get(self.expiry)
        return moment is not None and t.cast(str, self.field(self.expiry).normalized(moment)) <= timestamp.now()

    def identity_value(self, values: Values, name: str) -> t.Any:
        """The value of an identity field, named or not."""
        value = values.get(name)
        return self.field(name).identity_default if value is None else value

    def identity_query(self, values: Values) -> Values | None:
        """What goes into the query of a DELETE to say which object is meant; None if its path does."""
        if not self.put_by_identity:
            return None
        return {name: values[name] for name in self.identity if self.field(name).normalized(values[name]) is not None}

    def collection_label(self, parent: t.Any) -> str:
        """All objects of one parent in words."""
        return f"{self.plural} of {self.parent_noun} {parent or '(not there yet)'}" if self.parent else self.plural
