# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that configures AWX, with the real modules of awx.awx against a stand-in of AWX's API."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from generate.declared import KINDS
from tests import examples
from tests.awx_api import ADMIN, Awx
from tests.harness import API_KEY, ansible_env
from tests.integration.conftest import Ansible, Run
from tests.tree import ROOT

pytestmark = pytest.mark.once

#: Where the session has the collection awx.awx.
COLLECTIONS = os.environ.get("AWX_COLLECTIONS", "")
needs_awx = pytest.mark.skipif(not COLLECTIONS, reason="AWX_COLLECTIONS does not say where the collection awx.awx is")

GUIDE = "docs/docsite/rst/awx.rst"
DEFAULT_URL = "https://api.pgbeam.com"
OTHER_KEY = "pbo_0cD8-tests-only-Jj6"
ORG_ADMIN = "token-of-an-administrator-of-Other"
NAMED = ["-e", "awx_project=databases", "-e", "awx_inventory=fleet"]
IMAGE = ["-e", "awx_image=registry.example.com/pgbeam-ee"]
VAULT = ["-e", "awx_vault_credential=databases-vault"]
OTHER = ["-e", "awx_organization=Other"]
REGISTER = "Register the databases with PgBeam"
AUDIT = "Audit the databases of PgBeam"
NIGHTLY = f"{AUDIT} every night"


@dataclass
class Administrator:
    """Runs the playbook with what a person has in the environment."""

    ansible: Ansible
    awx: Awx
    url: str
    writes: list[str] = field(default_factory=list)

    def configure(
        self, *words: str, key: str = "", url: str = "", token: str = ADMIN, check: bool = False, status: int = 0
    ) -> Run:
        """Run the playbook. ``writes`` then has the requests of this run that were to change something."""
        before = len(self.awx.writes)
        env = {
            "ANSIBLE_COLLECTIONS_PATH": ansible_env("", self.ansible.home)["ANSIBLE_COLLECTIONS_PATH"]
            + os.pathsep
            + COLLECTIONS,
            "CONTROLLER_HOST": self.url,
            "CONTROLLER_OAUTH_TOKEN": token,
            "PGBEAM_API_KEY": key,
            "PGBEAM_API_URL": url,
        }
        run = self.ansible.playbook("pgbeam.cloud.awx.configure", *words, check=check, env=env)
        assert run.status == status, run.output
        self.writes = self.awx.writes[before:]
        return run


@pytest.fixture
def admin(ansible: Ansible) -> Iterator[Administrator]:
    awx = Awx()
    ansible.secrets += [OTHER_KEY, ADMIN, ORG_ADMIN]
    with awx.running() as url:
        yield Administrator(ansible, awx, url)


def changed(run: Run) -> list[str]:
    """The tasks that changed something, or in check mode, that would."""
    return [event["task"].rpartition(" : ")[2] for event in run.events if event["result"].get("changed")]


class PlaybookLoader(yaml.SafeLoader):
    """Reads what a playbook marks with ``!unsafe`` as the text that it is."""

    def unsafe(self, node: yaml.ScalarNode) -> Any:
        return self.construct_scalar(node)


PlaybookLoader.add_constructor("!unsafe", PlaybookLoader.unsafe)


def play() -> dict[str, Any]:
    """The only play of the playbook, as written."""
    (only,) = yaml.load((ROOT / "playbooks" / "awx" / "configure.yml").read_text(), PlaybookLoader)
    return dict(only)


def configured(module: str) -> list[dict[str, Any]]:
    """The arguments that the playbook passes to this module of awx.awx, task by task."""
    tasks = [inner for task in play()["tasks"] for inner in task.get("block", [task])]
    return [task[f"awx.awx.{module}"] for task in tasks if f"awx.awx.{module}" in task]


def test_the_template_that_can_prune_is_not_sliced() -> None:
    templates = configured("job_template")
    assert [template["job_slice_count"] for template in templates] == [1, 1]
    assert "ask_job_slice_count_on_launch" not in {name for template in templates for name in template}


def test_the_guide_shows_the_credential_type() -> None:
    (made,) = configured("credential_type")
    shown: dict[str, Any] = {}
    for block in examples.blocks(GUIDE, examples.read(GUIDE)):
        if block.title in ("Input configuration", "Injector configuration"):
            shown |= yaml.safe_load(block.text)
    assert shown == {**made["inputs"], **made["injectors"]}


