# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The disk of a rented machine, written in its rescue system.

A bare disk has no place for a mark, so the order of writing is the mark: its first MiB, without
which nothing boots from it, is zeroed first and written last. A disk that begins with zeros has no
system, whether new or half written, and may be written.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPossible,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import CommandFailed, Machine

_HEAD = 1 << 20
"""The number of bytes at the beginning of the disk that are written last."""
_READ_BACK = 600.0  # seconds to read what was written
# Argument: the device. It is in use if one of its partitions, or anything on them, is in use.
_SURVEY = """\
[ -b "$1" ] || { echo "no block device"; exit 4; }
lsblk -dnro TYPE "$1"
blockdev --getsize64 "$1" || exit 1
if [ -d /sys/firmware/efi ]; then echo uefi; else echo bios; fi
if cmp -s -n 1048576 "$1" /dev/zero; then echo blank; else echo written; fi
lsblk -nro NAME,TYPE,MOUNTPOINT "$1" | while read -r name type mounted; do
    case "$type" in disk|loop|part) [ -z "$mounted" ] || echo "$name is mounted at $mounted" ;; *) echo "$name is a $type" ;; esac
done
"""


@dataclass(frozen=True)
class Survey:
    """What was found on the device. *size* is in bytes."""

    kind: str
    """The device's type in the words of ``lsblk``: ``disk``, ``part``, ``loop``."""
    size: int
    firmware: str
    """How the rescue system was booted: ``bios`` or ``uefi``."""
    blank: bool
    """Whether it begins with zeros."""
    used: list[str]
    """A text for each part of the device that is in use."""


class BlockDevice:
    """A whole disk of *machine*. All errors are ChrError."""

    def __init__(self, machine: Machine, path: str) -> None:
        if not path.startswith("/dev/") or not path.isprintable():
            raise InvalidInput(f"device {path!r} is not a path below /dev.")
        self._machine, self._path = machine, path
        self.title = f"{path} of {machine.name}"

    def survey(self) -> Survey:
        """Look at the disk without changing anything. Raises InvalidInput if it does not exist."""
        done = self._machine.try_run(["sh", "-c", _SURVEY, "sh", self._path])
        lines = done.stdout.splitlines()
        if done.rc or len(lines) < 4:
            raise InvalidInput(
                f"{self.title} is not a disk: {done.said}. Find the machine's "
                "disks with 'lsblk'. Only root can look at them."
            )
        kind, size, firmware, content, *used = lines
        return Survey(kind, int(size), firmware, content == "blank", used)

    def holds(self, image: Image) -> bool:
        """Whether the disk begins with the whole *image*."""
        return self._sha256(image.size) == image.sha256

    def check(self, image: Image, found: Survey, *, overwrite: bool) -> None:
        """Check that *image* can be written. Raises InvalidInput, NotPossible with the reason."""
        if image.format != "raw":
            raise InvalidInput(
                f"{str(image.path)!r} is {image.format}, but a disk is written with a raw image. "
                "Use format: raw of outofband.chr.image."
            )
        if found.kind not in ("disk", "loop"):
            raise InvalidInput(f"{self.title} is a {found.kind}, not a whole disk.")
        if found.used:
            raise NotPossible(
                f"{self.title} is in use ({'; '.join(found.used)}), so nothing was written. Boot "
                "the machine into its rescue system."
            )
        if image.size > found.size:
            raise InvalidInput(
                f"The image has {image.size} bytes, but {self.title} only {found.size}. Nothing was written."
            )
        if found.firmware != "bios":
            raise NotPossible(
                f"{self._machine.name} was booted with UEFI, but the CHR image boots with BIOS "
                "only. Nothing was written. Ask the provider to switch the machine to BIOS (legacy) "
                "boot."
            )
        if not found.blank and not overwrite:
            raise NotPossible(
                f"{self.title} is not empty, so nothing was written. Set overwrite: true to destroy "
                "everything on that disk."
            )

    def write(self, image: Image) -> None:
        """Write *image* to the beginning of the disk, and read it back.

        The disk boots only after the whole image was written. Raises TransferFailed.
        """
        self._dd(["if=/dev/zero", "count=1"])
        done = self._machine.feed(
            ["dd", f"of={self._path}", "bs=1M", "seek=1", "iflag=fullblock", "conv=notrunc,fsync", "status=none"],
            image.path,
            image.path.name,
            skip=_HEAD,
        )
        if done.rc:
            raise TransferFailed(
                f"{self.title} could not be written to its end: {done.said}. Nothing boots from it now."
            )
        with image.path.open("rb") as source:
            self._dd([], source.read(_HEAD))
        if not self.holds(image):
            self._dd(["if=/dev/zero", "count=1"])
            raise TransferFailed(
                f"{self.title} was read back with another sha256 than what was written to it. Its "
                "first MiB was zeroed, so that nothing boots from it. Is the disk broken?"
            )

    def boot(self) -> None:
        """Restart the machine. The rescue system is gone with it."""
        self._machine.try_run(["sh", "-c", "sync; (sleep 1; reboot -f) >/dev/null 2>&1 </dev/null &"])

    def _dd(self, source: list[str], stdin: bytes = b"") -> None:
        arguments = [*source, f"of={self._path}", "bs=1M", "iflag=fullblock", "conv=notrunc,fsync", "status=none"]
        try:
            self._machine.run(["dd", *arguments], stdin=stdin)
        except CommandFailed as error:
            raise TransferFailed(f"{self.title} cannot be written: {error.done.said}.") from None

    def _sha256(self, size: int) -> str:
        """The sha256 of the first *size* bytes, in hex.

        The kernel's cache is dropped first, so that they come from the disk itself.
        """
        script = 'blockdev --flushbufs "$1"; head -c "$2" "$1" | sha256sum'
        return self._machine.run(["sh", "-c", script, "sh", self._path, str(size)], seconds=_READ_BACK).split(
            maxsplit=1
        )[0]
