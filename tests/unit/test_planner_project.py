# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner for projects, in tables: the object on the server, the task, and the plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import NOT_SHOWN, Plan, make_plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.validation import (
    drop_nulls,
    missing_identity,
    response_error,
    validate,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.nested import refuse_unexpected
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT

pytestmark = pytest.mark.once

PASSWORD = "Pw-7fQ2-only-in-tests"
LEFT_OUT = object()
LIVE: Values = {
    "id": "prj_1",
    "org_id": "org_1",
    "name": "shop",
    "description": "Databases of the web shop",
    "tags": ["prod", "eu"],
    "cloud": "aws",
    "self_hosted": False,
    "allowed_cidrs": [{"cidr": "10.0.0.0/8", "label": "VPC"}, {"cidr": "2001:db8::/32"}],
    "agents_disabled": False,
    "default_policy_profile_id": None,
    "residency": "any",
    "status": "active",
    "proxy_host": "prj-1.proxy.pgbeam.app",
    "queries_per_second": 1000,
    "burst_size": 200,
    "max_connections": 500,
    "database_count": 1,
    "active_connections": 0,
    "created_at": "2026-11-01T08:00:00Z",
    "updated_at": "2026-11-01T08:00:00Z",
}
DATABASE: Values = {"host": "db1.example.com", "name": "orders", "username": "app", "password": PASSWORD}
SENT: Values = {**DATABASE, "port": 5432}
NEW: Values = {"org_id": "org_1", "name": "shop"}
VPC: Values = {"cidr": "10.0.0.0/8", "label": "VPC"}
LAB: Values = {"cidr": "2001:db8::/32", "label": ""}
#: The fields that answers may omit if they are empty.
OPTIONAL = (
    "description", "tags", "self_hosted", "allowed_cidrs", "agents_disabled", "default_policy_profile_id",
)  # fmt: skip


def live(**fields: Any) -> Values:
    """A project as the server answers it; what is LEFT_OUT is not in the answer."""
    return {name: value for name, value in {**LIVE, **fields}.items() if value is not LEFT_OUT}


#: The fields that a create does not accept, with their documented defaults.
AT_FIRST: Values = {
    "allowed_cidrs": [],
    "agents_disabled": False,
    "default_policy_profile_id": "",
    "residency": "any",
    "status": "active",
}
BARE = live(**dict.fromkeys(OPTIONAL, LEFT_OUT))


def task(**fields: Any) -> Values:
    return {"org_id": "org_1", "name": "shop", **fields}


def planned(server: list[Values], wanted: Values, state: str = "present", resend: bool = False) -> Plan:
    return make_plan(PROJECT, wanted, Index(PROJECT, server).find(wanted, state), state, resend)


@dataclass
class Case:
    server: Values | None
    task: Values
    action: str = "unchanged"
    body: Values = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)
    #: The body of the update after a create, as far as the created project differs.
    late: Values = field(default_factory=dict)
    state: str = "present"

    def plan(self) -> Plan:
        return planned([] if self.server is None else [self.server], self.task, self.state)


def changed(name: str, old: Any, new: Any, sent: Any = None, wanted: Values | None = None) -> Case:
    """A case in which one field changes; ``sent`` if that differs from the task."""
    sent = new if sent is None else sent
    wanted = task(**{name: new}) if wanted is None else wanted
    before = {"tags": [], "allowed_cidrs": []}.get(name, old) if old is LEFT_OUT else old
    return Case(live(**{name: old}), wanted, "updated", {name: sent}, [name], {name: before}, {name: sent})


def created(sent: Values, late: Values, **named_fields: Any) -> Case:
    """A case in which there is no such project; ``sent`` comes on top of a minimal create, ``late`` after it."""
    body = {**NEW, **sent}
    wanted = task(database=DATABASE, **named_fields)
    return Case(None, wanted, "created", body, [*body, *late], {}, {**body, **late}, late)


