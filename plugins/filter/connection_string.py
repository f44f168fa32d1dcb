# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that puts a password into a connection string."""

from __future__ import annotations

import typing as t
from urllib.parse import quote

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: connection_string
short_description: Put the password into a connection string of PgBeam
version_added: 0.1.0
description:
  - Replaces the placeholder C(YOUR_PASSWORD) of a registration's connection string with the password, percent-encoded.
  - The result is a secret. Use it in a task with C(no_log=true).
positional: password
options:
  _input:
    description: The connection string, as RV(pgbeam.cloud.database#module:database.connection_string) has it.
    type: str
    required: true
  password:
    description: The password of the PostgreSQL role.
    type: str
    required: true
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
  when: registered.database.connection_string is not none # as it is in check mode, before it is registered
"""

RETURN = r"""
_value:
  description: The connection string with the password in it.
  type: str
  sample: postgresql://app:s%2Fcret@myproject.proxy.pgbeam.app:5432/orders
"""

PLACEHOLDER = ":YOUR_PASSWORD@"


def connection_string(string: t.Any, password: t.Any) -> str:
    """The connection string with the password, percent-encoded, in the place of PgBeam's placeholder.

    Raises AnsibleFilterError where either is no text, or the string has no placeholder.
    """
    # Not "is no str": on cores before 2.19 a vaulted value is of a type of its own.
    if isinstance(password, (bool, int, float, bytes, list, dict, type(None))) or not str(password):
        raise AnsibleFilterError("connection_string: the password must be a string that is not empty")
    if not isinstance(string, str) or PLACEHOLDER not in string:
        raise AnsibleFilterError(
            "connection_string: the input has no YOUR_PASSWORD to replace; give the one that PgBeam returned"
        )
    return string.replace(PLACEHOLDER, f":{quote(str(password), safe='')}@", 1)


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"connection_string": connection_string}
