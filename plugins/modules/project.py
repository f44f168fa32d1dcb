#!/usr/bin/python
# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: project
short_description: Make a PgBeam project with its first database
version_added: 1.0.0
description:
  - Makes a PgBeam project, changes it, or deletes it. Databases are registered in a project, and clients connect to the
    project's host name.
  - PgBeam makes a project and its first database in one call, so O(database) is needed to make a project. Later, the
    same task keeps that database as written, too.
  - What the task does not name is neither compared nor changed.
  - Of a new project, PgBeam takes O(allowed_cidrs), O(agents_disabled), O(default_policy_profile_id), O(residency) and
    O(status) in a second call only. It follows at once where one of them is not PgBeam's default, and until then the
    project is open to all addresses. Where it fails, the task fails with the RV(action) V(created), and the next run
    makes up for it.
options:
  state:
    description:
      - V(present) makes the project, or makes an existing one as the task says.
      - V(absent) deletes the project and the registrations of all databases in it. The PostgreSQL databases themselves
        are not touched.
      - V(absent) is refused unless each of these databases is named by O(database) or O(expected_databases), or
        O(force=true) is set. The refusal counts the others, and names five of them.
      - A project that PgBeam shows with the status C(deleted) counts as absent.
    type: str
    choices: [present, absent]
    default: present
  id:
    description:
      - The project's id. With it, O(name) can be changed, and O(org_id) is not needed.
      - Without it, the project is found by O(org_id) and O(name). PgBeam allows several projects of one name; where
        several are found, the task fails and tells their ids.
    type: str
  org_id:
    description:
      - The id of the organization that owns the project. M(pgbeam.cloud.organization_info) tells it.
      - Needed unless O(id) is given.
      - It cannot be changed; another value than the project has fails.
    type: str
  name:
    description:
      - The project's name, 1 to 100 characters.
      - Needed unless O(id) is given. With it, another name renames the project; the name of another project of the
        organization fails.
    type: str
  description:
    description:
      - What the project is for, in 500 characters at most. An empty value clears it.
    type: str
  tags:
    description:
      - The project's tags, 10 at most, each of 50 characters at most.
      - Compared as a set. An empty list clears them.
    type: list
    elements: str
  cloud:
    description:
      - The cloud that the project runs in.
      - Set when the project is made. It cannot be changed later; another value than the project has fails.
    type: str
    choices: [aws, azure, gcp]
  self_hosted:
    description:
      - Whether the project's proxies run in a network of your own.
      - Set when the project is made. It cannot be changed later; another value than the project has fails.
    type: bool
  allowed_cidrs:
    description:
      - The addresses that clients may connect from, 50 at most. An empty list allows all.
      - Compared as a set, each entry by its network. V(10.0.0.1) is V(10.0.0.1/32), and bits behind the prefix do not
        count.
      - Two entries of one network are refused.
    type: list
    elements: dict
    suboptions:
      cidr:
        description:
          - An IPv4 or IPv6 address, with or without a prefix length. Needed in each entry.
        type: str
      label:
        description:
          - What the entry is called, in 100 characters at most.
          - Without it, the label that is there stays. An empty value clears it.
        type: str
  agents_disabled:
    description:
      - Whether connections with agent credentials are refused, and those that are open are ended.
      - The other connections are not touched.
    type: bool
  default_policy_profile_id:
    description:
      - The id of the policy profile that connections without agent credentials are held to.
      - An empty value clears it.
    type: str
  residency:
    description:
      - Where connections may be served. V(us) and V(eu) refuse those that arrive elsewhere, V(any) refuses none.
    type: str
    choices: [any, us, eu]
  status:
    description:
      - Whether the project is V(active) or V(suspended).
    type: str
    choices: [active, suspended]
  database:
    description:
      - One database of the project, with the options of M(pgbeam.cloud.database).
      - Needed to make the project. In a project that is there, it is updated where it differs, and registered where it
        is gone.
      - A M(pgbeam.cloud.databases) task that prunes the project has to list it as well.
      - With O(state=absent), it may go with the project.
    type: dict
    suboptions:
      host:
        description:
          - The host name or address of the PostgreSQL server, as PgBeam reaches it.
          - Compared as a host, without case and without a trailing dot. An IP address is compared by its value and an
            internationalized name by its IDNA form.
          - Needed in O(database).
        type: str
      port:
        description:
          - The port of the PostgreSQL server, 1 to 65535.
          - Without it, V(5432) is used to find and to register a database.
        type: int
      name:
        description:
          - The name of the PostgreSQL database.
          - Needed in O(database).
        type: str
      username:
        description:
          - The PostgreSQL role that PgBeam connects as. Needed to register a database.
          - Where exactly one registration of the database is found, and it has another username, that is changed.
          - A changed username does not send its password. Set O(update_password=always) in that run.
        type: str
      password:
        description:
          - The password of O(database.username), a string. Needed to register a database.
          - It cannot be read back, so it is never compared. O(update_password) says when it is sent again.
        type: raw
      ssl_mode:
        description:
          - How PgBeam uses TLS to connect to the PostgreSQL server.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      role:
        description:
          - Whether the server takes writes (V(primary)) or reads only (V(replica)).
        type: str
        choices: [primary, replica]
      pool_region:
        description:
          - The region that holds the connection pool, near the database. Empty means a direct connection.
        type: str
      query_timeout_ms:
        description:
          - The C(statement_timeout) of upstream connections in milliseconds, 0 to 300000. V(0) means none.
        type: int
      auto_read_routing:
        description:
          - Whether queries that only read go to read replicas without being marked to.
        type: bool
      cache_config:
        description:
          - The query cache. Keys that you omit are neither compared nor changed.
          - When a database is registered, PgBeam sets the others.
        type: dict
        suboptions:
          enabled:
            description:
              - Whether query results are cached.
            type: bool
          ttl_seconds:
            description:
              - How long a result stays fresh in seconds, 0 to 86400.
            type: int
          max_entries:
            description:
              - How many results are kept, 0 to 1000000.
            type: int
          swr_seconds:
            description:
              - How long a stale result may be served while it is fetched anew, in seconds, 0 to 86400.
            type: int
      pool_config:
        description:
          - The connection pool. Keys that you omit are neither compared nor changed.
          - When a database is registered, PgBeam sets the others.
        type: dict
        suboptions:
          pool_size:
            description:
              - How many connections the pool holds at most, 1 to 10000.
            type: int
          min_pool_size:
            description:
              - How many idle connections the pool keeps, 1 to 10000.
            type: int
          pool_mode:
            description:
              - When a connection goes back to the pool.
            type: str
            choices: [session, transaction, statement]
          max_active:
            description:
              - How many upstream connections a pool opens at most, 1 to 10000.
            type: int
  update_password:
    description:
      - V(on_create) sends the password when a database is registered, and never again.
      - V(always) sends it on every run. Such a run is always reported as changed.
    type: str
    choices: [on_create, always]
    default: on_create
  test_connection:
    description:
      - Whether PgBeam is asked to connect to O(database) after it is as it should be. The task fails where it cannot.
      - With O(state=present) it takes O(database). Not done in check mode, nor with O(state=absent).
    type: bool
    default: false
  expected_databases:
    description:
      - The databases that may go with the project when O(state=absent) deletes it.
      - Each by its id, or by its name where no other database of the project has that name.
    type: list
    elements: str
  force:
    description:
      - Whether O(state=absent) deletes the project with whatever databases are in it.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - With O(update_password=always) every run sends the password and is reported as changed.
