# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Components that a machine may lack."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import typing as t

PACKAGES = {
    "debugfs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "gcc": "gcc",
    "ip": "iproute2",
    "libvirtd": "libvirt-daemon",
    "mke2fs": "e2fsprogs",
    "mkfs.ext4": "e2fsprogs",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "qemu-ga": "qemu-guest-agent",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "shellcheck": "shellcheck",
    "socat": "socat",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "unshare": "util-linux",
    "virsh": "libvirt-clients",
}
"""The Debian packages of the programs that a machine may lack."""


class Missing(Exception):
    """A component is not on this machine, so what needs it is left out; the text says which."""


def in_ci() -> bool:
    """Whether a missing component is a failure, as CI=true in the environment says."""
    return os.environ.get("CI", "").lower() in ("true", "1")


def need_program(name: str) -> str:
    """The path of a program, which may be where only root looks for it. Raises Missing."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise Missing(_not_installed(name))
    return found


@contextlib.contextmanager
def programs_named() -> t.Iterator[None]:
    """Turn subprocess's error about a program of PACKAGES into Missing."""
    try:
        yield
    except FileNotFoundError as error:
        name = str(error.filename)
        if name not in PACKAGES:
            raise
        raise Missing(_not_installed(name)) from error


def _not_installed(name: str) -> str:
    return f"{name} is not installed (package {PACKAGES[name]})"


def need_library(module: str, package: str) -> None:
    """Raise Missing if a Python module of *package* cannot be imported here."""
    if importlib.util.find_spec(module) is None:
        raise Missing(f"{package} is not installed for this Python")
