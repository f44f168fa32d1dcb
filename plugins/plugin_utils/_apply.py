# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the modules for everything that the hosts declare, project by project, and combine their results.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleError
from ansible.utils import display
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA
from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _context, _declared, _plan, _prune, _report, _values
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._objects import Call, Objects, ending
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._plan import Project, Replicas
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._report import Results

#: The keys of a module's result that core adds.
NOT_PUBLISHED = ("invocation", "ansible_facts", "exception")


def apply(action: t.Any, task_vars: Values) -> Values:
    """Ensure PgBeam matches what the hosts of this batch declare. Returns the result of the role's task."""
    problems, hosts = _hosts(action, task_vars)
    view = _view(hosts, task_vars)
    plan = _plan.plan(hosts, view, action._task.check_mode) if not problems else _plan.Plan([], problems)
    if plan.problems:
        return {"failed": True, "changed": False, "msg": _values.sentences(plan.problems)}

    def call(module: str, options: Values) -> Values:
        return _call(action, task_vars, module, options)

    def foresee(module: str, options: Values) -> Values:
        task = action._task
        live, task.check_mode = task.check_mode, True
        try:
            return call(module, options)
        finally:
            task.check_mode = live

    audit = bool(task_vars.get("__pgbeam_audit"))  # set by the playbook
    unseen = _prune.unseen(view)
    issuing = [kind.plural for kind in KINDS if kind.issued]
    unreported = [name for name in issuing if any(project.objects.get(name) for project in plan.projects)]
    if audit and unseen and unreported:
        kinds = validation.listed(unreported)
        said = f"this run does not see every list, because {unseen}, and does not report undeclared {kinds}"
        display.Display().warning(f"audit: {said}; run it on all hosts at once")

    def announce(deletions: str) -> None:
        verb = "would delete" if action._task.check_mode else "will delete"
        display.Display().warning(f"pgbeam_prune: {verb} {deletions}")

    results, problem = run(plan.projects, call, foresee, announce, audit and not unseen)
    return _result(results, problem, action._task)


def run(
    projects: list[Project], call: Call, foresee: Call, announce: t.Callable[[str], None], audit: bool = False
) -> tuple[Results, str | None]:
    """Look up the projects, ensure that they exist, register their databases and replicas, then apply the rest.

    If a project fails, nothing else is applied; if a database fails, no replicas are. ``foresee`` runs a module in
    check mode, so that prune is refused before the first write. ``announce`` shows what prune will delete, and
    ``audit`` adds what no host declares. Returns a sentence if the projects cannot be applied together.
    """
    results = Results()
    found: dict[str, list[Values]] = {}
    for project in projects:
        if project.options:
            result = call("project_info", _identity(project))
            found[project.key] = result.get("projects") or []
            if result.get("failed"):
                results.lookups[project.key] = result
    if results.lookups:
        return results, None
    problem = _duplicate_projects(projects, found)
    if problem:
        return results, problem
    problem = next(filter(None, [_prune_problem(p, found.get(p.key), results, foresee) for p in projects]), None)
    if problem or any(result.get("failed") for result in results.all):
        return results, problem
    objects = {project.key: Objects(project, results, call) for project in projects}
    for project in projects:
        existing = found.get(project.key)
        project_id = existing[0]["id"] if existing else project.id
        if project_id:
            objects[project.key].foresee(project_id, foresee)
    if any(result.get("failed") and not result.get("error") for result in results.objects):
        return results, None
    for text in (text for key in objects for text in objects[key].announcements()):
        announce(text)
    for project in projects:
        if project.options:
            results.projects[project.key] = call("project", _project_options(project, found[project.key]))
    if any(result.get("failed") for result in results.projects.values()):
        return results, None
    for project in projects:
        results.databases[project.key] = call("databases", _databases_options(project, results))
    if not any(result.get("failed") for result in results.databases.values()):
        for project in projects:
            _run_replicas(project, results, call)
    for project in projects:
        objects[project.key].apply(ending(results.databases[project.key], "databases"))
        if audit:
            objects[project.key].find_undeclared(foresee)
    return results, None


def _identity(project: Project) -> Values:
    """Return the options that identify a project, for any module."""
    named = {} if project.id else {"name": project.options.get("name")}
    return {"id": project.id or None, "org_id": project.options.get("org_id"), **named, **project.connection}


def _duplicate_projects(projects: list[Project], found: dict[str, list[Values]]) -> str | None:
    """Return a sentence if hosts refer to one project in two ways: each list would prune the other's objects."""
    keys: dict[str, list[str]] = {}
    for project in projects:
        existing = found.get(project.key)
        project_id = existing[0]["id"] if existing else project.id
        if project_id:
            keys.setdefault(project_id, []).append(project.key)
    duplicates = [f"{' and '.join(same)} are the same project" for same in keys.values() if len(same) > 1]
    if not duplicates:
        return None
    return f"{'; '.join(duplicates)}; refer to each the same way on all hosts, by id or by org_id and name"


