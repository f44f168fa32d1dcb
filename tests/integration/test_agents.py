# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents: what the API shows once is kept, and what it never takes back is told apart."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Project, Sandbox
from tests.integration.conftest import Modules


@pytest.fixture
def project(sandbox: Sandbox) -> Project:
    project = sandbox.project()
    project.create("policies", name="readers")
    return project


def agent(project: Project, **options: Any) -> dict[str, Any]:
    return {"pgbeam.cloud.agent": {"project_id": project.id, "name": "bot", "policy": "readers", **options}}


def test_try(modules: Modules, project: Project, tmp_path: Path) -> None:
    file = tmp_path / "bot.json"
    run = modules.play([agent(project, secrets_file=str(file))])
    print(run)
    print(json.loads(file.read_text()), oct(stat.S_IMODE(file.stat().st_mode)))
    assert 0
