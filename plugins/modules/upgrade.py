# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade
author: The outofband.chr authors (@outofband)
short_description: Bring a router to a version of RouterOS
version_added: 1.0.0
description:
  - Installs another version of RouterOS on a Cloud Hosted Router, reboots it, waits until it is
    back, and checks the version, the interfaces and the menus of the export.
  - The router downloads the packages itself (C(/system package update)), or they come from the
    controller (O(packages)) through the guest agent. Then the router needs no IP path at all.
  - A router that has the version already is left as it is, after a single question.
  - Everything that speaks against the upgrade is found before anything is done to the router, also
    in check mode. These are a license with limited upgrades or one that has expired, a downgrade, a
    step from RouterOS 6 to 7, packages of another architecture or version, packages that are
    missing, too little disk space, other package files on the router, and a snapshot that exists
    already.
options:
  version:
    description:
      - The version, such as V(7.22.1). Write it in quotes.
      - Without it, the newest version of O(channel) is installed.
    type: str
  channel:
    description:
      - The channel of RouterOS. Without O(version), the controller asks O(newest_url) for its newest
        version.
      - The router's own update is set to this channel, and stays so. Without it, the router keeps
        its channel.
    type: str
    choices: [stable, long-term, testing, development]
  newest_url:
    description:
      - The http or https URL that names the newest version, as text with the version and a time.
        C({channel}) becomes O(channel).
    type: str
    default: https://upgrade.mikrotik.com/routeros/NEWESTa7.{channel}
  packages:
    description:
      - The package files (C(.npk)) on the controller. Give one for each package that the router has,
        at least that of C(routeros). Without them, the router downloads its packages itself.
      - The names must be those of the vendor, such as C(routeros-7.22.1.npk). Version and
        architecture are read from the name, and from the header of the file.
    type: list
    elements: dict
    suboptions:
      src:
        description:
          - The file. It is searched for as by M(ansible.builtin.copy).
        type: path
        required: true
      checksum:
        description:
          - The checksum of the file, as algorithm, colon and hex digits, such as
            V(sha256:0a1b...). The algorithms are C(sha256), C(sha512), C(sha1) and C(md5).
          - With V(waived), the file is not checked. RouterOS itself checks the signature of a
            package.
        type: str
        required: true
  downgrade:
    description:
      - Install a version that is older than the installed one. This needs O(packages).
    type: bool
    default: false
  major:
    description:
      - Do a step between RouterOS 6 and 7, which converts the configuration. Expect other menus, see
        O(on_missing).
    type: bool
    default: false
  min_free:
    description:
      - What must be free on the disk of the router, such as V(32M), or a number of bytes. With
        O(packages), twice their size must be free as well.
    type: str
    default: 32M
  snapshot:
    description:
      - Take a snapshot of this name before the upgrade. It is quiesced if that is possible. It stays
        after a success. M(outofband.chr.snapshot) removes it.
    type: str
  rollback:
    description:
      - Go back to O(snapshot) if the router does not come back, or not as it should. Its machine is
        turned off for that, and on again. The snapshot is removed when the router has its old
        version again.
      - If the router was not rebooted yet, nothing is rolled back, and the snapshot is removed.
    type: bool
    default: false
  on_missing:
    description:
      - What to do if interfaces, or menus of the export, are missing after the upgrade. A new
        version can have other names for menus.
      - An export that RouterOS says is not whole counts as missing. With V(fail), a router with such
        an export is not upgraded.
    type: str
    default: fail
    choices: [fail, warn]
  backup_dest:
    description:
      - The folder on the controller for the export of before the upgrade. The file is the one that
        M(outofband.chr.backup) writes, C(<host>.rsc). Without it, no export is kept.
    type: path
  max_size:
    description:
      - The largest size of a file that is moved, such as V(256M), or a number of bytes.
    type: str
    default: 256M
  timeout:
    description:
      - The seconds for each long step. These are the transfer of a file, the router's download, the
        snapshot, and the reboot with everything until the router is as it was. Scripts have
        C(chr_script_timeout).
    type: float
    default: 900.0
  validate_certs:
    description:
      - Whether the certificate of the server in O(newest_url) is checked.
    type: bool
    default: true
  ca_path:
    description:
      - A file or folder with the authorities to trust, instead of the system's.
    type: path
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
    details:
      - The newest version is looked up, and the router is asked everything that could refuse the
        upgrade. Whether the router's own update would find the version is not asked.
  diff_mode:
    support: full
    details:
      - Shows the version before and after.
notes:
  - Backends C(vmware) and C(xenstore) move no files of this size, and backend C(vmware) carries no
    output. The router's own update works there. On C(vmware), the number of interfaces is compared
    instead of their names, and the menus are not compared.
  - Backend C(xenapi) runs scripts only at a boot, so the module fails at once there.
  - Snapshots are possible with the backends C(proxmox), C(vmware) and C(libvirt), O(rollback) with
    C(proxmox) and C(vmware).
  - The router's own update can only install the newest version of its channel. For another version,
    give O(packages).
  - The packages that the module has brought to the router are removed from there if they were not
    installed. A download of the router that did not end in time is told to stop.
  - A failed task says which version the router has, whether it was told to reboot, and what became
    of the snapshot. A task that was killed leaves the router with its old version or with the new
    one. Run it again. If it had left package files, the next run names or replaces them.
  - None of this is proven on a real CHR. The module waits for the words C(Downloaded) and C(ERROR)
    in the status of the router's update, which others have seen.
seealso:
  - module: outofband.chr.backup
  - module: outofband.chr.snapshot
  - module: outofband.chr.license
"""

EXAMPLES = r"""
- name: Install the newest version of the channel long-term
  outofband.chr.upgrade:
    channel: long-term

- name: Upgrade a router without any IP path, and go back if it fails
  outofband.chr.upgrade:
    version: "7.22.1"
    packages:
      - src: routeros-7.22.1.npk
        checksum: sha256:3b7cf9a1c7a1e5c8a0a2f5b0f2b1d0c9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3
    snapshot: before-7-22-1
    rollback: true
    backup_dest: /srv/routers
"""

RETURN = r"""
before:
  description: The version of RouterOS before the task.
  returned: when it was read
  type: str
  sample: "7.20.8"
version:
  description: The wanted version.
  returned: when it is known
  type: str
  sample: 7.22.1
source:
  description: Who has the packages, V(router) or V(controller).
  returned: unless the router has the version already
  type: str
  sample: controller
snapshot:
  description: The name of the snapshot. Null without O(snapshot).
  returned: unless the router has the version already
  type: str
elapsed:
  description: The seconds it took.
  returned: when the router was upgraded
  type: float
"""