def _prune_problem(project: Project, found: list[Values] | None, results: Results, foresee: Call) -> str | None:
    """Return a sentence if prune would delete too many replicas. Failures of modules are added to the results."""
    project_id = found[0]["id"] if found else project.id
    if not project.settings["prune"] or not project_id:
        return None
    if not project.databases and project.objects:
        return None
    options = {**_databases_options(project, results), "project_id": project_id, "prune": True}
    databases = foresee("databases", {**options, "databases": project.databases})
    if databases.get("failed"):
        results.databases[project.key] = databases
        return None
    pruned: list[str] = []
    existing = 0
    for replicas in project.replicas:
        database_id = databases["databases"][replicas.index]["id"] or ""
        result = foresee("replicas", _replicas_options(project, replicas, database_id))
        if result.get("failed"):
            results.replicas.append({"project": project.key, "database": replicas.database, **result})
            return None
        surplus = result["replicas"][len(replicas.declared) :]
        pruned += [f"{REPLICA.describe(replica)} ({replica['id']}) of {replicas.database}" for replica in surplus]
        existing += sum(bool(replica["id"]) for replica in result["replicas"])
    what, limit = f"replicas of project {project.key}", str(project.settings["prune_limit"])
    return validation.prune_error(pruned, existing, what, limit, prefix="pgbeam_")


def _project_options(project: Project, found: list[Values]) -> Values:
    later = {f.name_option for f in PROJECT.references}  # the objects that the project refers to may not exist yet
    known = {name: value for name, value in project.options.items() if name not in later}
    options = {**known, **project.connection, "id": project.id or None}
    if found:  # its first database is one of its databases, which the next step ensures
        options.pop("database", None)
    if len(found) == 1:  # by its id it is read alone; the module reports several of one name
        options["id"] = found[0]["id"]
    return options


def _databases_options(project: Project, results: Results) -> Values:
    created, project_id = results.projects.get(project.key, {}), results.project_id(project)
    # In check mode, before the project exists, its first database is part of the project's result.
    return {
        "project_id": project_id,
        "databases": project.databases if project_id else project.databases[1:],
        # Without a list of databases, only other kinds are pruned, or the module refuses.
        "prune": project.settings["prune"] and bool(project_id) and bool(project.databases or not project.objects),
        "prune_limit": project.settings["prune_limit"],
        # A project that was just created already has the password of its first database.
        "update_password": "on_create" if created.get("action") == "created" else project.settings["update_password"],
        "test_connection": project.settings["test_connection"],
        "parallel": project.settings["parallel"],
        **project.connection,
    }


def _run_replicas(project: Project, results: Results, call: Call) -> None:
    created = results.projects.get(project.key)
    exists = bool((created.get("project") or {}).get("id")) if created else True
    for replicas in project.replicas:
        registered = results.databases[project.key]["databases"]
        database_id = registered[replicas.index]["id"] or "" if exists else ""
        result = call("replicas", _replicas_options(project, replicas, database_id))
        results.replicas.append({"project": project.key, "database": replicas.database, **result})


def _replicas_options(project: Project, replicas: Replicas, database_id: str) -> Values:
    return {
        "database_id": database_id,
        "replicas": replicas.declared,
        "prune": project.settings["prune"],
        "prune_limit": project.settings["prune_limit"],
        "replace": project.settings["replace_replicas"],
        "parallel": project.settings["parallel"],
        **project.connection,
    }


def _hosts(action: t.Any, task_vars: Values) -> tuple[list[str], list[_declared.Host]]:
    """Return the hosts that ran the role, or sentences on why the role cannot run in this way."""
    task, batch, hostvars = action._task, task_vars["ansible_play_batch"], task_vars["hostvars"]
    problem = _context.strategy_problem(task, action._templar)
    if problem:
        return [problem], []
    run_id = _context.run_id(task)
    hosts = []
    for name in batch:
        registered = hostvars[name].get("__pgbeam_declared") or {}
        if registered.get("failed"):
            return [
                f"{name}: its variables could not be read; check its pgbeam_ variables and ansible_host, then run again"
            ], []
        gathered = json.loads(registered.get("gathered") or "{}")
        if gathered.get("run") != run_id:
            continue
        if gathered["run_once"] and len(batch) > 1:
            problem = f"run_once: only {name} would take part, and what the other hosts declare would be ignored"
            return [f"{problem}; remove run_once from the role, its play or the task that includes it"], []
        hosts.append(_declared.read(name, gathered))
    if not hosts:
        return ["nothing was gathered from the hosts before this task; run the role from its first task"], []
    return [], hosts