extends_documentation_fragment:
  - pgbeam.cloud._connection
  - pgbeam.cloud._attributes
seealso:
  - module: pgbeam.cloud.project_info
  - module: pgbeam.cloud.organization_info
  - module: pgbeam.cloud.database
  - module: pgbeam.cloud.databases
  - module: pgbeam.cloud.replicas
author:
  - The pgbeam.cloud contributors (@pgbeam)
"""

EXAMPLES = r"""
- name: Make a project for two networks with its first database, and let PgBeam try to connect
  pgbeam.cloud.project:
    org_id: org_01h455vb4pex5vsknk084sn02q
    name: shop
    description: Databases of the web shop
    tags: [production, shop]
    allowed_cidrs:
      - cidr: 10.0.0.0/8
        label: VPC
      - cidr: 203.0.113.5
        label: Office
    database:
      host: db1.example.com
      name: orders
      username: app
      password: "{{ vault_orders_password }}"
      ssl_mode: verify-full
    test_connection: true
  register: shop

- name: Register its other databases; check mode shows them before there is a project, too
  pgbeam.cloud.databases:
    project_id: "{{ shop.project.id }}"
    databases:
      - host: db1.example.com
        name: invoices
        username: app
        password: "{{ vault_invoices_password }}"
        ssl_mode: verify-full

- name: Keep agents out of a project, and end the connections that they have
  pgbeam.cloud.project:
    org_id: org_01h455vb4pex5vsknk084sn02q
    name: shop
    agents_disabled: true

