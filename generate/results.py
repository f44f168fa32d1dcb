# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The block RETURN, from the declaration and the words."""

from __future__ import annotations

from typing import cast

from generate.declared import ERROR_PARTS, Field, Resource, Values
from generate.scope import Module, Scope, acting, in_words, listed
from generate.words import WordsError, everything, texts


def results(module: Module) -> Values:
    """The content of the block RETURN."""
    kinds = {"item": _item, "list": _list, "info": _info, "evaluation": _evaluation, "replay": _replay}
    return kinds[module.form](module)


def _item(module: Module) -> Values:
    resource, scope = module.resource, module.scope
    planned = scope.sentence("returned.planned")
    found: Values = {
        resource.noun: {
            "description": scope.shared("returned.item" if resource.deletable else "returned.lasting")
            + scope.shared("returned.unknown"),
            "type": "dict",
            "returned": planned,
            "contains": _shown(scope),
        }
    }
    if resource.nested and module.nested:
        found[resource.nested.noun] = {
            "description": module.nested.shared("returned.first") + scope.shared("returned.unknown"),
            "type": "dict",
            "returned": scope.sentence("returned.first_when"),
            "contains": _shown(module.nested),
        }
    actions = [action for action in resource.actions if action != "skipped"]
    changes = {name.partition(".")[0] for name in texts(scope.words["changes"])}
    changed = not changes <= {f.name for f in resource.writable if f.immutable}
    sample = resource.change_action if changed and resource.change_action in actions else actions[0]
    found["action"] = _action(scope, actions, planned, sample)
    found["changes"] = _changes(scope, planned)
    found |= _became(scope, planned)
    return {**found, **_action_result(scope), **_secrets(scope), "error": _error(scope, "item", reads=False)}


def _list(module: Module) -> Values:
    resource, scope = module.resource, module.scope
    planned = scope.sentence("returned.planned")
    summary = {f.name: _result(scope, f) for name in resource.summary for f in [resource.field(name)]}
    if resource.creatable:
        summary[resource.id_field]["description"] += scope.shared("returned.id_unknown")
    entry = {
        "action": _action(scope, list(resource.actions), "always", resource.actions[0]),
        **summary,
        "changes": _changes(scope, "always"),
        **_became(scope, "always"),
        **_action_result(scope),
        **_secrets(scope),
        "error": _error(scope, "entry", reads=False),
    }
    counts = {action: everything()["counts"][action] for action in resource.actions}
    return {
        resource.plural: {
            "description": scope.shared("returned.list_pruned" if resource.deletable else "returned.list"),
            "type": "list",
            "elements": "dict",
            "returned": planned,
            "contains": entry,
        },
        "summary": {
            "description": scope.shared("returned.summary"),
            "type": "dict",
            "returned": planned,
            "contains": {
                action: {
                    "description": scope.shared("returned.summary_action", action=action),
                    "type": "int",
                    "returned": "always",
                    "sample": count,
                }
                for action, count in counts.items()
            },
        },
        "msg": {
            "description": scope.shared("returned.msg"),
            "type": "str",
            "returned": "always",
            "sample": ", ".join(f"{count} {action}" for action, count in counts.items() if count),
        },
        "error": _error(scope, "list", reads=True),
    }


def _info(module: Module) -> Values:
    scope, resource = module.scope, module.resource
    shape: Values = {"type": "dict"} if resource.is_singleton else {"type": "list", "elements": "dict"}
    return {
        resource.noun if resource.is_singleton else resource.plural: {
            "description": scope.shared("returned.info_singleton" if resource.is_singleton else "returned.info"),
            **shape,
            "returned": "success",
            "contains": _shown(scope),
        },
        "error": _error(scope, "info", reads=True),
    }


def _replay(module: Module) -> Values:
    scope = module.scope
    (field,) = (f for f in module.resource.fields if f.read_only)
    return {field.name: {**_result(scope, field), "returned": "success"}, "error": _error(scope, "info", reads=True)}


def _evaluation(module: Module) -> Values:
    scope = module.scope
    (field,) = (f for f in module.resource.fields if f.read_only)
    decided = scope.sentence("returned.decided")
    entries = {**_result(scope, field), "returned": decided}
    entries["contains"]["error"] = _error(scope, "statement", reads=True)
    counts: Values = everything()["evaluations"]
    return {
        field.name: entries,
        "summary": {
            "description": scope.shared("returned.evaluations"),
            "type": "dict",
            "returned": decided,
            "contains": {
                name: {"description": [count["description"]], "type": "int", "returned": "always", "sample": sample}
                for name, count in counts.items()
                for sample in [count["sample"]]
            },
        },
        "msg": {
            "description": scope.shared("returned.evaluations_msg"),
            "type": "str",
            "returned": "always",
            "sample": ", ".join(f"{count['sample']} {name}" for name, count in counts.items() if count["sample"]),
        },
        "error": _error(scope, "names", reads=True),
    }


def _shown(scope: Scope) -> Values:
    """All fields of an object that can be read."""
    return {f.name: _result(scope, f) for f in scope.resource.fields if not f.secret}


