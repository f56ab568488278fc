# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fetch
author: The outofband.chr authors (@outofband)
short_description: Copy a file from a router to the controller
version_added: 1.0.0
description:
  - Copies a file of a Cloud Hosted Router to the controller, unless the controller already has it
    with that content.
  - The file is streamed and takes its place whole or not at all. A new file can be read by its
    owner only.
  - If the playbook is killed meanwhile, a file C(.outofband.part-*) stays in the folder. The next
    task that writes into that folder removes it.
notes:
  - Backend C(xenstore) cannot transfer files. Scripts read them there, which works for text of up
    to 60 KiB. One script brings 1.1 KB.
  - Backends C(vmware) and C(xenapi) cannot read files, so the module fails at once there.
options:
  src:
    description:
      - The name of the file on the router. The agent of a CHR serves the root of the file store
        only, so it has no folder.
    type: str
    required: true
  dest:
    description:
      - Where to put it. As with M(ansible.builtin.fetch), it is a folder in which
        C(<inventory_hostname>/<src>) is made, unless O(flat=true).
    type: path
    required: true
  flat:
    description:
      - Take O(dest) as the file's own path, or as its folder when it ends with C(/) or is one.
    type: bool
    default: false
  fail_on_missing:
    description:
      - Fail when the router does not have the file.
    type: bool
    default: true
  max_size:
    description:
      - The largest size of the file, such as V(1G), V(512M), or a number of bytes. A larger one is
        not moved. It is also not moved if it does not fit on the controller.
    type: str
    default: 1G
  timeout:
    description:
      - The seconds for the whole transfer. When they are over, it is given up.
    type: float
    default: 3600.0
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - What changes is a file of the controller.
seealso:
  - module: outofband.chr.copy
"""

EXAMPLES = r"""
- name: Export the configuration to a file on the router
  outofband.chr.script:
    source: /export file=nightly
  changed_when: false

- name: Fetch it to exports/<router>/nightly.rsc
  outofband.chr.fetch:
    src: nightly.rsc
    dest: exports/
  register: fetched

- name: Refuse an export of which RouterOS says that menus are missing
  ansible.builtin.assert:
    that: not export is search('^# *(error exporting|interrupted)', multiline=true)
    fail_msg: "{{ export | regex_findall('(?m)^# *(?:error exporting|interrupted).*') | join(', ') }}"
  vars:
    export: "{{ lookup('ansible.builtin.file', fetched.dest) }}"
"""

RETURN = r"""
dest:
  description: The file on the controller.
  returned: success
  type: str
  sample: /home/net/exports/chr1/nightly.rsc
size:
  description: Its size in bytes.
  returned: success, when the file is there
  type: int
  sample: 20480
checksum:
  description: The SHA-1 of its content.
  returned: success, when the file is there
  type: str
  sample: 6e642bb8dd5c2e027bf21dd923337cbb4214f827
"""