# fmt: off
CASES = {
    "create-minimal": created({}, {}),
    "create-all-that-it-takes": created(
        {"description": "Shop", "tags": ["b", "a"], "cloud": "gcp", "self_hosted": True}, {},
        description="Shop", tags=["b", "a"], cloud="gcp", self_hosted=True,
    ),
    "create-empty-values": created({"description": "", "tags": []}, {}, description="", tags=[]),
    "create-late-fields": created(
        {}, {
            "allowed_cidrs": [{"cidr": "10.0.0.1"}, VPC], "agents_disabled": True,
            "default_policy_profile_id": "pol_1", "residency": "eu", "status": "suspended",
        },
        allowed_cidrs=[{"cidr": "10.0.0.1"}, VPC], agents_disabled=True, default_policy_profile_id="pol_1",
        residency="eu", status="suspended",
    ),
    "create-late-fields-at-their-default": created({}, AT_FIRST, **AT_FIRST),
    "unchanged-identity-alone": Case(live(), task()),
    "unchanged-every-field": Case(live(), task(**{n: LIVE[n] for n in (*OPTIONAL, "status") if LIVE[n] is not None})),
    "unchanged-left-out-fields-at-zero": Case(BARE, task(
        description="", tags=[], self_hosted=False, allowed_cidrs=[], agents_disabled=False,
        default_policy_profile_id="", status="active",
    )),
    "unchanged-with-the-database-named": Case(live(), task(database=DATABASE)),
    "unchanged-profile-empty-for-null": Case(live(), task(default_policy_profile_id="")),
    "unchanged-profile-empty-for-empty": Case(
        live(default_policy_profile_id=""), task(default_policy_profile_id="")
    ),
    "unchanged-tags-in-another-order": Case(live(), task(tags=["eu", "prod"])),
    "unchanged-tag-named-twice": Case(live(), task(tags=["eu", "prod", "eu"])),
    "unchanged-cidrs-in-another-order": Case(live(), task(allowed_cidrs=[LAB, VPC])),
    "unchanged-cidrs-of-the-same-networks": Case(
        live(allowed_cidrs=[{"cidr": "10.0.0.1/32"}, {"cidr": "10.0.0.0/8"}, {"cidr": "2001:db8::1/128"}]),
        task(allowed_cidrs=[{"cidr": "10.0.0.1"}, {"cidr": "10.9.8.7/8"}, {"cidr": "2001:0DB8:0::1"}]),
    ),
    "unchanged-labels-not-named": Case(live(), task(allowed_cidrs=[{"cidr": "10.0.0.0/8"}, {"cidr": "2001:db8::/32"}])),
    "unchanged-empty-label-for-none": Case(live(), task(allowed_cidrs=[VPC, LAB])),
    "update-description": changed("description", "Shop", "Databases"),
    "update-description-to-empty": changed("description", "Shop", ""),
    "update-name-by-id": changed("name", "shop", "archive", wanted={"id": "prj_1", "name": "archive"}),
    "update-name-case-by-id": changed("name", "shop", "Shop", wanted={"id": "prj_1", "name": "Shop"}),
    "update-status": changed("status", "active", "suspended"),
    "update-status-back": changed("status", "suspended", "active"),
    "update-residency": changed("residency", "any", "us"),
    "update-agents-disabled": changed("agents_disabled", True, False),
    "update-profile": changed("default_policy_profile_id", "pol_1", "pol_2"),
    "update-profile-cleared": changed("default_policy_profile_id", "pol_1", ""),
    "update-tag-removed": changed("tags", ["prod", "eu"], ["prod"]),
    "update-tag-added": changed("tags", ["prod"], ["prod", "eu"]),
    "update-tag-case": changed("tags", ["prod"], ["Prod"]),
    "update-tags-cleared": changed("tags", ["prod"], []),
    "update-tags-left-out": changed("tags", LEFT_OUT, ["prod"]),
    "update-cidrs-cleared": changed("allowed_cidrs", [VPC], []),
    "update-cidrs-left-out": changed("allowed_cidrs", LEFT_OUT, [VPC]),
    "update-cidr-added-keeps-the-labels-that-are-there": changed(
        "allowed_cidrs", [VPC], [{"cidr": "10.1.1.1/8"}, {"cidr": "10.0.0.1"}],
        [{"cidr": "10.1.1.1/8", "label": "VPC"}, {"cidr": "10.0.0.1"}],
    ),
    "update-cidr-removed": changed("allowed_cidrs", [VPC, LAB], [VPC]),
    "update-cidr-prefix": changed("allowed_cidrs", [VPC], [{"cidr": "10.0.0.0/9", "label": "VPC"}]),
    "update-cidr-label": changed("allowed_cidrs", [VPC], [{"cidr": "10.0.0.0/8", "label": "Office"}]),
    "update-cidr-label-cleared": changed("allowed_cidrs", [VPC], [{"cidr": "10.0.0.0/8", "label": ""}]),
    "delete": Case(live(), task(), "deleted", before=live(), state="absent"),
    "delete-by-id": Case(live(), {"id": "prj_1"}, "deleted", before=live(), state="absent"),
    "absent-already": Case(None, task(), state="absent"),
    "absent-already-by-id": Case(None, {"id": "prj_1"}, state="absent"),
    "absent-in-another-organization": Case(live(org_id="org_2"), task(), state="absent"),
}
# fmt: on
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@each_case
def test_plan(case: Case) -> None:
    result = case.plan()
    assert (result.action, result.body, result.changes) == (case.action, case.body, case.changes)
    assert (result.before, result.after) == (case.before, case.after)
    assert (result.nested is not None) == (case.action == "created")
    assert result.deferred == case.late