- name: Rename a project, and clear its tags
  pgbeam.cloud.project:
    id: prj_01h455vb4pex5vsknk084sn02q
    name: shop-archive
    tags: []

- name: Delete a project, but only if no other databases than these are in it
  pgbeam.cloud.project:
    org_id: org_01h455vb4pex5vsknk084sn02q
    name: shop
    state: absent
    expected_databases:
      - orders
      - invoices
"""

RETURN = r"""
project:
  description:
    - The project as it is after the task; empty where it is absent.
    - In check mode what only the server knows is null.
  type: dict
  returned: once it was clear what had to be done
  contains:
    id:
      description: The project's id.
      type: str
      returned: always
      sample: prj_01h455vb4pex5vsknk084sn02q
    org_id:
      description: The id of the organization that owns the project.
      type: str
      returned: always
      sample: org_01h455vb4pex5vsknk084sn02q
    name:
      description: The project's name.
      type: str
      returned: always
      sample: shop
    description:
      description: What the project is for.
      type: str
      returned: always
      sample: Databases of the web shop
    tags:
      description: The project's tags.
      type: list
      elements: str
      returned: always
      sample: [production, shop]
    cloud:
      description: The cloud that the project runs in.
      type: str
      returned: always
      sample: aws
    self_hosted:
      description: Whether the project's proxies run in a network of your own.
      type: bool
      returned: always
      sample: false
    allowed_cidrs:
      description: The addresses that clients may connect from; empty for all.
      type: list
      elements: dict
      returned: always
      contains:
        cidr:
          description: The network, as the server writes it.
          type: str
          returned: always
          sample: 10.0.0.0/8
        label:
          description: What the entry is called.
          type: str
          returned: always
          sample: VPC
    agents_disabled:
      description: Whether connections with agent credentials are refused.
      type: bool
      returned: always
      sample: false
    default_policy_profile_id:
      description: The id of the policy profile that the other connections are held to; empty or null for none.
      type: str
      returned: always
      sample: pol_01h455vb4pex5vsknk084sn02q
    residency:
      description: Where connections may be served.
      type: str
      returned: always
      sample: any
    status:
      description: The project's state.
      type: str
      returned: always
      sample: active
    proxy_host:
      description: The host name that clients connect to.
      type: str
      returned: always
      sample: myproject.proxy.pgbeam.app
    queries_per_second:
      description: How many queries a second the project may make; 0 for no limit.
      type: int
      returned: always
      sample: 1000
    burst_size:
      description: How many queries more a short burst may make; 0 for as many as RV(project.queries_per_second).
      type: int
      returned: always
      sample: 200
    max_connections:
      description: How many clients may be connected at once; 0 for no limit.
      type: int
      returned: always
      sample: 500
    database_count:
      description:
        - How many databases are registered in the project. One that the same task has registered in a project that was
          there is not counted yet.
      type: int
      returned: always
      sample: 3
    active_connections:
      description: How many clients were connected when PgBeam last counted.
      type: int
      returned: always
      sample: 12
    created_at:
      description: When the project was made.
      type: str
      returned: always
      sample: "2026-11-01T08:00:00Z"
    updated_at:
      description: When the project was last changed.
      type: str
      returned: always
      sample: "2026-11-01T08:00:00Z"
