# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The block DOCUMENTATION, from the declaration and the words."""

from __future__ import annotations

import re
from typing import cast

import yaml

from generate.declared import MAX_ACTION_TIMEOUT, MAX_PARALLEL, Field, Resource, Values
from generate.scope import Module, Scope, acting, forms, in_words, listed, options
from generate.words import texts

SPECIFIED = ("type", "elements", "required", "choices", "default")


def documentation(module: Module) -> Values:
    """The content of the block DOCUMENTATION."""
    words, scope = module.words, module.scope
    own = [other.name for other in forms(words)]
    return {
        "module": module.name,
        "short_description": words.form(module.form, "short_description"),
        "version_added": words["version_added"],
        "description": [scope.fill(t) for t in texts(words.form(module.form, "description"))] + _behaviour(module),
        "options": {name: _option(module, name) for name in _in_order(module)},
        "attributes": _attributes(module),
        "extends_documentation_fragment": ["pgbeam.cloud._connection", "pgbeam.cloud._attributes"],
        "seealso": [
            {"module": f"pgbeam.cloud.{name}"} for name in [*own, *texts(words["seealso"])] if name != module.name
        ],
        "author": ["The pgbeam.cloud contributors (@pgbeam)"],
    }


def _behaviour(module: Module) -> list[str]:
    """The sentences of the description that all modules of this form share."""
    resource, scope = module.resource, module.scope
    if resource.computed:
        return scope.shared(f"description.{module.form}") if module.form == "evaluation" else []
    if module.form == "info":
        found = scope.shared("description.pages") if resource.paged else []
        found += scope.shared("description.filters") if resource.filter_names else []
        found += _gone(scope, "description.gone")
        return [" ".join(found)] if found else []
    found = []
    update_only = [f.name for f in resource.writable if f.update_only]
    if update_only:
        found += scope.shared("description.update_only", names=options(update_only))
    if resource.replaceable:
        found += scope.shared("description.fixed")
    elif resource.update_verb and not resource.is_singleton:
        found += scope.shared(f"description.{module.form}.partial")
    if module.form == "list":
        return (
            scope.shared("description.list.many")
            + (scope.shared("description.list.deletions") if resource.deletable else [])
            + found
            + scope.shared("description.list.failures")
        )
    return found + (scope.shared("description.item.many") if "list" in module.words.content else [])


def _gone(scope: Scope, path: str) -> list[str]:
    """The objects that count as deleted although the API still returns them."""
    if not scope.resource.deleted_marker:
        return []
    field, values = scope.resource.deleted_marker
    shown = listed([f"C({value})" for value in values], "or") if values else ""
    return scope.shared(f"{path}.{'value' if values else 'any'}", gone_field=field, gone_value=shown)


def _in_order(module: Module) -> list[str]:
    """The names of the options: parent, state and id first, then fields, then the options on how to write."""
    resource = module.resource
    front = [*resource.ancestors, *resource.parents, "state", resource.id_field]
    return sorted(module.spec, key=lambda name: front.index(name) if name in front else len(front))


def _option(module: Module, name: str) -> Values:
    """One option of the module itself."""
    resource, scope, spec = module.resource, module.scope, module.spec[name]
    if name == resource.plural:
        found = scope.shared("options.entries")
        if resource.tie_breaker:
            found += scope.shared("options.entries_tie", tie=options([resource.tie_breaker]))
        entry = spec["options"]
        front = ("state", resource.id_field)
        order = sorted(entry, key=lambda inner: front.index(inner) if inner in front else len(front))
        return documented(spec, found, {inner: _of_object(scope, inner, entry[inner]) for inner in order})
    return _of_object(scope, name, spec)


def _of_object(scope: Scope, name: str, spec: Values) -> Values:
    """An option of the module, or of an entry."""
    module, resource = scope.module, scope.resource
    if name in (*resource.ancestors, *resource.parents):
        return documented(spec, _parent(scope, name))
    if module.form == "info":
        return documented(spec, _filter(scope, name))
    inside = module.nested
    if inside and name == inside.resource.noun:
        members = {f.name: _field(inside, f, spec["options"][f.name]) for f in inside.resource.writable}
        return documented(spec, scope.own(scope.words.field(name)), members)
    field = next((f for f in resource.writable if f.name == name), None)
    return _field(scope, field, spec) if field else documented(spec, _shared(scope, name))


def documented(spec: Values, text: list[str], members: Values | None = None) -> Values:
    """The documentation of an option with this argument spec."""
    found = {
        key: spec[key] for key in SPECIFIED if spec.get(key) is not None and (key, spec[key]) != ("required", False)
    }
    return {"description": text, **found, **({"suboptions": members} if members else {})}