@pytest.mark.parametrize(
    "made, sent",
    [
        (AT_FIRST, {}),
        ({**AT_FIRST, "allowed_cidrs": None, "default_policy_profile_id": None}, {}),
        ({**AT_FIRST, "agents_disabled": True, "residency": "eu"}, {"agents_disabled": False, "residency": "any"}),
    ],
    ids=["as documented", "left out", "otherwise"],
)
def test_what_follows_a_create(made: Values, sent: Values) -> None:
    """The values in which the created object differs from the task, whatever the documented default is."""
    late = CASES["create-late-fields-at-their-default"].plan().deferred
    assert make_plan(PROJECT, late, live(**made), "present", False).body == sent


@each_case
def test_a_prediction_has_the_fields_of_a_live_object(case: Case) -> None:
    predicted = case.plan().predict()
    assert set(predicted) == (set() if case.state == "absent" else set(LIVE))
    if case.state == "present":
        assert {name: predicted[name] for name in case.late} == case.late


def test_a_create_has_the_first_database_in_its_body() -> None:
    result = CASES["create-late-fields"].plan()
    assert result.create_body == {**NEW, "database": SENT}
    first = result.nested
    assert first is not None
    assert (first.action, first.body, first.after) == ("created", SENT, {**SENT, "password": NOT_SHOWN})
    assert PASSWORD not in repr([result.diff(), result.predict(), first.diff(), first.predict()])


@pytest.mark.parametrize(
    "wanted, sentence",
    [
        (task(), "project shop of org_1 does not exist yet; set database to create it"),
        (
            task(database={"host": "db1", "name": "orders", "username": "app"}),
            "database orders on db1:5432 does not exist yet; set password to create it",
        ),
        (
            {"id": "prj_2", "org_id": "org_1"},
            "project prj_2 was not found in organization org_1, or is not visible to this API key; "
            "check the id, or omit it to create a new project",
        ),
        (
            {"id": "prj_2", "name": "shop"},
            "project prj_2 was not found in PgBeam, or is not visible to this API key; "
            "check the id, or omit it to create a new project",
        ),
    ],
    ids=["no database", "no password", "id in an organization", "id"],
)
def test_what_cannot_be_created(wanted: Values, sentence: str) -> None:
    with pytest.raises(TaskError) as caught:
        planned([], wanted)
    assert str(caught.value) == sentence


ADVICE = "set the current value, omit the option, or create another project"


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize(
    "server, wanted, reported",
    [
        (live(), task(cloud="gcp"), f"cloud is 'aws' and cannot be changed to 'gcp'; {ADVICE}"),
        (
            live(cloud=LEFT_OUT),
            task(cloud="aws"),
            "PgBeam does not return cloud, so it cannot be compared with 'aws'; omit cloud",
        ),
        (live(), task(self_hosted=True), f"self_hosted is False and cannot be changed to True; {ADVICE}"),
        (
            live(self_hosted=LEFT_OUT),
            task(self_hosted=True),
            f"self_hosted is False and cannot be changed to True; {ADVICE}",
        ),
        (live(), {"id": "prj_1", "org_id": "org_2"}, f"org_id is 'org_1' and cannot be changed to 'org_2'; {ADVICE}"),
    ],
    ids=["cloud", "cloud left out", "self_hosted", "self_hosted left out", "org_id"],
)
def test_an_immutable_field_cannot_be_changed(server: Values, wanted: Values, reported: str, state: str) -> None:
    """Nor is a project deleted that is another one than the task describes."""
    with pytest.raises(TaskError) as caught:
        planned([server], wanted, state)
    if state == "absent":  # to create another one is not what the task is for
        reported = reported.replace(ADVICE, "set the current value, or omit the option")
    assert str(caught.value) == f"project shop of org_1: {reported}"


