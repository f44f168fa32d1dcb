# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that makes the role's runs, one a project, of what the play's hosts name."""

from __future__ import annotations

import difflib
import functools
import json
import typing as t

from ansible_collections.pgbeam.cloud.plugins.module_utils import _checks, _register
from ansible_collections.pgbeam.cloud.plugins.module_utils._masking import Masking
from ansible_collections.pgbeam.cloud.plugins.module_utils._resource import Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA

DOCUMENTATION = r"""
name: project_runs
short_description: Group the databases that the play's hosts name by project
version_added: 1.0.0
description:
  - A part of the role P(pgbeam.cloud.pgbeam#role), not meant for use outside it.
  - Fills in the host of entries that name none, puts the defaults under each, merges what several hosts see, and looks
    for what contradicts, or what a module would refuse.
  - It never fails for what an inventory can hold; it tells the problems in its result, in words without secrets.
options:
  _input:
    description: The magic variable C(hostvars), after each host has gathered its part in C(__pgbeam_host).
    type: dict
    required: true
  batch:
    description: The magic variable C(ansible_play_batch).
    type: list
    elements: str
    required: true
  active:
    description: The magic variable C(ansible_play_hosts).
    type: list
    elements: str
    required: true
  targeted:
    description: The magic variable C(ansible_play_hosts_all).
    type: list
    elements: str
    required: true
  inventory:
    description: All hosts of the inventory.
    type: list
    elements: str
    required: true
  limit:
    description: The value of C(--limit), empty without one.
    type: str
    required: true
author:
  - The pgbeam.cloud contributors (@pgbeam)
"""

EXAMPLES = r"""
- name: Make the runs, as the role does
  ansible.builtin.set_fact:
    runs: >-
      {{ hostvars | pgbeam.cloud.project_runs(batch=ansible_play_batch, active=ansible_play_hosts,
                                              targeted=ansible_play_hosts_all, inventory=groups['all'], limit='') }}
  no_log: true
"""

RETURN = r"""
_value:
  description:
    - The sentences in C(problems). In C(projects) the databases and settings of each run, by the project's id, or by
      its organization and name where it may have to be made. In C(replicas) those of each database that has some.
  type: dict
"""

Host = dict[str, t.Any]
CONTROLLER = ("localhost", "127.0.0.1", "::1")
#: The role's variables, each without pgbeam_, and what it has gathered of a host that sets none of them.
VARIABLES: dict[str, t.Any] = {
    "project_id": "",
    "project": {},
    "databases": [],
    "database_defaults": {},
    "api_key": "",
    "api_url": "",
    "prune": False,
    "replace_replicas": False,
    "update_password": "on_create",
    "test_connection": False,
    "parallel": 8,
}
#: Those in which the hosts of one project have to agree.
SETTINGS = [name for name in VARIABLES if name not in ("project_id", "databases", "database_defaults")]
#: Variables that are no typing errors: the playbooks' own, and the role's results.
OTHERS = ("pgbeam_hosts", "pgbeam_result", "pgbeam_project_result", "pgbeam_replica_results")
PROBLEMS_SHOWN = 10
ADVICE = "run it over all hosts of the project, or without pgbeam_prune"


def project_runs(
    hostvars: t.Mapping[str, t.Mapping[str, t.Any]],
    batch: list[str],
    active: list[str],
    targeted: list[str],
    inventory: list[str],
    limit: str,
) -> dict[str, t.Any]:
    """What the role has to do, by project, and what keeps it from doing so.

    Returns ``{"problems": [sentence, …], "projects": {key: {"id": …, "databases": […], setting: value, …}},
    "replicas": [{"project": key, "place": …, "database": …, "replicas": […]}, …]}``. The first database of a run is the
    one that its project is made with; ``place`` counts a project's databases from 0.
    """
    gathered, problems = _gathered(hostvars, batch)
    groups, found = _grouped({name: host for name, host in gathered.items() if host})
    problems += found
    projects: dict[str, dict[str, t.Any]] = {}
    replicas: list[dict[str, t.Any]] = []
    for key, members in groups.items():
        run, found = _run(key, members)
        problems += found
        if run["prune"]:
            unseen = [name for name in inventory if name not in targeted]
            problems += _blind(key, gathered, active, targeted, limit)
            problems += _left_out(key, run["databases"], hostvars, unseen)
        replicas += _replicas(key, run["databases"])
        projects[key] = {**run, "databases": [_without(entry, "replicas") for entry in run["databases"]]}
    if len(problems) > PROBLEMS_SHOWN:
        problems[PROBLEMS_SHOWN:] = [f"and {len(problems) - PROBLEMS_SHOWN} more"]
    if problems:  # which may quote a secret that stands in the place of another value
        problems = Masking(_secrets(gathered.values())).mask(problems)
    return {"problems": problems, "projects": projects, "replicas": replicas}


