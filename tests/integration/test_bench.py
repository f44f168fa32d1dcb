# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark, so that it works on the day it is wanted. Its numbers are not judged here: machines differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.goals import judge
from tests.bench.lab import Lab, Sample
from tests.bench.report import NOTES, page
from tests.bench.series import QUICK, Plan, Results, Series, cases
from tests.bench.stages import TITLES, stages
from tests.certificate import self_signed
from tests.harness import Sandbox

pytestmark = [pytest.mark.once, pytest.mark.long]


#: The whole of it, each command once.
SMALLEST = Plan(
    growth=(2,),
    main=2,
    changes=1,
    hosts=2,
    lists=2,
    uri=(1, 2),
    sdk_create=(1, 2),
    loop=2,
    processes=2,
    runs=1,
    slow_runs=1,
)


def test_it_runs_commands_and_tells_what_they_did_and_where_their_time_went(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with Sandbox.start(certificate=certificate) as tls:
        lab = Lab(sandbox, tls, certificate, tmp_path, SMALLEST.hosts, SMALLEST.changes)
        results = {(case.subject, case.size): Series([case.run(case.size)]) for case in cases(lab, SMALLEST)}
    made = {subject: series.requests for (subject, size), series in results.items() if size == 2}
    assert made["role_changes"] == {"GET": 1, "PATCH": 1}
    assert made["role_create"] == made["sdk_create"] == made["uri_create"] == {"GET": 1, "POST": 2}
    assert made["uri_keep"] == {"GET": 1, "PATCH": 2}
    assert made["loop_create"] == made["loop_tls"] == {"GET": 2, "POST": 2}
    assert made["loop_check"] == made["loop_handed_over"] == {"GET": 2}
    assert results["loop_tls", 2].connections == 1
    assert made["role_check"] == made["role_hosts"] == made["sdk_check"] == made["listing"] == {"GET": 1}
    assert made["lists_check"] == {"GET": 3} and made["lists_create"] == {"GET": 3, "POST": 2, "PUT": 2}
    assert all(series.seconds > 0 for series in results.values())
    assert results["ping", 0].peak_mib > 10
    # A stage without any time is one whose function has another name by now.
    assert [stage for stage, seconds in results["role_check_stages", 2].stages.items() if seconds <= 0] == []
    for subject in ("role_create_stages", "role_hosts_stages", "loop_check_stages", "loop_create_stages"):
        (sample,) = results[subject, 2].samples
        assert sum(sample.stages.values()) == pytest.approx(sample.seconds)
    text = page(results, SMALLEST, "plot.png")
    assert "| the list calls |" in text
    assert NOTES.read_text() in text
    assert str(tmp_path) not in text


def invented(tmp_path: Path, plan: Plan, seconds: float) -> Results:
    """Numbers as a run would give them, every command as quick as every other."""
    nowhere = Sandbox("http://127.0.0.1:1")
    lab = Lab(nowhere, nowhere, tmp_path, tmp_path, plan.hosts, plan.changes)
    parts = dict.fromkeys(TITLES, seconds / len(TITLES))
    return {(case.subject, case.size): Series([Sample(seconds, 50, {"GET": 1}, 1, parts)]) for case in cases(lab, plan)}


def test_it_tells_what_is_met_and_what_is_missed(tmp_path: Path) -> None:
    results = invented(tmp_path, QUICK, 2.0)
    results["role_check", QUICK.large] = Series([Sample(3.0, 80, {"GET": 1})])
    results["role_check", QUICK.main] = Series([Sample(second, 50, {"GET": 1}) for second in (9.0, 2.5, 2.6)])
    results["role_create", QUICK.main] = Series([Sample(2.0, 50, {"GET": 1, "POST": QUICK.main})])
    results["sdk_create", QUICK.main] = Series([Sample(7.9, 50, {"GET": 1, "POST": QUICK.main})])
    goals = judge(results, QUICK)
    assert [goal.met for goal in goals[:5]] == [True, True, True, True, True]
    assert [goal.met for goal in goals[5:]] == [True, True, False, False, False, True, True, True, False, False]
    text = page(results, QUICK, "plot.png")
    assert text.count("| met |") == 10
    assert text.count("| **missed** |") == 5
    assert "| 2.60 | 2.50 to 9.00 | 1 GET | 50 |" in text
    assert "| **all** | 2.00 | 2.00 |" in text


def test_every_moment_of_a_command_is_of_one_stage(tmp_path: Path) -> None:
    events = [
        {"event": "imported", "at": 10, "until": 10.5},
        {"event": "task", "at": 11, "action": "ansible.builtin.validate_argument_spec"},
        {"event": "task", "at": 13, "action": "ansible.builtin.set_fact"},
        {"event": "task", "at": 16, "action": "pgbeam.cloud.databases"},
        {"event": "module", "at": 20, "until": 25, "stages": {"options": 2, "listing": 3}},
        {"event": "module", "at": 26, "until": 28, "stages": {"options": 2}},
        {"event": "task", "at": 34, "action": "ansible.builtin.debug"},
        {"event": "stats", "at": 41},
    ]
    reported = tmp_path / "stages.jsonl"
    reported.write_text("\n".join(map(json.dumps, events)))
    spent = stages(reported, 10, 49)
    before = {"begin": 0.5, "imports": 0.5, "validate": 2, "gather": 3, "prepare": 5}
    after = {"take": 6, "last": 7, "finish": 8}
    assert {stage: seconds for stage, seconds in spent.items() if seconds} == {
        **before, "options": 4, "listing": 3, **after
    }  # fmt: skip