@pytest.mark.parametrize(
    "server, wanted, found",
    [
        pytest.param([], task(), None, id="nothing there"),
        pytest.param([live()], task(), "prj_1", id="organization and name"),
        pytest.param([live(name="Shop")], task(), None, id="names differ in case"),
        pytest.param([live(), live(id="prj_2", name="other")], task(name="other"), "prj_2", id="another name"),
        pytest.param([live(), live(id="prj_2")], {"id": "prj_2"}, "prj_2", id="id of one of two"),
    ],
)
def test_find(server: list[Values], wanted: Values, found: str | None) -> None:
    match = Index(PROJECT, server).find(wanted)
    assert (match and match["id"]) == found


@pytest.mark.parametrize("state", ["present", "absent"])
def test_two_projects_of_one_name_are_distinguished_by_id(state: str) -> None:
    server = [live(id="prj_2"), live(id="prj_1")]
    reported = r"^project shop of org_1 exists 2 times in PgBeam \(prj_1, prj_2\); set id to choose one"
    with pytest.raises(TaskError, match=reported):
        planned(server, task(), state)
    (duplicates,) = Index(PROJECT, server).duplicate_warnings()
    assert "prj_1, prj_2" in duplicates


@pytest.mark.parametrize("status, gone", [("active", False), ("suspended", False), ("deleted", True)])
def test_a_project_that_is_shown_as_deleted_is_gone(status: str, gone: bool) -> None:
    assert PROJECT.is_deleted(live(status=status)) == gone


ORDERS: Values = {"id": "db_1", "host": "db1", "port": 5432, "name": "orders", "username": "app"}
INVOICES: Values = {**ORDERS, "id": "db_2", "name": "invoices"}
READER: Values = {**ORDERS, "id": "db_3", "username": "reader"}
ELSEWHERE: Values = {**ORDERS, "id": "db_4", "host": "db2"}
NAMED: Values = {"host": "DB1", "name": "orders"}


@pytest.mark.parametrize(
    "items, named_database, expected, surplus",
    [
        pytest.param([], None, [], [], id="an empty project"),
        pytest.param([ORDERS], None, [], [ORDERS], id="nothing expected"),
        pytest.param([ORDERS, INVOICES], None, ["orders", "db_2"], [], id="by name and by id"),
        pytest.param([ORDERS, INVOICES], None, ["orders", "stock"], [INVOICES], id="one more than expected"),
        pytest.param([ORDERS, ELSEWHERE], None, ["orders"], [ORDERS, ELSEWHERE], id="a name of two"),
        pytest.param([ORDERS, ELSEWHERE], None, ["orders", "db_1"], [ELSEWHERE], id="an id and a name of two"),
        pytest.param([ORDERS, INVOICES], NAMED, [], [INVOICES], id="the database that the task names"),
        pytest.param([ORDERS], {**NAMED, "port": 6432}, [], [ORDERS], id="another port"),
        pytest.param([ORDERS, READER], NAMED, [], [ORDERS, READER], id="the database named is there twice"),
        pytest.param([ORDERS, READER], {**NAMED, "username": "reader"}, [], [ORDERS], id="one of two by username"),
        pytest.param([READER], {**NAMED, "username": "app"}, [], [READER], id="another username"),
    ],
)
def test_what_may_go_with_a_project(
    items: list[Values], named_database: Values | None, expected: list[str], surplus: list[Values]
) -> None:
    wanted = task(database=named_database) if named_database else task()
    result = planned([live()], wanted, "absent")
    if not surplus:
        refuse_unexpected(result, items, expected)
        return
    with pytest.raises(TaskError) as caught:
        refuse_unexpected(result, items, expected)
    reported = ", ".join(f"database {item['name']} on {item['host']}:5432 ({item['id']})" for item in surplus)
    assert str(caught.value) == (
        "project shop of org_1 (prj_1): deleting it would also delete unexpected databases "
        f"({len(surplus)} of {len(items)}): {reported}; add each to expected_databases, or set force: true"
    )


