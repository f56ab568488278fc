# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Which VM a fact was read from.

ansible-core 2.21 keeps one dictionary for all hosts after a task with ``run_once`` that returns
facts. Whatever a host stores later is then a fact of all of them, so a fact must say whose it is.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from dataclasses import dataclass

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(frozen=True)
class Identity:
    """A VM, and the way to it."""

    host: str
    """The name in the inventory."""
    backend: str
    endpoint: str
    """The API, the URI or the machine, as messages show it."""
    vm: str
    """What names the VM there, independent of ``chr_vm``: a UUID, an id or a socket."""

    @classmethod
    def of(cls, fact: object) -> Identity | None:
        """Return the identity in the value ``router`` of a fact, or None if it has none."""
        if not isinstance(fact, t.Mapping):
            return None
        values = [one for name in dataclasses.fields(cls) if isinstance(one := fact.get(name.name), str)]
        return cls(*values) if len(values) == len(dataclasses.fields(cls)) else None

    @property
    def key(self) -> tuple[str, ...]:
        """A key that is the same for two ways to one VM.

        A UUID is the same at every endpoint of a hypervisor, for example at two hosts of a pool.
        """
        if _UUID.fullmatch(self.vm.lower()):
            return self.backend, self.vm.lower()
        return self.backend, self.vm, self.endpoint

    def __str__(self) -> str:
        return f"{self.vm} of {self.endpoint} (backend {self.backend})"
