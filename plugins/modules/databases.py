#!/usr/bin/python
# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: databases
short_description: Register a list of PostgreSQL databases with PgBeam
version_added: 1.0.0
description:
  - Registers a whole list of upstream PostgreSQL databases with a PgBeam project, in one run.
  - The project is listed once, everything is checked before the first write, and the writes are made in parallel.
  - Entries with O(databases[].state=absent) are deleted before anything else is written, wherever they stand, which
    makes room in a plan that allows no more. O(prune) deletes at the end.
  - One entry's failure does not stop the others, save the statuses 401, 402 and 403 and a spent O(retry_budget).
    The task fails in the end, with every entry's outcome in the result.
options:
  project_id:
    description:
      - The id of the project that the databases are registered with.
      - In check mode it may be empty or null, for a project that is not there yet. Without check mode that fails.
    type: str
    required: true
  databases:
    description:
      - The databases. Two entries that mean one registration are refused.
      - Entries that differ in O(databases[].username) alone are different registrations, found by it.
    type: list
    elements: dict
    required: true
    suboptions:
      state:
        description:
          - V(present) registers the database, or makes an existing registration as the task says.
          - V(absent) deletes the registration. The PostgreSQL database itself is not touched.
        type: str
        choices: [present, absent]
        default: present
      id:
        description:
          - The registration's id. With it, O(databases[].host), O(databases[].port), O(databases[].name) and
            O(databases[].username) can be changed in place, but not to those of another registration.
          - Without it, the registration is found by O(databases[].host), O(databases[].port) and O(databases[].name).
            Where several are found, O(databases[].username) chooses between them; several that are left fail the task.
        type: str
      host:
        description:
          - The host name or address of the PostgreSQL server, as PgBeam reaches it.
          - Compared as a host, without case and without a trailing dot. An IP address is compared by its value and an
            internationalized name by its IDNA form.
          - Needed unless O(databases[].id) is given.
        type: str
      port:
        description:
          - The port of the PostgreSQL server, 1 to 65535.
          - Without it, V(5432) is used to find and to register a database.
        type: int
      name:
        description:
          - The name of the PostgreSQL database.
          - Needed unless O(databases[].id) is given.
        type: str
      username:
        description:
          - The PostgreSQL role that PgBeam connects as. Needed to register a database.
          - Where exactly one registration of the database is found, and it has another username, that is changed;
            with O(databases[].state=absent) it is left alone.
          - A changed username does not send its password. Set O(update_password=always) in that run.
        type: str
      password:
        description:
          - The password of O(databases[].username), a string. Needed to register a database.
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
  prune:
    description:
      - Whether the project's registrations that are not in O(databases) are deleted.
      - Nothing is deleted by it where any entry failed. An empty list is refused.
    type: bool
    default: false
  prune_limit:
    description:
      - The most that O(prune) may delete in one run, a number such as V(10), or a percentage of the databases that
        are registered, such as V(20%). One may always be deleted.
      - If more would be deleted, the task fails before any write, in check mode too, and the message lists what would
        be deleted.
      - Entries with C(state=absent) do not count.
    type: str
    default: 50%
  parallel:
    description:
      - How many calls are made at once, 1 to 32.
    type: int
    default: 8
  update_password:
    description:
      - V(on_create) sends the password when a database is registered, and never again.
      - V(always) sends it on every run. Such a run is always reported as changed.
    type: str
    choices: [on_create, always]
    default: on_create
  test_connection:
    description:
      - Whether PgBeam is asked to connect to the database after it is as it should be. The task fails where it cannot.
      - Not done in check mode, nor for an absent registration.
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
  - module: pgbeam.cloud.database
  - module: pgbeam.cloud.database_info
  - module: pgbeam.cloud.project
  - module: pgbeam.cloud.replicas
  - module: pgbeam.cloud.region_info
author:
  - The pgbeam.cloud contributors (@pgbeam)
"""

EXAMPLES = r"""
- name: Register the databases of a project
  pgbeam.cloud.databases:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    databases:
      - host: db1.example.com
        name: orders
        username: app
        password: "{{ vault_orders_password }}"
      - host: db1.example.com
        name: invoices
        username: app
        password: "{{ vault_invoices_password }}"
        cache_config:
          enabled: false
      - host: db0.example.com
        name: legacy
        state: absent

- name: Make a project hold these databases and no others
  pgbeam.cloud.databases:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    databases: "{{ pgbeam_databases }}"
    prune: true

- name: Register databases, let PgBeam connect to each, and tell how long that took
  pgbeam.cloud.databases:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    databases: "{{ pgbeam_databases }}"
    test_connection: true
  register: registered

- name: Show the latencies
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.connection_test.latency_ms }} ms"
  loop: "{{ registered.databases }}"
  loop_control:
    label: "{{ item.name }}"
  when: item.connection_test is not none # as it is in check mode
"""

RETURN = r"""
databases:
  description: What became of each entry, in the order of O(databases); pruned registrations come after them.
  type: list
  elements: dict
  returned: once it was clear what had to be done
  contains:
    action:
      description:
        - What was done, or in check mode would be done.
        - V(failed) for what went wrong, V(skipped) for what was not begun because another call ended the run.
      type: str
      returned: always
      sample: created
    id:
      description: The registration's id; null where there is none yet.
      type: str
      returned: always
      sample: db_01h455vb4pex5vsknk084sn02q
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
    connection_string:
      description: How clients connect through PgBeam, with C(YOUR_PASSWORD) in the place of the password.
      type: str
      returned: always
      sample: postgresql://app:YOUR_PASSWORD@myproject.proxy.pgbeam.app:5432/orders
    changes:
      description: The names of the fields that moved; those of an object's members have a dot in them.
      type: list
      elements: str
      returned: always
      sample: [ssl_mode, cache_config.ttl_seconds]
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
      returned: when a call for this entry failed
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
          sample: /v1/projects/prj_01h455vb4pex5vsknk084sn02q/databases
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
summary:
  description: How many entries had each action.
  type: dict
  returned: once it was clear what had to be done
  contains:
    created:
      description: How many were created.
      type: int
      returned: always
      sample: 3
    updated:
      description: How many were updated.
      type: int
      returned: always
      sample: 1
    deleted:
      description: How many were deleted.
      type: int
      returned: always
      sample: 0
    unchanged:
      description: How many were unchanged.
      type: int
      returned: always
      sample: 96
    failed:
      description: How many were failed.
      type: int
      returned: always
      sample: 0
    skipped:
      description: How many were skipped.
      type: int
      returned: always
      sample: 0
msg:
  description: The summary in words. If the task fails, the reasons come first and the summary follows in brackets.
  type: str
  returned: always
  sample: 3 created, 1 updated, 96 unchanged
error:
  description: The failed call in parts, to be tested by a playbook.
  type: dict
  returned: when the project could not be read
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
      sample: /v1/projects/prj_01h455vb4pex5vsknk084sn02q/databases
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

from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._run import run_list


def main() -> None:
    run_list(DATABASE)


if __name__ == "__main__":
    main()
