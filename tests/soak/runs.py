# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loops over the modules: what ansible-playbook runs for a batch of scenarios, and the soak of many batches."""

from __future__ import annotations

import functools
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from generate.modules import modules
from generate.scope import Module
from tests.harness import API_KEY, ansible_env
from tests.soak.scenarios import Values, make
from tests.soak.trial import KEY, PASSWORD, ROUNDS, ScenarioTrial, Verdict
from tests.tree import ROOT

OWN_PASSWORD = "(lookup('ansible.builtin.env', 'DB_PASSWORD') ~ own.seed)"
OWN_KEY = "(lookup('ansible.builtin.env', 'SOAK_KEY') ~ item)"
#: Without faults there is nothing to be impatient about, and the machine may be busy.
PATIENT = {"timeout": 30, "retry_budget": 120}
#: How many scenarios the loops of one ansible-playbook run have, and how many of these run at once: they mostly wait.
BATCH = 80
WORKERS = 6
#: A sandbox that answers late would add timeouts of its own to the faults.
NICE = 5


def _passwords(module: Module) -> str:
    """The options of a module that hold secrets, as a part of a dictionary in a template."""
    resource, inner = module.resource, module.resource.nested
    own = ", ".join(f"'{f.name}': {OWN_PASSWORD}" for f in resource.fields if f.secret)
    if own and module.form == "list":
        return f"'{resource.plural}': own.options.{resource.plural} | map('combine', {{{own}}}) | list"
    if inner:
        nested = ", ".join(f"'{f.name}': {OWN_PASSWORD}" for f in inner.fields if f.secret)
        return f"'{inner.noun}': own.options.{inner.noun} | combine({{{nested}}})"
    return own


def _playbook(trials: list[ScenarioTrial], options: Values) -> list[Values]:
    """One play with one looped task for each module, over ids: core copies the whole loop with each item."""
    items = {name: item for trial in trials for name, item in trial.items(options).items()}
    connection = f"{{'api_key': {OWN_KEY}, 'api_url': own.url}} if own.source == 'options' else {{}}"
    environment = f"{{'PGBEAM_API_KEY': {OWN_KEY}, 'PGBEAM_API_URL': own.url}}"
    tasks = [
        {
            "name": module.name,
            f"pgbeam.cloud.{module.name}": {},
            # One template for all options: core takes a millisecond for each.
            "args": f"{{{{ own.options | combine({{ {_passwords(module)} }}, {connection}) }}}}",
            "loop": [name for name, item in items.items() if item["module"] == module.name],
            "environment": f"{{{{ {environment} if own.source == 'environment' else {{}} }}}}",
            "check_mode": "{{ own.check }}",
            "ignore_errors": True,
        }
        for module in modules().values()
        if module.writes
    ]
    variables = {"items_by_id": items, "own": "{{ items_by_id[item] }}"}
    return [{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}]


def _results(playbook: list[Values], url: str, folder: Path) -> Values:
    """Run a playbook. Returns the result of each loop item by the item's id."""
    play, log = folder / "play.json", folder / "results.jsonl"
    play.write_text(json.dumps(playbook))
    log.unlink(missing_ok=True)
    env = ansible_env(
        url,
        folder,
        ANSIBLE_CALLBACK_PLUGINS=str(ROOT / "tests" / "integration" / "callbacks"),
        ANSIBLE_CALLBACKS_ENABLED="results",
        RESULTS_FILE=str(log),
        DB_PASSWORD=PASSWORD,
        SOAK_KEY=KEY,
    )
    done = subprocess.run(["ansible-playbook", str(play)], env=env, capture_output=True, text=True, check=False)
    results = log.read_text() if log.exists() else ""
    text = done.stdout + done.stderr + results
    issued = (json.loads(path.read_text()) for path in (folder / "issued").iterdir())
    shown_once = {name for module in modules().values() for name in module.resource.issued}
    for secret in (API_KEY, KEY, PASSWORD, *(held[name] for held in issued for name in shown_once & held.keys())):
        for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert form not in text, "a secret is in the output or in a result"
    for sign in ("Traceback", "MODULE FAILURE", "please report this bug"):
        assert sign not in text, next(line for line in text.splitlines() if sign in line)
    assert done.returncode == 0, done.stdout + done.stderr
    events = map(json.loads, results.splitlines())
    return {item["item"]: item for event in events for item in event["result"].get("results", [])}


def _batch(url: str, seeds: range) -> list[Verdict]:
    """Run the scenarios with these seeds as items of the same loops."""
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        folder = Path(place)
        (folder / "issued").mkdir()
        trials = [
            ScenarioTrial.prepare(make(seed), url, f"soak_{os.getpid()}_{seed}", folder / "issued") for seed in seeds
        ]
        for judge in ROUNDS:
            playbook = _playbook(trials, {} if judge is ScenarioTrial.judge_faults else PATIENT)
            results = _results(playbook, url, folder)
            for trial in trials:
                trial.verdict.counts["items of loops, each scenario several times"] += len(trial.items({}))
                try:
                    judge(trial, results)
                except Exception as error:
                    trial.verdict.wrong.append(f"{type(error).__name__}: {error}")
    verdicts = [trial.verdict for trial in trials]
    verdicts[0].counts["loops"] += len({trial.scenario.module for trial in trials}) * len(ROUNDS)
    return verdicts


def soak(url: str, seeds: range, batch: int = BATCH, workers: int = WORKERS) -> tuple[Counter[str], list[Verdict]]:
    """Run these scenarios in batches. Returns the counts of all, and the verdicts that found something wrong."""
    counts: Counter[str] = Counter()
    bad: list[Verdict] = []
    batches = [seeds[first : first + batch] for first in range(0, len(seeds), batch)]
    with multiprocessing.get_context("fork").Pool(workers, os.nice, (NICE,)) as pool:
        for verdict in itertools.chain.from_iterable(pool.imap_unordered(functools.partial(_batch, url), batches)):
            counts += verdict.counts
            if verdict.wrong:
                bad.append(verdict)
                print(f"seed {verdict.seed}: {'; '.join(verdict.wrong)}", file=sys.stderr, flush=True)
    return counts, bad
