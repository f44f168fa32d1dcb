# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration of a kind of API object: a resource with its fields, and the options derived from them.

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
NAME_OR_ID_PATTERN = r"[^\x00]+"
NAME_OR_ID_RULE = "a name or an id"


class UnresolvedName(str):
    """The name of another object instead of its id. In check mode that object may not exist yet."""

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
    #: A regular expression for the whole value, and its description for messages.
    pattern: str | None = None
    must_be: str = ""
    #: Required on create. For a member: required whenever its object is sent.
    required: bool = False
    #: The value of an identity field that the task omits.
    identity_default: t.Any = None
    #: Write-only: sent on create and, on request, on update. Never returned, compared or shown.
    secret: bool = False
    #: Set by the server alone.
    read_only: bool = False
    #: A read-only field that any write may change.
    changes_on_write: bool = False
    #: Settable on create only; a different value is an error.
    immutable: bool = False
    #: Settable on update only: sent in an update after the create, if the created object has another value.
    update_only: bool = False
    #: An explicit null is a value, and an empty text means the same. For other fields, null means omitted. In an
    #: identity, null is assumed if the task omits the field.
    nullable: bool = False
    #: A timestamp that must be in the future when the object is created.
    in_future: bool = False
    #: The name in requests and answers, if it is not the name of the option or the result.
    api_name: str = ""
    #: The resource whose id this is, and the option that accepts a name instead. Without such an option, the option of
    #: the field itself accepts both. Whether the id of a deleted object is accepted too.
    refers_to: Resource | None = None
    name_option: str = ""
    refers_to_deleted: bool = False
    #: A warning for a list that becomes empty.
    when_empty: str = ""
    #: Two values with the same result are equal. Raises ValueError for an invalid value.
    normalize: t.Callable[[str], str] | None = None
    #: Formats a value for messages and diff headers.
    display: t.Callable[[t.Any], str] = str
    #: The members of a nested object. Only those that the task sets are compared; the object is sent as a whole.
    fields: tuple[Field, ...] = ()
    #: The elements of a list, with ``maximum`` as their number. Compared as a set unless ``ordered``.
    elements: Field | None = None
    ordered: bool = False
    #: The members that identify an element of a list of objects.
    key: tuple[str, ...] = ()

    @functools.cached_property
    def zero(self) -> t.Any:
        """The value of a field that the server omits, or None if that is unknown.

        Servers omit zero values. Other documented defaults are not relied on.
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
        """Whether the server treats two values as equal. Of an object, only the members of the first value count."""
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
        """Whether the field's value differs between task and server. A secret never does."""
        if self.name not in wanted or self.secret:
            return False
        if self.immutable and isinstance(wanted[self.name], UnresolvedName):  # it may be the object that the server has
            return False
        return not self.equals(wanted[self.name], current.get(self.name))

    def member_values(self, current: t.Any) -> Values:
        """The members of a nested object on the server, without those whose value is unknown."""
        if current is None:
            return {}
        values = {m.name: m.zero if current.get(m.name) is None else current[m.name] for m in self.fields}
        return {name: value for name, value in values.items() if value is not None}

    def merged_onto(self, value: t.Any, current: t.Any) -> t.Any:
        """Return the value to send: members that the task omits keep the server's values."""
        if self.fields:
            return {**self._unknown_members(current), **self.member_values(current), **value}
        if self.elements and self.key:
            old = self._by_key(current or [])
            return [self.elements.merged_onto(item, old.get(self.element_key(item))) for item in value]
        return value

    def _unknown_members(self, current: t.Any) -> Values:
        """The members on the server that this release does not know."""
        known = {m.name for m in self.fields}
        return {name: value for name, value in (current or {}).items() if name not in known}

    def only_known(self, value: t.Any) -> t.Any:
        """Return the value without the members that this release does not know."""
        if self.fields and isinstance(value, dict):
            return {m.name: m.only_known(value[m.name]) for m in self.fields if m.name in value}
        if self.elements and isinstance(value, list):
            return [self.elements.only_known(item) for item in value]
        return value

    def with_all_members(self, value: t.Any) -> t.Any:
        """Return the value with all members; null for those that only the server knows."""
        return {**{m.name: None for m in self.fields}, **value} if self.fields else value

    def missing_members(self, value: Values) -> list[str]:
        """The required members that the object lacks."""
        return [m.name for m in self.fields if m.required and m.name not in value]

    def keeps_server_values(self, value: t.Any, body: t.Any) -> bool:
        """Whether a body contains values that were read from the server, or replaces a list."""
        return bool(self.elements) or (bool(self.fields) and not body.keys() <= value.keys())

    def normalized(self, value: t.Any) -> t.Any:
        """Return the value in its canonical form, for comparison."""
        if self.nullable and value == "":
            return None
        with contextlib.suppress(ValueError):  # too many digits for Python, or a server's value that breaks our rules
            if self.type == "int" and isinstance(value, str) and value.isdecimal():
                return int(value)  # templates return text, and the role compares before core converts
            if self.type == "float" and isinstance(value, str):
                return float(value)
            if self.normalize and isinstance(value, str):
                return self.normalize(value)
        return value

    def _by_key(self, items: t.Iterable[t.Any]) -> dict[t.Any, t.Any]:
        return {self.element_key(item): item for item in items}

    def element_key(self, item: t.Any) -> t.Any:
        """The key that identifies an element of this list."""
        kind = t.cast(Field, self.elements)
        if not self.key:
            return kind.normalized(item)
        return tuple(f.normalized(item.get(f.name)) for f in kind.fields if f.name in self.key)


