# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of objects that the sandbox has. One more is one more declaration here, and nothing elsewhere."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta, timezone
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from pgbeam import models
from pydantic import AfterValidator, Field

from tests.sandbox.databases import not_connected, test_connection
from tests.sandbox.declaration import Item, Kind, OneTime, Operation
from tests.sandbox.refusals import Refusal, invalid

if TYPE_CHECKING:
    from tests.sandbox.state import Organization, Project

NOT_NEGATIVE = Field(ge=0)
TEXT = Field(min_length=1, pattern=r"^[^\x00]+$")
ANY_TEXT = Field(pattern=r"^[^\x00]*$")
SECONDS = Field(ge=0, le=86400)
CONNECTIONS = Field(ge=1, le=10000)
LABEL = Field(min_length=1, max_length=128)
DNS_LABEL = "[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"

HOST_AND_PORT: dict[str, Any] = {
    "host": Field(min_length=1, pattern=r"^[^\s\x00]+$"),
    "port": Field(ge=1, le=65535),
}
DATABASE: dict[str, Any] = {
    **HOST_AND_PORT,
    "name": TEXT,
    "username": TEXT,
    "password": TEXT,
    "pool_region": ANY_TEXT,
    "query_timeout_ms": Field(ge=0, le=300000),
    "cache_config.ttl_seconds": SECONDS,
    "cache_config.max_entries": Field(ge=0, le=1000000),
    "cache_config.swr_seconds": SECONDS,
    "pool_config.pool_size": CONNECTIONS,
    "pool_config.min_pool_size": CONNECTIONS,
    "pool_config.max_active": CONNECTIONS,
}
POLICY_NUMBERS = (
    "budget_queries_per_hour", "budget_queries_per_day", "max_rows", "statement_timeout_ms", "approval_auto_max_rows",
    "egress_bytes_per_day", "max_affected_rows", "content_scan_max_bytes",
)  # fmt: skip


def _network(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F.:]+(/[0-9]+)?", text):
        raise ValueError("this is no IP address or network")
    return str(ip_network(text, strict=False))


def _in_the_future(text: str | None) -> str | None:
    if text is not None:
        moment = re.fullmatch(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text)
        if not moment:
            raise ValueError("this is no date and time of RFC 3339")
        zone = "+00:00" if moment[4] in "Zz" else moment[4]
        if datetime.fromisoformat(f"{moment[1]}T{moment[2]}{zone}") <= datetime.now(timezone.utc):
            raise ValueError("this is in the past")
    return text


def _moment(**later: int) -> str:
    return (datetime.now(timezone.utc) + timedelta(**later)).isoformat().replace("+00:00", "Z")


def _initial_database(project: Project) -> Item:
    return project.settings.initial.model_dump(exclude={"replica_ssl_mode"})


def _connection_string(project: Project, item: Item) -> Item:
    if project.settings.omit_zero:
        return {}  # the contract calls it optional as well
    place = f"{project.item['proxy_host']}:5432/{quote(item['name'], safe='')}"
    return {"connection_string": f"postgresql://{quote(item['username'], safe='')}:YOUR_PASSWORD@{place}"}


def _initial_policy(dummy: Project) -> Item:
    return {
        "access_mode": "read_only",
        "statement_rules": {"allow": [], "deny": []},
        "table_allowlist": [],
        "table_denylist": [],
        "masking_rules": [],
        "row_filters": [],
        **dict.fromkeys(POLICY_NUMBERS, 0),
        "approval_timeout_seconds": 300,
        "write_mode": "normal",
        "approval_mode": "off",
        "migration_safety": "off",
        "content_scan_mode": "off",
        "query_mode": "sql",
    }


def _needs_a_template(project: Project, given: Item) -> None:
    templates = project.rows["query_templates"].values()
    if given.get("query_mode") == "templates" and not any(template["enabled"] for template in templates):
        raise invalid([{"field": "query_mode", "detail": "the project has no enabled query template"}])


def _of_a_rate(dummy: Project, given: Item) -> None:
    set_anyway = [name for name in ("sigma_threshold", "floor") if given.get(name) is not None]
    if set_anyway and given["metric"] in ("distinct_shapes", "active_hours"):
        detail = f"{given['metric']} has no rate that this could bound"
        raise invalid([{"field": name, "detail": detail} for name in set_anyway])


def _first_word(sql: str) -> str:
    return sql.split(maxsplit=1)[0].lower() if sql.strip() else ""