def _secrets(hosts: t.Iterable[Host]) -> t.Iterator[str]:
    """The keys and passwords of these hosts."""
    names = [f.name for f in DATABASE.writable if f.secret]
    for host in filter(None, hosts):
        listed = host["databases"] if isinstance(host["databases"], list) else []
        project = host["project"] if isinstance(host["project"], dict) else {}
        yield host["api_key"]
        for entry in (host["database_defaults"], project.get("database"), *listed):
            given = [entry.get(name) for name in names] if isinstance(entry, dict) else []
            yield from (str(value) for value in given if value and not _unprintable(value))


def _gathered(hostvars: t.Mapping[str, t.Mapping[str, t.Any]], batch: list[str]) -> tuple[dict[str, Host], list[str]]:
    """What each host has gathered, empty where it did not run the role, and sentences on variables with odd names."""
    gathered: dict[str, Host] = {}
    typos: dict[str, set[str]] = {}
    for name in batch:
        variables = hostvars[name]  # which core puts together anew each time
        host = gathered[name] = _plain(variables.get("__pgbeam_host") or {})
        for variable in variables if host else ():
            meant = _meant(variable)
            if meant and f"pgbeam_{meant}" not in variables and host[meant] == VARIABLES[meant]:
                said = f"{variable} is no variable of this role; did you mean pgbeam_{meant}?"
                typos.setdefault(said, set()).add(name)
    return gathered, [f"{_some(names)}: {said}" for said, names in typos.items()]


@functools.cache
def _meant(variable: str) -> str | None:
    """The variable of the role that the name of another one looks like, without pgbeam_."""
    own = variable.removeprefix("pgbeam_")
    if own == variable or own in VARIABLES or variable in OTHERS:
        return None
    close = difflib.get_close_matches(variable, [f"pgbeam_{name}" for name in VARIABLES], n=1, cutoff=0.9)
    return close[0].removeprefix("pgbeam_") if close else None


def _grouped(hosts: dict[str, Host]) -> tuple[dict[str, dict[str, Host]], list[str]]:
    """The hosts of each project that has something to do, and sentences on those that cannot be read."""
    groups: dict[str, dict[str, Host]] = {}
    problems: list[str] = []
    for name, host in hosts.items():
        wrong = _wrong_host(name, host)
        if wrong:
            problems += wrong
        elif host["databases"] and not _key(host):
            problems.append(
                f"{name}: it has pgbeam_databases but no pgbeam_project_id; set the id of its project, "
                "or the project itself as pgbeam_project"
            )
        elif _key(host) and (host["databases"] or host["prune"] or host["project"]):
            groups.setdefault(_key(host), {})[name] = host
    return groups, problems


def _run(key: str, members: dict[str, Host]) -> tuple[dict[str, t.Any], list[str]]:
    """The run of one project, and sentences on what contradicts in it."""
    first = next(iter(members.values()))
    entries, found = _merged(members)
    run = {setting: first[setting] for setting in SETTINGS}
    run["id"] = first["project_id"] or first["project"].get("id") or ""
    run["databases"] = list(entries.values())
    own = first["project"].get("database")
    candidates = (entry for entry in entries.values() if entry.get("state") != "absent" and "id" not in entry)
    made = _completed(own, first) if own else next(candidates, None)
    if first["project"] and made is not None:
        same = _comparable(made)
        run["databases"] = [made, *(entry for said, entry in entries.items() if said != same)]
        run["project"] = {**first["project"], "database": _without(made, "state", "replicas")}
        if own and not found:
            found = _register.clashes(DATABASE, run["databases"], _place_beside_own)
    return run, _differences(key, members) + found


