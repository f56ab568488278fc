# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The volumes of domains, and what is looked up on a connection to libvirt.

All functions raise libvirt's own errors.
"""

from __future__ import annotations

import time
import typing as t
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline

from .connection import INTERNAL_ERROR, NO_DOMAIN, NO_STORAGE_VOL, library
from .xml import Origin, disk_paths

INACTIVE = 2
"""VIR_DOMAIN_XML_INACTIVE."""
_BUSY = 30.0  # seconds in which a pool gets ready while volumes are made there


def code(error: Exception) -> int | None:
    return getattr(error, "get_error_code", lambda: None)()


def or_none(missing: int, call: t.Callable[[str], t.Any], name: str) -> t.Any:
    """Call *call* with *name*. Returns None if libvirt's error has the number *missing*."""
    try:
        return call(name)
    except library().libvirtError as error:
        if code(error) != missing:
            raise
        return None


def inactive_xml(domain: t.Any) -> Element:
    return ElementTree.fromstring(domain.XMLDesc(INACTIVE))


def pool_kind(pool: t.Any) -> str:
    return ElementTree.fromstring(pool.XMLDesc(0)).get("type", "")


def system_disk(connection: t.Any, identifier: str) -> list[str]:
    """The paths of the volumes of a domain that this collection made, newest first.

    These are the imported volume, and the overlays that external snapshots have put on it since.
    Further disks that somebody gave to the domain are not included.
    """
    domain = or_none(NO_DOMAIN, connection.lookupByUUIDString, identifier)
    if domain is None:
        return []
    xml = inactive_xml(domain)
    origin = Origin.from_xml(xml)
    if origin is None or not origin.volume:
        return []
    pool = connection.storagePoolLookupByName(origin.pool)
    refresh(pool)  # it does not know the overlays otherwise
    volume = or_none(NO_STORAGE_VOL, pool.storageVolLookupByName, origin.volume)
    if volume is None:
        return []
    base = volume.path()
    for path in disk_paths(xml):
        chain = _chain(connection, path)
        if base in chain:
            return chain[: chain.index(base) + 1]
    return [base]


def _chain(connection: t.Any, path: str | None) -> list[str]:
    """*path* and the files that it is an overlay of, as far as these are volumes."""
    found: list[str] = []
    while path and (volume := or_none(NO_STORAGE_VOL, connection.storageVolLookupByPath, path)) is not None:
        found.append(path)
        path = ElementTree.fromstring(volume.XMLDesc(0)).findtext("backingStore/path")
    return found


def delete_volume(path: str, connection: t.Any) -> None:
    """Delete the volume at *path*, unless another run has already done so."""
    or_none(NO_STORAGE_VOL, lambda wanted: connection.storageVolLookupByPath(wanted).delete(0), path)


def refresh(pool: t.Any) -> None:
    """Let libvirt read the pool's content again.

    libvirt refuses that while a volume is being made there, for example by another import.
    """
    deadline = Deadline(_BUSY)
    while True:
        try:
            pool.refresh(0)
            return
        except library().libvirtError as error:
            if code(error) != INTERNAL_ERROR or deadline.expired:
                raise
        time.sleep(0.1)
