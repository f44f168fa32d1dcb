# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specs of the modules, built from a resource.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleFallbackNotFound
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.client import Settings
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import API_KEY_VARIABLES

Spec = dict[str, dict[str, t.Any]]
MAX_PARALLEL = 32
MAX_ACTION_TIMEOUT = 86400
PRUNE_LIMIT = "50%"


def first_env(*names: str) -> str:
    """A fallback for an argument spec: the first of these environment variables that is not empty."""
    for name in names:
        if os.environ.get(name):
            return os.environ[name]
    raise AnsibleFallbackNotFound


CONNECTION: Spec = {
    "api_key": {"type": "str", "no_log": True, "fallback": (first_env, list(API_KEY_VARIABLES))},
    "api_url": {"type": "str", "default": Settings.api_url, "fallback": (first_env, ["PGBEAM_API_URL"])},
    "timeout": {"type": "int", "default": Settings.timeout},
    "retries": {"type": "int", "default": Settings.retries},
    "retry_budget": {"type": "int", "default": Settings.retry_budget},
    "validate_certs": {"type": "bool", "default": Settings.validate_certs},
    "ca_path": {"type": "path"},
}
STATE = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
PARALLEL: Spec = {"parallel": {"type": "int", "default": 8}}


def argument_spec(fields: t.Iterable[Field], complete: bool = False) -> Spec:
    """Return the argument spec of these fields. Options have no defaults, because omitted options are not managed.

    They are not required either, unless ``complete`` is set.
    """
    spec: Spec = {}
    for f in fields:
        option: dict[str, t.Any] = {"type": f.type}
        if complete and f.required:
            option["required"] = True
        if f.choices:
            option["choices"] = list(f.choices)
        if f.elements and f.elements.choices:
            option["choices"] = list(f.elements.choices)
        if f.type == "path":
            option["no_log"] = False  # because core may take its name for that of a secret
        if f.secret:
            # raw, because core would convert a number to text, which may be another password.
            option.update(type="raw", no_log=True)
        members = f.fields
        if f.elements:
            option["elements"] = f.elements.type
            members = f.elements.fields
        if members:
            option["options"] = argument_spec(members, complete)
        spec[f.name] = option
    return spec


def _parent_spec(resource: Resource) -> Spec:
    """Return the options of the parents and their ancestors.

    One is required if the path contains it and there is no other.
    """
    required = resource.path_has_parent and not resource.alternative
    parents = {name: {"type": "str", "required": required} for name in resource.parents}
    return {**{name: {"type": "str", "required": True} for name in resource.ancestors}, **parents}


def _identifying_spec(resource: Resource) -> Spec:
    """Return the options for the id and the state of an object, as far as they apply to the resource."""
    state = STATE if resource.deletable else {}
    return state if resource.is_singleton else {**state, resource.id_field: {"type": "str"}}


def _writing_spec(resource: Resource) -> Spec:
    """Return the options that control writes, as far as they apply to the resource or its child."""
    spec: Spec = {}
    for secret in resource.secret_names:
        spec[f"update_{secret}"] = {
            "type": "str",
            "choices": ["on_create", "always"],
            "default": "on_create",
            "no_log": False,
        }
    action = resource.offered_action
    if action:
        spec[action.option] = {"type": "bool", "default": False}
    if action and action.timeout_option:
        spec[action.timeout_option] = {"type": "int", "default": 0}
    if resource.issued:
        spec["return_secrets"] = {"type": "bool", "default": False, "no_log": False}
    if resource.replaceable:
        spec["replace"] = {"type": "bool", "default": False}
    if resource.nested:
        spec[f"expected_{resource.nested.plural}"] = {"type": "list", "elements": "str"}
        spec["force"] = {"type": "bool", "default": False}
    return spec


def item_spec(resource: Resource) -> Spec:
    """The argument spec of the module for one object."""
    fields = argument_spec(resource.options)
    return {**CONNECTION, **fields, **_parent_spec(resource), **_identifying_spec(resource), **_writing_spec(resource)}


def list_spec(resource: Resource) -> Spec:
    """The argument spec of the module for a whole list."""
    entry = {**_identifying_spec(resource), **argument_spec(resource.entry_options)}
    pruning: Spec = {
        "prune": {"type": "bool", "default": False},
        "prune_limit": {"type": "str", "default": PRUNE_LIMIT},
    }
    return {
        **CONNECTION,
        **_parent_spec(resource),
        # no_log is set because core takes the names of some lists for those of secrets.
        resource.plural: {"type": "list", "elements": "dict", "required": True, "options": entry, "no_log": False},
        **(pruning if resource.deletable else {}),
        **PARALLEL,
        **_writing_spec(resource),
    }


def info_spec(resource: Resource) -> Spec:
    """The argument spec of the module that reads."""
    own: Spec = {resource.id_field: {"type": "str"}} if resource.id_field and not resource.is_singleton else {}
    asked = argument_spec(resource.info_fields)
    for f in resource.query:
        asked[f.name]["required"] = f.required
    return {**CONNECTION, **_parent_spec(resource), **own, **asked}


def replay_spec(resource: Resource) -> Spec:
    """Return the argument spec of the module that returns what the API computes from its options."""
    return {**CONNECTION, **_parent_spec(resource), **argument_spec(resource.options, complete=True)}


def evaluation_spec(resource: Resource) -> Spec:
    """Return the argument spec of the module that lets the API decide on statements."""
    return {**replay_spec(resource), **PARALLEL}