def test_the_guide_has_the_variables_and_their_defaults() -> None:
    guide = examples.read(GUIDE)
    for name, value in play()["vars"].items():
        if isinstance(value, str) and name.startswith("awx_"):
            assert f"``{name}``" in guide
            assert value in guide
    own = ("awx_project", "awx_inventory", "awx_image", "awx_vault_credential", "awx_execution_environment")
    for name in (*own, "awx_survey_lists"):
        assert f"``{name}``" in guide


def test_the_survey_can_ask_for_every_list_of_the_role() -> None:
    assert play()["vars"]["__awx_lists"] == KINDS


def held(awx: Awx, organization: int) -> tuple[str, str]:
    """The key and the URL of the organization's credential."""
    credential = awx.one("credentials", "PgBeam", organization)
    return awx.secrets[credential["id"]]["api_key"], credential["inputs"]["api_url"]


def guided() -> list[str]:
    """The options of the command in the guide."""
    shell = [block for block in examples.blocks(GUIDE, examples.read(GUIDE)) if block.language == "shell"]
    commands = [command.words for block in shell for command in examples.commands(block)]
    (options,) = [words[2:] for words in commands if words[1] == "pgbeam.cloud.awx.configure"]
    return options


@needs_awx
def test_from_nothing_to_what_was_changed_by_hand(admin: Administrator) -> None:
    """A dry run and a run on an AWX without the objects, a second run, drift, and the image left out later."""
    awx, words = admin.awx, guided()
    dry = admin.configure(*words, key=API_KEY, check=True)
    assert admin.writes == []
    assert "key would be set" in dry.output

    live = admin.configure(*words, "-vvvvv", key=API_KEY)
    assert len(changed(dry)) == len(changed(live)) == 6, (changed(dry), changed(live))
    assert held(awx, awx.default) == (API_KEY, DEFAULT_URL)
    kind = awx.one("credential_types", "PgBeam")
    assert kind["injectors"]["env"] == {"PGBEAM_API_KEY": "{{ api_key }}", "PGBEAM_API_URL": "{{ api_url }}"}
    environment = awx.one("execution_environments", "PgBeam")
    assert (environment["image"], environment["pull"]) == ("registry.example.com/pgbeam-ee", "missing")
    register, audit = awx.one("job_templates", REGISTER), awx.one("job_templates", AUDIT)
    assert register["ask_job_type_on_launch"] is True
    for template in (register, audit):
        assert template["execution_environment"] == environment["id"]
        assert awx.credentials(template) == [f"PgBeam of {awx.default}", f"databases-vault of {awx.default}"]
    questions = [[question["variable"] for question in awx.survey(each)["spec"]] for each in (register, audit)]
    assert questions == [["pgbeam_hosts", "pgbeam_test_connection"], ["pgbeam_hosts"]]
    required = [question["required"] for question in awx.survey(audit)["spec"]]
    assert required == [False], "AWX would refuse the schedule, which gives no answers"
    assert awx.one("schedules", NIGHTLY)["unified_job_template"] == audit["id"]

    again = admin.configure(*words, url="https://two.example.com")
    assert (admin.writes, changed(again)) == ([], [])
    assert "kept as it is, because PGBEAM_API_KEY is not set, so PGBEAM_API_URL is not used" in again.output

    before = {number: dict(item) for items in awx.objects.values() for number, item in items.items()}
    register["diff_mode"], audit["description"], kind["description"] = False, "by hand", "by hand"
    kind["injectors"] = {"env": {}}
    awx.one("credentials", "PgBeam")["inputs"]["api_url"] = "https://by-hand.example.com"
    awx.one("schedules", NIGHTLY)["rrule"] = "by hand"
    awx.survey(register)["spec"].pop()
    awx.detach(audit)
    later = [*NAMED, *VAULT, "-vvvvv"]
    dry = admin.configure(*later, key=OTHER_KEY, check=True)
    assert admin.writes == []
    live = admin.configure(*later, key=OTHER_KEY)
    assert changed(live) == [
        "Ensure the credential type passes the API key to a job in its environment",
        "Set the key and the URL of the credential",
        "Ensure the register template exists",
        "Ensure the audit template exists",
        "Return these templates to AWX's default execution environment",
        "Ensure the audit runs every night",
    ]
    assert len(changed(dry)) == len(changed(live))
    for run, verb in ((dry, "would use"), (live, "uses")):
        assert f"job template {REGISTER}: {verb} AWX's default execution environment" in run.output
    assert "key set; to change the URL, set PGBEAM_API_URL too" in live.output
    assert held(awx, awx.default) == (OTHER_KEY, "https://by-hand.example.com")
    after = {number: dict(item) for items in awx.objects.values() for number, item in items.items()}
    for number, item in after.items():
        if item["type"] == "job_template":
            assert item.pop("execution_environment") is None
            assert before[number].pop("execution_environment") == environment["id"]
        if item["type"] != "credential":
            assert item == before[number]
    assert len(awx.survey(register)["spec"]) == 2
    assert awx.credentials(audit) == awx.credentials(register)


