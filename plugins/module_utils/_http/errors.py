# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failed call: which one it was, what happened, and what to do next.

No text of an exception and no header of a request is quoted, because both can contain the key or a password.
Private to this collection: it may change in any release.
"""

from __future__ import annotations

import os
import traceback
import typing as t
from dataclasses import dataclass, field

API_KEY_VARIABLES = ("PGBEAM_API_KEY", "PGBEAM_TOKEN", "PGBEAM_API_TOKEN")
MAX_TEXT = 500  # characters


@dataclass(frozen=True)
class Call:
    """One logical call, however many attempts it takes. ``target`` names its object in messages."""

    method: str
    path: str
    target: str
    query: dict[str, t.Any] | None = None
    body: dict[str, t.Any] | None = None
    headers: dict[str, str] | None = None
    #: Whether it may be sent again if the server may have received it.
    repeatable: bool = True


@dataclass(eq=False)  # exceptions are compared and hashed by identity
class ApiError(Exception):
    """A call that failed, told in one sentence (``str(error)``) and in parts.

    ``outcome_unknown`` says that the server may have acted although the call failed; ``retriable`` that another
    attempt may succeed, and ``retry_after`` in how many seconds; ``budget_spent`` that there was no time left for one.
    """

    call: Call
    reason: str
    advice: str
    status: int | None = None
    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    attempts: int = 1
    fields: list[dict[str, t.Any]] = field(default_factory=list)
    outcome_unknown: bool = False
    retriable: bool = False
    retry_after: float | None = None
    budget_spent: bool = False

    def __str__(self) -> str:
        details = [f"{self.attempts} attempts"] if self.attempts > 1 else []
        details += [f"request {self.request_id}"] if self.request_id else []
        told = f" ({', '.join(details)})" if details else ""
        return f"{self.call.method} {self.call.target}: {self.reason}{told}; {self.advice}"

    @property
    def sent(self) -> bool:
        """Whether anything was sent. An earlier call may have ended the run before this one."""
        return self.attempts > 0

    @property
    def fatal(self) -> bool:
        """Whether every further call would fail in the same way."""
        return self.budget_spent or self.status in (401, 402, 403)

    @property
    def not_found(self) -> bool:
        """Whether the API itself says that there is no such object. A gateway's 404 has no code of the API."""
        return self.status == 404 and self.code is not None

    def as_dict(self) -> dict[str, t.Any]:
        """The parts that a playbook can test; the same keys for every failure, and every text a short line."""
        return {
            "status": self.status,
            "code": one_line(self.code) if self.code else None,
            "message": one_line(self.message or self.reason),
            "method": self.call.method,
            "path": self.call.path,
            "request_id": one_line(self.request_id) if self.request_id else None,
            "attempts": self.attempts,
            "fields": self.fields,
            "outcome_unknown": self.outcome_unknown,
        }


def one_line(value: t.Any, redact: t.Callable[[str], str] = str) -> str:
    """A server's words as part of a sentence: without secrets, in one line, and not too long."""
    line = " ".join(redact(str(value)).split())
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"


def bug(error: Exception) -> tuple[str, str]:
    """What happened and what to do, for a fault of our own, by type and place; its text may quote a secret."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    return f"unexpected {type(error).__name__} at {place}", "this is a bug in pgbeam.cloud, please report it"
