# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
author: The outofband.chr authors (@outofband)
short_description: Keep the configuration of a router on the controller, or load a backup
version_added: 1.0.0
description:
  - Fetches the export of a Cloud Hosted Router (C(/export)), and on request a binary backup
    (C(/system backup save)), to a folder of the controller. Or it loads such a backup, and waits
    until the router is back.
  - The export is C(<host>.rsc), without the line that has its date. A file with the same content is
    not touched, so in a Git repository, a second run leaves no difference.
  - A binary backup is C(<host>-<date>-<digest>.backup). It is made if the export is not the one
    of the newest backup, which the digest shows, or if there is none.
  - An export of which RouterOS says that menus are missing (C(#error exporting), C(#interrupted))
    is refused, and the error names them. The last good files stay.
options:
  state:
    description:
      - V(present) keeps the export, and with O(binary=true) a backup, on the controller.
      - V(restored) loads the backup O(src), each time.
    type: str
    default: present
    choices: [present, restored]
  dest:
    description:
      - The folder on the controller for the files. It is made if it is missing. Required with
        O(state=present).
    type: path
  show_sensitive:
    description:
      - Export passwords and keys, too. The file is then C(<host>.sensitive.rsc), and is never shown
        as a difference.
      - Without it, RouterOS leaves out what it knows to be a secret. Text in scripts and comments
        is exported as it is.
    type: bool
    default: false
  binary:
    description:
      - Keep binary backups, too. They also hold what an export does not show, such as users and
        certificates. A change of these alone is not seen, see O(max_age).
    type: bool
    default: false
  encrypt:
    description:
      - Encrypt binary backups, with O(password). Without a password, this must be V(false).
    type: bool
    default: true
  password:
    description:
      - The password of the binary backup. It goes to the router only, and is not stored beside the
        file.
    type: str
  max_age:
    description:
      - A number of days. A binary backup is also made if the newest one is older.
    type: float
  keep:
    description:
      - How many binary backups of this host to keep, from 1. The oldest others are removed, after
        the new one is there. All are kept if this is left out. Other files are never removed.
    type: int
  src:
    description:
      - The backup file on the controller that is loaded. Required with O(state=restored).
    type: path
  confirm:
    description:
      - Load the backup. Without it, O(state=restored) is refused, because it replaces the whole
        configuration with its users, and reboots the router.
    type: bool
    default: false
  identity:
    description:
      - The system identity that the router must have after a backup was loaded. By default, it is
        the one from before.
    type: str
  max_size:
    description:
      - The largest size of a file, such as V(64M), or a number of bytes. A larger one is not moved.
    type: str
    default: 64M
  timeout:
    description:
      - The seconds for the transfer of a file, and those in which the router must be back. Scripts
        have C(chr_script_timeout).
    type: float
    default: 300.0
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
    details:
      - The export is read in check mode as well, to compare it.
  diff_mode:
    support: full
    details:
      - Shows the difference of exports, unless they have secrets in them.
notes:
  - While the module runs, the router has a file C(outofband-backup.rsc), C(outofband-backup.backup)
    or C(outofband-restore.backup). It is removed at the end, also after a failure. Use one task at
    a time on a router.
  - The files on the controller are written whole or not at all, with the mode 0600.
  - Backend C(xenstore) moves no files, so binary backups are not possible there. Exports are read
    in pieces, up to the size of a file of which RouterOS shows the content (60 KB, or 4 KB in
    RouterOS 6).
  - Backend C(vmware) has neither files nor output, and backend C(xenapi) runs scripts only at a
    boot. The module fails at once there and says what is possible.
  - After O(state=restored), the module waits for the reboot that C(/system backup load) does by
    itself. It orders none, because only the reboot shows that the backup was loaded.
seealso:
  - module: outofband.chr.script
  - module: outofband.chr.snapshot
"""

EXAMPLES = r"""
- name: Keep the exports of all routers in a Git repository
  outofband.chr.backup:
    dest: /srv/routers

- name: Keep the last ten encrypted backups, too, and make one at least once a week
  outofband.chr.backup:
    dest: /srv/routers
    binary: true
    password: "{{ vault_backup_password }}"
    max_age: 7
    keep: 10

- name: Load a backup
  outofband.chr.backup:
    state: restored
    src: /srv/routers/chr1-20261130T021500Z-5d0f0b1f9d3c2a47.backup
    password: "{{ vault_backup_password }}"
    confirm: true
"""

RETURN = r"""
export:
  description: The file of the export on the controller.
  returned: success, with O(state=present)
  type: str
  sample: /srv/routers/chr1.rsc
export_changed:
  description: Whether the export was written. In check mode, whether it would be.
  returned: success, with O(state=present)
  type: bool
binary:
  description: The file of the newest binary backup on the controller. Null without O(binary).
  returned: success, with O(state=present)
  type: str
  sample: /srv/routers/chr1-20261130T021500Z-5d0f0b1f9d3c2a47.backup
binary_changed:
  description: Whether it is new. In check mode, whether it would be.
  returned: success, with O(state=present)
  type: bool
removed:
  description: The older backups of this host that were removed, see O(keep).
  returned: success, with O(state=present)
  type: list
  elements: str
before:
  description: C(identity) and C(system_id) of the router before the backup was loaded.
  returned: when a backup was loaded
  type: dict
after:
  description: The same afterwards. If they are not as expected, the task fails.
  returned: when a backup was loaded
  type: dict
elapsed:
  description: The seconds it took.
  returned: when a backup was loaded
  type: float
"""
