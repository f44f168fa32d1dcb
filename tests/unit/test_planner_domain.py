# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner on domains, which the API verifies if a task asks for it and never changes otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.validation import validate
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import Reconciler, Run
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.domain import DOMAIN, missing_records

pytestmark = pytest.mark.once

NAME = "db.example.com"


def live(number: int = 1, **fields: Any) -> Values:
    return DOMAIN.with_all_fields({"id": f"dom_{number}", "domain": NAME, "verified": False, **fields})


def planned(server: list[Values], wanted: Values, state: str = "present", act: bool = True) -> Plan:
    """Return the plan of a module."""
    run = Run(cast(Any, None), act=act)
    return Reconciler(run, DOMAIN, "prj_1").plan(Index(DOMAIN, server), wanted, state)


@dataclass
class Case:
    server: list[Values]
    task: Values = field(default_factory=lambda: {"domain": NAME})
    state: str = "present"
    act: bool = True
    action: str = "unchanged"
    changes: list[str] = field(default_factory=list)
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)
    #: What is foreseen of the field; None if there is no object, or only the server knows.
    verified: bool | None = None


CHECKED = {"before": {"verified": False}, "after": {"verified": True}, "verified": True}
CASES = {
    "added": Case([], act=False, action="created", changes=["domain"], after={"domain": NAME}),
    "added-and-verified": Case(
        [], action="created", changes=["domain", "verified"], after={"domain": NAME, "verified": True}, verified=True
    ),
    "there": Case([live()], act=False, verified=False),
    "there-in-another-spelling": Case([live(domain="DB.Example.COM")], act=False, verified=False),
    "not-verified": Case([live()], action="updated", changes=["verified"], **CHECKED),  # type: ignore[arg-type]
    "not-verified-by-id": Case(
        [live()], {"id": "dom_1"}, action="updated", changes=["verified"], **CHECKED  # type: ignore[arg-type]
    ),
    "unknown": Case(
        [live(verified=None)], action="updated", changes=["verified"],
        before={"verified": None}, after={"verified": True}, verified=True,
    ),
    "verified": Case([live(verified=True)], verified=True),
    "removed": Case([live()], state="absent", action="deleted", before=live()),
    "gone": Case([], state="absent"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_plan(case: Case) -> None:
    plan = planned(case.server, case.task, case.state, case.act)
    assert (plan.action, plan.changes, plan.before, plan.after) == (case.action, case.changes, case.before, case.after)
    assert plan.body == ({"domain": NAME} if case.action == "created" else {})
    foreseen = plan.predict()
    assert foreseen.get("verified") is case.verified
    if case.action in ("created", "updated"):
        assert foreseen["verified_at"] is None and foreseen["updated_at"] is None


def test_a_domain_does_not_become_another() -> None:
    with pytest.raises(TaskError) as caught:
        planned([live()], {"id": "dom_1", "domain": "other.example.com"})
    assert str(caught.value) == (
        f"domain {NAME}: domain is {NAME!r} and cannot be changed to 'other.example.com'; "
        "set the current value, omit the option, or create another domain"
    )
    with pytest.raises(TaskError, match="exists 2 times in PgBeam") as caught:
        planned([live(), live(2)], {"domain": NAME})
    assert "replace" not in str(caught.value)


LONG = ".".join(["a" * 63] * 4)


@pytest.mark.parametrize(
    "name, allowed",
    [
        ("localhost", True),
        ("DB-1.example.com", True),
        ("1.example", True),
        ("xn--bcher-kva.example", True),
        (LONG[:253], True),
        (LONG[:254], False),
        ("a" * 64, False),
        ("db.example.com.", False),
        ("db..example.com", False),
        (".example.com", False),
        ("-a.example.com", False),
        ("a-.example.com", False),
        ("a_b.example.com", False),
        ("bücher.example", False),
        ("192.0.2.1", False),
        ("1.2.3", False),
        ("2001:db8::1", False),
        ("https://db.example.com", False),
        ("db.example.com:5432", False),
        ("*.example.com", False),
        ("db.example.com\n", False),
        ("", False),
    ],
)
def test_names(name: str, allowed: bool) -> None:
    assert (validate(DOMAIN, {"domain": name}) == []) is allowed


@pytest.mark.parametrize(
    "instructions, records",
    [
        (
            {"cname_host": "a", "cname_target": "b", "txt_host": "c", "txt_value": "d", "acme_cname_host": "e",
             "acme_cname_target": "f"},
            "a CNAME b, c TXT d, e CNAME f, then run again;",
        ),
        ({"cname_host": "a", "txt_host": "c", "txt_value": "d"}, "c TXT d, then run again;"),
        ({}, "that the PgBeam dashboard shows, then run again;"),
        (None, "that the PgBeam dashboard shows, then run again;"),
    ],
)  # fmt: skip
def test_the_records_to_create(instructions: Values | None, records: str) -> None:
    assert missing_records({"dns_instructions": instructions}).startswith(f"create the DNS records {records}")