@needs_awx
def test_two_organizations(admin: Administrator) -> None:
    """Each has its own objects, and no run for one changes or stops a run for the other.

    The runs for one of them have a token of its administrator, who may do all but create or change the credential type,
    and does not see the other one's objects.
    """
    awx = admin.awx
    awx.tokens[ORG_ADMIN] = other = awx.organization("Other")
    theirs = [*NAMED, *VAULT, *OTHER]
    run = admin.configure(*theirs, key=API_KEY, token=ORG_ADMIN, status=2)
    needed = "run the playbook once with the token of a system administrator"
    assert f"credential type PgBeam: missing, and this token may not create it; {needed}" in run.output
    assert admin.writes == ["POST credential_types/"]

    def check(image: bool) -> None:
        for number in (awx.default, other):
            assert awx.names("credentials", number) == ["PgBeam", "databases-vault"]
            for name in (REGISTER, AUDIT):
                template = awx.one("job_templates", name, number)
                assert awx.objects["inventories"][template["inventory"]]["organization"] == number
                assert awx.objects["projects"][template["project"]]["organization"] == number
                assert awx.credentials(template) == [f"PgBeam of {number}", f"databases-vault of {number}"]
                environment = awx.objects["execution_environments"].get(template["execution_environment"])
                assert (environment and environment["organization"]) == (number if image else None)

    admin.configure(*NAMED, *VAULT, *IMAGE, key=API_KEY)
    admin.configure(*theirs, *IMAGE, "-vvvvv", key=OTHER_KEY, url="https://two.example.com", token=ORG_ADMIN)
    check(image=True)
    awx.one("credential_types", "PgBeam")["description"] = "by hand"
    run = admin.configure(*theirs, token=ORG_ADMIN)
    assert "credential type PgBeam: kept as it is" in run.output
    cleared = ["Return these templates to AWX's default execution environment"]
    assert changed(run) == cleared
    awx.one("credential_types", "PgBeam")["description"] = "An API key of PgBeam"
    assert changed(admin.configure(*NAMED, *VAULT)) == cleared
    check(image=False)
    assert held(awx, awx.default) == (API_KEY, DEFAULT_URL)
    assert held(awx, other) == (OTHER_KEY, "https://two.example.com")
    assert awx.names("execution_environments", awx.default) == ["PgBeam"]
    assert awx.names("execution_environments", other) == ["PgBeam (Other)"]
    assert awx.names("credential_types") == ["PgBeam", "Vault"]
    assert awx.names("schedules") == [NIGHTLY, NIGHTLY]

    awx.one("credential_types", "PgBeam")["injectors"] = {"env": {"PGBEAM_API_KEY": "{{ api_key }}"}}
    run = admin.configure(*theirs, token=ORG_ADMIN, status=2)
    reason = "this token may not change it, or AWX does not change it because it is in use"
    assert f"it does not set PGBEAM_API_KEY and PGBEAM_API_URL, and {reason}; {needed}" in run.output


@needs_awx
def test_the_names_are_variables(admin: Administrator) -> None:
    awx = admin.awx
    names = {
        "awx_credential_type": "PgBeam API key",
        "awx_credential": "Key of shop",
        "awx_execution_environment": "Shop",
        "awx_register_template": "Register shop",
        "awx_audit_template": "Audit shop",
        "awx_schedule": "Shop every night",
    }
    words = [word for name, value in names.items() for word in ("-e", f"{name}='{value}'")]
    admin.configure(*NAMED, *IMAGE, *words, key=API_KEY)
    for name, kind in zip(names, ("credential_types", "credentials", "execution_environments")):
        assert awx.one(kind, names[name])
    assert awx.names("job_templates") == ["Audit shop", "Register shop"]
    assert awx.names("schedules") == ["Shop every night"]
    # Without an image, the templates use the execution environment of that name.
    run = admin.configure(*NAMED, *words)
    assert (admin.writes, changed(run)) == ([], [])
    # Without either, they use the default one. A failure to clear the field is not hidden with the token.
    place = words.index("awx_execution_environment='Shop'")
    words[place - 1 : place + 1] = []
    audit = awx.one("job_templates", "Audit shop")
    awx.refused = {f"PATCH job_templates/{audit['id']}": {"detail": "No."}}
    run = admin.configure(*NAMED, *words, "-vvvvv", status=2)
    failed = "Audit shop: still uses an execution environment, and clearing it failed (Status code was 400"
    assert f"job template {failed}" in run.output
    assert "job template Register shop: uses AWX's default execution environment" in run.output
    awx.organization("Other")
    run = admin.configure(*NAMED, *IMAGE, *words, *OTHER, "-e", "awx_execution_environment=Shop", key=API_KEY, status=2)
    assert "execution environment Shop: does not belong to organization Other" in run.output
    assert admin.writes == []