def test_a_refusal_names_five_databases_and_counts_the_others() -> None:
    items = [{**ORDERS, "id": f"db_{n}", "name": f"d{n}"} for n in range(8)]
    with pytest.raises(TaskError) as caught:
        refuse_unexpected(planned([live()], task(), "absent"), items, ["d0"])
    assert "would also delete unexpected databases (7 of 8): database d1 on" in str(caught.value)
    assert "(db_5) and 2 more; add each" in str(caught.value)


TAG_RULE = "is not allowed; it must be text of at most 50 characters"
CIDR_RULE = "is not allowed; it must be an IPv4 or IPv6 address, with or without a prefix length"
LIST, OBJECT = "was given; it must be a list", "was given; it must be a dictionary"
BAD_VALUES: dict[str, tuple[Values, str]] = {
    "org-empty": ({"org_id": ""}, "org_id: '' is not allowed; it must be an organization's id"),
    "org-line-break": ({"org_id": "o\n"}, "org_id: 'o\\n' is not allowed; it must be an organization's id"),
    "name-empty": ({"name": ""}, "name: '' is not allowed; it must be text of 1 to 100 characters"),
    "name-long": ({"name": "x" * 101}, f"name: '{'x' * 101}' is not allowed; it must be text of 1 to 100 characters"),
    "name-nul": ({"name": "a\0"}, "name: 'a\\x00' is not allowed; it must be text of 1 to 100 characters"),
    "name-list": ({"name": ["shop"]}, "name: ['shop'] is a list; it must be text"),
    "description-long": (
        {"description": "x" * 501},
        f"description: '{'x' * 501}' is not allowed; it must be text of at most 500 characters",
    ),
    "description-dict": (
        {"description": {"a": 1}},
        "description: {'a': 1} is a dictionary; it must be text",
    ),
    "cloud": ({"cloud": "ibm"}, "cloud: 'ibm' is not allowed; it must be one of aws, azure, gcp"),
    "cloud-list": ({"cloud": ["aws"]}, "cloud: ['aws'] is a list; it must be text"),
    "status": ({"status": "deleted"}, "status: 'deleted' is not allowed; it must be one of active, suspended"),
    "residency": ({"residency": "de"}, "residency: 'de' is not allowed; it must be one of any, us, eu"),
    "self-hosted": ({"self_hosted": "maybe"}, "self_hosted: 'maybe' is not allowed; it must be true or false"),
    "self-hosted-list": ({"self_hosted": [True]}, "self_hosted: [True] is not allowed; it must be true or false"),
    "profile": (
        {"default_policy_profile_id": "pol/1"},
        "default_policy_profile_id: 'pol/1' is not allowed; it must be the id of a policy, or empty",
    ),
    "tags-number": ({"tags": 5}, f"tags: a number {LIST}"),
    "tags-dict": ({"tags": {"a": 1}}, f"tags: a dictionary {LIST}"),
    "tags-many": ({"tags": list("abcdefghijk")}, "tags: 11 elements are too many; the maximum is 10"),
    "tags-many-in-text": ({"tags": "a,b,c,d,e,f,g,h,i,j,k"}, "tags: 11 elements are too many; the maximum is 10"),
    "tag-long": ({"tags": ["a", "x" * 51]}, f"tags[1]: '{'x' * 51}' {TAG_RULE}"),
    "tag-long-in-text": ({"tags": f"a,{'x' * 51}"}, f"tags[1]: '{'x' * 51}' {TAG_RULE}"),
    "tag-nul": ({"tags": ["a\0"]}, f"tags[0]: 'a\\x00' {TAG_RULE}"),
    "tag-null": ({"tags": ["a", None]}, "tags[1]: null is not allowed; set a value, or omit it"),
    "tag-list": ({"tags": [["a"]]}, "tags[0]: ['a'] is a list; it must be text"),
    "tag-dict": ({"tags": [{"a": 1}]}, "tags[0]: {'a': 1} is a dictionary; it must be text"),
    "cidrs-text": ({"allowed_cidrs": "10.0.0.0/8"}, f"allowed_cidrs: text {LIST}"),
    "cidrs-dict": ({"allowed_cidrs": VPC}, f"allowed_cidrs: a dictionary {LIST}"),
    "cidrs-many": (
        {"allowed_cidrs": [{"cidr": f"10.0.0.{n}"} for n in range(51)]},
        "allowed_cidrs: 51 elements are too many; the maximum is 50",
    ),
    "cidr-text": ({"allowed_cidrs": ["10.0.0.0/8"]}, f"allowed_cidrs[0]: text {OBJECT}"),
    "cidr-null": ({"allowed_cidrs": [VPC, None]}, "allowed_cidrs[1]: null is not allowed; set a value, or omit it"),
    "cidr-missing": ({"allowed_cidrs": [{"label": "VPC"}]}, "allowed_cidrs[0].cidr: missing; set a value"),
    "cidr-name": ({"allowed_cidrs": [{"cidr": "example.com"}]}, f"allowed_cidrs[0].cidr: 'example.com' {CIDR_RULE}"),
    "cidr-octet": ({"allowed_cidrs": [{"cidr": "1.0.0.256"}]}, f"allowed_cidrs[0].cidr: '1.0.0.256' {CIDR_RULE}"),
    "cidr-prefix": (
        {"allowed_cidrs": [VPC, {"cidr": "::/129"}]},
        f"allowed_cidrs[1].cidr: '::/129' {CIDR_RULE}",
    ),
    "cidr-number": ({"allowed_cidrs": [{"cidr": 10}]}, f"allowed_cidrs[0].cidr: 10 {CIDR_RULE}"),
    "cidr-list": (
        {"allowed_cidrs": [{"cidr": ["10.0.0.1"]}]},
        "allowed_cidrs[0].cidr: ['10.0.0.1'] is a list; it must be text",
    ),
    "cidr-misspelled": (
        {"allowed_cidrs": [{**VPC, "lable": "x"}]},
        "allowed_cidrs[0].lable: unknown option; did you mean label?",
    ),
    "cidr-label-long": (
        {"allowed_cidrs": [{"cidr": "10.0.0.1", "label": "x" * 101}]},
        f"allowed_cidrs[0].label: '{'x' * 101}' is not allowed; it must be text of at most 100 characters",
    ),
    "cidr-twice": (
        {"allowed_cidrs": [VPC, {"cidr": "10.9.9.9/8"}]},
        "allowed_cidrs[0] and allowed_cidrs[1] have the same cidr (10.9.9.9/8); keep one of them",
    ),
    "cidr-twice-as-address": (
        {"allowed_cidrs": [{"cidr": "10.0.0.1"}, {"cidr": "10.0.0.1/32", "label": "x"}]},
        "allowed_cidrs[0] and allowed_cidrs[1] have the same cidr (10.0.0.1/32); keep one of them",
    ),
    "database-text": ({"database": f"host=db1 password={PASSWORD}"}, f"database: text {OBJECT}"),
    "database-list": ({"database": [DATABASE]}, f"database: a list {OBJECT}"),
    "database-port": (
        {"database": {**DATABASE, "port": 0}},
        "database.port: 0 is not allowed; it must be a whole number from 1 to 65535",
    ),
    "database-host-list": (
        {"database": {**DATABASE, "host": ["db1"]}},
        "database.host: ['db1'] is a list; it must be text",
    ),
    "database-id": (
        {"database": {**DATABASE, "id": "db_1"}},
        "database.id: unknown option; valid options are auto_read_routing, cache_config, host, name, password, "
        "pool_config, pool_region, port, query_timeout_ms, role, ssl_mode, username",
    ),
    "database-password": (
        {"database": {**DATABASE, "password": 12}},
        "database.password: the value is a number, not text; put it in quotes, even in a vault file",
    ),
    "database-password-misspelled": (
        {"database": {**DATABASE, "pasword": PASSWORD}},
        "database.pasword: unknown option; did you mean password?",
    ),
    "database-member": (
        {"database": {**DATABASE, "cache_config": {"ttl_seconds": -1}}},
        "database.cache_config.ttl_seconds: -1 is not allowed; it must be a whole number from 0 to 86400",
    ),
    "database-member-in-text": (
        {"database": {**DATABASE, "cache_config": "ttl_seconds=-1"}},
        "database.cache_config.ttl_seconds: '-1' is not allowed; it must be a whole number from 0 to 86400",
    ),
    "database-member-in-json": (
        {"database": {**DATABASE, "cache_config": '{"ttl_second": 1}'}},
        "database.cache_config.ttl_second: unknown option; did you mean ttl_seconds?",
    ),
    "database-member-no-text": (
        {"database": {**DATABASE, "cache_config": "fast"}},
        f"database.cache_config: text {OBJECT}",
    ),
    "database-member-list": (
        {"database": {**DATABASE, "pool_config": [None]}},
        f"database.pool_config: a list {OBJECT}",
    ),
    "id": ({"id": "prj/1"}, "id: 'prj/1' is not an id; it must consist of letters, digits, '_', '.' and '-'"),
}


