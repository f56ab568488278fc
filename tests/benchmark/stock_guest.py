# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest with a stock qemu-ga, for peers that do not speak to a CHR."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ansible_collections.outofband.chr.tests.lab.missing import need_program
from ansible_collections.outofband.chr.tests.lab.qemu.image import Archive, GuestImage, build_image, libraries

_INIT = r"""#!/bin/busybox sh
B=/bin/busybox
$B mount -t devtmpfs dev /dev
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
while read -r module; do $B insmod "/modules/$module"; done </modules/order
until port=$($B ls /dev | $B grep -m1 vport); do $B usleep 10000; done
exec /usr/sbin/qemu-ga -m virtio-serial -p "/dev/$port" -t /run
"""


def stock_image(cache: Path, folder: Path) -> GuestImage:
    """The lab's image with qemu-ga in it, which ``rdinit=/init-stock`` starts. Raises Missing."""
    program = Path(need_program("qemu-ga"))
    image = build_image(cache)
    archive = Archive(folder / "stock.cpio")
    archive.file("init-stock", _INIT.encode(), 0o755)
    archive.file("usr/sbin/qemu-ga", program.read_bytes(), 0o755)
    for path in libraries([program]):
        archive.file(str(path), path.read_bytes(), 0o755)
    archive.close()
    both = folder / "initramfs.stock"
    both.write_bytes(image.initramfs.read_bytes() + archive.path.read_bytes())
    return replace(image, initramfs=both)
