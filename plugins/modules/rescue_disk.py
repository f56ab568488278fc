# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rescue_disk
author: The outofband.chr authors (@outofband)
short_description: Write a CHR image to the disk of a rented machine in its rescue system
version_added: 1.0.0
description:
  - Turns a rented machine (Linode, Hetzner and the like) into a CHR. The machine is in its
    provider's rescue system, a Linux that runs from memory, and is reached with C(chr_ssh_host) and
    C(chr_ssh_args) as root.
  - The image is sent block by block, read back from the disk and compared. The first MiB is zeroed
    at the beginning and written last, so that nothing boots from an incomplete disk. Run the
    module again after a run that was interrupted.
  - A disk that begins with exactly this image is not written again. A router that has booted
    changes its disk, so it is not recognised.
options:
  image:
    description:
      - The raw disk image on the controller, as M(outofband.chr.image) prepares it.
    type: path
    required: true
  device:
    description:
      - The whole disk, such as V(/dev/sda) or V(/dev/nvme0n1). C(lsblk) in the rescue system lists
        them.
    type: str
    required: true
  overwrite:
    description:
      - Whether a disk that has something on it may be written. B(All that is on it is lost.)
      - Without it, only a disk that begins with zeros is written.
    type: bool
    default: false
  reboot:
    description:
      - Whether the machine is restarted afterwards, also when the disk had the image already. Most
        providers leave the rescue system with the next boot; others have a switch for it, such as
        Linode's configuration profile.
    type: bool
    default: false
requirements:
  - In the rescue system C(dd), C(lsblk), C(blockdev), C(cmp) and C(sha256sum), which those of the
    known providers have.
  - A machine that boots with BIOS (legacy boot), as CHR images for x86_64 do not boot with UEFI.
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
notes:
  - The machine has no guest agent that its tenant could use, so the first contact is through what
    is in the image, a script for the first boot (O(outofband.chr.image#module:first_boot)), or the
    provider's console.
  - Machines made with disks of the same size can have the same system id. The vendor's rule is to
    run C(/system license generate-new-id) after the first boot and before any trial or license, so
    put that into the script for the first boot. The role C(outofband.chr.image_import) does.
seealso:
  - module: outofband.chr.image
"""

EXAMPLES = r"""
- name: Prepare the image, with a first configuration and a system id of its own
  outofband.chr.image:
    version: "7.22"
    checksum: "sha256:{{ chr_image_sha256 }}"
    format: raw
    first_boot: |
      /system license generate-new-id
      /ip dhcp-client add interface=ether1 disabled=no
  register: prepared

- name: Write it to the machine's disk, and leave the rescue system
  outofband.chr.rescue_disk:
    image: "{{ prepared.path }}"
    device: /dev/sda
    overwrite: true
    reboot: true
  vars:
    chr_ssh_host: root@203.0.113.20
    # the rescue system has another host key than what ran there before
    chr_ssh_args: -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no
"""

RETURN = r"""
device:
  description: The value of O(device).
  returned: success
  type: str
  sample: /dev/sda
image:
  description: The sha256 of the image that the disk begins with now.
  returned: success
  type: str
  sample: 9b0d3e61c1f9f7d5b8ee27e5aa9f4bfe0d0f3d6b2f8b1a8f6f3a7f2f5c7a1e42
size:
  description: The size of the disk in bytes.
  returned: success
  type: int
  sample: 20480000000
reboot:
  description: Whether the machine was told to restart.
  returned: success
  type: bool
  sample: true
"""
