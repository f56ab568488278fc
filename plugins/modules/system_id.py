# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: system_id
author: The outofband.chr authors (@outofband)
short_description: Give a router a system id of its own
version_added: 0.1.0
description:
  - Has a Cloud Hosted Router make a new system id (C(/system license generate-new-id)), and verifies it. Routers that were made
    from one disk image can have the same one, and MikroTik's account server then licenses only one of them.
  - Refuses unless the level is V(free). With a trial or a paid licence, a new id would make it impossible to renew or upgrade the
    licence, and RouterOS itself is not known to refuse.
options:
  state:
    description:
      - V(unique) makes a new id only where a router before this one in the play has the same. It compares what
        M(outofband.chr.license_info) has read for all hosts in an earlier task of the play, so all hosts decide alike. Hosts that
        could not be read are not compared.
      - V(regenerated) makes a new id each time.
    type: str
    default: unique
    choices: [unique, regenerated]
  timeout:
    description:
      - Seconds until the new id must show.
    type: float
    default: 120
extends_documentation_fragment:
  - outofband.chr.attributes
attributes:
  check_mode:
    support: full
    details:
      - On backend C(xenapi), where reading needs a boot, V(unique) predicts no change.
  diff_mode:
    support: full
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: full
seealso:
  - module: outofband.chr.license_info
  - module: outofband.chr.license
"""

EXAMPLES = r"""
- name: Read the ids of all routers
  outofband.chr.license_info:

- name: Make them unique
  outofband.chr.system_id:
    state: unique
"""

RETURN = r"""
system_id:
  description: The system id now.
  returned: success
  type: str
  sample: 6lR1ZP/utuJ
before:
  description: C(system_id), the one before.
  returned: success
  type: dict
  sample:
    system_id: 7WwsTkLUKQG
duplicate_of:
  description: With O(state=unique), the router before this one in the play that has, or had, the same id. Null for none.
  returned: success
  type: str
  sample: chr1
license:
  description: The licence now, as M(outofband.chr.license_info) returns it.
  returned: success
  type: dict
ansible_facts:
  description: C(chr_license), the same as RV(license).
  returned: success
  type: dict
"""
