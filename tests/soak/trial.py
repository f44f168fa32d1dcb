# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One scenario in a scope of its own: what exists before it, its items in the loops, and what is wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from generate.declared import Resource
from tests import contract, samples
from tests.faults import as_others_left_it, changes_of_others
from tests.harness import API_KEY, DATABASE, Organization, Project, is_write
from tests.sandbox.middleware import key_digest
from tests.soak import judgement
from tests.soak.scenarios import Scenario, Values

#: The first part of each scenario's own password and own API key; the rest is its seed.
PASSWORD = "pw-Zq7\"x'%/@"
KEY = "pbu_soak-only-Kk7-"
#: The secrets of objects that were made behind the collection's back.
BEHIND = str(DATABASE["password"])


@dataclass
class Verdict:
    """What one scenario came to: counts to add up, and what was wrong."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass
class ScenarioTrial:
    """One scenario in a scope of its own: its items in the loops, and what is wrong with how each round went."""

    scenario: Scenario
    scope: Organization | Project
    #: Where its task keeps the secrets that the API shows once.
    folder: Path
    verdict: Verdict = field(init=False)
    parent: str = field(init=False)
    before: Values = field(init=False)
    theirs: dict[str, list[Values]] = field(init=False)
    reached: tuple[Values, int] = field(init=False)
    #: By the field that holds the id of another object, the option for its name, and that name.
    names: dict[str, tuple[str, str]] = field(init=False, default_factory=dict)

    @classmethod
    def prepare(cls, scenario: Scenario, url: str, name: str, folder: Path) -> ScenarioTrial:
        """Make what exists before the scenario's task runs, then ask for its faults."""
        of_organization = scenario.resource.parent == "org_id"
        trial = cls(
            scenario, Organization(url, f"org_{name}") if of_organization else Project(url, f"prj_{name}"), folder
        )
        trial._set_up()
        return trial

    def __post_init__(self) -> None:
        kind = f"scenarios of the module {self.scenario.module}"
        self.verdict = Verdict(self.scenario.seed, Counter({"scenarios, each an item of a loop": 1, kind: 1}))

    def _set_up(self) -> None:
        scenario, scope, resource = self.scenario, self.scope, self.resource
        scope.settings(**{**scenario.settings, "plan_limit": None})
        self.parent = scope.register()["id"] if resource.parent == "database_id" else scope.id  # type: ignore[union-attr]
        for f in resource.references:
            holders = [item for item in (*scenario.existing, *scenario.wanted) if f.name in item]
            if holders and f.refers_to:
                referred = samples.found_or_created(scope, f, self.parent, BEHIND)
                self.names[f.name] = f.name_option, referred[f.refers_to.identity[0]]
                for item in holders:
                    item[f.name] = referred["id"]
        for number, item in enumerate(scenario.existing):
            self._create(item, number)
        self.before = self._state()
        scope.settings(**scenario.settings)
        for fault in scenario.faults + scenario.others:
            scope.fault(**fault)

    @property
    def resource(self) -> Resource:
        return self.scenario.resource

    def _create(self, item: Values, number: int) -> None:
        """Make an object behind the collection's back, with what only an update takes as well."""
        resource, scope = self.resource, self.scope
        if resource.is_singleton:
            path = resource.write_path.format(**{resource.parent: self.parent})
            assert scope._call(resource.update_verb, path, json=item).ok
            return
        later = {name: value for name, value in item.items() if resource.field(name).update_only}
        first = judgement.whole({name: value for name, value in item.items() if name not in later})
        if resource.nested:
            first = {**first, resource.parent: self.parent, resource.nested.noun: DATABASE}
        made = samples.create(scope, resource, self.parent, BEHIND, number, **first)
        if later:
            path = resource.path.format(**{resource.parent: self.parent})
            assert scope._call(resource.update_verb, f"{path}/{made['id']}", json=later).ok

    def _state(self) -> Values:
        """What the server truly has of the resource, and of what is nested in it, by id, once nothing is under way."""
        resource, scope = self.resource, self.scope
        if isinstance(scope, Organization) and (resource.nested or resource.is_singleton):
            found = scope.objects()
            return {scope.id: scope.plan()} if resource.is_singleton else found
        return {i: row for i, row in scope.stored(resource.items_key).items() if not resource.is_deleted(row)}

    def _whole_record(self) -> list[Values]:
        return self.scope.whole_record() if isinstance(self.scope, Organization) else self.scope.record()

    @property
    def id(self) -> str:
        return str(self.scenario.seed)

    @property
    def check_id(self) -> str:
        return f"{self.scenario.seed}-check"

    @property
    def url(self) -> str:
        return self.scope.url.replace("127.0.0.1", self.scenario.name)

    def items(self, options: Values) -> dict[str, Values]:
        """The items of a loop by id: the one in check mode, if there is one, and the one that writes."""
        scenario = self.scenario
        above = {self.resource.parent: self.parent, **dict.fromkeys(self.resource.ancestors, self.scope.id)}
        shared = {
            "seed": scenario.seed,
            "module": scenario.module,
            "url": self.url,
            "options": {**self._declared(), **above, **scenario.options, **options},
        }
        foreseen = {self.check_id: {**shared, "source": "options", "check": True}} if scenario.foreseen else {}
        return {**foreseen, self.id: {**shared, "source": scenario.source, "check": False}}

    def _declared(self) -> Values:
        """The options that declare what the scenario wants, without passwords."""
        entries = [self._entry(number, item) for number, item in enumerate(self.scenario.wanted)]
        replace = {"replace": True} if self.resource.replaceable else {}
        if not self.scenario.listed:
            return {**entries[0], **replace}
        prune = {"prune": self.scenario.prune, "prune_limit": "100%"} if self.resource.deletable else {}
        return {self.scenario.module: entries, **prune, **replace}

    def _entry(self, number: int, item: Values) -> Values:
        by_name = self.names if self.scenario.by_name else {}
        entry = {name: value for name, value in item.items() if name not in by_name}
        entry.update({option: name for f, (option, name) in by_name.items() if f in item})
        if self.resource.issued:
            entry["secrets_file"] = str(self._secrets_file(number))
        return entry

    def _secrets_file(self, number: int) -> Path:
        return self.folder / f"{self.id}-{number}.json"

    def judge_faults(self, results: Values) -> None:
        """Judge the round with faults, and end them."""
        scenario, verdict, result = self.scenario, self.verdict, results[self.id]
        self.scope.clear_faults()
        after, record = self._state(), judgement.of_the_collection(self._whole_record())
        hit = Counter(entry["fault"] for entry in record if entry["fault"])
        verdict.counts += Counter({"requests": len(record), "requests hit by a fault": hit.total()})
        outcome = "runs with faults that failed" if result.get("failed") else "runs with faults that succeeded"
        verdict.counts[outcome] += 1
        theirs = self.theirs = changes_of_others(record)
        verdict.counts["scenarios with another writer"] += bool(theirs)
        verdict.counts["responses with status 412"] += sum(entry["status"] == 412 for entry in record)
        verdict.wrong += judgement.lost(scenario, theirs, after, verdict.counts)
        verdict.wrong += judgement.guessed(scenario, theirs, self.before, after)
        left = as_others_left_it(self.before, after, theirs)
        reports = judgement.untrue_project if self.resource.nested else judgement.untrue
        verdict.wrong += reports(scenario, result, left, after, theirs, verdict.counts)
        verdict.wrong += judgement.ill_mannered(scenario, record)
        verdict.wrong += self._unkept(result)
        if judgement.duplicates(scenario, after) > judgement.duplicates(scenario, self.before):
            verdict.wrong.append("something is registered twice")
        self.scope.settings(**{**scenario.settings, "plan_limit": None})

    def judge_convergence(self, results: Values) -> None:
        """Judge the first round without faults."""
        result = results[self.id]
        self.reached = self._state(), judgement.writes(self._whole_record())
        if result.get("failed") or not judgement.as_wanted(self.scenario, result, self.reached[0]):
            self.verdict.wrong.append(f"the run without faults does not converge: {result.get('msg')}")
        self.verdict.wrong += self._unkept(result)
        if self.scenario.foreseen:
            foreseen, made = (judgement.reported(results[name]) for name in (self.check_id, self.id))
            if foreseen != made:
                self.verdict.wrong.append(f"check mode foresees {foreseen}, and what happens is {made}")

    def judge_repetition(self, results: Values) -> None:
        """Judge the last round, which has nothing to change, and the record of all rounds."""
        result, state, record = results[self.id], self._state(), self._whole_record()
        if result.get("failed") or result["changed"] or (state, judgement.writes(record)) != self.reached:
            self.verdict.wrong.append(f"the run after it changes something: {result.get('msg')}")
        self.verdict.wrong += judgement.lost(self.scenario, self.theirs, state, Counter())
        self.verdict.wrong += sorted(set(self._mixed_up(judgement.of_the_collection(record))))
        contract.judge(record)

    def _unkept(self, result: Values) -> Iterator[str]:
        """The secrets of new objects that are not in the file that the task has set."""
        if not self.resource.issued:
            return
        kept = self.scope.secrets(self.id)
        for number, entry in enumerate(judgement.entries(self.scenario, result)[: len(self.scenario.wanted)]):
            if entry["action"] == "created" and not entry.get("error"):
                held = json.loads(self._secrets_file(number).read_text())
                hashes = {name: _hash(self.id + held[name]) for name in kept[entry["id"]]}
                if hashes != kept[entry["id"]]:
                    yield f"the file does not hold the secrets of {entry['id']}"

    def _mixed_up(self, record: list[Values]) -> Iterator[str]:
        """What arrived that belongs to another item of the loop."""
        inherited = self.scenario.source == "inherited"
        own = key_digest(API_KEY if inherited else KEY + self.id), self.scope.url if inherited else self.url
        foreseen = key_digest(KEY + self.check_id), self.url
        for entry in record:
            sender = entry["key_digest"], f"http://{entry['headers']['host']}"
            if sender == foreseen and self.scenario.foreseen:
                if is_write(entry):
                    yield f"check mode sends {entry['method']} {entry['path']}"
            elif sender != own:
                yield f"{entry['method']} {entry['path']} has the key or the URL of another item"
        projects = [self.scope] if isinstance(self.scope, Project) else map(self._project, self.scope.truth())
        secret = self.resource.secret_names
        sent = [hashes for project in projects for hashes in project.secrets(salt=self.id).values()]
        arrived = {digest for hashes in sent for name, digest in hashes.items() if name in secret}
        if not arrived <= {_hash(self.id + password) for password in (BEHIND, f"{PASSWORD}{self.scenario.seed}")}:
            yield "a password of another item arrived"

    def _project(self, project_id: str) -> Project:
        return Project(self.scope.url, project_id)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


#: What follows each round.
ROUNDS = (ScenarioTrial.judge_faults, ScenarioTrial.judge_convergence, ScenarioTrial.judge_repetition)
