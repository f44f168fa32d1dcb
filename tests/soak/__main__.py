# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the soak and report its counts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import tests.soak
from tests.harness import Sandbox
from tests.tree import link_tree

BEGIN, END = "<!-- begin of what make soak writes -->", "<!-- end of what make soak writes -->"
WRONG = (
    "false reports, duplicates, lost writes, lost updates, guessed values, lost secrets, requests with the key or "
    "URL of another item, dry runs that write, or runs that do not converge"
)


def main() -> int:
    sys.path.insert(0, str(link_tree()))
    from tests.soak.kills import kill_runs  # these import the collection, which is importable only now
    from tests.soak.runs import WORKERS, soak

    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=tests.soak.__doc__)
    parser.add_argument("--scenarios", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="of the first scenario; each one after has the next")
    parser.add_argument("--kills", type=int, default=50, help="how many runs to kill")
    parser.add_argument(
        "--workers", type=int, default=WORKERS, help="how many batches run at once; fewer if it is busy"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the outcome into this page")
    options = parser.parse_args()
    with Sandbox.start() as sandbox:
        counts, bad = soak(sandbox.url, range(options.seed, options.seed + options.scenarios), workers=options.workers)
        killed, wrong = kill_runs(sandbox.url, options.kills, options.seed)
    counts += killed
    outcome = [f"| {count} | {name} |" for name, count in sorted(counts.items())]
    outcome.append(f"| {len(bad) + len(wrong)} | {WRONG} |")
    text = "\n".join(["| count | of what |", "| ---: | --- |", *outcome])
    print(text, *wrong, sep="\n")
    if options.write:
        head, dummy, rest = options.write.read_text().partition(BEGIN)
        seeds = f"Scenarios with the seeds {options.seed} to {options.seed + options.scenarios - 1}:"
        options.write.write_text(f"{head}{BEGIN}\n\n{seeds}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    return bool(bad or wrong)


if __name__ == "__main__":
    sys.exit(main())