def _parent(scope: Scope, name: str) -> list[str]:
    module, resource = scope.module, scope.resource
    words = scope.words.field(name)
    found = [" ".join([*scope.own(words), *scope.own(words, "option")])]
    others = [other for other in resource.parents if other != name]
    if others and name in resource.parents:
        return found + scope.shared("options.parent_either", others=options(others, "or"))
    if not resource.path_has_parent:
        field = resource.field(name)
        found += [_needed(scope, field)] if module.writes else scope.shared("options.parent_unused")
        found += _limits_of_change(scope, field) if module.writes else []
    elif module.writes and resource.creatable and not resource.needs_parent:
        found += scope.shared("options.parent_later")
    return found


def _filter(scope: Scope, name: str) -> list[str]:
    resource = scope.resource
    if name == resource.id_field:
        found = scope.shared("options.filter.id", key=in_words(name))
        return found if resource.get_by_id or not resource.parent else found + scope.shared("options.id.unreadable")
    field = next(f for f in resource.info_fields if f.name == name)
    words = scope.words.field(field)
    meaning = scope.own(words)
    if name in resource.filter_names:
        meaning = scope.own(words, "filter") or scope.shared("options.filter.any", label=in_words(name))
    return [_limited(scope, field, meaning), *scope.own(words, "compared")]


def _field(scope: Scope, field: Field, spec: Values, within: str = "", is_key: bool = False) -> Values:
    """The option of a field, or a member of one."""
    words = scope.words.field(field, within)
    kind = field.elements or field
    below = f"{within}.{field.name}" if within else field.name
    found = [
        _limited(scope, field, scope.own(words)),
        " ".join([*scope.own(words, "compared"), *scope.own(words, "option")]),
    ]
    stored = not scope.resource.computed
    if field.fields and stored:
        found += scope.shared("field.members")
    found += scope.shared("field.when_empty") if field.when_empty and stored else []
    found += _null(scope, field) if field.nullable else []
    quoted = [f"V({choice})" for choice in kind.choices if yaml.safe_load(choice) != choice]
    found += scope.shared("field.quoted", values=listed(quoted)) if quoted else []
    found += scope.shared("field.in_future") if field.in_future else []
    if field.secret:
        found += scope.shared("field.secret", update=f"O(update_{field.name})")
    if not stored:
        target = field.refers_to
        found += scope.shared("field.reference", referred=in_words(target.noun)) if target else []
    elif not within:
        found += _tie(scope, field) + _limits_of_change(scope, field) + [_needed(scope, field)]
    elif is_key:
        found += scope.shared("field.in_entry")
    members = {f.name: _field(scope, f, spec["options"][f.name], below, f.name in field.key) for f in kind.fields}
    return documented(spec, list(filter(None, found)), members)


def _null(scope: Scope, field: Field) -> list[str]:
    """What null means for a field, and an empty value if the field takes one."""
    if field.immutable:
        return scope.shared("field.nullable")
    if not (field.pattern and re.fullmatch(field.pattern, "")):
        return scope.shared("field.cleared")
    return scope.shared("field.empty_is_null" if field.name in scope.resource.identity else "field.cleared_or_empty")


def _limited(scope: Scope, field: Field, meaning: list[str]) -> str:
    """The meaning of a field with its limits. A rule without a number is left out: it only repeats the meaning."""
    text, limits, found = " ".join(meaning), "", []
    if field.exclusive_minimum is not None:
        limits = scope.sentence("field.greater", minimum=field.exclusive_minimum)
    elif field.type == "float" and field.minimum is not None:
        limits = scope.sentence("field.least", minimum=field.minimum)
    elif field.type == "int":
        if field.maximum is not None:
            limits = scope.sentence("field.range", minimum=field.minimum, maximum=field.maximum)
    elif field.elements:
        limits = scope.sentence("field.most", maximum=field.maximum) if field.maximum is not None else ""
        if not scope.resource.computed:
            found = scope.shared("field.ordered" if field.ordered else "field.set")
        found += scope.shared("field.each", rule=field.elements.must_be) if field.elements.must_be else []
    elif any(map(str.isdigit, field.must_be)):
        limits = scope.sentence("field.rule", rule=field.must_be)
    return " ".join([in_first_sentence(text, limits) if limits else text, *found])


def in_first_sentence(text: str, more: str) -> str:
    """The text with more in brackets at the end of its first sentence."""
    return re.sub(r"\.(?=\s|$)", lambda _match: f" ({more}).", text, count=1)


def _tie(scope: Scope, field: Field) -> list[str]:
    resource = scope.resource
    if field.name != resource.tie_breaker:
        return []
    found = scope.sentence("field.tie", name=field.name)
    if not scope.is_first:
        found += " " + scope.sentence("field.tie_absent")
    secrets = [f.name for f in resource.fields if f.secret]
    return [found] + [
        scope.sentence("field.tie_secret", name=field.name, secret=f"O({name})", update=f"O(update_{name}=always)")
        for name in secrets
    ]


def _limits_of_change(scope: Scope, field: Field) -> list[str]:
    resource = scope.resource
    if field.immutable:
        return scope.shared("field.immutable") if resource.creatable else []
    if resource.replaceable and field.name not in resource.identity:
        return scope.shared("field.fixed")
    return []


