# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure and write the report: ``python -m tests.bench`` writes docs/performance.md and its plot."""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path

from tests.bench.lab import Lab
from tests.bench.plot import draw
from tests.bench.report import page
from tests.bench.series import QUICK, Plan, measure
from tests.certificate import self_signed
from tests.harness import Sandbox
from tests.tree import ROOT

#: Below docs, in the folder of a guide that shows it too.
PICTURE = "docsite/rst/figures/performance.png"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="folder of the report (default: docs)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one run each: whether it works, no numbers")
    parser.add_argument("--runs", type=int, help=f"runs of a short command (default: {Plan.runs})")
    parser.add_argument("--slow-runs", type=int, help=f"runs of a long command (default: {Plan.slow_runs})")
    options = parser.parse_args()
    plan = QUICK if options.quick else Plan()
    runs = options.runs or plan.runs
    plan = dataclasses.replace(plan, runs=runs, slow_runs=min(options.slow_runs or plan.slow_runs, runs))
    with tempfile.TemporaryDirectory(prefix="pgbeam-bench-") as folder:
        certificate = self_signed(Path(folder))
        os.environ["REQUESTS_CA_BUNDLE"] = str(certificate)
        with Sandbox.start() as sandbox, Sandbox.start(certificate=certificate) as tls:
            lab = Lab(sandbox, tls, certificate, Path(folder), plan.hosts, plan.changes)
            results = measure(lab, plan, lambda line: print(line, flush=True))
    (options.output / PICTURE).parent.mkdir(parents=True, exist_ok=True)
    draw(results, options.output / PICTURE)
    (options.output / "performance.md").write_text(page(results, plan, PICTURE))
    print(f"wrote {options.output / 'performance.md'}")


if __name__ == "__main__":
    main()
