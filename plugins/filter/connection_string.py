# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that adds the password and parameters to a connection string."""

from __future__ import annotations

import datetime
import re
import typing as t
from urllib.parse import quote, unquote

from ansible.errors import AnsibleFilterError

try:
    from ansible.module_utils.secrets import register_secrets
except ImportError:  # ansible-core before 2.22, where a filter cannot register secrets

    def register_secrets(values: t.Iterable[str]) -> None:
        """Do nothing."""


DOCUMENTATION = r"""
name: connection_string
short_description: Insert the password into a PgBeam connection string
version_added: 1.0.0
description:
  - Replaces the placeholder C(YOUR_PASSWORD) in a registration's connection string with the percent-encoded password.
  - Can also add connection parameters, such as C(sslmode).
  - The result is a URI that libpq and the drivers based on it accept.
positional: password
options:
  _input:
    description: The connection string, as returned in RV(pgbeam.cloud.database#module:database.connection_string).
    type: str
    required: true
  password:
    description: The password of the PostgreSQL role.
    type: str
    required: true
  parameters:
    description:
      - Connection parameters of libpq or the application's driver, by name.
      - They are added to the query of the URI, percent-encoded. An existing parameter with the same name is replaced.
      - A name consists of letters, digits and underscores. A value is a string, a whole number or a boolean.
      - A boolean becomes V(1) or V(0), as libpq expects. For a driver that expects other values, use a string.
    type: dict
notes:
  - The result is a secret. Use it in a task with C(no_log=true). Otherwise Ansible can show it in the task's arguments,
    result and diff.
  - With ansible-core 2.22 and later, the filter registers the result and the password as secrets, and Ansible redacts
    them from its output. In earlier releases, a filter cannot mark its result, so only C(no_log=true) protects it.
  - A variable that contains the result contains a secret too. Use the filter in the task that needs the string, not in
    C(ansible.builtin.set_fact).
seealso:
  - name: Connection URIs
    description: The connection URIs and parameters of libpq.
    link: https://www.postgresql.org/docs/current/libpq-connect.html
author:
  - The pgbeam.cloud contributors (@pgbeam)
"""

EXAMPLES = r"""
- name: Write the connection string for the application
  ansible.builtin.copy:
    dest: /etc/orders/database-url
    content: "{{ registered.database.connection_string | pgbeam.cloud.connection_string(vault_orders_password) }}"
    mode: "0600"
  no_log: true
  when: registered.database.connection_string is not none # it is none in check mode before the first run

- name: Write it with connection parameters
  ansible.builtin.copy:
    dest: /etc/orders/database-url
    content: >-
      {{ registered.database.connection_string
         | pgbeam.cloud.connection_string(vault_orders_password, parameters=orders_parameters) }}
    mode: "0600"
  vars:
    orders_parameters:
      sslmode: verify-full
      connect_timeout: 10
      application_name: orders
  no_log: true
  when: registered.database.connection_string is not none
"""

RETURN = r"""
_value:
  description: The connection string with the password and the parameters.
  type: str
  sample: postgresql://app:s%2Fcret@myproject.proxy.pgbeam.app:5432/orders?sslmode=verify-full
"""

PLACEHOLDER = ":YOUR_PASSWORD@"
NAME = re.compile(r"[A-Za-z0-9_]+")
#: libpq refuses NUL, and UTF-8 cannot represent half of a surrogate pair.
UNUSABLE = re.compile("[\0\ud800-\udfff]")
#: Not simply anything but str: before ansible-core 2.19, vaulted values have their own type.
NON_TEXT = (bool, int, float, bytes, datetime.date, list, tuple, dict, type(None))


def connection_string(string: t.Any, password: t.Any, *, parameters: t.Any = None) -> str:
    """Replace PgBeam's placeholder by the password, and add the parameters to the query.

    Raises AnsibleFilterError, without any value in its text, if an argument is invalid.
    """
    if isinstance(password, NON_TEXT) or not str(password):
        raise AnsibleFilterError("connection_string: the password is empty or not a string; pass a non-empty string")
    if _is_omitted(password):
        raise AnsibleFilterError("connection_string: the password is omitted; pass it, or do not use the filter")
    if not isinstance(string, str) or PLACEHOLDER not in string:
        raise AnsibleFilterError(
            "connection_string: the input does not contain YOUR_PASSWORD; pass the string that PgBeam returned"
        )
    start, dummy, rest = string.partition(PLACEHOLDER)
    secret = _encoded("the password", password)
    result = f"{start}:{secret}@{_with_parameters(rest, {} if parameters is None else parameters)}"
    register_secrets([str(password), secret, result])
    return result


def _with_parameters(rest: str, parameters: t.Any) -> str:
    """Return the part of the URI after the password, with the parameters in its query."""
    if not isinstance(parameters, dict):
        raise AnsibleFilterError("connection_string: the parameters are not a dictionary; pass names with values")
    if not parameters:
        return rest
    added = [_parameter(name, value) for name, value in parameters.items()]
    place, dummy, query = rest.partition("?")
    kept = [pair for pair in query.split("&") if pair and unquote(pair.partition("=")[0]) not in parameters]
    return f"{place}?{'&'.join(kept + added)}"


def _parameter(name: t.Any, value: t.Any) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise AnsibleFilterError(
            "connection_string: the name of a parameter is empty, not text, or contains characters other than letters, "
            "digits and underscores; correct it"
        )
    if name == "password":
        raise AnsibleFilterError(
            "connection_string: password is not a parameter; pass it as the argument of the filter"
        )
    if _is_omitted(value):
        raise AnsibleFilterError(f"connection_string: the parameter {name} is omitted; pass a value, or remove it")
    if isinstance(value, NON_TEXT) and not isinstance(value, int):
        raise AnsibleFilterError(
            f"connection_string: the parameter {name} is not a string, a whole number or a boolean; pass one of these"
        )
    return f"{name}={_encoded(f'the parameter {name}', int(value) if isinstance(value, bool) else value)}"


def _is_omitted(value: t.Any) -> bool:
    """Whether a value is that of core's variable omit: an object, before 2.19 a text."""
    return type(value).__name__ == "_OmitType" or str(value).startswith("__omit_place_holder__")


def _encoded(what: str, value: t.Any) -> str:
    text = str(value)
    if UNUSABLE.search(text):
        raise AnsibleFilterError(f"connection_string: {what} contains a NUL or an unpaired surrogate; remove it")
    return quote(text, safe="")


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"connection_string": connection_string}
