# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of a router, for the action and for a connection that Ansible asks to gather facts.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPossible,
    OutputCut,
    ScriptFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import encoded, presentable, readable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.transfer_limit import TransferLimit
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import facts
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.values import duration

from .exports import check_possible, export

SPEC: dict[str, t.Any] = {
    "gather_subset": {"type": "list", "elements": "str", "default": ["!config"]},
    "max_items": {"type": "int", "default": 1000},
}
"""The arguments of outofband.chr.facts."""

_PAGE = 4  # items of a menu in one script, if the size of its output is limited


@dataclass
class Gatherer:
    """Gathers facts under the names of community.routeros.facts, and collects warnings.

    *timeout* is in seconds for one script, *encoding* that of ``readable``.
    """

    guest: Guest
    timeout: float
    encoding: str | None
    warnings: list[str] = field(default_factory=list)

    def gather(self, host: str, arguments: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Return the facts of *host* by their names in Ansible. Raises ChrError."""
        wanted, limit = arguments["gather_subset"], arguments["max_items"]
        try:
            names = facts.subsets(wanted)
        except ValueError as error:
            raise InvalidInput(f"gather_subset: {error}.") from error
        if limit < 0:
            raise InvalidInput(f"max_items {limit} is negative. Set it to 0 to read all items of every menu.")
        with self.guest.exchange():
            found = self._whole(names, limit) if self.guest.capabilities.output else self._by_values(wanted)
        router = dataclasses.asdict(self.guest.identity(host))
        return {**{f"ansible_net_{key}": value for key, value in found.items()}, "chr_router": router}

    def _read(self, script: str) -> bytes:
        return self.guest.checked(self.guest.run(encoded(script), self.timeout), self.timeout).output

    def _maybe(self, script: str) -> bytes | None:
        # If this RouterOS does not have a menu, the whole script is a syntax error, and nothing of
        # it runs.
        result = self.guest.run(script.encode(), self.timeout)
        if result.rc == 0 or result.timed_out:
            return self.guest.checked(result, self.timeout).output
        return None

    def _export(self, verbose: bool) -> str:
        check_possible(self.guest)
        return readable(export(self.guest, None, self.timeout, TransferLimit(), verbose=verbose), self.encoding)

    def _whole(self, names: list[str], limit: int) -> dict[str, t.Any]:
        page = _PAGE if self.guest.capabilities.max_output else None
        through_file = self._export if page else None
        source = facts.FactSource(self._read, self._maybe, page, limit or None, self.encoding, through_file)
        try:
            gathered = facts.gather(names, source)
        except OutputCut as error:
            raise OutputCut(
                f"{error} Leave the subset with so much output out of gather_subset, config for example."
            ) from error
        except ValueError as error:
            raise ScriptFailed(f"The facts of {self.guest.vm!r} cannot be read: {error}.") from error
        if source.incomplete:
            self.warnings.append(
                f"{self.guest.vm!r} has more than {limit} items in {', '.join(source.incomplete)}: the facts have the first "
                f"{limit} of each. Set max_items to read more."
            )
        return gathered

    def _by_values(self, wanted: list[str]) -> dict[str, t.Any]:
        """Gather the subset ``default`` value by value, if a script's output cannot be read."""
        if more := sorted(name for name in wanted if not name.startswith("!") and name not in ("default", "all")):
            raise NotPossible(
                f"Backend {self.guest.backend} reads single values only, so gather_subset {', '.join(more)} is not possible for "
                f"{self.guest.vm!r}: use 'default'."
            )

        def value(expression: str, likely: t.Sequence[bytes]) -> str | None:
            try:
                return readable(self.guest.read(expression, self.timeout, likely), self.encoding)
            except ScriptFailed:
                return None  # this RouterOS has no such property

        gathered = facts.gather_values(value)
        with contextlib.suppress(ScriptFailed):
            gathered["uptime"] = duration(int(self.guest.read_seconds("[/system resource get uptime]", self.timeout)))
        return gathered


def setup_facts(guest: Guest) -> dict[str, t.Any]:
    """Return what the agent tells without a script, under the names of ansible.builtin.setup.

    Raises Unreachable, NotAnAgent.
    """
    report = guest.report()
    system = report.os or {}
    addresses = [each for one in report.interfaces or () for each in one.addresses if each.address]
    found = {
        "system": "RouterOS",
        "os_family": "RouterOS",
        "distribution": "RouterOS",
        "distribution_version": str(system.get("version") or system.get("pretty_name") or "").removeprefix("RouterOS "),
        "kernel": system.get("kernel_release"),
        "architecture": system.get("machine"),
        "machine": system.get("machine"),
        "hostname": report.host_name,
        "nodename": report.host_name,
        "interfaces": None if report.interfaces is None else [one.name for one in report.interfaces if one.name],
        "all_ipv4_addresses": [each.address for each in addresses if each.family == "ipv4"],
        "all_ipv6_addresses": [each.address for each in addresses if each.family == "ipv6"],
    }
    return {f"ansible_{key}": presentable(value) for key, value in found.items() if value not in (None, "")}
