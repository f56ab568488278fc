# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image
author: The outofband.chr authors (@outofband)
short_description: Prepare a CHR disk image on the controller
version_added: 1.0.0
description:
  - Downloads a published image, or takes one from the controller, unpacks it, checks that it can be
    the image of a router, makes its disk larger, puts a script for the first boot into it, and
    converts it to the format that a platform wants.
  - Everything happens on the controller. No router and no hypervisor is contacted, and root
    rights are not needed.
  - The result is kept in O(cache). A task that wants the same again takes it from there. Hosts that
    want the same at the same time wait for the first of them, so it is downloaded and made once.
  - A download that breaks off continues where it ended, in the same run or in the next one, if the
    server can do that (C(Range) with an C(ETag) or C(Last-Modified)) and says that the file has not
    changed.
requirements:
  - qemu-img (package C(qemu-utils) on Debian and Ubuntu, C(qemu-img) on Fedora and RHEL) for every
    O(format) but V(raw), and for a source that is not a raw disk.
  - debugfs (package C(e2fsprogs)) for O(first_boot) and O(first_boot_src).
notes:
  - The module refuses a truncated image, an empty file, the web page of a proxy or a login instead
    of the file, an image that takes data from other files, and an image for arm64. It refuses an
    archive that is damaged or encrypted, or that has no image or several, and a disk of more than
    4 GiB unless O(size) is as large.
  - An image for arm64 is recognized by the program that UEFI would start. If nothing on the disk
    tells its architecture, the image is accepted with a warning.
  - The partition tables are left as they are when the disk grows, so the backup of the GPT is not
    at its end, the same as after C(qemu-img resize). RouterOS uses the new space after its first
    boot. Many users report this, but the vendor does not document it.
  - Nothing is ever removed from O(cache). Everything in it may be deleted while no task uses it.
  - Set C(no_log) on the task if the script holds secrets. The prepared image holds them, too; only
    its owner can read its file.
options:
  version:
    description:
      - The version of RouterOS, such as V(7.22). It goes into O(url) and into the name of the
        prepared image.
    type: str
  url:
    description:
      - The http or https URL of the image. C({version}) becomes O(version), and C({format}) becomes
        C(img), because all formats are made from the published raw image.
      - For a mirror, give its pattern. The file may be a ZIP archive or an image itself; its name
        does not matter.
      - A login comes from C(.netrc) or stands in the URL, and a proxy is taken from the
        environment, as with M(ansible.builtin.get_url).
    type: str
    default: https://download.mikrotik.com/routeros/{version}/chr-{version}.{format}.zip
  src:
    description:
      - A file of the controller in place of O(url), a ZIP archive or an image itself (raw, qcow2,
        VMDK in one file, VDI, VHDX). It is searched for as by M(ansible.builtin.copy).
    type: path
  checksum:
    description:
      - The checksum of the file as it is downloaded, as algorithm, colon and hex digits, such as
        V(sha256:0a1b...). The algorithms are C(sha256), C(sha512), C(sha1) and C(md5).
      - With V(waived), the file is not checked. It is then downloaded once for each URL, and not
        again when it changes there.
      - It is required with O(url). The vendor publishes no list of checksums that software could
        read, so take that of a download that you trust, or that of your mirror's owner.
    type: str
  format:
    description:
      - The format of the image. V(vmdk) is a sparse image for VMware Workstation and Fusion,
        V(vmdk-stream) a stream-optimized one for the import into vSphere.
    type: str
    default: raw
    choices: [raw, qcow2, vmdk, vmdk-stream, vdi, vhdx]
  size:
    description:
      - The new size of the disk, such as V(1G), V(512M), or a number of bytes. It must be a whole
        number of MiB, and at least 128 MiB. When left out, the size does not change. A disk is
        never made smaller.
      - It is needed for a disk that has more than 4 GiB already.
    type: str
  first_boot:
    description:
      - A RouterOS script, as text or as a list of its lines, that runs when the router boots for the
        first time. It becomes the file
        C(/rw/autorun.scr) in the disk, and replaces an existing one.
      - B(The vendor does not document this.) Many users report that it works with RouterOS 6
        and 7. Interfaces may not exist yet when it runs. Use M(outofband.chr.script) for everything
        that must not fail, once the router is up.
    type: raw
  first_boot_src:
    description:
      - A file of the controller with that script, searched for as by M(ansible.builtin.copy). It
        may be encrypted with Ansible Vault.
    type: path
  cache:
    description:
      - The folder for downloads and prepared images. It must be the user's own.
    type: path
    default: ~/.cache/outofband.chr
  timeout:
    description:
      - The seconds for the whole task, including the wait for another host or run that makes the
        same image.
    type: float
    default: 1800.0
  validate_certs:
    description:
      - Whether the certificate of the server is checked.
    type: bool
    default: true
  ca_path:
    description:
      - A file or folder with the authorities to trust, instead of the system's.
    type: path
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.controller
attributes:
  check_mode:
    support: full
    details:
      - Nothing is downloaded. An image in the cache is returned. Otherwise only the path is
        returned, and only if the sha256 of the source is known.
  diff_mode:
    support: none
seealso:
  - module: outofband.chr.script
"""

EXAMPLES = r"""
- name: Prepare RouterOS 7.22 for Proxmox VE or libvirt, with a disk of 1 GiB
  outofband.chr.image:
    version: "7.22"
    checksum: sha256:3b7cf9a1c7a1e5c8a0a2f5b0f2b1d0c9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3
    format: qcow2
    size: 1G
  register: prepared

- name: Prepare the image of a mirror for the import into vSphere
  outofband.chr.image:
    version: "7.22"
    url: https://mirror.example.net/chr/chr-{version}.img.zip
    ca_path: /etc/ssl/example.pem
    checksum: waived
    format: vmdk-stream

- name: Prepare an image from a file, with a script for the first boot
  outofband.chr.image:
    src: /srv/images/chr-7.22.img.zip
    version: "7.22"
    first_boot: |
      /ip dhcp-client add interface=ether1 disabled=no
      /user set [find name=admin] password="{{ router_password }}"
  no_log: true
"""

RETURN = r"""
path:
  description: The prepared image, in a file that only its owner can read. In check mode null where
    it is not known.
  returned: success
  type: str
  sample: /home/ansible/.cache/outofband.chr/images/chr-7.22-5e3f6c1b0a9d8e7f5e3f6c1b0a9d8e7f.qcow2
format:
  description: What O(format) says.
  returned: always
  type: str
  sample: qcow2
version:
  description: What O(version) says.
  returned: always
  type: str
  sample: "7.22"
sha256:
  description: The checksum of the prepared image.
  returned: success, and in check mode if it is in the cache
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
size:
  description: Of its file, in bytes.
  returned: success, and in check mode if it is in the cache
  type: int
  sample: 47185920
virtual_size:
  description: The size of the disk in it, in bytes.
  returned: success, and in check mode if it is in the cache
  type: int
  sample: 1073741824
source_sha256:
  description: Of what was downloaded, or of O(src). Give it as O(checksum) from now on.
  returned: success, and in check mode if it is in the cache
  type: str
  sample: 3b7cf9a1c7a1e5c8a0a2f5b0f2b1d0c9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3
architecture:
  description: V(x86_64), or V(unknown) where nothing on the disk says.
  returned: success, and in check mode if it is in the cache
  type: str
  sample: x86_64
cached:
  description: Whether the image was in the cache, so that nothing had to be made.
  returned: success
  type: bool
  sample: false
"""