@pytest.mark.parametrize("values, sentence", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_bad_value(values: Values, sentence: str) -> None:
    assert validate(PROJECT, values) == [sentence]
    assert PASSWORD not in sentence


@pytest.mark.parametrize(
    "values",
    [
        task(database=DATABASE, id="prj_1"),
        {"name": "x" * 100, "description": "x" * 500, "tags": ["x" * 50] * 10},
        {"name": "büro\n", "description": "two\nlines", "tags": [""], "default_policy_profile_id": ""},
        {"allowed_cidrs": [{"cidr": f"10.0.0.{n}", "label": "x" * 100} for n in range(50)]},
        {
            "allowed_cidrs": [
                {"cidr": "10.0.0.1", "label": None},
                {"cidr": "::/0", "label": ""},
                "cidr=10.0.0.2 label=x",
            ]
        },
        {"tags": "a,b", "self_hosted": "yes", "name": 5, "database": {**DATABASE, "cache_config": "ttl_seconds=5"}},
        {"tags": None, "allowed_cidrs": None, "database": None, "status": None},
    ],
    ids=["usual", "longest", "unusual", "most networks", "networks", "text as core reads it", "nulls"],
)
def test_allowed_values(values: Values) -> None:
    assert validate(PROJECT, values) == []


@pytest.mark.parametrize(
    "wanted, sentence",
    [
        (task(), None),
        ({"id": "prj_1"}, None),
        ({"name": "shop"}, "org_id: missing; set org_id and name, or id, to identify the project"),
        ({"org_id": "org_1"}, "name: missing; set org_id and name, or id, to identify the project"),
        (task(database={"host": "db1", "name": "orders"}), None),
        (
            {"id": "prj_1", "database": {"name": "orders"}},
            "database.host: missing; set host and name to identify the database",
        ),
    ],
    ids=["identity", "id", "no organization", "no name", "database", "database without a host"],
)
def test_incomplete(wanted: Values, sentence: str | None) -> None:
    assert missing_identity(PROJECT, wanted) == sentence


def test_drop_nulls_removes_what_core_adds_at_every_depth() -> None:
    options = {
        "tags": [],
        "description": "",
        "status": None,
        "allowed_cidrs": [{"cidr": "10.0.0.1", "label": None}],
        "database": {"host": "db1", "port": None, "cache_config": {"enabled": None}},
    }
    assert drop_nulls(options) == {
        "tags": [], "description": "", "allowed_cidrs": [{"cidr": "10.0.0.1"}], "database": {"host": "db1"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields, reported",
    [
        ({}, None),
        ({"allowed_cidrs": [{"cidr": "10.0.0.0/8", "since": 1}], "extra": 1}, None),
        ({"tags": "prod"}, "an object in which the type of tags is not list"),
        ({"tags": [5]}, "an object in which the type of tag is not str"),
        ({"tags": [None]}, "an object in which the type of tag is not str"),
        ({"allowed_cidrs": [None]}, "an object in which the type of cidr is not dict"),
        ({"allowed_cidrs": ["10.0.0.0/8"]}, "an object in which the type of cidr is not dict"),
        ({"allowed_cidrs": [{"cidr": 10}]}, "an object in which the type of cidr is not str"),
        ({"self_hosted": 1}, "an object in which the type of self_hosted is not bool"),
    ],
)
def test_an_invalid_object(fields: Values, reported: str | None) -> None:
    assert response_error(PROJECT, live(**fields)) == reported
