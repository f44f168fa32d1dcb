# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AnsibleModule with the option checks and the redaction of this collection.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible.argument_spec import (
    CONNECTION,
    MAX_ACTION_TIMEOUT,
    MAX_PARALLEL,
    Spec,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.redact import Redactor
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.client import Deprecation
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import API_KEY_VARIABLES

MAX_ERRORS = 5
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
#: Prints a line to the terminal; None if the module runs in its own process, whose output is the result.
SHOW: t.Callable[[str], t.Any] | None = None


class Module(AnsibleModule):
    """AnsibleModule whose results and logs omit lists of entries, and whose errors contain the entry."""

    def __init__(self, resource: Resource, spec: Spec) -> None:
        self.resource = resource
        #: The operations in use that the API announces as deprecated.
        self.deprecations: t.Mapping[str, Deprecation] = {}
        spec_failed = True
        # Core's own checks raise for some values, such as cache_config: [null].
        with contextlib.suppress(AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
            super().__init__(argument_spec=spec, supports_check_mode=True)
            spec_failed = False
        if spec_failed:
            self.fail_json("the options cannot be parsed; check the type of each value")

    def _load_params(self) -> None:
        super()._load_params()
        other = self.resource.alternative
        if other and self.params.get(self.resource.parent) is None and self.params.get(other.parent) is not None:
            self.resource = other
        for name in self._parents:
            if self.params.get(name, "") is None:
                self.params[name] = ""  # in check mode it may be null, which core would convert to the text "None"
        #: The options before core converts them: it drops entries that it cannot parse, and quotes them.
        self.raw_params: Values = dict(self.params)

    @property
    def _invocation(self) -> Values:
        """The value of ``invocation``: no lists, and no unknown options, which may be misspelled secrets."""
        return {"module_args": _loggable(self.argument_spec, self.params, self._secrets)}

    @property
    def user_tmp(self) -> str:
        """Ansible's directory for temporary files of this user, the same for all runs, unlike ``tmpdir``."""
        return str(os.path.expandvars(os.path.expanduser(self._remote_tmp)))

    def log(self, msg: str, log_args: dict[str, t.Any] | None = None) -> None:
        """Log the options as ``invocation`` shows them, without those whose members contain secrets.

        Core logs these as escaped text, where masking can miss a secret; newer cores also log a password in an address.
        """
        if log_args:
            with_secrets = {
                name for name, option in self.argument_spec.items() if _secret_names(option.get("options", {}))
            }
            shown = self._invocation["module_args"]
            log_args = {name: shown[name] for name in log_args if name in shown and name not in with_secrets}
        if log_args:  # core masks the message, but not the fields of systemd's journal
            log_args = self._redactor.mask({name: str(value) for name, value in log_args.items()})
            msg = "Invoked with " + " ".join(f"{name}={value!s}" for name, value in log_args.items())
        super().log(msg, log_args)

    def exit(self, failure: str | None = None, totals: str = "", **result: t.Any) -> t.NoReturn:
        """End the module, as failed if there is a failure.

        ``totals`` are the collection's own words, which contain no secret. The rest is masked here, so that core has
        nothing to mask, which would take longer than the task itself for a large list.
        """
        if self.deprecations:
            deprecated = ", ".join(map(str, self.deprecations.values()))
            self.warn(f"collection pgbeam.cloud: it uses deprecated operations of PgBeam, {deprecated}; update it")
        result = self._redactor.mask({**result, "invocation": self._invocation, "msg": failure or ""})
        separator = "\n" if "\n" in result["msg"] else " "  # not in the last row of a table
        result["msg"] = separator.join(filter(None, (result["msg"], f"[{totals}]" if failure and totals else totals)))
        if not result["msg"]:
            del result["msg"]
        self.no_log_values: set[str] = set()
        if failure is None:
            self.exit_json(**result)
        super().fail_json(**result)
        raise AssertionError  # fail_json ended the process

    def show(self, progress: str) -> None:
        """Report progress: in the system log, and in the terminal if the module can write to it."""
        self.log(progress)
        if SHOW and not self.no_log:
            SHOW(self.redact(progress))

    def redact(self, text: str) -> str:
        """Return the text without secrets."""
        return str(self._redactor.mask(text))

    def warn(self, warning: str) -> None:
        super().warn(self.redact(warning))

    @functools.cached_property
    def _secrets(self) -> set[str]:
        """All secrets in the options. Core stops collecting them at the first entry of a wrong type."""
        given = _secrets(_secret_names(self.argument_spec), self.raw_params)
        return {*self.no_log_values, *given, *filter(None, map(os.environ.get, API_KEY_VARIABLES))}

    @functools.cached_property
    def _redactor(self) -> Redactor:
        return Redactor(self._secrets, {*self.resource.actions, *METHODS, *self.resource.changed_names})

    def fail_json(self, msg: str, **kwargs: t.Any) -> None:
        """Called by core if its own checks refuse the options. Ours report the same with the label of the entry."""
        found = [] if kwargs else self.problems()
        result = {"invocation": self._invocation, **kwargs, "msg": join_errors(found) if found else msg}
        super().fail_json(**self._redactor.mask(result))

    def problems(self) -> list[str]:
        """Return a sentence for each invalid option, before any request."""
        resource, given = self.resource, self.raw_params
        found = self._parent_problems()
        action = resource.offered_action
        found += self._type_problems()
        bounds = {"parallel": (1, MAX_PARALLEL)}
        bounds |= {action.timeout_option: (0, MAX_ACTION_TIMEOUT)} if action and action.timeout_option else {}
        large = [name for name in (*CONNECTION, *bounds) if _is_large(self.params.get(name))]
        found += [f"{name}: the number is too large; set a smaller one" for name in large]
        for name, (minimum, maximum) in bounds.items():
            number = self.params.get(name)
            if isinstance(number, int) and not minimum <= number <= maximum and not large:
                found.append(f"{name}: {number} is not allowed; it must be a whole number from {minimum} to {maximum}")
        requested = action and self.params.get(action.option) and self.params.get("state") != "absent"
        if action and requested and not resource.action:
            noun = resource.nested.noun if resource.nested else ""
            if not validation.drop_nulls({noun: given.get(noun)}):
                found.append(f"{action.option}: no {noun} to test; set {noun}, or omit {action.option}")
        if resource.plural not in self.argument_spec:
            return found + validation.validate(resource, given)
        found += validation.limit_errors(self.params.get("prune_limit"), "prune_limit") if resource.deletable else []
        found += validation.shape_errors(resource.plural, given.get(resource.plural))
        for place, entry in entries(resource, given):
            found += validation.validate_entry(resource, entry, f"{place}: ")
        return found

    def _type_problems(self) -> list[str]:
        """Return a sentence for each option of a wrong type that is not a field. Some cores would convert it."""
        found = []
        resource = self.resource
        own = {resource.id_field, resource.plural, *(f.name for f in (*resource.options, *resource.query))}
        for name in self.raw_params.keys() & self.argument_spec.keys() - own:
            option, value = self.argument_spec[name], self.raw_params[name]
            items = value if option["type"] == "list" and isinstance(value, list) else [value]
            for item in items:
                reason = None
                if item is None or option["type"] == "bool":
                    continue
                if option["type"] == "int" and validation.whole_number(item) is None:
                    reason = f"{validation.as_yaml(item) or 'the value'} is not allowed; it must be a whole number"
                elif option["type"] != "int":
                    reason = validation.text_error(item, secret=bool(option.get("no_log")))
                if reason:
                    found.append(f"{name}: {reason}")
        return sorted(found)

    @property
    def _parents(self) -> tuple[str, ...]:
        """The options with the ids that the path contains."""
        resource = self.resource
        return (*resource.ancestors, resource.parent) if resource.path_has_parent else ()

    def _parent_problems(self) -> list[str]:
        name, parent = self.resource.parent, self.params.get(self.resource.parent)
        other = self.resource.alternative
        if other and parent is None:
            return [f"{name}: missing; set {name} or {other.parent}"]
        if other and self.params.get(other.parent) is not None:
            return [f"{other.parent}: {name} is also set; keep one of them"]
        found: list[str] = []
        for name in self._parents:
            value = self.params.get(name)
            if value != "" or self.resource.needs_parent:
                found += validation.id_errors(value, name)
            elif not self.check_mode:
                noun = self.resource.parent_noun if name == self.resource.parent else name.removesuffix("_id")
                found.append(f"{name}: empty, which is allowed only in check mode; set the id of an existing {noun}")
        return found


def _loggable(spec: Values, params: Values, secrets: set[str]) -> Values:
    """Return these options as a result may show them."""
    shown = {}
    for name, option in spec.items():
        value = params.get(name)
        if option.get("type") == "list" and "options" in option:
            continue
        if _is_large(value):
            value = "(a large number)"
        # An address with a user also contains a password, and masking does not mask a short secret in an id.
        hidden = option.get("no_log") or (name == "api_url" and "@" in str(value)) or str(value) in secrets
        if value and hidden:
            value = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
        elif value and "options" in option:
            value = _loggable(option["options"], value, secrets) if isinstance(value, dict) else "(not a dictionary)"
        shown[name] = value
    return shown


def _is_large(value: t.Any) -> bool:
    """Whether a value is a number with too many digits for Python to convert to text."""
    return isinstance(value, int) and not validation.as_yaml(value)


def _secret_names(spec: Values) -> set[str]:
    """Return the names of the options that contain secrets, at any depth."""
    deeper = [_secret_names(option["options"]) for option in spec.values() if "options" in option]
    return {name for name, option in spec.items() if option.get("no_log")}.union(*deeper)


def _secrets(names: set[str], value: t.Any, secret: bool = False) -> t.Iterator[str]:
    """Yield the texts and numbers under these names, at any depth."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _secrets(names, item, secret or name in names)
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(names, item, secret)
    elif secret and value is not None and not isinstance(value, bool):
        yield str(value)


def entries(resource: Resource, params: Values) -> list[tuple[str, Values]]:
    """Return each entry in the options of a list module with its label; nothing for the other modules."""
    listed = params.get(resource.plural)
    if not isinstance(listed, list):
        return []
    found = [(f"{resource.plural}[{n}]", entry) for n, entry in enumerate(listed) if isinstance(entry, dict)]
    return [(validation.entry_label(where, entry), entry) for where, entry in found]


def join_errors(errors: list[str]) -> str:
    """Return the first errors as one text."""
    shown = errors[:MAX_ERRORS]
    if len(errors) > len(shown):
        shown.append(f"and {len(errors) - len(shown)} more")
    return "; ".join(shown)
