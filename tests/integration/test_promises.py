# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way to run the role that docs/reliability.md lists: served, refused, or not reached, as documented."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.harness import Project, Sandbox
from tests.integration.conftest import PASSWORD_LOOKUP, Ansible, Run
from tests.tree import ROOT

Values = dict[str, Any]
Tasks = list[Values]
ROLE = "pgbeam.cloud.pgbeam"
SECTION = (ROOT / "docs/reliability.md").read_text().partition("## What a run promises")[2].partition("\n## ")[0]
#: What happens, by the way to run the role.
PROMISED = dict(re.findall(r"^\| (?!-)(.+?) \| (.+?) \|$", SECTION, re.MULTILINE)[1:])
HOSTS = ("first", "second", "third")
USED = HOSTS[1:]


def included(**keywords: Any) -> Values:
    return {"name": "Include the role", "ansible.builtin.include_role": {"name": ROLE}, **keywords}


def applied(**attributes: Any) -> Values:
    return {"name": "Include the role", "ansible.builtin.include_role": {"name": ROLE, "apply": attributes}}


def imported(**keywords: Any) -> Values:
    return {"name": "Import the role", "ansible.builtin.import_role": {"name": ROLE}, **keywords}


def roles(**keywords: Any) -> Values:
    return {"roles": [{"role": ROLE, **keywords}]}


def tasks(*listed: Values, **keywords: Any) -> Values:
    return {"tasks": list(listed), **keywords}


FAIL = {"name": "Fail", "ansible.builtin.fail": {"msg": "as it is meant to"}, "when": "not use"}
UNREACHABLE = {
    "name": "Be unreachable",
    "ansible.builtin.ping": {},
    "vars": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
    "when": "not use",
}
WHEN = "use | bool"  # false for the first host


@dataclass
class Way:
    """A way to run the role: a play for each project, and what comes of it."""

    plays: list[Values]
    #: The hosts whose databases are registered.
    served: tuple[str, ...] = HOSTS
    status: int = 0
    words: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    #: Variables of the hosts in addition to the common ones.
    variables: Values = field(default_factory=dict)

    @property
    def alone(self) -> bool:
        """Whether it takes a command of its own."""
        return bool(self.words or self.env or self.status)


def forms(**keywords: Any) -> list[Values]:
    """The three ways to bring the role in, under the same keywords of the play."""
    return [{**roles(), **keywords}, tasks(imported(), **keywords), tasks(included(), **keywords)]


PRUNE: Values = {"pgbeam_prune": True}


def job(workflow: str) -> Values:
    """The variables that AWX sets for a job in a workflow; a slice belongs to a workflow of its own template."""
    return {"awx_job_template_name": "nightly", "awx_workflow_job_name": workflow}