def _view(hosts: list[_declared.Host], task_vars: Values) -> _prune.View:
    targeted = task_vars["ansible_play_hosts_all"]
    return _prune.View(
        gathered=[host.name for host in hosts],
        batch=task_vars["ansible_play_batch"],
        active=task_vars["ansible_play_hosts"],
        targeted=targeted,
        limit=task_vars.get("ansible_limit") or "",
        sliced=_sliced(task_vars),
        others=[name for name in task_vars["groups"]["all"] if name not in targeted],
        hostvars=task_vars["hostvars"],
    )


def _sliced(task_vars: Values) -> str:
    """Return the AWX job template of which the run is a slice, or an empty text.

    AWX runs the slices of a job as the nodes of a workflow with the name of the job template.
    """
    for prefix in ("awx", "tower"):
        template = task_vars.get(f"{prefix}_job_template_name")
        if template and template == task_vars.get(f"{prefix}_workflow_job_name"):
            return str(template)
    return ""


def _call(action: t.Any, task_vars: Values, module: str, options: Values) -> Values:
    """Run a module on the controller with these options and its module_defaults.

    A failure to run it is a result too, so that the writes of earlier modules are reported.
    """
    name = f"pgbeam.cloud.{module}"
    options_set = {option: value for option, value in options.items() if value is not None}
    problem = ""
    try:
        try:
            args = {**_defaults(action, name, options_set, task_vars), **options_set}
        except AnsibleError:  # its text may quote a default that is a secret
            problem = f"module {module}: not run, because a template in module_defaults cannot be evaluated; correct it"
            return {"changed": False, "failed": True, "msg": problem}
        result = _execute(action, name, args, task_vars)
        kept = {option: value for option, value in result.items() if option not in NOT_PUBLISHED}
        return {"changed": False, "failed": False, **kept}
    except AnsibleError as error:
        place = "Python, the disk and the temporary directory where Ansible runs"
        problem = f"module {module}: not run ({type(error).__name__}); check {place}"
    except Exception as error:
        problem = _values.unexpected(error)
    return {"changed": False, "failed": True, "msg": problem}


def _execute(action: t.Any, name: str, args: Values, task_vars: Values) -> Values:
    """Run a module. Its warnings are only part of its result, because some do not concern the user."""
    context = getattr(getattr(display, "_display_utils", None), "DeferredWarningContext", None)
    if not context:  # ansible-core before 2.19
        result: Values = action._execute_module(module_name=name, module_args=args, task_vars=task_vars)
        return result
    # Without its own context, ansible-core 2.21 shows the warnings with the role's task when the module returns.
    with context(variables=task_vars) as captured:
        result = action._execute_module(module_name=name, module_args=args, task_vars=task_vars)
    found = {"warnings": captured.get_warnings(), "deprecations": captured.get_deprecation_warnings()}
    for key, items in found.items():
        returned = result.get(key) or []
        result[key] = [*returned, *(item for item in items if item not in returned)]
    return result


def _defaults(action: t.Any, name: str, options_set: Values, task_vars: Values) -> Values:
    """Return the options that module_defaults sets and the task does not. Core's own function is not public."""
    merged: Values = {}
    for defaults in action._task.module_defaults:
        merged.update(defaults)
    groups = action._task._parent._play._action_groups.get(name, [])
    found: Values = {}
    for key in (*(f"group/{group}" for group in groups), name):
        found.update(action._templar.template(merged.get(key) or {}))
    omitted = task_vars.get("omit")
    return {option: value for option, value in found.items() if option not in options_set and value != omitted}


def _result(results: Results, problem: str | None, task: t.Any) -> Values:
    """Return the result of the role's task: the results of the modules, and lines that summarize them."""
    failed = [result for result in results.all if result.get("failed")]
    lines = _report.lines(results, task.check_mode)
    result: Values = {
        "changed": any(r.get("changed") for r in results.all),
        "failed": bool(problem or failed),
        "msg": problem or ("; ".join(_report.failures(results)) if failed else lines),
        "drift": _report.drift(results),
    }
    for name in ("warnings", "deprecations"):
        reported = [item for own in results.all for item in own.pop(name, None) or []]
        if reported:
            result[name] = reported
    if task.diff:
        result["diff"] = [part for own in results.all for part in _report.as_list(own.get("diff"))]
    return {**result, **_published(results)}


def _published(results: Results) -> Values:
    """Return the results by kind of object, those of databases and other kinds by project."""
    databases = {key: dict(result) for key, result in results.databases.items()}
    for result in results.objects:
        listed = databases.setdefault(result["project"], {}).setdefault(result["kind"], [])
        listed += result.get(result["kind"]) or []
    return {"projects": results.projects, "databases": databases, "replicas": results.replicas}
