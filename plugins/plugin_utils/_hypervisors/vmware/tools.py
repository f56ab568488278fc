# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The settings of what VMware lets the tools of RouterOS do.

Source: vendor's manual, sections 7.1 (time), 7.2 (power scripts) and 7.4 (reports).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput

from .settings import Change, differing, refused
from .vsphere import Vsphere, library

# the module's option -> the field of config.tools
TIME = {"time_sync": "syncTimeWithHost"}
SCRIPTS = {
    "after_power_on": "afterPowerOn",
    "after_resume": "afterResume",
    "before_reboot": "beforeGuestReboot",
    "before_shutdown": "beforeGuestShutdown",
    "before_standby": "beforeGuestStandby",
}
_PERFMON = "guestinfo.disable-perfmon"
_NICS = {
    "exclude_nics": "guestinfo.exclude-nics",
    "primary_nics": "guestinfo.primary-nics",
    "low_priority_nics": "guestinfo.low-priority-nics",
}
_TASK = 60.0  # seconds


@dataclass(frozen=True)
class ToolsSettings:
    """The requested settings. A setting that is None stays as it is."""

    time_sync: bool | None = None
    scripts: dict[str, bool | None] = field(default_factory=dict)
    """Whether each power script may run, by the names in SCRIPTS."""
    statistics: bool | None = None
    exclude_nics: list[str] | None = None
    """Patterns of interface names. An empty list removes the key."""
    primary_nics: list[str] | None = None
    low_priority_nics: list[str] | None = None


class VmwareTools:
    """The settings of the tools of one VM."""

    def __init__(self, vsphere: Vsphere, moid: str, vm: str) -> None:
        self._vsphere, self._moid, self._vm = vsphere, moid, vm

    def plan(self, wanted: ToolsSettings) -> list[Change]:
        """The changes that *wanted* needs. Raises ChrError."""
        state = self._vsphere.properties(self._moid, ["config.tools", "config.extraConfig"])
        tools = state.get("config.tools")
        now = {name: getattr(tools, of, None) for name, of in (TIME | SCRIPTS).items()}
        flags = differing(now, {"time_sync": wanted.time_sync, **wanted.scripts})
        have = {str(one.key): str(one.value) for one in state.get("config.extraConfig") or []}
        keys = differing(dict.fromkeys(_keys(wanted), "") | have, _keys(wanted))
        if not flags and not keys:
            return []
        spec = library().vim.vm.ConfigSpec(
            tools=_tools(now | flags) if flags else None,
            extraConfig=[library().vim.option.OptionValue(key=key, value=value) for key, value in keys.items()],
        )
        return [
            Change(
                f"the tools' settings of {self._vm!r}",
                {name: now[name] for name in flags} | {key: have.get(key, "") for key in keys},
                flags | keys,
                lambda: self._reconfigure(spec),
            )
        ]

    def _reconfigure(self, spec: t.Any) -> None:
        what = f"the tools' settings of {self._vm!r}"
        try:
            self._vsphere.run(
                "ReconfigVM_Task",
                lambda: self._vsphere.object("VirtualMachine", self._moid).ReconfigVM_Task(spec),
                Deadline(_TASK),
                repr(self._vm),
            )
        except library().vmodl.MethodFault as error:
            raise refused(self._vsphere, what, error) from error


def _tools(flags: dict[str, t.Any]) -> t.Any:
    """The tools' settings with all flags, as VMware could unset a flag that is left out."""
    return library().vim.vm.ToolsConfigInfo(**{of: flags[name] for name, of in (TIME | SCRIPTS).items()})


def _keys(wanted: ToolsSettings) -> dict[str, str]:
    """The keys of the VM's configuration and their values. An empty value removes the key."""
    keys = {}
    if wanted.statistics is not None:
        keys[_PERFMON] = "FALSE" if wanted.statistics else "TRUE"
    for name, key in _NICS.items():
        patterns = getattr(wanted, name)
        if patterns is None:
            continue
        for one in patterns:
            if not one.strip() or "," in one or not one.isprintable():
                raise InvalidInput(
                    f"{name}: {one!r} is not a valid pattern of interface names, such as ether1 or pppoe*."
                )
        keys[key] = ",".join(one.strip() for one in patterns)
    return keys
