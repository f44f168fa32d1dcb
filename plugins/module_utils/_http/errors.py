# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failed call: the request, what happened, and what to do next.

Exceptions and request headers are never quoted, because both can contain the key or a password.
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
    """One logical call, however many attempts it takes. ``target`` is the name of its object in messages."""

    method: str
    path: str
    target: str
    query: dict[str, t.Any] | None = None
    body: dict[str, t.Any] | None = None
    headers: dict[str, str] | None = None
    #: Whether it can be sent again after the server may have received it.
    repeatable: bool = True


@dataclass(eq=False)  # exceptions are compared and hashed by identity
class ApiError(Exception):
    """A call that failed, as one sentence (``str(error)``) and in parts.

    ``outcome_unknown``: the server may have applied the write although the call failed. ``retriable``: another attempt
    may succeed, after ``retry_after`` seconds if set. ``budget_spent``: no time was left for another attempt.
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
        suffix = f" ({', '.join(details)})" if details else ""
        return f"{self.call.method} {self.call.target}: {self.reason}{suffix}; {self.advice}"

    @property
    def sent(self) -> bool:
        """Whether a request was sent. An earlier failure may have stopped the run before."""
        return self.attempts > 0

    @property
    def fatal(self) -> bool:
        """Whether every further call would fail in the same way."""
        return self.budget_spent or self.status in (401, 402, 403)

    @property
    def not_found(self) -> bool:
        """Whether the API reports that the object does not exist. A gateway's 404 has no error code of the API."""
        return self.status == 404 and self.code is not None

    def as_dict(self) -> dict[str, t.Any]:
        """Return the parts for playbooks: the same keys for every failure, and every text one short line."""
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
    """Return a server's text for a sentence: without secrets, on one line, and shortened."""
    line = " ".join(redact(str(value)).split())
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"


def bug(error: Exception) -> tuple[str, str]:
    """Return what happened and what to do, for a bug of our own. The text of the exception may quote a secret."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    return (
        f"unexpected {type(error).__name__} at {place}",
        "please report this bug to the maintainers of the pgbeam.cloud collection",
    )
