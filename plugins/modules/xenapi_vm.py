# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xenapi_vm
author: The outofband.chr authors (@outofband)
short_description: Create or remove a CHR VM on XenServer or XCP-ng
version_added: 0.1.0
description:
  - Creates a VM from a raw disk image through XenAPI, the interface of XenServer and XCP-ng, or
    removes it with its disks and snapshots.
  - The VM is an HVM guest that boots with BIOS from its first IDE disk, with C(viridian) off. It is
    created from the record of the built-in template C(Other install media).
  - The image is streamed into the pool over HTTPS, by the host that sees the storage. XenAPI has
    no checksums, so the disk is then read back and compared, unless O(verify=false).
  - The guest tools of the router work in every VM there. Backend V(xenapi) hands a script over when
    the VM starts. So with O(running=false), the first script starts the router; on a running one it
    takes C(chr_exec_mode=reboot), or backend V(xenstore).
  - M(community.general.xenserver_guest) creates VMs from templates only and cannot import a disk
    image, so this module has its own code. For later changes of the VM, use that module.
options:
  storage:
    description:
      - The storage (SR) for the disk, by its name or uuid. When left out, it is the default storage
        of the pool.
    type: str
  verify:
    description:
      - Whether to read the disk back and compare it with the image. It takes about as long as the
        upload.
    type: bool
    default: true
requirements:
  - XenAPI >= 25 on the controller
extends_documentation_fragment:
  - outofband.chr.vm
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
notes:
  - Address and login are those of the connection, C(chr_api_host), C(chr_api_user),
    C(chr_api_password), C(chr_ca_path) and so on. The user needs the role vm-admin or a higher one.
    In a pool, the controller must reach the other hosts by HTTPS at the addresses that the pool
    knows them by, when their storage is used.
  - A network of O(nics) is named by its name, uuid or bridge. The default is that of the bridge
    C(xenbr0).
  - The host gives each network card in two forms, as C(netfront) for guests that know it, and
    emulated. The models V(rtl8139) and V(e1000) choose what the emulated ones are, which is the
    same for all cards of a VM.
  - O(nics[].vlan) cannot be set, since the tag belongs to the network there. Make a network with
    the tag, and name it.
seealso:
  - module: outofband.chr.image
  - module: outofband.chr.wait_for_agent
  - module: community.general.xenserver_guest
"""

EXAMPLES = r"""
- name: Create the router on the pool's default storage, and start it
  outofband.chr.xenapi_vm:
    image: /var/cache/chr/chr-7.22.img
    routeros: "7.22"

- name: Create it with two network cards, to be started by its first script
  outofband.chr.xenapi_vm:
    image: /var/cache/chr/chr-7.22.img
    routeros: "7.22"
    running: false
    cpus: 2
    storage: Local storage
    nics:
      - network: Pool-wide network associated with eth0
      - network: xenbr1
        mac: 02:00:00:00:00:01

- name: Remove the router
  outofband.chr.xenapi_vm:
    state: absent
"""

RETURN = r"""
name:
  description: The name of the VM.
  returned: success
  type: str
  sample: chr1
id:
  description: The uuid of the VM. Null when there is none.
  returned: success
  type: str
  sample: 6e8b1f0c-6d0a-4c2e-9a55-0f6cf1f3f2a7
state:
  description: What the VM is now, or in check mode would be, V(absent), V(stopped) or V(running).
  returned: success
  type: str
  sample: running
image:
  description: The SHA-256 of the image file that the VM was made of. Null when there is none.
  returned: success
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""