def _result(scope: Scope, field: Field, within: str = "") -> Values:
    words = scope.words.field(field, within)
    kind = field.elements or field
    text = scope.own(words) + scope.own(words, "returned")
    text += [] if within or scope.is_first else _for_form(scope.module, field.name)
    found: Values = {"description": text, "type": field.type}
    if field.elements:
        found["elements"] = field.elements.type
    found["returned"] = "always"
    if kind.fields:
        below = f"{within}.{field.name}" if within else field.name
        return {**found, "contains": {f.name: _result(scope, f, below) for f in kind.fields}}
    return {**found, "sample": scope.words.sample(field, within)}


def _for_form(module: Module, name: str) -> list[str]:
    """The texts that only this form adds to a result."""
    found = module.words.content[module.form].get("returned", {})
    return [module.scope.fill(text) for text in texts(found[name])] if name in found else []


def _action(scope: Scope, actions: list[str], returned: str, sample: str) -> Values:
    done = listed([f"V({action})" for action in actions], "or")
    text = scope.shared("returned.action.done", actions=done) + _for_form(scope.module, "action")
    text += scope.shared("returned.action.failed")
    text += scope.shared("returned.action.skipped") if "skipped" in actions else []
    text += scope.shared("returned.action.replaced") if "replaced" in actions else []
    return {"description": text, "type": "str", "returned": returned, "sample": sample}


def _changes(scope: Scope, returned: str) -> Values:
    resource = scope.resource
    names = texts(scope.words["changes"])
    for name in names:
        if name not in resource.changed_names:
            raise WordsError(
                f"resource {scope.words.name}: changes: {name} is no field that can change; "
                f"correct it in generate/words/{scope.words.name}.yml"
            )
    both: list[Resource] = [resource, *filter(None, [resource.nested])]
    text = scope.shared("returned.changes")
    text += scope.shared("returned.changes_members") if any(f.fields for r in both for f in r.writable) else []
    text += scope.shared("returned.changes_first") if resource.nested and scope.module.form == "item" else []
    text += scope.shared("returned.changes_duplicates") if resource.replaceable else []
    return {
        "description": [" ".join(text)],
        "type": "list",
        "elements": "str",
        "returned": returned,
        "sample": names,
    }


def _became(scope: Scope, returned: str) -> Values:
    """The object of another resource that an object has become."""
    other = scope.resource.becomes
    if not other:
        return {}
    shown = Scope(scope.module, other, "", set(), "", set())
    names = {"became": in_words(other.noun), "identity": listed(map(in_words, scope.resource.identity))}
    return {
        other.noun: {
            "description": scope.shared("returned.became", **names),
            "type": "dict",
            "returned": returned,
            "contains": _shown(shown),
        }
    }


def _action_result(scope: Scope) -> Values:
    """The answer of the action that a task can ask for."""
    action = scope.resource.offered_action
    if not action:
        return {}
    words = acting(scope).words.action("result")
    return {
        action.result: {
            "description": words["description"],
            "type": "dict",
            "returned": f"with O({action.option}=true)",
            "contains": words["contains"],
        }
    }


def _secrets(scope: Scope) -> Values:
    """The secrets that the API shows once."""
    if not scope.resource.issued:
        return {}
    words: Values = scope.words.content["issued"]
    return {
        "secrets": {
            "description": scope.shared("returned.secrets"),
            "type": "dict",
            "returned": scope.sentence("returned.secrets_when"),
            "contains": {
                name: {
                    "description": scope.own(words[name]),
                    "type": "str",
                    "returned": scope.sentence("returned.secrets_part_when"),
                    "sample": words[name]["sample"],
                }
                for name in scope.resource.shown_once
            },
        }
    }


def _error(scope: Scope, place: str, reads: bool) -> Values:
    """The parts of an error; ``reads`` is set if the failed call cannot have changed anything."""
    resource = scope.resource
    parts = everything()["error"]["parts"]
    if list(parts) != list(ERROR_PARTS):
        raise WordsError(f"error.parts in generate/words/shared.yml must be, in this order: {', '.join(ERROR_PARTS)}")
    parents = (*resource.ancestors, resource.parent) if resource.path_has_parent else ()
    path = resource.path if reads else resource.write_path or resource.path
    writing = "POST" if resource.creatable else resource.update_verb
    method = "GET" if reads and not resource.computed else writing
    if place == "names":  # the object with this name is looked up
        method, path = "GET", cast(Resource, resource.references[0].refers_to).path
    call = {
        "method": method,
        "path": path.format(**{name: scope.words.field(name).get("sample") for name in parents}),
    }
    if not (reads or resource.creatable or resource.is_singleton):
        call["path"] += f"/{scope.words.sample(resource.field(resource.id_field))}"
    contains = {}
    for name, words in parts.items():
        text = [words["description"]]
        if reads and "reads" in words:
            text = [words["reads"]]
        elif not reads:
            text += [words["writes"]] if "writes" in words else []
            text += [acting(scope).words.action("error")] if name == "code" and resource.offered_action else []
        contains[name] = {
            "description": [scope.fill(" ".join(text))],
            **{key: words[key] for key in ("type", "elements") if key in words},
            "returned": "always",
            "sample": call.get(name, words.get("sample")),
        }
    return {
        "description": scope.shared("error.description"),
        "type": "dict",
        "returned": scope.sentence(f"error.returned.{place}"),
        "contains": contains,
    }
