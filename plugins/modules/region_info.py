#!/usr/bin/python
# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: region_info
short_description: Read the regions of PgBeam
version_added: 1.0.0
description:
  - Reads the regions that PgBeam serves connections from.
  - A region's id is what O(pgbeam.cloud.database#module:pool_region) takes.
  - The filters that are given all have to agree.
options:
  id:
    description:
      - Only the region with this id.
    type: str
  provider:
    description:
      - Only regions of this cloud.
    type: str
    choices: [aws, azure, gcp]
  available:
    description:
      - Only regions that new projects can be assigned to (V(true)), or only the others (V(false)).
    type: bool
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    support: full
extends_documentation_fragment:
  - pgbeam.cloud._connection
  - pgbeam.cloud._attributes
seealso:
  - module: pgbeam.cloud.database
  - module: pgbeam.cloud.project
author:
  - The pgbeam.cloud contributors (@pgbeam)
"""

EXAMPLES = r"""
- name: Read the regions of one cloud that new projects can use
  pgbeam.cloud.region_info:
    provider: aws
    available: true
  register: found

- name: Show what pool_region can be
  ansible.builtin.debug:
    msg: "{{ found.regions | map(attribute='id') }}"

- name: Read one region by its id
  pgbeam.cloud.region_info:
    id: us-east-1
"""

RETURN = r"""
regions:
  description: The regions, whole; empty where none agrees with the filters.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: The region's id.
      type: str
      returned: always
      sample: us-east-1
    name:
      description: The region's name.
      type: str
      returned: always
      sample: US East (N. Virginia)
    provider:
      description: The cloud that it is a region of.
      type: str
      returned: always
      sample: aws
    status:
      description: The region's state, C(active), C(draining) or C(inactive).
      type: str
      returned: always
      sample: active
    available:
      description: Whether new projects can be assigned to it.
      type: bool
      returned: always
      sample: true
    continent:
      description: The continent that it is on.
      type: str
      returned: always
      sample: North America
    country:
      description: The country that it is in.
      type: str
      returned: always
      sample: United States
error:
  description: The failed call in parts, to be tested by a playbook.
  type: dict
  returned: when a call failed
  contains:
    status:
      description: The HTTP status; null where there was no answer.
      type: int
      returned: always
      sample: 401
    code:
      description: The API's error code.
      type: str
      returned: always
      sample: UNAUTHORIZED
    message:
      description: The server's own words, or what happened where it gave none.
      type: str
      returned: always
      sample: The API key is not valid.
    method:
      description: The HTTP method of the call.
      type: str
      returned: always
      sample: GET
    path:
      description: The path of the call.
      type: str
      returned: always
      sample: /v1/regions
    request_id:
      description: The id of the request, to be quoted to PgBeam's support.
      type: str
      returned: always
      sample: req_01h455vb4pex5vsknk084sn02q
    attempts:
      description: How many times the call was tried.
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
      description: Always V(false), because reading changes nothing. The modules that write set it.
      type: bool
      returned: always
      sample: false
"""

from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.region import REGION
from ansible_collections.pgbeam.cloud.plugins.module_utils._run import run_info


def main() -> None:
    run_info(REGION)


if __name__ == "__main__":
    main()