CHECK, INCLUDE = "Check that the tags select the whole role", "Include the tasks on the hosts that run the role"
ENSURE = "Ensure PgBeam matches what the hosts declare"
WAYS: dict[str, Way] = {
    "in `roles`, by `import_role`, by `include_role`": Way(forms()),
    "as a dependency of another role": Way([{"roles": ["outer"]}]),
    "a `when` that is false for the first host, on the role or the task that includes or imports it": Way(
        [roles(when=WHEN), tasks(imported(when=WHEN)), tasks(included(when=WHEN))], USED
    ),
    "in a block with such a `when`": Way(
        [tasks({"when": WHEN, "block": [task]}) for task in (imported(), included())], USED
    ),
    "`apply` of `include_role`": Way([tasks(applied(diff=True, environment={"A": "b"}))]),
    "in a block with `rescue` and `always`": Way(
        [tasks({"block": [task], "rescue": [FAIL], "always": [{"ansible.builtin.debug": {"msg": "x"}}]})
         for task in (imported(), included())]
    ),
    "in a `rescue`": Way([tasks({"block": [{"ansible.builtin.fail": {"msg": "x"}}], "rescue": [included()]})]),
    "by a loop over `include_role`": Way([tasks(included(loop=["a", "b"]))]),
    "twice in a play, for different hosts and with different variables": Way(
        [tasks(
            imported(when="not use", vars={"pgbeam_databases": [{"name": "other"}]}),
            included(when=WHEN),
            included(when="not use"),
        )],
    ),
    "`strategy: debug`, or another that is derived from `linear`": Way(forms(strategy="debug")),
    "`strategy: free`": Way(forms(strategy="free"), (), 2),
    "`strategy: host_pinned`": Way(forms(strategy="ansible.builtin.host_pinned"), (), 2),
    "`ANSIBLE_STRATEGY=free` and a play without a strategy": Way([roles()], (), 2, env={"ANSIBLE_STRATEGY": "free"}),
    "`ANSIBLE_STRATEGY=free` and the collection's playbooks": Way([], env={"ANSIBLE_STRATEGY": "free"}),
    "`serial`": Way([{**roles(), "serial": 2}]),
    "`serial` with `pgbeam_prune`": Way([{**roles(), "serial": 2}], (), 2, variables=PRUNE),
    "`order`": Way([{**roles(), "order": "reverse_sorted"}]),
    "`throttle`": Way([roles(throttle=1)]),
    "`--forks 1`": Way([roles()], words=["--forks", "1"]),
    "`delegate_to` on the role": Way([roles(delegate_to="localhost"), tasks(applied(delegate_to="localhost"))]),
    "`run_once` on the role, its play or the task that includes it": Way(
        [roles(run_once=True), {**roles(), "run_once": True}, tasks(included(run_once=True))], (), 2
    ),
    "`run_once` in a play of one host": Way([{**roles(run_once=True), "hosts": "{group}second"}], ("second",)),
    "`ignore_errors` on the role or its play, and an invalid entry": Way(
        [roles(ignore_errors=True), {**roles(), "ignore_errors": True}], (), 2,
        variables={"pgbeam_update_password": "always", "pgbeam_databases": [{"name": "a", "port": 0}]},
    ),
    "`ignore_errors` on the play, and a later host whose address cannot be evaluated": Way(
        [{**roles(), "ignore_errors": True}], ("first", "second"), 2,
        variables={"ansible_host": "{{ nope if inventory_hostname.endswith('third') else inventory_hostname }}"},
    ),
    "`--limit`": Way([roles()], USED, words=["--limit", "*second,*third"]),
    "`--limit` with `pgbeam_prune`": Way([roles()], (), 2, ["--limit", "*second,*third"], variables=PRUNE),
    "a host that failed before": Way([tasks(FAIL, included())], USED, 2),
    "a host that was unreachable before": Way([tasks(UNREACHABLE, included())], USED, 4),
    "a host that failed before and was rescued": Way(
        [tasks({"block": [FAIL], "rescue": [{"ansible.builtin.debug": {"msg": "x"}}]}, included())]
    ),
    "in a slice of an AWX job, with `pgbeam_prune`": Way([roles()], (), 2, variables={**PRUNE, **job("nightly")}),
    "as a node of another AWX workflow, with `pgbeam_prune`": Way([roles()], variables={**PRUNE, **job("release")}),
    "a host that failed before, with `pgbeam_prune`": Way([tasks(FAIL, included())], (), 2, variables=PRUNE),
    "a host that skips the role, with `pgbeam_prune`": Way([roles(when=WHEN)], (), 2, variables=PRUNE),
    "a host that failed before, with `any_errors_fatal`": Way([tasks(FAIL, included(), any_errors_fatal=True)], (), 2),
    "a host that failed before, with `max_fail_percentage` exceeded": Way(
        [tasks(FAIL, included(), max_fail_percentage=10)], (), 2
    ),
    "`any_errors_fatal` or `max_fail_percentage`, and no host fails": Way(
        [{**roles(), "any_errors_fatal": True}, {**roles(), "max_fail_percentage": 0}]
    ),
    "`--tags` that match tags of the role": Way([roles(tags="db"), tasks(imported(tags="db"))], words=["--tags", "db"]),
    "`--tags` of `include_role` that `apply` passes to the role": Way(
        [tasks({**applied(tags=["db"]), "tags": "db"})], words=["--tags", "db"]
    ),
    "`--tags` of `include_role` without `apply`": Way([tasks(included(tags="db"))], (), 2, ["--tags", "db"]),
    "`--tags` of `include_role` without `apply`, under `ignore_errors`": Way(
        [tasks(included(tags="db"), ignore_errors=True)], (), 2, ["--tags", "db"]
    ),
    "`--tags` that match something else": Way(
        [roles(tags="db"), tasks(imported(tags="db")), tasks(included(tags="db"))], (), words=["--tags", "other"]
    ),
    "`--tags` that match something else, and `include_role` with the tag `always` and without `apply`": Way(
        [tasks(included(tags="always"))], (), 2, ["--tags", "other"]
    ),
    "`--skip-tags` that match tags of the role": Way(
        [roles(tags="db"), tasks(imported(tags="db")), tasks(included(tags="db"))], (), words=["--skip-tags", "db"]
    ),
    "`--start-at-task` with the first tasks of the role": Way([roles()], words=["--start-at-task", INCLUDE]),
    "`--start-at-task` with a later task of the role": Way([roles()], (), words=["--start-at-task", ENSURE]),
}  # fmt: skip