database:
  description:
    - The registration that O(database) names, as it is after the task.
    - In check mode what only the server knows is null.
  type: dict
  returned: with O(database) and O(state=present), unless the project itself failed
  contains:
    id:
      description: The registration's id.
      type: str
      returned: always
      sample: db_01h455vb4pex5vsknk084sn02q
    project_id:
      description: The id of its project.
      type: str
      returned: always
      sample: prj_01h455vb4pex5vsknk084sn02q
    connection_string:
      description:
        - How clients connect through PgBeam. C(YOUR_PASSWORD) stands in the place of the password.
        - The filter P(pgbeam.cloud.connection_string#filter) puts the password in.
      type: str
      returned: always
      sample: postgresql://app:YOUR_PASSWORD@myproject.proxy.pgbeam.app:5432/orders
    host:
      description: The host of the PostgreSQL server.
      type: str
      returned: always
      sample: db1.example.com
    port:
      description: The port of the PostgreSQL server.
      type: int
      returned: always
      sample: 5432
    name:
      description: The name of the PostgreSQL database.
      type: str
      returned: always
      sample: orders
    username:
      description: The PostgreSQL role that PgBeam connects as.
      type: str
      returned: always
      sample: app
    ssl_mode:
      description: How PgBeam uses TLS to connect to the server.
      type: str
      returned: always
      sample: require
    role:
      description: Whether the server takes writes or reads only.
      type: str
      returned: always
      sample: primary
    pool_region:
      description: The region that holds the connection pool; empty for a direct connection.
      type: str
      returned: always
      sample: us-east-1
    query_timeout_ms:
      description: The C(statement_timeout) of upstream connections in milliseconds; 0 for none.
      type: int
      returned: always
      sample: 0
    auto_read_routing:
      description: Whether queries that only read go to read replicas.
      type: bool
      returned: always
      sample: false
    cache_config:
      description: The query cache.
      type: dict
      returned: always
      contains:
        enabled:
          description: Whether query results are cached.
          type: bool
          returned: always
          sample: true
        ttl_seconds:
          description: How long a result stays fresh, in seconds.
          type: int
          returned: always
          sample: 60
        max_entries:
          description: How many results are kept.
          type: int
          returned: always
          sample: 10000
        swr_seconds:
          description: How long a stale result may be served while it is fetched anew, in seconds.
          type: int
          returned: always
          sample: 30
    pool_config:
      description: The connection pool.
      type: dict
      returned: always
      contains:
        pool_size:
          description: How many connections the pool holds at most.
          type: int
          returned: always
          sample: 10
        min_pool_size:
          description: How many idle connections the pool keeps.
          type: int
          returned: always
          sample: 1
        pool_mode:
          description: When a connection goes back to the pool.
          type: str
          returned: always
          sample: transaction
        max_active:
          description: How many upstream connections a pool opens at most.
          type: int
          returned: always
          sample: 200
    created_at:
      description: When the database was registered.
      type: str
      returned: always
      sample: "2026-11-01T08:00:00Z"
    updated_at:
      description: When the registration was last changed.
      type: str
      returned: always
      sample: "2026-11-01T08:00:00Z"
action:
  description:
    - What was done, or in check mode would be done.
    - V(updated) also where O(database) alone was registered or updated.
    - V(failed) where the project could not be made, updated or deleted.
  type: str
  returned: once it was clear what had to be done
  sample: updated
changes:
  description:
    - The names of the fields that moved.
    - Those of O(database) begin with C(database.), and those of an object's members have a dot in them.
  type: list
  elements: str
  returned: once it was clear what had to be done
  sample: [allowed_cidrs, database.ssl_mode, database.cache_config.ttl_seconds]
connection_test:
  description: What PgBeam's attempt to connect to the database gave; null in check mode and where none was made.
  type: dict
  returned: with O(test_connection=true)
  contains:
    ok:
      description: Whether PgBeam could connect.
      type: bool
      returned: always
      sample: true
    latency_ms:
      description: How long connecting took, in milliseconds.
      type: float
      returned: when the connection was made
      sample: 12.4
    server_version:
      description: The version of the PostgreSQL server.
      type: str
      returned: when the server tells it
      sample: "17.2"
    error:
      description: Why PgBeam could not connect.
      type: str
      returned: when it could not
      sample: password authentication failed for user "app"
error:
  description: The failed call in parts, to be tested by a playbook.
  type: dict
  returned: when a call failed
  contains:
    status:
      description: The HTTP status; null where there was no answer.
      type: int
      returned: always
      sample: 403
    code:
      description: The API's error code; C(CONNECTION_TEST_FAILED) where PgBeam cannot connect to the database.
      type: str
      returned: always
      sample: PLAN_LIMIT_REACHED
    message:
      description: The server's own words, or what happened where it gave none.
      type: str
      returned: always
      sample: The plan allows 10 databases.
    method:
      description: The HTTP method of the call.
      type: str
      returned: always
      sample: POST
    path:
      description: The path of the call.
      type: str
      returned: always
      sample: /v1/projects
    request_id:
      description: The id of the request, to be quoted to PgBeam's support.
      type: str
      returned: always
      sample: req_01h455vb4pex5vsknk084sn02q
    attempts:
      description: How many times the call was tried; 0 for one that was not begun.
      type: int
      returned: always
      sample: 1
    fields:
      description: The fields that the server refused, each with C(field) and C(detail).
      type: list
      elements: dict
      returned: always
      sample: []
    maybe_done:
      description: Whether a write may have been made although it failed. A second run tells.
      type: bool
      returned: always
      sample: false
"""

from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT
from ansible_collections.pgbeam.cloud.plugins.module_utils._run import run_item


def main() -> None:
    run_item(PROJECT)


if __name__ == "__main__":
    main()
