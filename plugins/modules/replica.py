#!/usr/bin/python
# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: replica
short_description: Add a read replica to a database that is registered with PgBeam
version_added: 1.0.0
description:
  - Adds one read replica to a database that is registered with PgBeam, or removes it.
  - PgBeam cannot change a replica. One that is not as the task says fails the task, or is replaced where
    O(replace=true) allows it.
  - What the task does not name is not compared.
  - For several replicas use M(pgbeam.cloud.replicas), which lists the database's replicas once and writes in parallel.
options:
  database_id:
    description:
      - The id of the registered database that the replicas belong to, as M(pgbeam.cloud.database) returns it.
      - In check mode it may be empty or null, for a database that is not there yet. Without check mode that fails.
    type: str
    required: true
  state:
    description:
      - V(present) adds the replica where it is missing.
      - V(absent) removes it. The PostgreSQL server itself is not touched.
    type: str
    choices: [present, absent]
    default: present
  id:
    description:
      - The replica's id. With it, another O(host) or O(port) than the replica has
        fails, too, unless O(replace=true) is set.
      - Without it, the replica is found by O(host) and O(port). Where several are found,
        the task fails and tells their ids.
      - No replica can be read by itself, so with it, too, the replicas of the database are listed.
    type: str
  host:
    description:
      - The host name or address of the replica's PostgreSQL server, as PgBeam reaches it.
      - Compared as a host, without case and without a trailing dot. An IP address is compared by its value and an
        internationalized name by its IDNA form.
      - Needed unless O(id) is given.
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
  replace:
    description:
      - Whether a replica that is not as the task says is replaced. It is added anew, and then the old one is removed,
        so that there is never one fewer. The new one has another id.
      - It finishes a replacement that was interrupted, too. Where several replicas have one host and port, and exactly
        one of them is as the task says, the others are removed. This
        takes O(host) without O(id).
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
      - A replica that is named by O(id) and replaced has another id, so the next run does not find it.
extends_documentation_fragment:
  - pgbeam.cloud._connection
  - pgbeam.cloud._attributes
seealso:
  - module: pgbeam.cloud.replicas
  - module: pgbeam.cloud.replica_info
  - module: pgbeam.cloud.database
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

- name: Add a replica to it; check mode shows it before there is a database, too
  pgbeam.cloud.replica:
    database_id: "{{ orders.database.id }}"
    host: replica1.example.com
    ssl_mode: require

- name: Verify the certificate of a replica from now on, which takes a new one
  pgbeam.cloud.replica:
    database_id: db_01h455vb4pex5vsknk084sn02q
    host: replica1.example.com
    ssl_mode: verify-full
    replace: true

- name: Remove a replica before its server is taken down
  pgbeam.cloud.replica:
    database_id: db_01h455vb4pex5vsknk084sn02q
    host: replica1.example.com
    state: absent
"""

RETURN = r"""
replica:
  description:
    - The replica as it is after the task; empty where it is absent.
    - In check mode what only the server knows is null.
  type: dict
  returned: once it was clear what had to be done
  contains:
    id:
      description: The replica's id.
      type: str
      returned: always
      sample: rep_01h455vb4pex5vsknk084sn02q
    database_id:
      description: The id of its database.
      type: str
      returned: always
      sample: db_01h455vb4pex5vsknk084sn02q
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
    created_at:
      description: When the replica was added.
      type: str
      returned: always
      sample: "2026-11-01T08:00:00Z"
    updated_at:
      description: When the replica was last changed.
      type: str
      returned: always
      sample: "2026-11-01T08:00:00Z"
action:
  description:
    - What was done, or in check mode would be done; V(created), V(replaced), V(deleted) or V(unchanged).
    - V(failed) where nothing was.
    - V(replaced) in a task that failed means that the new replica is there, and an old one could not be removed.
  type: str
  returned: once it was clear what had to be done
  sample: created
changes:
  description: The names of the fields that moved; C(id) alone where only twins were removed.
  type: list
  elements: str
  returned: once it was clear what had to be done
  sample: [ssl_mode]
error:
  description: The failed call in parts, to be tested by a playbook.
  type: dict
  returned: when a call failed
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
from ansible_collections.pgbeam.cloud.plugins.module_utils._run import run_item


def main() -> None:
    run_item(REPLICA)


if __name__ == "__main__":
    main()