@dataclass(frozen=True)
class Action:
    """A POST to a verb of one object, sent on request once the object matches the task."""

    #: The last part of its path.
    verb: str
    #: The option that requests it, and the key of the answer in the result.
    option: str
    result: str
    #: The member of the answer that reports success, and its value on success.
    success: tuple[str, t.Any]
    #: Its name in messages.
    label: str
    #: The message of a failure, the members of the answer that contain its cause, and the remedy for an object.
    failure: str
    reasons: tuple[str, ...]
    advice: t.Callable[[Values], str]
    #: The code of that error.
    code: str
    #: Whether it changes the object: it sets the field in ``success`` to the value there. The answer may then contain
    #: the object, under its noun.
    changes: bool = False
    #: The option that limits, in seconds, how long it is repeated until it succeeds. Without one, it is sent once.
    timeout_option: str = ""

    def succeeded(self, answer: Values | None) -> bool:
        """Whether an answer reports success."""
        name, value = self.success
        found = (answer or {}).get(name)
        return found == value and type(found) is type(value)


@dataclass(frozen=True)
class Resource:
    """One kind of API object: its paths, its identity and its fields."""

    noun: str
    plural: str
    #: The collection's path. Its placeholders are options: the parent's id, and the ids of the parent's own ancestors.
    path: str
    #: The format of an object's name in messages; filled from its fields.
    label_format: str
    fields: tuple[Field, ...]
    #: The option with the parent's id. If the path does not contain it, the query of a listing does.
    parent: str = ""
    #: What has this id, for messages, if the option abbreviates it.
    container: str = ""
    #: The field with an object's id, and the option of the same name. Empty: objects have no id.
    id_field: str = "id"
    #: The fields that identify an object without an id, and the field that selects one of several matches.
    identity: tuple[str, ...] = ()
    tie_breaker: str = ""
    #: The same kind of objects in another kind of parent. A task sets one of the two parents.
    alternative: Resource | None = None
    #: Whether each parent has exactly one object, which always exists: ``path`` reads it. It has no id and is never
    #: listed, created or deleted.
    is_singleton: bool = False
    #: The path that writes to a singleton. ``path`` may then return more than its fields, which is not sent back.
    write_path: str = ""
    #: The method that updates an object in place. Empty: it can only be replaced.
    update_verb: str = "PATCH"
    #: Whether objects have no path of their own: a PUT on the collection creates or replaces the object of an identity,
    #: and a DELETE on the collection has the identity in its query.
    put_by_identity: bool = False
    #: The key of the list in the answer of a listing, if it is not the plural.
    list_envelope: str = ""
    #: The key of the object in the answer of a create, if the answer is not the object itself.
    create_envelope: str = ""
    #: The same for the answer of an update.
    update_envelope: str = ""
    #: The secrets next to the object, which the API returns only once, and what is stored with them.
    issued: tuple[str, ...] = ()
    kept_with_issued: tuple[str, ...] = ()
    #: The verb below an object's path that issues new secrets.
    rotate_action: str = ""
    #: The child that the API creates together with this object. Its noun is the option that declares it.
    nested: Resource | None = None
    #: The field that marks an object as deleted although the API still returns it, and its values then. Without any,
    #: every value except null.
    deleted_marker: tuple[str, tuple[str, ...]] | None = None
    #: The field with the time after which an object is useless. Only its id finds it then, to delete it.
    expiry: str = ""
    #: Whether the API can create objects. If not, ``if_missing`` is the remedy for an object that does not exist.
    creatable: bool = True
    if_missing: str = ""
    #: Whether the API can delete objects.
    deletable: bool = True
    #: Whether a create accepts an idempotency key. Without one, it is not repeated if the server may have received it.
    idempotency_key: bool = True
    #: The resource that an object turns into. If one with the same identity exists, no object is created.
    becomes: Resource | None = None
    #: The remedy for a create that fails with the code CONFLICT. If only PgBeam creates objects, for any write.
    if_conflict: str = ""
    #: Whether the API computes it from the options of a task, with a POST to the path, and stores nothing. The
    #: read-only fields are the results.
    computed: bool = False
    #: Whether one object can be read by its id, and whether a listing has pages.
    get_by_id: bool = True
    paged: bool = True
    #: The filters of the info module, apart from ``id``.
    filters: tuple[str, ...] = ()
    #: The options of the info module that are sent in the query of the listing. They may allow fewer values than the
    #: fields of the same name, which may have values that this release does not know.
    query: tuple[Field, ...] = ()
    #: The fields that a list module returns of an object.
    summary: tuple[str, ...] = ()
    #: An action that a task can request in addition to the object.
    action: Action | None = None
    #: Takes the values of an object or a task. Returns a sentence if they contradict each other, otherwise None.
    check: t.Callable[[Values], str | None] | None = None

    @property
    def parent_noun(self) -> str:
        return self.container or self.parent.removesuffix("_id")

    @property
    def path_has_parent(self) -> bool:
        """Whether the collection's path contains the parent's id."""
        return bool(self.parent) and f"{{{self.parent}}}" in self.path

    @functools.cached_property
    def ancestors(self) -> tuple[str, ...]:
        """The options with the ids of the parent's ancestors that the path contains."""
        return tuple(name for name in re.findall(r"{(\w+)}", self.path) if name != self.parent)

    @property
    def answer_key(self) -> str:
        """The field that identifies the object of an answer. Empty: none does."""
        return self.parent if self.is_singleton else self.id_field

    @property
    def needs_parent(self) -> bool:
        """Whether the parent must exist, also in check mode."""
        return self.is_singleton or self.computed

    @property
    def parents(self) -> tuple[str, ...]:
        """The options with the parent's id. A task sets one of them."""
        other = self.alternative.parents if self.alternative else ()
        return (*filter(None, [self.parent]), *other)

    @functools.cached_property
    def info_fields(self) -> tuple[Field, ...]:
        """The options of the info module, apart from the parent and the id."""
        return (*map(self.field, self.filters), *self.query)

    @property
    def filter_names(self) -> set[str]:
        """The options of the info module that compare a field of the object."""
        return {f.name for f in self.info_fields} & self._by_name.keys()

    @property
    def sends_whole(self) -> bool:
        """Whether an update sends the whole object: omitted fields are reset to their defaults."""
        return self.update_verb == "PUT" and not self.is_singleton

    @functools.cached_property
    def entry_options(self) -> tuple[Field, ...]:
        """The options for one entry of a list."""
        by_name = [f.name_option for f in self.references if f.name_option]
        names = [Field(name, pattern=NAME_OR_ID_PATTERN, must_be=NAME_OR_ID_RULE) for name in by_name]
        issuing = (Field("secrets_file", "path"), Field("rotate", "bool")) if self.issued else ()
        return (*self.writable, *names, *issuing)

    @functools.cached_property
    def options(self) -> tuple[Field, ...]:
        """The options for one object: those of an entry, and the child."""
        nested = (Field(self.nested.noun, "dict", fields=self.nested.writable),) if self.nested else ()
        return (*self.entry_options, *nested)

    @property
    def items_key(self) -> str:
        """The key of the objects in the answer of a listing."""
        return self.list_envelope or self.plural

    @property
    def create_verb(self) -> str:
        return "PUT" if self.put_by_identity else "POST"

    @property
    def shown_once(self) -> tuple[str, ...]:
        """The keys next to the object in an answer that issues secrets."""
        return (*self.issued, *self.kept_with_issued)

    @functools.cached_property
    def needed_to_find(self) -> tuple[str, ...]:
        """The fields of the identity that have no default."""
        fields = map(self.field, self.identity)
        return tuple(f.name for f in fields if f.identity_default is None and not f.nullable)

    @functools.cached_property
    def references(self) -> tuple[Field, ...]:
        """The fields that contain the id of another object and can be set by its name."""
        return tuple(f for f in self.fields if f.refers_to)

    @property
    def offered_action(self) -> Action | None:
        """The action that a task can request, for the object or for its child."""
        return self.action or (self.nested.action if self.nested else None)

    @property
    def replaceable(self) -> bool:
        """Whether an object can only be changed by replacing it."""
        return not self.update_verb and not all(f.immutable for f in self.writable)

    @property
    def change_action(self) -> str:
        """The action for an object that differs from its task."""
        return "replaced" if self.replaceable else "updated"

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that a result can report for one object."""
        changed = bool(self.update_verb) or self.replaceable or bool(self.rotate_action) or bool(self.action)
        offered = {"created": self.creatable, self.change_action: changed, "deleted": self.deletable}
        return (*(action for action, offers in offered.items() if offers), "unchanged", "failed", "skipped")

    @functools.cached_property
    def secret_names(self) -> tuple[str, ...]:
        """The names of the secret fields, including those of the child."""
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
        """The names that ``changes`` can contain."""
        inner = {f"{self.nested.noun}.{name}" for name in self.nested.changed_names} if self.nested else set()
        inner |= {self.action.success[0]} if self.action and self.action.changes else set()
        return inner.union(*({f.name, *(f"{f.name}.{m.name}" for m in f.fields)} for f in self.writable))

    def changed_fields(self, wanted: Values, current: Values) -> list[Field]:
        """The fields whose values differ between task and server."""
        return [f for f in self.writable if f.differs(wanted, current)]

    def without_secrets(self, values: Values, marker: str | None = None) -> Values:
        """Values without the secrets, or with a marker instead of each."""
        hidden = {f.name for f in self.fields if f.secret}
        return {k: marker if k in hidden else v for k, v in values.items() if marker or k not in hidden}

    def with_all_fields(self, values: Values) -> Values:
        """Return the server's object with all readable fields; null for those that the server omits.

        Servers never return secrets; if one ever did, this removes it.
        """
        own = {name: v for name, v in values.items() if name in self._by_name} if self.write_path else values
        return {**{f.name: None for f in self.fields if not f.secret}, **self.without_secrets(own)}

    def whole_body(self, current: Values) -> Values:
        """The body of a PUT that changes nothing: the server's object, with fields that this release does not know.

        A PUT resets omitted fields to their defaults.
        """
        sent = {f.name for f in self.writable if not f.secret and (self.put_by_identity or not f.immutable)}
        known = {f.name for f in self.fields}
        return {n: v for n, v in current.items() if v is not None and (n in sent or n not in known)}

    def with_all_members(self, values: Values) -> Values:
        """Return the values with all members of nested objects; null for those that only the server knows."""
        known = self._by_name
        return {name: known[name].with_all_members(v) if name in known else v for name, v in values.items()}

    def only_known(self, body: Values) -> Values:
        """Return the body of a write without the fields and members that this release does not know."""
        known = {**self._by_name, **{f.name: f for f in self.options}}
        return {name: known[name].only_known(body[name]) for name in body if name in known}

    def unknown_names(self, body: Values) -> list[str]:
        """The names in the body of a write that this release does not know, those of members in dot notation."""
        known = self.only_known(body)
        inner = [f"{name}.{m}" for name, v in known.items() if isinstance(v, dict) for m in body[name] if m not in v]
        return [*(name for name in body if name not in known), *inner]

    def describe(self, values: Values) -> str:
        """Return the object's name for messages and diff headers: by its identity if known, otherwise by its id."""
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
        """Whether an object has expired."""
        moment = item.get(self.expiry)
        return moment is not None and t.cast(str, self.field(self.expiry).normalized(moment)) <= timestamp.now()

    def identity_value(self, values: Values, name: str) -> t.Any:
        """The value of an identity field, with its default."""
        value = values.get(name)
        return self.field(name).identity_default if value is None else value

    def identity_query(self, values: Values) -> Values | None:
        """The query of a DELETE that identifies the object; None if its path does."""
        if not self.put_by_identity:
            return None
        return {name: values[name] for name in self.identity if self.field(name).normalized(values[name]) is not None}

    def collection_label(self, parent: t.Any) -> str:
        """The name of all objects of one parent, for messages."""
        return f"{self.plural} of {self.parent_noun} {parent or '(not created yet)'}" if self.parent else self.plural