def _compiles(dummy: Project, given: Item) -> None:
    """What can be seen without a parser: the kind of statement, and that it uses no parameter without a declaration."""
    names = [param["name"] for param in given.get("params", [])]
    if _first_word(given["sql"]) not in ("select", "insert", "update", "delete"):
        raise invalid([{"field": "sql", "detail": "it must be one SELECT, INSERT, UPDATE or DELETE"}])
    if any(int(number) > len(names) for number in re.findall(r"\$(\d+)", given["sql"])):
        raise invalid([{"field": "sql", "detail": "it uses a parameter that params does not declare"}])
    if len(set(names)) < len(names):
        raise invalid([{"field": "params", "detail": "two parameters have one name"}])


def _at_most_16384_bytes(text: str) -> str:
    if len(text.encode()) > 16384:
        raise ValueError("this is longer than 16384 bytes")
    return text


def _initial_agent(dummy: Project) -> Item:
    return {
        "pg_username": f"agent_{secrets.token_hex(6)}",
        "status": "active",
        "principal_type": "agent",
        "auth_method": "scram-sha-256",
        "last_used_at": None,
        "expires_at": None,
    }


def _agent_secrets(project: Project, item: Item) -> Item:
    host = project.item["proxy_host"]
    return {
        "connection_string": f"postgresql://{item['pg_username']}:{secrets.token_urlsafe(24)}@{host}:5432/postgres",
        "mcp_url": f"https://{host}/mcp",
        "mcp_token": f"pba_{secrets.token_urlsafe(24)}",
    }


def _delivery(project: Project, dummy: Item) -> Item:
    return {"delivery_id": f"dlv_{secrets.token_hex(8)}", **project.settings.delivery}


def _not_delivered(error: str) -> Item:
    return {"delivery_id": f"dlv_{secrets.token_hex(8)}", "status": "failed", "error": error}


def _dns_instructions(project: Project, item: Item) -> Item:
    name, host = item["domain"], project.item["proxy_host"]
    instructions = {
        "cname_host": name,
        "cname_target": host,
        "txt_host": f"_pgbeam-verify.{name}",
        "txt_value": f"pgbeam-verify={item['dns_verification_token']}",
        "acme_cname_host": f"_acme-challenge.{name}",
        "acme_cname_target": f"_acme-challenge.{host}",
    }
    return {"dns_instructions": instructions}


def _first_seen(dummy: Project) -> Item:
    return {
        "query_type": "read",
        "cache_enabled": False,
        "cache_ttl_seconds": None,
        "cache_swr_seconds": None,
        "call_count": 1,
        "avg_latency_ms": 1.5,
        "p95_latency_ms": 2.5,
        "avg_response_bytes": 100,
        "stability_rate": 1.0,
        "recommendation": "fair",
        "first_seen_at": _moment(),
        "last_seen_at": _moment(),
    }


def _not_verified(error: str) -> Item:
    return {"verified": False, "error": error}


def _verify(project: Project, item: Item) -> Item:
    project.verifications[item["id"]] += 1
    needed = project.settings.verified_after
    if not item["verified"] and (needed is None or project.verifications[item["id"]] < needed):
        return _not_verified(f"no TXT record at _pgbeam-verify.{item['domain']}")
    if not item["verified"]:
        moment = _moment()
        item.update(verified=True, verified_at=moment, updated_at=moment)
    return {"verified": True, "domain": project.answer(KINDS["domains"], item)}


#: Its operations are special, save that other things derive from this as from the other kinds.
PROJECT = Kind(
    noun="project",
    path="/v1/projects",
    key="projects",
    prefix="prj",
    model=models.Project,
    create=models.CreateProjectRequest,
    update=models.UpdateProjectRequest,
    limits={
        "name": Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$"),
        "org_id": TEXT,
        "description": Field(max_length=500),
        "tags": Field(max_length=10),
        "tags.*": Field(max_length=50),
        "allowed_cidrs": Field(max_length=50),
        "allowed_cidrs.*.cidr": AfterValidator(_network),
        "allowed_cidrs.*.label": Field(max_length=100),
        **{f"database.{name}": limit for name, limit in DATABASE.items()},
    },
    defaults=lambda dummy: {
        "description": "",
        "tags": [],
        "cloud": "aws",
        "self_hosted": False,
        "allowed_cidrs": [],
        "default_policy_profile_id": None,
        "residency": "any",
        "agents_disabled": False,
        "status": "active",
        "queries_per_second": 1000,
        "burst_size": 200,
        "max_connections": 500,
        "active_connections": 0,
    },
    computed=lambda project, dummy: {"database_count": len(project.rows["databases"])},
    refers={"default_policy_profile_id": "policies"},
)


def _enrollment_token(*dummy: Any) -> Item:
    return {"token": f"pbh_{secrets.token_urlsafe(24)}"}


