# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which commands are measured at which sizes, and how often.

Runs are made in rounds, each over all commands, so that what slows the machine down meets all of them alike and the
ratios stay. A round with the smallest size of each command goes before and is thrown away: it fills caches and compiles
Python files. Of the others the median is told, as one disturbed run does not move it, with the lowest and the highest
beside it.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.bench.lab import Lab, Sample


@dataclass(frozen=True)
class Plan:
    """The sizes of one benchmark: how many registrations, and how many runs."""

    growth: tuple[int, ...] = (10, 100, 1000, 4000)
    #: The size that most goals are set for.
    main: int = 1000
    #: How many of the registrations are changed, at the largest size.
    changes: int = 200
    hosts: int = 40
    #: Of the lists of other objects.
    lists: int = 500
    uri: tuple[int, ...] = (10, 50)
    sdk_create: tuple[int, ...] = (10, 100, 1000)
    loop: int = 30
    #: Of the loops whose items are processes of their own.
    processes: int = 10
    runs: int = 3
    #: The runs of commands that take long. One more of each would take four minutes.
    slow_runs: int = 2

    @property
    def large(self) -> int:
        return self.growth[-1]


#: Small enough to see in a minute that all of it works.
QUICK = Plan(
    growth=(4, 8, 12, 16), main=8, changes=3, hosts=4, lists=4, uri=(2, 4), sdk_create=(4, 8), loop=3, processes=2,
    runs=1, slow_runs=1,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One command at one size."""

    subject: str
    size: int
    run: Callable[[int], Sample]
    slow: bool = False


@dataclass
class Series:
    """The runs of one command at one size."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def lowest(self) -> float:
        return min(sample.seconds for sample in self.samples)

    @property
    def highest(self) -> float:
        return max(sample.seconds for sample in self.samples)

    @property
    def peak_mib(self) -> float:
        return statistics.median(sample.peak_mib for sample in self.samples)

    @property
    def stages(self) -> dict[str, float]:
        """The seconds of the stages in one run, so that they add up: that of the lower median."""
        return sorted(self.samples, key=lambda sample: sample.seconds)[(len(self.samples) - 1) // 2].stages

    @property
    def connections(self) -> int:
        return max(sample.connections for sample in self.samples)

    @property
    def requests(self) -> dict[str, int]:
        """The most requests that any run made, by method."""
        methods = sorted({method for sample in self.samples for method in sample.requests})
        return {method: max(sample.requests.get(method, 0) for sample in self.samples) for method in methods}


#: By subject and size.
Results = dict[tuple[str, int], Series]


def one_more(results: Results, subject: str, size: int) -> float:
    """The seconds of one more item of a loop, by loops of one item and of this many."""
    return (results[subject, size].seconds - results[subject, 1].seconds) / (size - 1)


def cases(lab: Lab, plan: Plan) -> list[Case]:
    """Everything that is measured."""
    role_sizes = sorted({*plan.growth, max(plan.uri)})
    return [
        Case("ping", 0, lab.ping),
        Case("listing", 0, lab.listing),
        *(Case("listing", size, lab.listing) for size in plan.growth),
        *(Case("role_check", size, lab.role_check, size > 1000) for size in role_sizes),
        *(Case("role_create", size, lab.role_create, size >= 1000) for size in role_sizes),
        Case("role_hosts", plan.main, lab.role_hosts),
        Case("role_changes", plan.large, lab.role_changes, slow=True),
        Case("lists_check", plan.lists, lab.lists_check),
        Case("lists_create", plan.lists, lab.lists_create, slow=True),
        *(Case("uri_check", size, lab.uri_check) for size in plan.uri),
        *(Case("uri_create", size, lab.uri_create, slow=True) for size in plan.uri),
        Case("uri_keep", max(plan.uri), lab.uri_keep, slow=True),
        *(Case("sdk_check", size, lab.sdk_check) for size in plan.growth),
        *(Case("sdk_create", size, lab.sdk_create, size >= 1000) for size in plan.sdk_create),
        *(Case("loop_create", size, lab.loop_create) for size in (1, plan.loop)),
        *(Case("loop_check", size, lab.loop_check) for size in (1, plan.loop)),
        *(Case("loop_tls", size, lab.loop_tls) for size in (1, plan.loop)),
        *(Case("loop_handed_over", size, lab.loop_handed_over) for size in (1, plan.processes)),
        *(Case("loop_ping", size, lab.loop_ping) for size in (1, plan.processes)),
        Case("role_check_stages", plan.main, lab.staged(lab.role_check), slow=True),
        Case("role_create_stages", plan.main, lab.staged(lab.role_create), slow=True),
        Case("role_hosts_stages", plan.main, lab.staged(lab.role_hosts), slow=True),
        Case("loop_check_stages", plan.loop, lab.staged(lab.loop_check), slow=True),
        Case("loop_create_stages", plan.loop, lab.staged(lab.loop_create), slow=True),
    ]


def measure(lab: Lab, plan: Plan, say: Callable[[str], None]) -> Results:
    """Run everything; ``say`` gets a line for each run."""
    results: Results = {}
    for turn, case in _rounds(cases(lab, plan), plan):
        sample = case.run(case.size)
        made = ", ".join(f"{count} {method}" for method, count in sorted(sample.requests.items()))
        say(f"{turn or 'warm-up'}: {case.subject} {case.size}: {sample.seconds:.2f} s, {made or 'no requests'}")
        if turn:
            results.setdefault((case.subject, case.size), Series()).samples.append(sample)
    return results


def _rounds(listed: list[Case], plan: Plan) -> Iterator[tuple[int, Case]]:
    """Each run as its round and its case; round 0, the warm-up, has the smallest size of what is not slow."""
    for _subject, cases_of_it in itertools.groupby(listed, key=lambda case: case.subject):
        smallest, *_larger = cases_of_it
        if not smallest.slow:
            yield 0, smallest
    for turn in range(1, plan.runs + 1):
        for case in listed:
            if not case.slow or turn <= plan.slow_runs:
                yield turn, case
