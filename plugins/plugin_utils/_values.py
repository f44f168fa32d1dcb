# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find values that YAML can represent and JSON cannot, before a module or the role misreads them.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import bug
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.usage import USAGE
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS

SECRETS = frozenset({"api_key"}.union(*(kind.secret_names for kind in (DATABASE, *KINDS))))
#: The options with a date.
DATES = frozenset(f.name for f in USAGE.query)
MAX_PROBLEMS = 10
REMEDIES = {"set": "write it as a list", "binary value": "remove the tag !!binary, and write it as text"}
#: The most digits of an integer: Python refuses to convert longer ones to text.
DIGITS = 2000


def with_dates_as_text(arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the arguments of a task with its dates as text. YAML parses an unquoted date, which only these accept."""
    return {
        name: value.isoformat() if name in DATES and _kind(value) == "date" else value
        for name, value in arguments.items()
    }


def problems(value: t.Any, where: str = "", secret: bool = False) -> t.Iterator[str]:
    """Yield a sentence for each value, at any depth, that a module would not receive as it was written.

    ``where`` is the path of the value, such as ``databases[3]``. Values of secrets are never quoted.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(name, str):
                yield from problems(item, f"{where}.{name}" if where else name, secret or name in SECRETS)
            else:
                yield f"{where or 'the options'}: the option name {name!r} is not text; put it in quotes"
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from problems(item, f"{where}[{index}]", secret)
    else:
        kind = _kind(value)
        if kind:
            shown = f"a {kind} was given" if secret or kind == "set" else f"{value} is a {kind}"
            yield f"{where}: {shown}; {REMEDIES.get(kind, 'put it in quotes')}"
        elif isinstance(value, int) and value.bit_length() > DIGITS:
            yield f"{where}: the number is too large; correct it, or put it in quotes"


def _kind(value: t.Any) -> str:
    """Return the type of a value that JSON cannot represent, empty for any other."""
    if isinstance(value, datetime.datetime):
        return "time"
    if isinstance(value, datetime.date):
        return "date"
    if isinstance(value, bytes):
        return "binary value"
    return "set" if isinstance(value, (set, frozenset)) else ""


def plain(value: t.Any, omitted: t.Any = None) -> t.Any:
    """Return the value in plain containers, with vaulted values decrypted and without values equal to ``omitted``.

    Nothing in the result is evaluated as a template again.
    """
    if isinstance(value, dict):
        return {name: plain(item, omitted) for name, item in value.items() if omitted is None or item != omitted}
    if isinstance(value, (list, tuple)):
        return [plain(item, omitted) for item in value if omitted is None or item != omitted]
    # ansible-core before 2.19 has an object for a vaulted value, and decrypts it on conversion.
    return str(value) if getattr(value, "__ENCRYPTED__", False) else value


def sentences(found: list[str]) -> str:
    """Return the first problems on one line, and the number of the others."""
    shown = found[:MAX_PROBLEMS]
    if len(found) > len(shown):
        shown.append(f"and {len(found) - len(shown)} more")
    return "; ".join(shown)


def unexpected(error: Exception) -> str:
    """Return the message of a bug."""
    return "; ".join(bug(error))
