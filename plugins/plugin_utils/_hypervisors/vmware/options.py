# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Options of backend ``vmware``."""

from __future__ import annotations

import itertools
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import (
    ApiOptions,
    GuestOptions,
    api_environment,
)


@dataclass(frozen=True, kw_only=True)
class VmwareServer(ApiOptions):
    """Options of a vCenter or an ESXi host: the API and its login."""

    backend: t.ClassVar[str] = "vmware"
    ENVIRONMENT: t.ClassVar[Mapping[str, Sequence[str]]] = api_environment("VMWARE")


@dataclass(frozen=True, kw_only=True)
class VmwareOptions(VmwareServer, GuestOptions):
    """Options of a VM on VMware: those of the server, and the RouterOS user that runs scripts."""

    EXEC_MODES: t.ClassVar[tuple[str, ...]] = ("inline", "console", "import")

    guest_user: str | tuple[str, ...] = "admin"
    guest_password: str | tuple[str, ...] = field(default="", repr=False)

    @property
    def logins(self) -> tuple[tuple[str, str], ...]:
        """The users and passwords, in the order in which they are tried."""
        return tuple(itertools.product(_each(self.guest_user), _each(self.guest_password)))

    @classmethod
    def from_options(cls, values: Mapping[str, t.Any]) -> t.Self:
        given = {name: _texts(name, values.get(name)) for name in ("guest_user", "guest_password")}
        return super().from_options({**values, **given})


def _each(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _texts(name: str, value: t.Any) -> str | tuple[str, ...] | None:
    """Return the texts in *value*, which is one text, a list, or a text with one on each line.

    Such lines are how an environment variable has a list. Raises InvalidInput.
    """
    if value is None:
        return None
    several = value if isinstance(value, (list, tuple)) else str(value).replace("\r\n", "\n").split("\n")
    if not several or any(isinstance(one, (dict, list, tuple)) for one in several):
        raise InvalidInput(f"chr_{name} must be a text or a list of texts. Nothing was sent.")
    texts = tuple("" if one is None else str(one) for one in several)
    return texts if len(texts) > 1 else texts[0]
