# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that YAML can hold and JSON cannot, found before a module or the role would misread them.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import datetime
import os
import traceback
import typing as t

from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.usage import USAGE
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS

SECRETS = frozenset({"api_key"}.union(*(kind.secret_names for kind in (DATABASE, *KINDS))))
#: The options that take a date.
DATES = frozenset(f.name for f in USAGE.query)
PROBLEMS_SHOWN = 10
#: The most digits of an integer: Python refuses to convert longer ones to text.
DIGITS = 2000


def with_dates_as_text(arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    """The arguments of a task, with text for the dates that its options take: YAML makes a date of text like one."""
    return {
        name: value.isoformat() if name in DATES and _kind(value) == "date" else value
        for name, value in arguments.items()
    }


def problems(value: t.Any, where: str = "", secret: bool = False) -> t.Iterator[str]:
    """Yield a sentence for every value, at any depth, that a module would not receive as it was written.

    ``where`` is the path of the value: ``databases[3]``. What is under the name of a secret is never quoted.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(name, str):
                yield from problems(item, f"{where}.{name}" if where else name, secret or name in SECRETS)
            else:
                yield f"{where or 'the options'}: {name!r} is the name of an option; put it in quotes"
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from problems(item, f"{where}[{index}]", secret)
    else:
        kind = _kind(value)
        if kind:
            shown = f"a {kind} was given" if secret or kind == "set" else f"{value} is a {kind}"
            yield f"{where}: {shown}; {'write it as a list' if kind == 'set' else 'put it in quotes'}"
        elif isinstance(value, int) and value.bit_length() > DIGITS:
            yield f"{where}: the number is too large; correct it, or put it in quotes"


def _kind(value: t.Any) -> str:
    """What a value is that has no form in JSON, empty for any other."""
    if isinstance(value, datetime.datetime):
        return "time"
    if isinstance(value, datetime.date):
        return "date"
    if isinstance(value, bytes):
        return "binary value"
    return "set" if isinstance(value, (set, frozenset)) else ""


def plain(value: t.Any, omitted: t.Any = None) -> t.Any:
    """The value in Python's own containers, with what is vaulted decrypted and without what equals ``omitted``.

    Nothing in the result is a template any more, whatever it looks like.
    """
    if isinstance(value, dict):
        return {name: plain(item, omitted) for name, item in value.items() if omitted is None or item != omitted}
    if isinstance(value, (list, tuple)):
        return [plain(item, omitted) for item in value if omitted is None or item != omitted]
    # Cores before 2.19 have an object for what is vaulted, and decrypt it when it is converted.
    return str(value) if getattr(value, "__ENCRYPTED__", False) else value


def sentences(found: list[str]) -> str:
    """The first problems in one line, and how many more there are."""
    shown = found[:PROBLEMS_SHOWN]
    if len(found) > len(shown):
        shown.append(f"and {len(found) - len(shown)} more")
    return "; ".join(shown)


def unexpected(error: Exception) -> str:
    """A fault of our own by its type and place; its text may quote a secret."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    return f"unexpected {type(error).__name__} at {place}; this is a bug in pgbeam.cloud, please report it"