def test_the_table_has_every_way() -> None:
    assert list(PROMISED) == list(WAYS)


def play(keywords: Values, group: str) -> Values:
    return {"gather_facts": False, **keywords, "hosts": keywords.get("hosts", group).format(group=group)}


class Course:
    """The inventory and the playbooks of some plays, each of a project and three hosts of its own."""

    def __init__(self, ansible: Ansible, sandbox: Sandbox) -> None:
        self.ansible, self.sandbox = ansible, sandbox
        self.groups: Values = {}
        self.projects: dict[str, Project] = {}
        self.plays: list[Values] = []
        ansible.write("roles/outer/meta/main.yml", {"dependencies": [ROLE]})

    def add(self, way: Way, keywords: Values | None) -> str:
        """Add a play of these keywords; return its group, whose hosts have that name before theirs."""
        group, project = f"g{len(self.groups)}_", self.sandbox.project()
        variables = {
            "ansible_connection": "local",
            "pgbeam_project_id": project.id,
            "pgbeam_databases": [{"name": "a"}],
            "pgbeam_database_defaults": {"username": "app", "password": PASSWORD_LOOKUP},
            **way.variables,
        }
        hosts = {f"{group}{name}": {"use": name in USED} for name in HOSTS}
        self.groups[group] = {"hosts": hosts, "vars": variables}
        self.projects[group] = project
        if keywords is not None:
            self.plays.append(play(keywords, group))
        return group

    def run(self, way: Way) -> Run:
        inventory = self.ansible.write("hosts.yml", self.groups)
        playbook = self.ansible.write("play.yml", self.plays) if self.plays else "pgbeam.cloud.register_databases"
        return self.ansible.playbook(playbook, "-i", inventory, *way.words, env=way.env)

    def registered(self, group: str) -> list[str]:
        """The hosts of a group whose database exists."""
        return sorted(d["host"].removeprefix(group) for d in self.projects[group].databases() if d["name"] == "a")


@pytest.mark.parametrize("text", [text for text, way in WAYS.items() if way.alone])
def test_one_way_to_run_the_role(ansible: Ansible, sandbox: Sandbox, text: str) -> None:
    """One command for each play, because a play that fails ends the playbook."""
    way = WAYS[text]
    plays: list[Values | None] = [*way.plays] or [None]
    for keywords in plays:
        course = Course(ansible, sandbox)
        group = course.add(way, keywords)
        run = course.run(way)
        hold(text, way, course, group, run)


def test_the_ways_of_a_play(ansible: Ansible, sandbox: Sandbox) -> None:
    """Those that end well and need no option of the command: all of them in one playbook."""
    course = Course(ansible, sandbox)
    ways = {text: way for text, way in WAYS.items() if not way.alone}
    added = [(text, way, course.add(way, keywords)) for text, way in ways.items() for keywords in way.plays]
    run = course.run(Way([]))
    for text, way, group in added:
        hold(text, way, course, group, run)


def hold(text: str, way: Way, course: Course, group: str, run: Run) -> None:
    """Compare what came of a play with what the page promises."""
    assert run.status == way.status, (text, run.output[-2000:])
    assert course.registered(group) == sorted(way.served), text
    promise = PROMISED[text]
    for words in re.findall("`(.+?)`", promise.partition(":")[2]):
        said = re.escape(words).replace("…", ".*")
        assert re.search(said, " ".join(run.output.split())), (text, words, run.output[-2000:])
    if promise.startswith("refused"):
        assert run.status == 2 and run.requests == [], text
    elif promise.startswith("served"):
        assert way.served, text
    else:
        assert promise.startswith(("not selected", "Ansible")) and not run.requests, text