@needs_awx
def test_lists_in_the_survey(admin: Administrator) -> None:
    """An answer to such a question replaces the inventory's list, so it must be given."""
    awx = admin.awx
    for wrong in ('["agents", "databases"]', '"agents"'):
        run = admin.configure(*NAMED, "-e", f'{{"awx_survey_lists": {wrong}}}', key=API_KEY, status=2)
        assert "is not allowed; it must be a list with any of query_templates, policies, agents, " in run.output
        assert admin.writes == []
    admin.configure(*NAMED, "-e", '{"awx_survey_lists": ["query_templates", "agents"]}', key=API_KEY)
    asked = awx.survey(awx.one("job_templates", REGISTER))["spec"][2:]
    assert [(each["question_name"], each["variable"]) for each in asked] == [
        ("Query templates", "pgbeam_query_templates"), ("Agents", "pgbeam_agents"),
    ]  # fmt: skip
    assert {(each["type"], each["required"], "default" in each) for each in asked} == {("textarea", True, False)}
    assert len(awx.survey(awx.one("job_templates", AUDIT))["spec"]) == 1
    again = admin.configure(*NAMED, "-e", '{"awx_survey_lists": ["query_templates", "agents"]}')
    assert (admin.writes, changed(again)) == ([], [])
    admin.configure(*NAMED)
    assert len(awx.survey(awx.one("job_templates", REGISTER))["spec"]) == 2


@needs_awx
def test_without_a_key(admin: Administrator) -> None:
    """The credential type is created, so that the credential can be created in AWX."""
    awx = admin.awx
    run = admin.configure(*NAMED, status=2)
    needed = "missing; set PGBEAM_API_KEY, or create the credential"
    assert f"credential PgBeam of organization Default: {needed}" in run.output
    assert "``credential PgBeam of organization Default: missing``" in examples.read(GUIDE)
    assert admin.writes == ["POST credential_types/"]
    kind = awx.one("credential_types", "PgBeam")["id"]
    awx.add("credentials", name="PgBeam", organization=awx.organization("Other"), credential_type=kind)
    assert needed in admin.configure(*NAMED, status=2).output
    own = awx.add("credentials", name="PgBeam", credential_type=kind, inputs={"api_key": API_KEY})
    admin.configure(*NAMED)
    assert awx.credentials(awx.one("job_templates", AUDIT)) == [f"PgBeam of {None}"]
    assert own["inputs"] == {"api_key": "$encrypted$"}


@needs_awx
def test_what_is_missing_is_reported_in_a_sentence(admin: Administrator) -> None:
    awx = admin.awx
    run = admin.configure(key=API_KEY, status=2)
    for variable in ("awx_project", "awx_inventory"):
        assert f"{variable}: missing; set it to the name of the AWX" in run.output
    run = admin.configure(*NAMED, *OTHER, key=API_KEY, status=2)
    assert "organization Other: not found, or not visible to this token" in run.output
    variables = ("awx_project", "awx_inventory", "awx_vault_credential", "awx_execution_environment")
    run = admin.configure(*[word for name in variables for word in ("-e", f"{name}=x")], key=API_KEY, status=2)
    for kind in ("project", "inventory", "vault credential", "execution environment"):
        assert f"{kind} x of organization Default: not found; create it in AWX, or set awx_" in run.output
    assert awx.writes == [], "nothing is created before the input is checked"

    awx.refused = {"POST credentials": {"inputs": [f"{API_KEY} is refused"]}}
    run = admin.configure(*NAMED, "-vvvvv", key=API_KEY, status=2)
    assert "credential PgBeam of organization Default: not set: Unable to create credential PgBeam" in run.output
    awx.refused = {}
    (project,) = awx.playbooks
    awx.playbooks[project] = ["register.yml"]
    run = admin.configure(*NAMED, key=API_KEY, status=2)
    missing = "project databases of organization Default: AWX finds no playbook audit.yml in it"
    assert f"{missing}; sync the project in AWX" in run.output
    awx.playbooks[project] = ["audit.yml"]
    awx.one("job_templates", REGISTER)["diff_mode"] = False
    run = admin.configure(*NAMED, status=2)
    assert "AWX finds no playbook register.yml in it; sync the project in AWX" in run.output
