# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark, so that it works on the day it is wanted. Its numbers are not judged here: machines differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.goals import judge
from tests.bench.lab import Lab, Sample
from tests.bench.report import page
from tests.bench.series import QUICK, Plan, Results, Series, cases
from tests.harness import Sandbox

pytestmark = pytest.mark.once


def test_it_runs_commands_and_counts_what_they_did(sandbox: Sandbox, tmp_path: Path) -> None:
    lab = Lab(sandbox, tmp_path, hosts=2, changes=1)
    sample = lab.role_changes(3)
    assert sample.requests == {"GET": 1, "PATCH": 1}
    assert sample.seconds > 0
    assert sample.peak_mib > 10
    assert lab.sdk_create(2).requests == {"GET": 1, "POST": 2}
    assert lab.listing(3).requests == {"GET": 1}


def invented(tmp_path: Path, plan: Plan, seconds: float) -> Results:
    """Numbers as a run would give them, every command as quick as every other."""
    lab = Lab(Sandbox("http://127.0.0.1:1"), tmp_path, plan.hosts, plan.changes)
    return {(case.subject, case.size): Series([Sample(seconds, 50, {"GET": 1})]) for case in cases(lab, plan)}


def test_it_tells_what_is_met_and_what_is_missed(tmp_path: Path) -> None:
    results = invented(tmp_path, QUICK, 2.0)
    results["role_check", QUICK.large] = Series([Sample(3.0, 80, {"GET": 1})])
    results["role_check", QUICK.main] = Series([Sample(second, 50, {"GET": 1}) for second in (9.0, 2.5, 2.6)])
    results["role_create", QUICK.main] = Series([Sample(2.0, 50, {"GET": 1, "POST": QUICK.main})])
    results["sdk_create", QUICK.main] = Series([Sample(7.9, 50, {"GET": 1, "POST": QUICK.main})])
    goals = judge(results, QUICK)
    assert [goal.met for goal in goals] == [True, True, False, False, False, False, True, True, True, False, False]
    text = page(results, QUICK, "plot.png")
    assert text.count("| met |") == 5
    assert text.count("| **missed** |") == 6
    assert "| 2.60 | 2.50 to 9.00 | 1 GET | 50 |" in text
    assert str(tmp_path) not in text
