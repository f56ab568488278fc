# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: copy
author: The outofband.chr authors (@outofband)
short_description: Copy a file to a router
version_added: 1.0.0
description:
  - Writes a file of the controller, or text, to a Cloud Hosted Router, unless the router already
    has the file with that content.
  - The file is streamed, every write is checked, and the result is verified. An incomplete file is
    removed from the router.
notes:
  - Backends C(vmware) and C(xenstore) cannot transfer files. Scripts write them there, which works
    for text in UTF-8 of up to 60 KiB (others have seen no larger contents) and needs RouterOS 7.9
    or later (C(/file add)). Anything else is refused before something is sent. The file is written
    at once by the last script. On C(xenstore), a script carries about 1.4 KB, so 60 KiB take more
    than 50 of them. With C(vmware), the present content is compared on the router and cannot be
    shown by C(--diff).
  - Backend C(xenapi) has no files at all, so the module fails at once there. Use
    M(outofband.chr.script) with C(src) instead.
options:
  src:
    description:
      - A file on the controller. A relative path is looked for in C(files/) of the role or play,
        then next to it.
      - A file encrypted with Ansible Vault is decrypted in memory.
    type: path
  content:
    description:
      - The content itself, instead of O(src). A dictionary or list is written as JSON.
    type: raw
  dest:
    description:
      - The name of the file on the router. The agent of a CHR serves the root of the file store
        only, so it has no folder.
      - Default is the name of O(src). It is required with O(content).
    type: str
  max_size:
    description:
      - The largest size of the file, such as V(1G), V(512M), or a number of bytes. A larger one is
        not moved. It is also not moved if the
        router says that it has no room for it.
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
    support: full
    details:
      - Text of up to 100,000 bytes is shown. Set C(diff=false) or C(no_log) for files with secrets.
seealso:
  - module: outofband.chr.fetch
  - module: outofband.chr.script
"""

EXAMPLES = r"""
- name: Put a script on the router
  outofband.chr.copy:
    src: baseline.rsc

- name: Put rendered text on the router
  outofband.chr.copy:
    content: "{{ lookup('ansible.builtin.template', 'users.rsc.j2') }}"
    dest: users.rsc
  no_log: true
"""

RETURN = r"""
dest:
  description: The name of the file on the router.
  returned: success
  type: str
  sample: baseline.rsc
size:
  description: Its size in bytes.
  returned: success
  type: int
  sample: 1220
checksum:
  description: The SHA-1 of its content.
  returned: success
  type: str
  sample: 6e642bb8dd5c2e027bf21dd923337cbb4214f827
"""