def _replicas(key: str, databases: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Those of each database that is to be there."""
    return [
        {"project": key, "place": place, "database": DATABASE.describe(entry), "replicas": entry["replicas"]}
        for place, entry in enumerate(databases)
        if entry.get("replicas") and entry.get("state") != "absent"
    ]


def _without(entry: dict[str, t.Any], *names: str) -> dict[str, t.Any]:
    return {name: value for name, value in entry.items() if name not in names}


def _key(host: Host) -> str:
    """What the hosts of one project have in common: its id, or its organization and name."""
    project = host["project"]
    named = f"{project.get('org_id')}/{project.get('name')}" if project else ""
    return str(host["project_id"] or project.get("id") or named)


def _named(key: str) -> bool:
    """Whether a project is known by its organization and name; an id has no slash."""
    return "/" in key


def _place_beside_own(index: int) -> str:
    return "an entry of pgbeam_databases" if index else "pgbeam_project.database"


def _plain(value: t.Any) -> t.Any:
    """Core's containers template what is taken out of them, each time; take it out once.

    With jinja2_native, cores before 2.19 leave what is vaulted to be read here.
    """
    if getattr(value, "__ENCRYPTED__", False):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _wrong_host(name: str, host: Host) -> list[str]:
    """What keeps a host's variables from being used: in their types, or what a module would refuse once it is there."""
    if host["name"] != name:
        return [f"{name}: run_once is set on the role or its play, so only {host['name']} is seen; remove run_once"]
    if not isinstance(host["databases"], list):
        return [f"{name}: pgbeam_databases is not a list; with -e, give it as JSON or in a file"]
    for variable in ("database_defaults", "project"):
        if not isinstance(host[variable], dict):
            return [f"{name}: pgbeam_{variable} is not a dictionary; with -e, give it as JSON or in a file"]
    if _unprintable(host):
        return [f"{name}: a number of its variables has hundreds of digits; correct it, or put it in quotes"]
    found = _wrong_project(name, host) if host["project"] else []
    for entry in host["databases"]:
        found += _wrong_database(name, host, entry, "an entry of pgbeam_databases")
    return found


def _wrong_project(name: str, host: Host) -> list[str]:
    """What keeps a host's pgbeam_project from being used."""
    project = host["project"]
    # An id may be the empty default of a template, and then counts as none.
    values = {option: value for option, value in project.items() if option != "database" and (value or option != "id")}
    found = _checks.unknown_options({"id", *(f.name for f in PROJECT.options)}, values, f"{name}: pgbeam_project.")
    found += _checks.problems(PROJECT, values, f"{name}: pgbeam_project.")
    if host["project_id"] and project.get("id") not in (None, host["project_id"]):
        found.append(f"{name}: pgbeam_project_id and pgbeam_project.id are two ids; give one of them")
    elif not host["project_id"] and not project.get("id") and not (project.get("org_id") and project.get("name")):
        found.append(f"{name}: pgbeam_project does not say which one; give its org_id and name, or its id")
    database, place = project.get("database"), "pgbeam_project.database"
    if database is None or database == {}:
        return found
    found += _wrong_database(name, host, database, place)
    if not isinstance(database, dict):
        return found
    full = _over(host["database_defaults"], database)
    if not full.get("host"):
        found.append(f"{name}: {place} names no host; name the PostgreSQL server in it")
    return found + [
        f"{name}: {place}: the project is made with it; leave {option} out, or name another"
        for option in ("id", "state")
        if full.get(option) not in (None, "present")
    ]


def _wrong_database(name: str, host: Host, entry: t.Any, place: str) -> list[str]:
    """What keeps an entry, or one of its replicas, from being registered."""
    if not isinstance(entry, dict):
        return [f"{name}: {place} is not a dictionary of options"]
    full = _over(host["database_defaults"], entry)
    odd = [f"{name}: {place} has {key!r} for the name of an option; put the name in quotes" for key in _odd_names(full)]
    replicas = full.get("replicas")
    if replicas is not None and not (isinstance(replicas, list) and all(isinstance(r, dict) for r in replicas)):
        odd.append(f"{name}: replicas of {place} is not a list of dictionaries")
    if odd:
        return odd
    # Where only the controller could be its host, another sentence says so, if no other host has the entry.
    full = _completed(entry, host) or _checks.named({**full, "host": name})
    replicas = full.get("replicas") or []
    places = [_checks.place(f"replicas[{n}]", replica) for n, replica in enumerate(replicas)]
    found = _wrong_values(DATABASE, full, "", "replicas")
    for replica, its in zip(replicas, places):
        found += _wrong_values(REPLICA, replica, f"{its}: ")
    found = found or _register.clashes(REPLICA, replicas, lambda index: places[index])
    return [f"{_checks.place(f'{name}: {place}', full)}: {said}" for said in found]


def _wrong_values(resource: Resource, values: dict[str, t.Any], where: str, *more: str) -> list[str]:
    """What the list form of a resource's module says of an entry."""
    missing = _checks.incomplete(resource, values, where)
    return _checks.entry_problems(resource, values, where, *more) + ([missing] if missing else [])


def _odd_names(value: t.Any) -> t.Iterator[t.Any]:
    """The keys that are no text, at any depth: YAML reads on as true."""
    if isinstance(value, dict):
        yield from (key for key in value if not isinstance(key, str))
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from _odd_names(item)


def _unprintable(value: t.Any) -> bool:
    """Whether a number is too long to be made a text of, at any depth: a hexadecimal one of YAML has no limit."""
    if isinstance(value, dict):
        return any(map(_unprintable, value)) or any(map(_unprintable, value.values()))
    if isinstance(value, list):
        return any(map(_unprintable, value))
    return isinstance(value, int) and value.bit_length() > 2000


def _differences(project_id: str, members: dict[str, Host]) -> list[str]:
    """Settings in which two hosts of one project differ; never their values, one of which is the API key."""
    (first, settings), *others = members.items()
    found = []
    for setting in SETTINGS:
        other = next((name for name, host in others if host[setting] != settings[setting]), None)
        if other:
            found.append(
                f"{first} and {other} share project {project_id} but differ in pgbeam_{setting}; set one value"
            )
    return found


def _merged(members: dict[str, Host]) -> tuple[dict[str, dict[str, t.Any]], list[str]]:
    """The entries of all hosts by what they say, and the sentences on those that contradict or cannot be completed."""
    entries: dict[str, dict[str, t.Any]] = {}
    origins: dict[str, str] = {}
    problems: list[str] = []
    for name, host in members.items():
        for entry in host["databases"]:
            full = _completed(entry, host)
            if full is not None:
                key = _comparable(full)
                entries.setdefault(key, full)
                origins.setdefault(key, name)
            elif not any(entry in seen["databases"] for other, seen in members.items() if other not in CONTROLLER):
                problems.append(
                    f"{name}: the entry {entry.get('name')!r} of pgbeam_databases names no host, and {name} is where "
                    "Ansible runs; name the PostgreSQL server in it, or set it for that server's inventory host"
                )
    places = [f"an entry of {name}" for name in origins.values()]
    problems += _register.clashes(DATABASE, list(entries.values()), lambda index: places[index])
    return entries, problems


def _comparable(entry: dict[str, t.Any]) -> str:
    """The same for entries that say the same."""
    folded = {name: DATABASE.field(name).folded(entry[name]) for name in DATABASE.identity if name in entry}
    return json.dumps({**entry, **folded}, sort_keys=True, default=str)


def _completed(entry: dict[str, t.Any], host: Host) -> dict[str, t.Any] | None:
    """The entry over the defaults, with its host filled in; None where only the controller could be its host."""
    full = _checks.named(_over(host["database_defaults"], entry))
    if "host" not in full and "id" not in full:
        if host["name"] in CONTROLLER and host["address"] in CONTROLLER:
            return None
        full["host"] = host["address"]
    return full


def _over(defaults: dict[str, t.Any], entry: dict[str, t.Any]) -> dict[str, t.Any]:
    merged = {**defaults, **entry}
    for key, value in entry.items():
        if isinstance(value, dict) and isinstance(defaults.get(key), dict):
            merged[key] = {**defaults[key], **value}
    return merged


def _blind(project_id: str, gathered: dict[str, Host], active: list[str], targeted: list[str], limit: str) -> list[str]:
    """Why a run with prune does not see every targeted host's list, so that it would delete what it does not see."""
    why = None
    if limit:
        why = "--limit leaves hosts out"
    elif set(active) != set(targeted):
        why = f"{_some(set(targeted) - set(active))} failed or left the play"
    elif set(gathered) != set(targeted):
        why = f"{_some(set(targeted) - set(gathered))} is not in this batch (serial), or was added while the play ran"
    elif not all(gathered.values()):
        why = f"{_some({name for name, host in gathered.items() if not host})} did not run the role"
    if not why:
        return []
    return [
        f"pgbeam_prune: this run does not see every list of project {project_id}, because {why}; run it over all hosts "
        "at once, or without pgbeam_prune"
    ]


def _left_out(
    project_id: str, entries: list[dict[str, t.Any]], hostvars: t.Mapping[str, t.Mapping[str, t.Any]], unseen: list[str]
) -> list[str]:
    """Inventory hosts that the play does not target, and whose part of this project prune would delete."""
    claims = _register.Claims(DATABASE, entries)
    for name in unseen:
        try:
            why = _endangered(project_id, name, hostvars[name], claims, entries)
        except Exception:  # whatever core raises for what it cannot evaluate, and what follows from values of odd types
            why = f"what it names cannot be read here, so that it may be of project {project_id}; {ADVICE}"
        if why:
            return [f"pgbeam_prune: {name} is not among the play's hosts, and {why}"]
    return []


def _endangered(
    project_id: str,
    name: str,
    variables: t.Mapping[str, t.Any],
    claims: _register.Claims,
    entries: list[dict[str, t.Any]],
) -> str | None:
    """Why prune may delete what a host outside the play names, or None; raise where its variables do not tell."""
    project = variables.get("pgbeam_project") or {}
    if not variables.get("pgbeam_databases") and not project.get("database"):
        return None
    key = _visible_key(project, variables.get("pgbeam_project_id"))
    if key and key != project_id and _named(key) == _named(project_id):
        return None
    own = _visible_entries(name, variables, project.get("database"))
    lost = any(_is_lost(entry, claims, entries) for entry in own)
    if own and key and key != project_id:
        return (
            f"names its project in another way ({key}), so this run cannot tell whether that is {project_id}; "
            "name both by id, or both by org_id and name"
        )
    if lost and key:
        return f"names databases or replicas of {project_id}; {ADVICE}"
    if lost:
        return f"names databases but no project that this run can see, so that they may be of {project_id}; {ADVICE}"
    return None


def _visible_entries(name: str, variables: t.Mapping[str, t.Any], first: t.Any) -> list[dict[str, t.Any]]:
    """What a host that the play does not target wants to be there; raise where its variables do not tell."""
    listed = variables.get("pgbeam_databases") or []
    host: Host = {
        "name": name,
        "address": variables.get("ansible_host") or name,
        "database_defaults": variables.get("pgbeam_database_defaults") or {},
    }
    if not isinstance(listed, list):
        raise TypeError
    full = [_completed(entry, host) for entry in [*listed, *([first] if first else [])]]
    return [entry for entry in full if entry is not None and entry.get("state") != "absent"]


def _visible_key(project: dict[str, t.Any], project_id: t.Any) -> str:
    """The project of a host that the play does not target; raise where its variables do not tell."""
    key = _key({"project_id": project_id, "project": project})
    if "{{" in key or "{%" in key:  # cores before 2.19 leave a template that they cannot evaluate as it is
        raise ValueError
    return key


def _is_lost(entry: dict[str, t.Any], claims: _register.Claims, entries: list[dict[str, t.Any]]) -> bool:
    """Whether prune would delete what an entry names, or a replica of it, since no claimed one does."""
    place = claims.find(entry)
    if place is None:
        return True
    kept = entries[place].get("replicas") or []
    claimed = _register.Claims(REPLICA, kept)
    return bool(kept) and any(claimed.find(replica) is None for replica in entry.get("replicas") or [])


def _some(names: set[str]) -> str:
    first, *others = sorted(names)
    return f"{first} (and {len(others)} more)" if others else first


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"project_runs": project_runs}
