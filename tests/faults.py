# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults that the collection is held to: what is injected, what a task does, what the user reads.

``docs/reliability.md`` has this table; tests/integration/test_faults.py holds every line of it to a real run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ENDLESS = 1_000_000
HTML = "502 with a body that is not a JSON object"
MAYBE = "the change may have been made, as a second run will tell"


def table() -> str:
    """The cases as a Markdown table."""
    rows = [
        "| on | what is injected | once: the task | always: the task | always: the user reads |",
        "|" + " --- |" * 5,
    ]
    for case in CASES:
        reads = " … ".join(f"`{part}`" for part in case.reads)
        rows.append(f"| {case.on} | {case.injected} | {case.once} | {case.always} | {reads} |")
    return "\n".join(rows) + "\n"


@dataclass(frozen=True)
class Case:
    """One fault on the create of a task that registers a database, or on the listing before it."""

    injected: str
    #: As tests/sandbox/models.py has it.
    fault: dict[str, Any]
    #: The fault hits so many attempts, and then as many as there are.
    once: str
    always: str
    #: Parts of the message of the task that it always hits.
    reads: tuple[str, ...] = ()
    on: str = "POST"
    once_fails: bool = False
    always_fails: bool = True


def _status(status: int, code: str, **more: Any) -> dict[str, Any]:
    return {"kind": "status", "status": status, "code": code, **more}


CREATED = "tries again, created"
SETTLED = "lists once more and finds it: created"
FAILS = "fails"
RETRIES = "retries, then fails"
UNKNOWN = "retries, lists once more, does not find it: fails"

CASES: tuple[Case, ...] = (
    Case("429, `Retry-After: 1`", _status(429, "RATE_LIMITED", retry_after="1"), CREATED, RETRIES,
         ("429 RATE_LIMITED", "2 attempts", "too many requests: run again later, lower parallel")),
    Case("429, `Retry-After` with an HTTP date", _status(429, "RATE_LIMITED", retry_after="date+1"), CREATED, RETRIES,
         ("429 RATE_LIMITED", "2 attempts", "lower parallel")),
    Case("429, `Retry-After: 0`", _status(429, "RATE_LIMITED", retry_after="0"), CREATED, RETRIES,
         ("429 RATE_LIMITED", "2 attempts", "lower parallel")),
    Case("429, `Retry-After: soon`", _status(429, "RATE_LIMITED", retry_after="soon"), CREATED, RETRIES,
         ("429 RATE_LIMITED", "2 attempts", "lower parallel")),
    Case("429, `Retry-After: 3600`", _status(429, "RATE_LIMITED", retry_after="3600"), "fails at once", "fails at once",
         ("waiting 3600 s more would pass retry_budget (20 s): run again later, or raise retry_budget",),
         once_fails=True),
    Case("408", _status(408, "TIMEOUT"), CREATED, RETRIES, ("408 TIMEOUT", "2 attempts", "run again later")),
    Case("500 before the write", _status(500, "INTERNAL_ERROR"), "lists once more, does not find it: fails", UNKNOWN,
         ("500 INTERNAL_ERROR", "quote the request id", MAYBE), once_fails=True),
    Case("500 after the write", {**_status(500, "INTERNAL_ERROR"), "kind": "late_status"}, SETTLED, SETTLED,
         always_fails=False),
    Case("502 with an HTML page", {"kind": "html"}, CREATED, UNKNOWN, (HTML, "2 attempts", MAYBE)),
    Case("502 with an HTML page after the write", {"kind": "late_html"}, CREATED, SETTLED, always_fails=False),
    Case("503", _status(503, "SERVICE_UNAVAILABLE"), CREATED, UNKNOWN,
         ("503 SERVICE_UNAVAILABLE", "2 attempts", MAYBE)),
    Case("503, `Retry-After: 1`", _status(503, "SERVICE_UNAVAILABLE", retry_after="1"), CREATED, RETRIES,
         ("503 SERVICE_UNAVAILABLE", "2 attempts", "run again later")),
    Case("504 after the write", {**_status(504, "TIMEOUT"), "kind": "late_status"}, CREATED, SETTLED,
         always_fails=False),
    Case("connection reset before the write", {"kind": "drop_before"}, CREATED, UNKNOWN,
         ("connection lost to http", "2 attempts", MAYBE)),
    Case("connection reset after the write", {"kind": "drop_after"}, CREATED, SETTLED, always_fails=False),
    Case("an answer that stalls past `timeout`", {"kind": "stall", "seconds": 1.5}, CREATED, SETTLED,
         always_fails=False),
    Case("truncated JSON", {"kind": "truncate"}, SETTLED, SETTLED, always_fails=False),
    Case("an empty body", {"kind": "empty"}, SETTLED, SETTLED, always_fails=False),
    Case("JSON that is not an object", {"kind": "not_object"}, SETTLED, SETTLED, always_fails=False),
    Case("a redirect to another host", {"kind": "redirect"}, FAILS, FAILS,
         ("307 redirects to https://elsewhere.example.com/v1", "redirects are not followed: set api_url"),
         once_fails=True),
    Case("400", _status(400, "INVALID_INPUT"), FAILS, FAILS,
         ("400 INVALID_INPUT", "correct what it names, then run again"), once_fails=True),
    Case("402", _status(402, "PAYMENT_REQUIRED"), FAILS, FAILS, ("402 PAYMENT_REQUIRED", "settle it in the PgBeam"),
         once_fails=True),
    Case("409", _status(409, "CONFLICT"), FAILS, FAILS, ("409 CONFLICT", "look at it, then run again"),
         once_fails=True),
    Case("the plan's limit", _status(403, "PLAN_LIMIT_REACHED"), FAILS, FAILS,
         ("403 PLAN_LIMIT_REACHED", "or move to a larger plan, then run again"), once_fails=True),
    Case("a key revoked in mid-run", _status(401, "UNAUTHORIZED"), FAILS, FAILS,
         ("401 UNAUTHORIZED", "check api_key (or PGBEAM_API_KEY) and that the key is not revoked"), once_fails=True),
    Case("a key that may not write", _status(403, "FORBIDDEN"), FAILS, FAILS,
         ("403 FORBIDDEN", "use a key whose organization owns the project"), once_fails=True),
    Case("truncated JSON", {"kind": "truncate"}, FAILS, FAILS,
         ("200 with a body that is not a JSON object", "is the PgBeam API"), on="GET", once_fails=True),
    Case("its page token repeats for ever", {"kind": "same_token"}, "reads on: created", FAILS,
         ("200 with a next page that leads back to one already read", "is the PgBeam API"), on="GET"),
    Case("503", _status(503, "SERVICE_UNAVAILABLE"), CREATED, RETRIES,
         ("503 SERVICE_UNAVAILABLE", "2 attempts", "run again later"), on="GET"),
    Case("an answer that stalls past `timeout`", {"kind": "stall", "seconds": 1.5}, CREATED, RETRIES,
         ("did not answer within 1 s", "2 attempts", "raise timeout"), on="GET"),
    Case("404", _status(404, "NOT_FOUND"), FAILS, FAILS,
         ("404 NOT_FOUND", "not found, or this key may not see it: check project_id and the key"), on="GET",
         once_fails=True),
)  # fmt: skip
