# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluate the role's variables for one host, each template once.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import json
import typing as t

import yaml
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible.argument_spec import PRUNE_LIMIT
from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _values
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS

try:
    from ansible.template import is_trusted_as_template, trust_as_template
except ImportError:  # ansible-core before 2.19 marks untrusted text instead
    from ansible.utils.unsafe_proxy import wrap_var

    def is_trusted_as_template(value: object) -> bool:
        """Return whether templates in a text are evaluated."""
        return not hasattr(value, "__UNSAFE__")

    def trust_as_template(value: str) -> str:
        """Return the text, whose templates will be evaluated."""
        return value

    def _distrust(value: str) -> t.Any:
        return wrap_var(value)

    #: Raised for an omitted variable; these cores have a text for it instead.
    OMITTED: tuple[type[Exception], ...] = ()

else:
    from ansible.errors import AnsibleValueOmittedError

    OMITTED = (AnsibleValueOmittedError,)

    def _distrust(value: str) -> t.Any:
        return str(value)


#: The role's variables, each without pgbeam_, and its default.
VARIABLES: dict[str, t.Any] = {
    "project_id": "",
    "project": {},
    "databases": [],
    "database_defaults": {},
    **{kind.plural: [] for kind in KINDS},
    "prune": False,
    "prune_limit": PRUNE_LIMIT,
    "replace_replicas": False,
    "update_password": "on_create",
    "test_connection": False,
    "parallel": 8,
    "api_key": "",
    "api_url": "",
}
#: Known variables that are not the role's options: those of the playbooks, and the role's results.
OTHER_VARIABLES = ("pgbeam_hosts", "pgbeam_result", "pgbeam_project_result", "pgbeam_replica_results")


class Template(t.Protocol):
    """Evaluates templates: Ansible's Templar."""

    def template(self, variable: t.Any) -> t.Any:
        """Return the value without templates."""


def gather(task_vars: dict[str, t.Any], templar: Template) -> dict[str, t.Any]:
    """Evaluate the role's variables for one host.

    Returns ``{"values": {variable: value}, "typos": {name: variable}, "problems": [sentence]}``, which is valid JSON.
    A problem contains the name of the variable, but no secret and no part of a template.
    """
    values, problems = {}, []
    for name, default in VARIABLES.items():
        try:
            value = _evaluated(task_vars.get(f"pgbeam_{name}"), templar, isinstance(default, (dict, list)))
            value = None if value == task_vars.get("omit") else _values.plain(value, task_vars.get("omit"))
            found = list(_values.problems(value, f"pgbeam_{name}", name in _values.SECRETS))
        except OMITTED:
            value, found = None, []
        except yaml.YAMLError:
            found = [f"pgbeam_{name}: the text is neither YAML nor JSON; correct it, or set {_kind_of(default)}"]
        except Exception:  # from any template: its text quotes the template, which may contain vaulted text
            found = [f"pgbeam_{name}: a template in it cannot be evaluated; check the variables that it uses"]
        problems += found
        values[name] = default if found or value is None or value == "" else _converted(value, default)
    typos = {variable: meant for variable in task_vars if (meant := similar(variable))}
    return {"values": values, "typos": typos, "problems": problems}


def _evaluated(value: t.Any, templar: Template, structured: bool) -> t.Any:
    """Return a variable with its templates evaluated. A list or a dictionary may be YAML or JSON in a text.

    Such a text is parsed before its templates are evaluated, so that no value can change the structure.
    """
    if not structured or not isinstance(value, str) or value.lstrip().startswith(("{{", "{%", "{#")):
        value = templar.template(value)
        return _read(value) if structured and isinstance(value, str) else value
    trusted = is_trusted_as_template(value)
    return templar.template(_trusted(_read(value), trusted))


def _converted(value: t.Any, default: t.Any) -> t.Any:
    """Convert the text of a template back to a boolean or a number. Other values are returned as they are."""
    if isinstance(default, bool):
        with contextlib.suppress(TypeError):
            return boolean(value)
    elif isinstance(default, int) and isinstance(value, str):
        with contextlib.suppress(ValueError):
            return int(value)
    return value


def _read(text: str) -> t.Any:
    """Parse a YAML or JSON text."""
    try:
        return json.loads(text)
    except ValueError:
        # Bytes, because it does not accept the text type of ansible-core 2.19 and newer.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return yaml.load(text.encode(errors="surrogatepass"), Loader=loader)  # noqa: S506  # both loaders are safe


def _trusted(value: t.Any, trusted: bool) -> t.Any:
    """Return the value with the trust of the text that it was parsed from, which allows templates or not."""
    if isinstance(value, dict):
        return {name: _trusted(item, trusted) for name, item in value.items()}
    if isinstance(value, list):
        return [_trusted(item, trusted) for item in value]
    if isinstance(value, str):
        return trust_as_template(value) if trusted else _distrust(value)
    return value


def _kind_of(default: t.Any) -> str:
    return "a list" if isinstance(default, list) else "a dictionary"


@functools.cache
def similar(variable: str) -> str | None:
    """Return the variable of the role, without pgbeam_, that a name looks like, or None."""
    own = variable.removeprefix("pgbeam_")
    if own == variable or own in VARIABLES or variable in OTHER_VARIABLES:
        return None
    close = difflib.get_close_matches(variable, [f"pgbeam_{name}" for name in VARIABLES], n=1, cutoff=0.9)
    return close[0].removeprefix("pgbeam_") if close else None