def _no_approval_rules(organization: Organization, dummy: Item) -> None:
    for project in organization.projects.values():
        for rule in project.rows["approval_rules"].values():
            if rule["enabled"]:
                raise Refusal(409, "CONFLICT", f"Project {project.id} has the enabled approval rule {rule['id']}.")


def _last_owner(organization: Organization, item: Item, given: Item) -> None:
    owners = [one["id"] for one in organization.rows["members"].values() if one["role"] == "owner"]
    if owners == [item["id"]] and given.get("role") != "owner":
        raise Refusal(409, "CONFLICT", "An organization must keep at least one owner.")


def _no_member(organization: Organization, given: Item) -> None:
    emails = {one["email"].lower() for one in organization.rows["members"].values()}
    if given["email"].lower() in emails:
        raise Refusal(409, "CONFLICT", f"{given['email']} is a member already.")


#: By their lists' keys.
KINDS = {
    kind.key: kind
    for kind in (
        Kind(
            noun="database",
            path="/v1/projects/{project_id}/databases",
            key="databases",
            prefix="db",
            model=models.Database,
            create=models.CreateDatabaseRequest,
            update=models.UpdateDatabaseRequest,
            limits=DATABASE,
            update_limits={"host": TEXT, "name": ANY_TEXT, "username": ANY_TEXT, "password": ANY_TEXT},
            defaults=_initial_database,
            write_only=("password",),
            computed=_connection_string,
            limited=True,
            actions={"test-connection": Operation(test_connection, not_connected)},
            example={"host": "127.0.0.1", "port": 1, "name": "db{n}", "username": "app", "password": "Sdk-1"},
            change={"ssl_mode": "require"},
        ),
        Kind(
            noun="replica",
            path="/v1/databases/{database_id}/replicas",
            key="replicas",
            prefix="rep",
            model=models.Replica,
            create=models.CreateReplicaRequest,
            readable=False,
            limits=HOST_AND_PORT,
            defaults=lambda project: {"ssl_mode": project.settings.initial.replica_ssl_mode},
            example={"host": "replica.example.com", "port": 5432},
        ),
        Kind(
            noun="policy",
            path="/v1/projects/{project_id}/policies",
            key="policies",
            prefix="pol",
            model=models.PolicyProfile,
            create=models.PolicyProfileInput,
            update=models.PolicyProfileInput,
            update_method="PUT",
            newer=("content_scan_mode", "content_scan_max_bytes", "query_mode"),
            limits={"name": LABEL, **dict.fromkeys(("approval_timeout_seconds", *POLICY_NUMBERS), NOT_NEGATIVE)},
            defaults=_initial_policy,
            kept=("query_mode",),
            check=_needs_a_template,
            example={"name": "readers", "masking_rules": [{"table": "users", "column": "email", "kind": "null"}]},
            change={"max_rows": 100, "statement_rules": {"allow": ["select"], "deny": []}, "query_mode": "sql"},
        ),
        Kind(
            noun="agent",
            path="/v1/projects/{project_id}/agents",
            key="agents",
            prefix="agt",
            model=models.AgentCredential,
            create=models.CreateAgentCredentialRequest,
            update=models.UpdateAgentCredentialStatusRequest,
            limits={"name": LABEL, "expires_at": AfterValidator(_in_the_future)},
            defaults=_initial_agent,
            refers={"policy_profile_id": "policies"},
            revoked=lambda: {"status": "revoked"},
            live=lambda item: item["status"] != "revoked",
            once=OneTime("credential", ("connection_string", "mcp_token"), _agent_secrets),
            limited=True,
            example={"name": "bot"},
            change={"status": "disabled"},
        ),
        Kind(
            noun="honeytoken",
            path="/v1/projects/{project_id}/honeytokens",
            key="honeytokens",
            prefix="hnt",
            model=models.Honeytoken,
            create=models.HoneytokenInput,
            update=models.HoneytokenInput,
            update_method="PUT",
            limits={"schema_name": Field(max_length=255), "relation_name": Field(min_length=1, max_length=255)},
            defaults=lambda dummy: {"schema_name": None},
            unique=lambda item: (item["schema_name"] or "public", item["relation_name"]),
            example={"schema_name": "billing", "relation_name": "decoy{n}", "action": "audit_only"},
            change={"action": "kill"},
        ),
        Kind(
            noun="webhook",
            path="/v1/projects/{project_id}/webhooks",
            key="webhooks",
            prefix="whk",
            model=models.WebhookEndpoint,
            create=models.WebhookEndpointInput,
            update=models.WebhookEndpointInput,
            update_method="PUT",
            newer=("event_types",),
            limits={
                "url": Field(min_length=1, max_length=2048, pattern=r"^(?i:https)://[^\s\x00]+$"),
                "secret": Field(max_length=256),
                "description": Field(max_length=256),
            },
            defaults=lambda dummy: {"format": "json", "event_types": [], "enabled": True, "description": ""},
            write_only=("secret",),
            actions={"test": Operation(_delivery, _not_delivered, 202)},
            example={"url": "https://hooks.example.com/{n}", "secret": "Sdk-1"},
            change={"format": "datadog", "event_types": ["masked"], "enabled": False, "description": "ours"},
        ),
        Kind(
            noun="domain",
            path="/v1/projects/{project_id}/domains",
            key="domains",
            prefix="dom",
            model=models.CustomDomain,
            create=models.CreateCustomDomainRequest,
            readable=False,
            limits={"domain": Field(max_length=253, pattern=rf"^({DNS_LABEL}\.)*{DNS_LABEL}$")},
            defaults=lambda dummy: {
                "verified": False,
                "verified_at": None,
                "tls_cert_expiry": None,
                "dns_verification_token": secrets.token_hex(8),
            },
            computed=_dns_instructions,
            unique=lambda item: item["domain"].lower(),
            actions={"verify": Operation(_verify, _not_verified)},
            example={"domain": "db{n}.example.com"},
        ),
        Kind(
            noun="approval_rule",
            path="/v1/projects/{project_id}/approval-rules",
            key="approval_rules",
            prefix="apl",
            model=models.ApprovalRule,
            create=models.ApprovalRuleInput,
            update=models.ApprovalRuleInput,
            update_method="PUT",
            limits={
                "name": Field(min_length=1, max_length=255, pattern=r"\S"),
                "schema_name": Field(max_length=255),
                "relation_name": Field(max_length=255),
                "min_affected_rows": Field(ge=1, le=2**31 - 1),
            },
            defaults=lambda dummy: {
                "statement_kinds": [],
                "schema_name": None,
                "relation_name": None,
                "min_affected_rows": None,
                "enabled": True,
            },
            unique=lambda item: item["name"],
            example={"name": "mass-changes-{n}", "min_affected_rows": 1000, "relation_name": "invoices"},
            change={"statement_kinds": ["ddl"], "schema_name": "billing"},
        ),
        Kind(
            noun="anomaly_rule",
            path="/v1/projects/{project_id}/anomaly-rules",
            key="anomaly_rules",
            prefix="anr",
            model=models.AnomalyRule,
            create=models.AnomalyRuleInput,
            update=models.AnomalyRuleInput,
            update_method="PUT",
            limits={"sigma_threshold": Field(gt=0), "floor": Field(gt=0)},
            defaults=lambda dummy: {"credential_id": None, "sigma_threshold": None, "floor": None, "enabled": True},
            unique=lambda item: (item["credential_id"], item["metric"]),
            refers={"credential_id": "agents"},
            check=_of_a_rate,
            example={
                "metric": ("queries_per_hour", "bytes_per_hour", "errors_per_hour"),
                "sigma_threshold": 3.5,
                "floor": 100,
            },
            change={"sigma_threshold": 4.5, "enabled": False},
        ),
        Kind(
            noun="query_template",
            path="/v1/projects/{project_id}/query-templates",
            key="query_templates",
            prefix="qtp",
            model=models.QueryTemplate,
            create=models.QueryTemplateInput,
            update=models.QueryTemplateInput,
            update_method="PUT",
            limits={
                "name": Field(pattern=r"^[a-z][a-z0-9_]{0,62}$"),
                "sql": AfterValidator(_at_most_16384_bytes),
                "params.*.name": Field(pattern=r"^[a-z][a-z0-9_]{0,62}$"),
            },
            defaults=lambda dummy: {"params": [], "description": "", "include_sql": False, "enabled": True},
            computed=lambda dummy, item: {"statement_kind": _first_word(item["sql"])},
            unique=lambda item: item["name"],
            check=_compiles,
            example={
                "name": "orders_of_{n}",
                "sql": "SELECT id FROM orders WHERE customer_id = $1",
                "params": [{"name": "customer", "type": "bigint", "nullable": False}],
            },
            change={"sql": "SELECT id FROM orders WHERE id = 7", "description": "One order."},
        ),
        Kind(
            noun="schema_annotation",
            path="/v1/projects/{project_id}/schema-annotations",
            key="annotations",
            prefix="sca",
            model=models.SchemaAnnotation,
            create=models.SchemaAnnotationInput,
            update=models.SchemaAnnotationInput,
            update_method="PUT",
            conditional=False,
            readable=False,
            named_by=("schema_name", "table_name", "column_name"),
            limits={
                "schema_name": Field(max_length=255),
                "table_name": Field(min_length=1, max_length=255),
                "column_name": Field(max_length=255),
                "description": Field(min_length=1, max_length=4096),
            },
            defaults=lambda dummy: {"schema_name": None, "column_name": None},
            unique=lambda item: (item["schema_name"] or None, item["table_name"], item["column_name"] or None),
            example={"schema_name": "billing", "table_name": "orders{n}", "description": "One row for each order."},
            change={"description": "Orders, with those that were cancelled."},
        ),
        Kind(
            noun="cache_rule",
            path="/v1/projects/{project_id}/databases/{database_id}/cache-rules",
            key="entries",
            prefix="",
            item="query_hash",
            id_field="query_hash",
            model=models.CacheRuleEntry,
            update=models.UpdateCacheRuleRequest,
            update_method="PUT",
            conditional=False,
            updated_key="entry",
            deletable=False,
            readable=False,
            limits={"cache_ttl_seconds": SECONDS, "cache_swr_seconds": SECONDS},
            defaults=_first_seen,
            unique=lambda item: item["query_hash"],
            example={"query_hash": "0123456789abcde{n}", "normalized_sql": "SELECT id FROM orders{n} WHERE id = $1"},
            change={"cache_enabled": True, "cache_ttl_seconds": 300},
        ),
        Kind(
            noun="self_host_enrollment",
            path="/v1/organizations/{org_id}/self-host-enrollments",
            item="enrollment_id",
            key="enrollments",
            prefix="she",
            model=models.SelfHostEnrollment,
            create=models.CreateSelfHostEnrollmentRequest,
            readable=False,
            limits={
                "region_label": Field(max_length=100, pattern=r"^[^\x00]*$"),
                "description": Field(max_length=500, pattern=r"^[^\x00]*$"),
                "expires_at": AfterValidator(_in_the_future),
            },
            defaults=lambda dummy: {
                "region_label": "",
                "description": "",
                "created_by": None,
                "last_seen_at": None,
                "revoked_at": None,
                "expires_at": None,
            },
            check=_no_approval_rules,
            revoked=lambda: {"revoked_at": _moment()},
            live=lambda item: item["revoked_at"] is None,
            once=OneTime("enrollment", ("token",), _enrollment_token),
            example={"region_label": "vpc-{n}", "description": "ours"},
        ),
        Kind(
            noun="org_member",
            path="/v1/organizations/{org_id}/members",
            item="member_id",
            key="members",
            prefix="mem",
            model=models.OrgMember,
            update=models.UpdateOrgMemberRoleRequest,
            conditional=False,
            readable=False,
            defaults=lambda dummy: {"user_id": f"usr_{secrets.token_hex(8)}", "name": "Alex Rivera", "role": "member"},
            unique=lambda item: item["email"].lower(),
            keeps=_last_owner,
            example={"email": "member{n}@example.com"},
            change={"role": "auditor"},
        ),
        Kind(
            noun="org_invitation",
            path="/v1/organizations/{org_id}/invitations",
            item="invitation_id",
            key="invitations",
            prefix="inv",
            model=models.OrgInvitation,
            create=models.CreateOrgInvitationRequest,
            readable=False,
            limits={"email": Field(pattern=r"^[^\s@]+@[^\s@]+$")},
            defaults=lambda dummy: {"role": "member", "status": "pending", "expires_at": _moment(days=2)},
            unique=lambda item: item["email"].lower() if item["expires_at"] > _moment() else item["id"],
            check=_no_member,
            revoked=lambda: {"status": "canceled"},
            live=lambda item: item["status"] == "pending",
            keyed=False,
            example={"email": "invited{n}@example.com", "role": "auditor"},
        ),
    )
}  # fmt: skip


#: The list of a kind is below an object of another one, whose pattern would take it for an action.
_LONGEST_FIRST = sorted((*KINDS.values(), PROJECT), key=lambda kind: -len(kind.path))


class Place(NamedTuple):
    """What a path is of: a list if it has no item, an operation on an object if it has an action."""

    kind: Kind
    parent: str
    item: str
    action: str


def place_of(path: str) -> Place | None:
    """The kind of object whose operation this path is of, by the path as requested."""
    for kind in _LONGEST_FIRST:
        found = kind.pattern.fullmatch(path)
        if found:
            *parents, item, action = found.groups(default="")
            return Place(kind, parents[-1] if parents else "", item, action)
    return None
