# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhooks: the secret that no answer holds, and the test delivery."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.harness import Project
from tests.integration.conftest import PASSWORD, Modules, Run

URL = "https://siem.example.com/pgbeam"
OTHER = "another-Zq7-secret"


def play(modules: Modules, project: Project, check: bool = False, **options: Any) -> Run:
    modules.secrets.append(OTHER)
    task = {"name": "webhook", "pgbeam.cloud.webhook": {"project_id": project.id, "url": URL, **options}}
    return modules.play([task], "--diff", check=check)


def holds(project: Project, secret: str) -> bool:
    """Whether the server has this secret."""
    (webhook,) = project.stored("webhooks")
    return project.secrets("s")[webhook] == {"secret": hashlib.sha256(f"s{secret}".encode()).hexdigest()}


def test_the_secret_is_kept_or_sent_with_an_update(modules: Modules, project: Project) -> None:
    """An update replaces the whole object, and the server keeps the secret only if it is left out."""
    play(modules, project, secret=PASSWORD)
    changed = play(modules, project, enabled=False)
    assert changed.result("webhook")["changes"] == ["enabled"]
    assert "secret" not in changed.exchanges[-1]["body"]
    assert holds(project, PASSWORD)

    assert play(modules, project, secret=OTHER).result("webhook")["action"] == "unchanged"
    assert holds(project, PASSWORD)
    sent = play(modules, project, secret=OTHER, enabled=True).result("webhook")
    assert (sent["changes"], sent["diff"]["after"]) == (["enabled"], {"enabled": True})
    assert holds(project, OTHER)

    resent = play(modules, project, secret=PASSWORD, update_secret="always").result("webhook")
    assert (resent["changes"], resent["diff"]["after"]) == (["secret"], {"secret": "(sent, not shown)"})
    assert holds(project, PASSWORD)


def test_a_webhook_without_a_secret(modules: Modules, project: Project) -> None:
    assert play(modules, project).result("webhook")["action"] == "created"
    assert project.secrets("s") == {}


def test_every_event(modules: Modules, project: Project) -> None:
    play(modules, project, event_types=["masked", "webhook.test"])
    assert play(modules, project, event_types=["webhook.test", "masked"]).result("webhook")["changed"] is False
    result = play(modules, project, event_types=[]).result("webhook")
    assert (result["changes"], result["webhook"]["event_types"]) == (["event_types"], [])


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://" + "x" * 2040, True),
        ("https://" + "x" * 2041, False),
        ("http://siem.example.com/pgbeam", False),
        ("siem.example.com/pgbeam", False),
        ("https://", False),
    ],
    ids=["longest", "too long", "http", "no scheme", "no host"],
)
def test_the_url_is_https(modules: Modules, project: Project, url: str, kept: bool) -> None:
    run = play(modules, project, url=url)
    if kept:
        assert run.result("webhook")["action"] == "created"
    else:
        allowed = "is not allowed; it must be an https:// URL of at most 2048 characters"
        assert f"url: {url!r} {allowed}" in run.result("webhook")["msg"]
        assert run.requests == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": "failed", "error": "connection\nrefused"}, "connection refused"),
        ({"status": "failed", "status_code": 503}, "status_code 503"),
        ({"status": "failed"}, "no reason given"),
        ({"status": "queued"}, "no reason given"),
    ],
    ids=str,
)
def test_a_delivery_that_fails(modules: Modules, project: Project, answer: dict[str, Any], reason: str) -> None:
    project.settings(delivery=answer)
    result = play(modules, project, test_delivery=True).result("webhook")
    assert (result["failed"], result["action"], result["error"]["message"]) == (True, "created", reason)
    assert f"PgBeam could not deliver the test event: {reason}; check url" in result["msg"]
    assert result["delivery_test"].items() >= answer.items()
    assert (result["error"]["code"], result["error"]["outcome_unknown"]) == ("DELIVERY_TEST_FAILED", False)
