#!/usr/bin/python
# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: replicas
short_description: Add a list of read replicas to a database that is registered with PgBeam
version_added: 1.0.0
description:
  - Adds a whole list of read replicas to a database that is registered with PgBeam, in one run.
  - The database's replicas are listed once, everything is checked before the first write, and the writes are made in
    parallel.
  - Entries with O(replicas[].state=absent) are removed before anything else is written, wherever they stand. O(prune)
    removes at the end.
  - PgBeam cannot change a replica. One that is not as its entry says fails the task before the first write, or is
    replaced where O(replace=true) allows it.
  - One entry's failure does not stop the others, save the statuses 401, 402 and 403 and a spent O(retry_budget).
    The task fails in the end, with every entry's outcome in the result.
options:
  database_id:
    description:
      - The id of the registered database that the replicas belong to, as M(pgbeam.cloud.database) returns it.
      - In check mode it may be empty or null, for a database that is not there yet. Without check mode that fails.
    type: str
    required: true
  replicas:
    description:
      - The replicas. Two entries that mean one replica are refused.
    type: list
    elements: dict
    required: true
    suboptions:
      state:
        description:
          - V(present) adds the replica where it is missing.
          - V(absent) removes it. The PostgreSQL server itself is not touched.
        type: str
        choices: [present, absent]
        default: present
      id:
        description:
          - The replica's id. With it, another O(replicas[].host) or O(replicas[].port) than the replica has
            fails, too, unless O(replace=true) is set.
          - Without it, the replica is found by O(replicas[].host) and O(replicas[].port). Where several are found,
            the task fails and tells their ids.
        type: str
      host:
        description:
          - The host name or address of the replica's PostgreSQL server, as PgBeam reaches it.
          - Compared as a host, without case and without a trailing dot. An IP address is compared by its value and an
            internationalized name by its IDNA form.
          - Needed unless O(replicas[].id) is given.
        type: str
      port:
        description:
          - The port of the replica's PostgreSQL server, 1 to 65535.
          - Without it, V(5432) is used to find and to add a replica.
        type: int
      ssl_mode:
        description:
          - How PgBeam uses TLS to connect to the PostgreSQL server.
          - PgBeam cannot change it. Another value than the replica has fails, unless O(replace=true) is set.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
  prune:
    description:
      - Whether the database's replicas that are not in O(replicas) are removed.
      - Nothing is removed by it where any entry failed. An empty list is refused.
    type: bool
    default: false
  prune_limit:
    description:
      - The most that O(prune) may delete in one run, a number such as V(10), or a percentage of the replicas that
        the database has, such as V(20%). One may always be deleted.
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
  replace:
    description:
      - Whether a replica that is not as the task says is replaced. It is added anew, and then the old one is removed,
        so that there is never one fewer. The new one has another id.
      - It finishes a replacement that was interrupted, too. Where several replicas have one host and port, and exactly
        one of them is as the task says, the others are removed. This
        takes an entry without O(replicas[].id).
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
      - A replica that is named by O(replicas[].id) and replaced has another id, so the next run does not find it.
extends_documentation_fragment:
  - pgbeam.cloud._connection
  - pgbeam.cloud._attributes
seealso:
  - module: pgbeam.cloud.replica
  - module: pgbeam.cloud.replica_info
  - module: pgbeam.cloud.databases
author:
  - The pgbeam.cloud contributors (@pgbeam)
"""

EXAMPLES = r"""
- name: Register a database whose reads go to its replicas
  pgbeam.cloud.database:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    host: db1.example.com
    name: orders
    username: app
    password: "{{ vault_orders_password }}"
    auto_read_routing: true
  register: orders

- name: Add its replicas; check mode shows them before there is a database, too
  pgbeam.cloud.replicas:
    database_id: "{{ orders.database.id }}"
    replicas:
      - host: replica1.example.com
        ssl_mode: require
      - host: replica2.example.com
        port: 5433
        ssl_mode: require
      - host: replica0.example.com
        state: absent

- name: Make a database have these replicas and no others
  pgbeam.cloud.replicas:
    database_id: db_01h455vb4pex5vsknk084sn02q
    replicas: "{{ orders_replicas }}"
    prune: true

- name: Verify the certificates of all its replicas from now on, which takes new ones
  pgbeam.cloud.replicas:
    database_id: db_01h455vb4pex5vsknk084sn02q
    replicas:
      - host: replica1.example.com
        ssl_mode: verify-full
      - host: replica2.example.com
        port: 5433
        ssl_mode: verify-full
    replace: true
"""

RETURN = r"""
replicas:
  description: What became of each entry, in the order of O(replicas); pruned replicas come after them.
  type: list
  elements: dict
  returned: once it was clear what had to be done
  contains:
    action:
      description:
        - What was done, or in check mode would be done.
        - V(failed) for what went wrong, V(skipped) for what was not begun because another call ended the run.
        - V(replaced) with RV(replicas[].error) means that the new replica is there, and an old one could not be
          removed.
      type: str
      returned: always
      sample: created
    id:
      description: The replica's id; null where there is none yet.
      type: str
      returned: always
      sample: rep_01h455vb4pex5vsknk084sn02q
    host:
      description: The host of the PostgreSQL server.
      type: str
      returned: always
      sample: replica1.example.com
    port:
      description: The port of the PostgreSQL server.
      type: int
      returned: always
      sample: 5432
    ssl_mode:
      description: How PgBeam uses TLS to connect to the server.
      type: str
      returned: always
      sample: verify-full
    changes:
      description: The names of the fields that moved; C(id) alone where only twins were removed.
      type: list
      elements: str
      returned: always
      sample: [ssl_mode]
    error:
      description: The failed call in parts, to be tested by a playbook.
      type: dict
      returned: when a call for this entry failed
      contains:
        status:
          description: The HTTP status; null where there was no answer.
          type: int
          returned: always
          sample: 503
        code:
          description: The API's error code.
          type: str
          returned: always
          sample: SERVICE_UNAVAILABLE
        message:
          description: The server's own words, or what happened where it gave none.
          type: str
          returned: always
          sample: The service is not available.
        method:
          description: The HTTP method of the call.
          type: str
          returned: always
          sample: POST
        path:
          description: The path of the call.
          type: str
          returned: always
          sample: /v1/databases/db_01h455vb4pex5vsknk084sn02q/replicas
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
      sample: 2
    replaced:
      description: How many were replaced.
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
      sample: 3
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
  sample: 2 created, 1 replaced, 3 unchanged
error:
  description: The failed call in parts, to be tested by a playbook.
  type: dict
  returned: when the replicas could not be read
  contains:
    status:
      description: The HTTP status; null where there was no answer.
      type: int
      returned: always
      sample: 404
    code:
      description: The API's error code.
      type: str
      returned: always
      sample: NOT_FOUND
    message:
      description: The server's own words, or what happened where it gave none.
      type: str
      returned: always
      sample: database db_01h455vb4pex5vsknk084sn02q not found
    method:
      description: The HTTP method of the call.
      type: str
      returned: always
      sample: GET
    path:
      description: The path of the call.
      type: str
      returned: always
      sample: /v1/databases/db_01h455vb4pex5vsknk084sn02q/replicas
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

from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA
from ansible_collections.pgbeam.cloud.plugins.module_utils._run import run_list


def main() -> None:
    run_list(REPLICA)


if __name__ == "__main__":
    main()