def _needed(scope: Scope, field: Field) -> str:
    """When the field is required."""
    resource = scope.resource
    if field.identity_default is not None:
        initial = str(field.identity_default)
        return scope.sentence("field.assumed", initial=initial) if scope.is_first else _assumed(scope, field, initial)
    if field.name in resource.identity and field.nullable:
        return _assumed(scope, field, "null")
    if field.name in resource.identity:
        return scope.sentence("field.in_first" if scope.is_first else "field.unless_id", key=resource.id_field)
    if field.refers_to and field.required:
        return scope.sentence("field.reference_to_create", option=f"O({field.name_option})")
    needed = "field.always" if resource.is_singleton else "field.to_create"
    return scope.sentence(needed) if field.required else ""


def _assumed(scope: Scope, field: Field, initial: str) -> str:
    """Which value counts if the field is omitted."""
    others = options(filter(None, [scope.resource.id_field, field.name_option]), "or")
    return scope.sentence("field.assumed_unless_id", initial=initial, others=others)


def _shared(scope: Scope, name: str) -> list[str]:
    """An option that is not a field."""
    resource, module = scope.resource, scope.module
    first = resource.nested
    inside = module.nested or scope
    if name == "state":
        found = scope.shared("options.state" if resource.creatable else "options.state_existing")
        found += scope.shared("options.state_guarded") if first else []
        return found + _gone(scope, "options.state_gone")
    if name == resource.id_field:
        return _id(scope)
    if name.startswith("update_"):
        when = "with_changes" if inside.resource.sends_whole else "on_create"
        found = inside.shared(f"options.update_secret.{when}", secret=f"O({name.removeprefix('update_')})")
        return found + inside.shared("options.update_secret.always")
    reference = next((f for f in resource.references if f.name_option == name), None)
    if reference:
        referred = in_words(cast(Resource, reference.refers_to).noun)
        more = scope.shared("options.reference", field=f"O({reference.name})", referred=referred)
        more += scope.shared("options.reference_absent") if reference.name in resource.identity else []
        return [" ".join([*scope.own(scope.words.field(reference), "by_name"), *more])]
    action = resource.offered_action
    if action and name == action.option:
        found = [acting(scope).fill(text) for text in texts(acting(scope).words.action("option"))]
        skipped = "options.action_with_change" if action.changes else "options.action"
        return found + scope.shared(skipped) + (scope.shared("options.action_first") if first else [])
    if action and name == action.timeout_option:
        limits = scope.sentence("field.range", minimum=0, maximum=MAX_ACTION_TIMEOUT)
        first_text, *others = [scope.fill(text) for text in texts(scope.words.action("timeout"))]
        return [in_first_sentence(first_text, limits), *others]
    if name == "parallel":
        limits = scope.sentence("field.range", minimum=1, maximum=MAX_PARALLEL)
        return [in_first_sentence(scope.sentence("options.parallel"), limits)]
    path = f"options.{'expected_firsts' if first and name == f'expected_{first.plural}' else name}"
    return scope.shared(path, found=options(resource.identity), needed=options(resource.needed_to_find))


def _id(scope: Scope) -> list[str]:
    resource = scope.resource
    found_by = [name for name in resource.identity if name in scope.options]
    changed = [name for name in found_by if not resource.field(name).immutable]
    tie = [resource.tie_breaker] if resource.tie_breaker else []
    names = {
        "meaning_of_id": " ".join(scope.own(scope.words.field(resource.id_field))),
        "found": options(found_by),
        "identity": options([*changed, *tie]) if changed else "",
        "any_identity": options(changed or found_by, "or"),
        "tie": " ".join(f"O({name})" for name in tie),
    }
    kind = "fixed" if resource.replaceable else "updated" if changed else "immutable"
    found = scope.shared(f"options.id.{kind}", **names)
    found += scope.shared(f"options.id.{'tie' if tie else 'ambiguous'}", **names)
    if not resource.get_by_id and scope.module.form == "item":
        found += scope.shared("options.id.unreadable")
    return found


def _attributes(module: Module) -> Values:
    resource, scope = module.resource, module.scope
    if not module.writes:
        reads = {"support": "N/A", "details": scope.shared("attributes.reads")}
        return {"check_mode": {"support": "full"}, "diff_mode": reads, "idempotent": {"support": "full"}}
    details = scope.shared("attributes.replaces") if resource.replaceable else []
    both = [resource, *filter(None, [resource.nested])]
    details += scope.shared("attributes.rotates") if resource.issued else []
    for secret in (f.name for r in both for f in r.fields if f.secret):
        details += scope.shared("attributes.resends", update=f"O(update_{secret}=always)", secret=secret)
    idempotent: Values = {"support": "partial", "details": details} if details else {"support": "full"}
    return {"check_mode": {"support": "full"}, "diff_mode": {"support": "full"}, "idempotent": idempotent}
