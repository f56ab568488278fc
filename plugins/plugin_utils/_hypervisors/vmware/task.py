# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Tasks of VMware that change a VM, and what their faults mean."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPermitted,
    NotPossible,
    VmBusy,
)

from .vsphere import Vsphere, fault_words, library

_ADVICE = {
    "ConcurrentAccess": "Something else changed it at the same time. Repeat the task.",
    "DuplicateName": "Another object in that folder has the name. Choose another name.",
    "FileAlreadyExists": "The datastore has a file of that name that belongs to nothing in VMware's inventory. Look at it there.",
    "FileLocked": "Another host or a backup has the file open.",
    "InsufficientResourcesFault": "The host or the resource pool has no CPU or memory left for it.",
    "InsufficientStorageSpace": "Make space in the datastore, or choose another one.",
    "InvalidArgument": "In a cluster without DRS, esxi_host must name the host.",
    "InvalidDatastore": "The datastore does not exist, or that host does not have it.",
    "InvalidDatastorePath": "The datastore does not exist, or that host does not have it.",
    "NoDiskSpace": "Make space in the datastore, or choose another one.",
    "NotEnoughLicenses": "The license of vSphere does not cover it.",
    "RestrictedVersion": "The license of this ESXi host (the free one) does not let the API change anything.",
}


def run_task(
    vsphere: Vsphere, call: str, start: t.Callable[[], t.Any], deadline: Deadline, name: str, tried: str
) -> t.Any:
    """Run a task as ``Vsphere.run`` does, about the VM *name*.

    *tried*: a verb that goes before the name in messages. Raises NotPermitted and NotPossible for a
    fault, and the other errors of ``Vsphere.run``.
    """
    try:
        return vsphere.run(call, start, deadline, repr(name))
    except library().vmodl.MethodFault as error:
        raise explained(vsphere, error, name, tried) from error


def explained(vsphere: Vsphere, error: t.Any, name: str, tried: str) -> ChrError:
    """Turn a fault into an error. *tried*: a verb that goes before the VM's *name*."""
    where, user = vsphere.endpoint.where, vsphere.endpoint.user
    if privilege := getattr(error, "privilegeId", None):
        of = f" on {error.object._moId}" if getattr(error, "object", None) else ""
        return NotPermitted(
            f"{user!r} may not {tried} {name!r} on {where}: the privilege {privilege} is "
            f"missing{of}. Add it to the user's role there."
        )
    if isinstance(error, library().vim.fault.TaskInProgress):
        return VmBusy(
            f"{where} did not {tried} {name!r}: something else is busy with it{_holder(vsphere, error.task)}."
        )
    kinds = [kind.__name__.rpartition(".")[2] for kind in type(error).__mro__]
    advice = next((_ADVICE[kind] for kind in kinds if kind in _ADVICE), "")
    return NotPossible(f"{where} did not {tried} {name!r}: {fault_words(error)}. {advice}".rstrip())


def _holder(vsphere: Vsphere, task: t.Any) -> str:
    """Which *task* it is, and whose. Empty if the user may not see it."""
    with contextlib.suppress(ChrError, library().vmodl.MethodFault, AttributeError):
        info = vsphere.properties(task._moId, ["info.descriptionId", "info.reason"], "Task")
        user = getattr(info.get("info.reason"), "userName", None)
        return f": the task {info.get('info.descriptionId')} ({task._moId})" + (f" of {user}" if user else "")
    return ""
