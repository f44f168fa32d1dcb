# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults that the collection is held to: what is injected, what a task does, what the user reads.

``docs/reliability.md`` has this table; tests/integration/test_faults.py holds every line of it to real runs.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import contract
from tests.harness import API_KEY, Organization, Project, Sandbox
from tests.module_runner import run_module
from tests.sandbox.state import merged

Values = dict[str, Any]
ENDLESS = 1_000_000
HTML = "502 with a body that is not a JSON object"
MAY_BE_APPLIED = "the change may have been applied"
MAYBE = f"{MAY_BE_APPLIED}; run the task again to find out"
PASSWORD = "pw-Zq7\"x'%/@"
ORDERS: Values = {"host": "db1.example.com", "name": "orders", "username": "app", "password": PASSWORD}
NEW = {**ORDERS, "name": "invoices"}


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
class Scene:
    """A task, in a project of one database, ``orders``, which has one replica; and the request that a fault hits."""

    module: str
    options: Values
    #: Of the request, as tests/sandbox/models.py has it.
    hit: Values
    #: What the request is for, as messages have it.
    target: str
    action: str = "created"


#: By what the table says of them. Braces stand for the ids of what is there.
SCENES: dict[str, Scene] = {
    "GET": Scene("database", NEW, {"method": "GET"}, "databases of project {project}"),
    "POST": Scene("database", NEW, {"method": "POST"}, "database invoices on db1.example.com:5432"),
    "PATCH": Scene(
        "database", {**ORDERS, "ssl_mode": "require"}, {"method": "PATCH"},
        "database orders on db1.example.com:5432", "updated",
    ),
    "PATCH of a part of an object": Scene(
        "database", {**ORDERS, "cache_config": {"ttl_seconds": 5}}, {"method": "PATCH"},
        "database orders on db1.example.com:5432", "updated",
    ),
    "PATCH with a password": Scene(
        "database", {**ORDERS, "update_password": "always"}, {"method": "PATCH"},
        "database orders on db1.example.com:5432", "updated",
    ),
    "DELETE": Scene(
        "database", {**ORDERS, "state": "absent"}, {"method": "DELETE"},
        "database orders on db1.example.com:5432", "deleted",
    ),
    "test-connection": Scene(
        "database", {**NEW, "test_connection": True}, {"method": "POST", "path_ends": "/test-connection"},
        "connection test of database invoices on db1.example.com:5432",
    ),
    "2nd POST of a list": Scene(
        "databases",
        {"databases": [{**ORDERS, "name": name} for name in ("a", "b", "c")], "parallel": 1},
        {"method": "POST", "skip": 1}, "database b on db1.example.com:5432",
    ),
    "POST of a project": Scene(
        "project", {"org_id": "{organization}", "name": "new", "database": NEW}, {"method": "POST"},
        "project new of {organization}",
    ),
    "PATCH after the POST of a project": Scene(
        "project", {"org_id": "{organization}", "name": "new", "database": NEW, "agents_disabled": True},
        {"method": "PATCH"}, "project new of {organization}",
    ),
    "POST of a replacement": Scene(
        "replica", {"database_id": "{database}", "host": "r1", "ssl_mode": "require", "replace": True},
        {"method": "POST"}, "replica r1:5432", "replaced",
    ),
    "DELETE after the POST of a replacement": Scene(
        "replica", {"database_id": "{database}", "host": "r1", "ssl_mode": "require", "replace": True},
        {"method": "DELETE"}, "replica r1:5432 ({replica})", "replaced",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One fault on one request of a scene."""

    injected: str
    #: As tests/sandbox/models.py has it.
    fault: Values
    #: The fault hits so many attempts, and then as many as there are.
    once: str
    always: str
    #: Parts of the message of the task that it always hits.
    reads: tuple[str, ...] = ()
    on: str = "POST"
    once_fails: bool = False
    always_fails: bool = True
    #: Whether a task that fails has written something all the same and says so; None where it cannot tell that it has.
    told: bool | None = False


@dataclass
class CaseTrial:
    """One case in a world of its own: the options of its task, and the judgement on how that went."""

    case: Case
    always: bool
    organization: Organization
    project: Project
    options: Values
    target: str
    before: Values = field(default_factory=dict)

    @classmethod
    def prepare(cls, sandbox: Sandbox, case: Case, always: bool, envelope: str) -> CaseTrial:
        organization = Organization(sandbox.url, f"org_{uuid.uuid4().hex}")  # several processes make some at once
        organization.settings(
            envelope=envelope,
            # A merged object is sent back with them, and refused, so that no write is made whose answer could be lost.
            extra_fields=always and case.on != PART,
            omit_zero=always,
            empty_pages=not always,
            connection_test={"ok": True},
        )
        made = organization.create_project()
        project = sandbox.project_of(made["project"]["id"])
        ids = {"organization": organization.id, "project": project.id, "database": made["database"]["id"]}
        ids["replica"] = project.register_replica(ids["database"], host="r1")["id"]
        scene = SCENES[case.on]
        options = {
            name: v.format(**ids) if name in ("org_id", "database_id") else v for name, v in scene.options.items()
        }
        if scene.module.startswith("database"):
            options["project_id"] = project.id
        trial = cls(case, always, organization, project, options, scene.target.format(**ids))
        trial.before = organization.objects()
        organization.fault(**case.fault, **scene.hit, times=ENDLESS if always else 1)
        return trial

    @property
    def fails(self) -> bool:
        return self.case.always_fails if self.always else self.case.once_fails

    def wrong(self, result: Values) -> list[str]:
        """What is not as the table says, or not true."""
        scene, message = SCENES[self.case.on], str(result.get("msg"))
        if result.get("failed", False) is not self.fails:
            return [f"failed is {result.get('failed')}: {message}"]
        record, after = self.organization.whole_record(), self.organization.objects()
        theirs = changes_of_others(record)
        moved = after != as_others_left_it(self.before, after, theirs)
        lost = [each for i, changes in theirs.items() for each in changes if merged(after[i], each) != after[i]]
        if lost:
            return [f"another client's change is undone: {lost}"]
        if not self.fails:
            told = result.get("action", scene.action)
            return [] if (told, result["changed"], moved) == (scene.action, True, True) else [f"{told}, {moved}"]
        found: list[str] = []
        if (result["changed"], moved) != {True: (True, True), False: (False, False), None: (False, True)}[
            self.case.told
        ]:
            found.append(
                f"changed is {result['changed']}, and what the server has {'moved' if moved else 'did not move'}"
            )
        if not message.startswith(f"{scene.hit['method']} {self.target}: "):
            found.append("the message does not begin with the request")
        found += [f"{part!r} is not in the message" for part in self.case.reads if self.always and part not in message]
        error = result.get("error") or next(entry["error"] for entry in result[f"{scene.module}"] if "error" in entry)
        hit = [entry for entry in record if entry["fault"] or entry["other_writer"]]  # all in one scope
        if not hit:
            return [f"it fails before the fault: {message}"]
        if (error["method"], error["path"]) != (hit[-1]["method"], hit[-1]["path"]):
            found.append(f"error tells of {error['method']} {error['path']}")
        if error["attempts"] != (2 if "2 attempts" in message else 1):
            found.append(f"attempts is {error['attempts']}")
        if error["status"] is not None and error["request_id"] != hit[-1]["request_id"]:
            found.append("request_id is another request's")
        if error["outcome_unknown"] is not (MAY_BE_APPLIED in message) or (
            self.case.told is None and not error["outcome_unknown"]
        ):
            found.append(f"outcome_unknown is {error['outcome_unknown']}")
        return [f"{problem}: {message}" for problem in found]


def changes_of_others(record: list[Values]) -> dict[str, list[Values]]:
    """What another client changed, by the id of the object, each once."""
    found: dict[str, list[Values]] = {}
    for entry in record:
        changes = found.setdefault(entry["path"].rpartition("/")[2], []) if entry["other_writer"] else []
        if entry["other_writer"] not in changes:
            changes.append(entry["other_writer"])
    return found


def as_others_left_it(before: Values, after: Values, theirs: dict[str, list[Values]]) -> Values:
    """The objects by id as they would be, had the task done nothing."""
    rows = dict(before)
    for identifier, changes in theirs.items():
        if identifier in rows:
            for change in changes:
                rows[identifier] = merged(rows[identifier], change)
            rows[identifier]["updated_at"] = after.get(identifier, rows[identifier])["updated_at"]
    return rows


def run(url: str, case: Case, always: bool, envelope: str) -> list[str]:
    """Run a case's task without ansible-playbook around it, and say what is wrong with how it went."""
    trial = CaseTrial.prepare(Sandbox(url), case, always, envelope)
    options = {"api_url": url, "api_key": API_KEY, "retries": 1, "retry_budget": 20, "timeout": 1, **trial.options}
    folder = Path(tempfile.mkdtemp(prefix="fault-"))
    try:
        found = trial.wrong(run_module(SCENES[case.on].module, options, folder))
        contract.judge(trial.organization.whole_record())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [f"{case.on}, {case.injected}: {problem}" for problem in found]


def _status(status: int, code: str, **more: Any) -> dict[str, Any]:
    return {"kind": "status", "status": status, "code": code, **more}


CREATED = "retries: created"
SETTLED = "lists once more and finds it: created"
FAILS = "fails"
RETRIES = "retries, then fails"
UNFOUND = "lists once more, does not find it: fails"
UNKNOWN = f"retries, {UNFOUND}"
UPDATED = "retries: updated"
SEEN = "lists once more and sees it: updated"
UNSEEN = "lists once more, does not see it: fails"
STILL = "lists once more, still finds it: fails"
GONE = "retries, and it no longer exists: deleted"
MISSED = "lists once more, does not find it: deleted"
PART = "PATCH of a part of an object"
SETTING = "PATCH after the POST of a project"
REMOVAL = "DELETE after the POST of a replacement"
#: What another client changes of the object.
THEIRS: Values = {"cache_config": {"swr_seconds": 777}}
REPLANNED = "reads it again, keeps the other change, and retries: updated"
CONFLICTS = "reads it again and retries, five times, then fails"
CONFLICT = "412 PRECONDITION_FAILED"
STOPS = "stops: one created, one failed, one skipped"
LATE: Values = {"kind": "late_status", "status": 500, "code": "INTERNAL_ERROR"}
SLOW = "a response that takes longer than `timeout`"
STALL: Values = {"kind": "stall", "seconds": 1.5}

CASES: tuple[Case, ...] = (
    Case("429, `Retry-After: 1`", _status(429, "RATE_LIMITED", retry_after="1"), CREATED, RETRIES,
         ("429 RATE_LIMITED", "2 attempts", "too many requests: run again later, lower parallel")),
    Case("429, `Retry-After` with an HTTP date", _status(429, "RATE_LIMITED", retry_after="date+1"), CREATED, RETRIES,
         ("429 RATE_LIMITED", "2 attempts", "lower parallel")),
    Case("429, `Retry-After` with a date that is past", _status(429, "RATE_LIMITED", retry_after="date-60"), CREATED,
         RETRIES, ("429 RATE_LIMITED", "2 attempts", "lower parallel")),
    Case("429, `Retry-After: 0`", _status(429, "RATE_LIMITED", retry_after="0"), CREATED, RETRIES,
         ("429 RATE_LIMITED", "2 attempts", "lower parallel")),
    Case("429, `Retry-After: soon`", _status(429, "RATE_LIMITED", retry_after="soon"), CREATED, RETRIES,
         ("429 RATE_LIMITED", "2 attempts", "lower parallel")),
    Case("429, `Retry-After: 3600`", _status(429, "RATE_LIMITED", retry_after="3600"),
         "fails immediately", "fails immediately",
         ("waiting another 3600 s would exceed retry_budget (20 s): run again later, or raise retry_budget",),
         once_fails=True),
    Case("408", _status(408, "TIMEOUT"), CREATED, RETRIES, ("408 TIMEOUT", "2 attempts", "run again later")),
    Case("500 before the write", _status(500, "INTERNAL_ERROR"), UNFOUND, UNFOUND,
         ("500 INTERNAL_ERROR", "contact PgBeam support with the request id", MAYBE), once_fails=True),
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
    Case("connection closed before the write", {"kind": "drop_before"}, CREATED, UNKNOWN,
         ("connection lost to http", "2 attempts", MAYBE)),
    Case("connection closed after the write", {"kind": "drop_after"}, CREATED, SETTLED, always_fails=False),
    Case("connection reset before the write", {"kind": "reset_before"}, CREATED, UNKNOWN,
         ("connection lost to http", "2 attempts", MAYBE)),
    Case("connection reset after the write", {"kind": "reset_after"}, CREATED, SETTLED, always_fails=False),
    Case(SLOW, {"kind": "stall", "seconds": 1.5}, CREATED, SETTLED,
         always_fails=False),
    Case("truncated JSON", {"kind": "truncate"}, SETTLED, SETTLED, always_fails=False),
    Case("an empty body", {"kind": "empty"}, SETTLED, SETTLED, always_fails=False),
    Case("JSON that is not an object", {"kind": "not_object"}, SETTLED, SETTLED, always_fails=False),
    Case("a redirect to another host", {"kind": "redirect"}, FAILS, FAILS,
         ("307 redirects to https://elsewhere.example.com/v1", "redirects are not followed: set api_url"),
         once_fails=True),
    Case("400", _status(400, "INVALID_INPUT"), FAILS, FAILS,
         ("400 INVALID_INPUT", "correct the reported values, then run again"), once_fails=True),
    Case("402", _status(402, "PAYMENT_REQUIRED"), FAILS, FAILS,
         ("402 PAYMENT_REQUIRED", "pay the open invoice in the PgBeam"), once_fails=True),
    Case("409", _status(409, "CONFLICT"), FAILS, FAILS, ("409 CONFLICT", "delete or disable that object first"),
         once_fails=True),
    Case("the plan's limit", _status(403, "PLAN_LIMIT_REACHED"), FAILS, FAILS,
         ("403 PLAN_LIMIT_REACHED", "or upgrade the plan, then run again"), once_fails=True),
    Case("a key that is revoked during the run", _status(401, "UNAUTHORIZED"), FAILS, FAILS,
         ("401 UNAUTHORIZED", "check api_key (or PGBEAM_API_KEY) and that the key is not revoked"), once_fails=True),
    Case("a key that may not write", _status(403, "FORBIDDEN"), FAILS, FAILS,
         ("403 FORBIDDEN", "use a key that has this permission"), once_fails=True),
    Case("truncated JSON", {"kind": "truncate"}, FAILS, FAILS,
         ("200 with a body that is not a JSON object", "is the PgBeam API"), on="GET", once_fails=True),
    Case("a page token that repeats endlessly", {"kind": "same_token"}, "reads on: created", FAILS,
         ("200 with a next page token that repeats", "is the PgBeam API"), on="GET"),
    Case("503", _status(503, "SERVICE_UNAVAILABLE"), CREATED, RETRIES,
         ("503 SERVICE_UNAVAILABLE", "2 attempts", "run again later"), on="GET"),
    Case(SLOW, {"kind": "stall", "seconds": 1.5}, CREATED, RETRIES,
         ("did not answer within 1 s", "2 attempts", "raise timeout"), on="GET"),
    Case("404", _status(404, "NOT_FOUND"), FAILS, FAILS,
         ("404 NOT_FOUND", "not found, or not visible to this API key: check project_id and the key"), on="GET",
         once_fails=True),
    # What a change meets.
    Case("429, `Retry-After: 0`", _status(429, "RATE_LIMITED", retry_after="0"), UPDATED, RETRIES,
         ("429 RATE_LIMITED", "2 attempts"), on="PATCH"),
    Case("500 before the write", _status(500, "INTERNAL_ERROR"), UNSEEN, UNSEEN,
         ("500 INTERNAL_ERROR", MAYBE), on="PATCH", once_fails=True),
    Case("500 after the write", LATE, SEEN, SEEN, on="PATCH", always_fails=False),
    Case("connection reset after the write", {"kind": "reset_after"}, UPDATED, SEEN, on="PATCH", always_fails=False),
    Case("connection reset before the write", {"kind": "reset_before"}, UPDATED, f"retries, {UNSEEN}",
         ("connection lost to http", "2 attempts", MAYBE), on="PATCH"),
    Case(SLOW, STALL, UPDATED, SEEN, on="PATCH", always_fails=False),
    Case("truncated JSON", {"kind": "truncate"}, SEEN, SEEN, on="PATCH", always_fails=False),
    Case("404", _status(404, "NOT_FOUND"), FAILS, FAILS,
         ("404 NOT_FOUND", "not found, or not visible to this API key: check the id (if set) and the key"), on="PATCH",
         once_fails=True),
    Case("409", _status(409, "CONFLICT"), FAILS, FAILS,
         ("409 CONFLICT", "delete or disable that object first"), on="PATCH", once_fails=True),
    Case("connection reset after the write", {"kind": "reset_after"}, UPDATED,
         "retries, and no listing shows a password: fails",
         ("connection lost to http", "2 attempts", f"{MAY_BE_APPLIED}; send the password again with"),
         on="PATCH with a password", told=None),
    # What a change meets that is made from what was read.
    Case("a change by another client before it", {"kind": "other_writer", "change": THEIRS}, REPLANNED, CONFLICTS,
         (CONFLICT, "another client keeps changing it: find out what else writes to it"), on=PART),
    Case("412", _status(412, "PRECONDITION_FAILED"), REPLANNED, CONFLICTS,
         (CONFLICT, "another client keeps changing it: find out what else writes to it"), on=PART),
    Case("500 before the write", _status(500, "INTERNAL_ERROR"), UNSEEN, UNSEEN, ("500 INTERNAL_ERROR", MAYBE),
         on=PART, once_fails=True),
    Case("500 after the write", LATE, SEEN, SEEN, on=PART, always_fails=False),
    Case("connection reset after the write", {"kind": "reset_after"},
         "retries, gets 412, reads it and sees its own change: updated", SEEN, on=PART, always_fails=False),
    Case("connection reset before the write", {"kind": "reset_before"}, UPDATED, f"retries, {UNSEEN}",
         ("connection lost to http", "2 attempts", MAYBE), on=PART),
    # What a deletion meets.
    Case("503", _status(503, "SERVICE_UNAVAILABLE"), "retries: deleted", f"retries, {STILL}",
         ("503 SERVICE_UNAVAILABLE", "2 attempts", MAYBE), on="DELETE"),
    Case("500 after the write", LATE, MISSED, MISSED, on="DELETE", always_fails=False),
    Case("connection reset before the write", {"kind": "reset_before"}, "retries: deleted", f"retries, {STILL}",
         ("connection lost to http", "2 attempts", MAYBE), on="DELETE"),
    Case("connection reset after the write", {"kind": "reset_after"}, GONE, MISSED,
         on="DELETE", always_fails=False),
    Case(SLOW, STALL, GONE, MISSED, on="DELETE",
         always_fails=False),
    Case("a key that may not write", _status(403, "FORBIDDEN"), FAILS, FAILS,
         ("403 FORBIDDEN", "use a key that has this permission"), on="DELETE", once_fails=True),
    # What a test of a connection meets, which changes nothing.
    Case("503", _status(503, "SERVICE_UNAVAILABLE"), CREATED, f"created, {RETRIES}",
         ("503 SERVICE_UNAVAILABLE", "2 attempts", "run again later"), on="test-connection", told=True),
    Case(SLOW, STALL, CREATED, f"created, {RETRIES}",
         ("did not answer within 1 s", "2 attempts", "raise timeout"), on="test-connection", told=True),
    Case("truncated JSON", {"kind": "truncate"}, "created, then fails", "created, then fails",
         ("200 with a body that is not a JSON object",), on="test-connection", once_fails=True, told=True),
    # What comes after a part of the work.
    Case("a key that is revoked during the run", _status(401, "UNAUTHORIZED"), STOPS, STOPS,
         ("401 UNAUTHORIZED", "that the key is not revoked", "[1 created, 1 failed, 1 skipped]"),
         on="2nd POST of a list", once_fails=True, told=True),
    Case("the plan's limit", _status(403, "PLAN_LIMIT_REACHED"), STOPS, STOPS,
         ("403 PLAN_LIMIT_REACHED", "[1 created, 1 failed, 1 skipped]"),
         on="2nd POST of a list", once_fails=True, told=True),
    Case("connection reset before the write", {"kind": "reset_before"}, CREATED, UNKNOWN,
         ("connection lost to http", "2 attempts", MAYBE), on="POST of a project"),
    Case("connection reset after the write", {"kind": "reset_after"}, CREATED, SETTLED, on="POST of a project",
         always_fails=False),
    Case("503", _status(503, "SERVICE_UNAVAILABLE"), CREATED, "created, retries, then fails",
         ("503 SERVICE_UNAVAILABLE", "2 attempts", "was created without agents_disabled"), on=SETTING,
         told=True),
    Case("connection reset after the write", {"kind": "reset_after"}, CREATED, SETTLED, on=SETTING,
         always_fails=False),
    Case("a key that is revoked during the run", _status(401, "UNAUTHORIZED"),
         "created, then fails", "created, then fails", ("401 UNAUTHORIZED", "was created without agents_disabled"),
         on=SETTING, once_fails=True, told=True),
    Case("500 before the write", _status(500, "INTERNAL_ERROR"), UNFOUND, UNFOUND, ("500 INTERNAL_ERROR", MAYBE),
         on="POST of a replacement", once_fails=True),
    Case("connection reset after the write", {"kind": "reset_after"}, "retries: replaced",
         "lists once more and finds it: replaced", on="POST of a replacement", always_fails=False),
    Case("503", _status(503, "SERVICE_UNAVAILABLE"), "retries: replaced", "added, retries, then fails",
         ("503 SERVICE_UNAVAILABLE", "2 attempts", "may still exist"),
         on=REMOVAL, told=True),
    Case("500 before the write", _status(500, "INTERNAL_ERROR"), f"added, {STILL}", f"added, {STILL}",
         ("500 INTERNAL_ERROR", "may still exist", MAYBE), on=REMOVAL,
         once_fails=True, told=True),
    Case("connection reset after the write", {"kind": "reset_after"}, "retries: replaced",
         "lists once more, does not find the old one: replaced", on=REMOVAL, always_fails=False),
)  # fmt: skip
