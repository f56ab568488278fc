# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that bring a router to another version of RouterOS.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import (
    Deadline,
    poll_interval,
    positive_seconds,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPossible,
    OutcomeUnknown,
    ScriptFailed,
    TimedOut,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt, readable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.snapshots import Snapshots, take_if_possible
from ansible_collections.outofband.chr.plugins.plugin_utils._image.download import Trust
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import backup, records, upgrade
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.upgrade import Version

from . import exports, local_file, packages, reboots, switching, versions
from .license import LicenseAction
from .own_files import removed_at_the_end
from .readiness import wait_for_agent, wait_until_ready

_OWN = 30.0  # seconds for a short script
_CHECK = 60.0  # seconds for the router's own look-up of the newest version
_BY_ITSELF = 20.0  # seconds in which a downgrade reboots by itself, if it does
_SETTLING = 30.0  # seconds after a boot in which a menu may still be missing from the export
_PACE = 0.5  # seconds between two looks
_EXPORT_MODE = 0o600


@dataclass
class Plan:
    """What is to be done with one router."""

    before: Version
    wanted: Version
    from_controller: list[packages.LocalPackage]
    snapshot: str | None
    rollback: bool
    timeout: float
    snapshots: Snapshots | None = None
    interfaces: list[str] | int = 0
    """Their names, or their number where the names cannot be read."""
    menus: set[str] | None = None
    """Those of the export before the upgrade; None if it cannot be read."""
    warnings: list[str] = field(default_factory=list)
    touched: bool = False
    """Something was done to the router or its VM."""

    @property
    def source(self) -> str:
        return "controller" if self.from_controller else "router"


class UpgradeAction(LicenseAction):
    """The steps of the module ``upgrade``."""

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        began = time.monotonic()
        timeout = positive_seconds("timeout", arguments["timeout"])
        given = self._given(arguments)
        self._check_way(guest, arguments)
        guest.require_routeros()
        before = self._version(guest)
        wanted = self._wanted(arguments, timeout)
        result: dict[str, t.Any] = {"before": str(before), "version": str(wanted), "changed": before != wanted}
        if self._task.diff:
            result["diff"] = {"before": f"RouterOS {before}\n", "after": f"RouterOS {wanted}\n"}
        if before == wanted:
            return result
        plan = Plan(before, wanted, given, arguments["snapshot"], arguments["rollback"], timeout)
        result |= {"source": plan.source, "snapshot": plan.snapshot}
        self._refuse(guest, plan, arguments)
        if self._task.check_mode:
            source = "packages from the controller" if given else "the packages that the router downloads"
            result["msg"] = f"RouterOS {before} would have been brought to {wanted} with {source}."
            return result
        try:
            if not given:
                self._find(guest, plan, arguments["channel"])
            self._look_before(guest, plan, arguments)
            self._carry_out(guest, plan, arguments)
        except ChrError:
            result.pop("diff", None)
            self._so_far |= {**result, "changed": plan.touched, "warnings": plan.warnings}
            raise
        return result | {"warnings": plan.warnings, "elapsed": round(time.monotonic() - began, 3)}

    # -- what is wanted ----------------------------------------------------------------------------

    def _given(self, arguments: dict[str, t.Any]) -> list[packages.LocalPackage]:
        """Check the options, and return the packages of the controller. Raises InvalidInput."""
        versions.refuse_number(self, "version")
        try:
            if arguments["version"] is not None:
                Version.parse(arguments["version"])
        except ValueError as error:
            raise InvalidInput(f"version: {error}.") from None
        if arguments["rollback"] and not arguments["snapshot"]:
            raise InvalidInput("rollback: true needs a snapshot to go back to. Give its name as snapshot.")
        given = [packages.local(self, one) for one in arguments["packages"] or []]
        if given:
            names = [one.package.name for one in given]
            if len(set(names)) != len(names):
                raise InvalidInput(f"packages has the same package twice: {', '.join(sorted(names))}.")
        return given

    def _wanted(self, arguments: dict[str, t.Any], timeout: float) -> Version:
        """Return the wanted version, which is looked up if only the channel is given."""
        if arguments["version"] is not None:
            return Version.parse(arguments["version"])
        ca_path = arguments["ca_path"]
        trust = Trust(arguments["validate_certs"], self._loader.path_dwim(ca_path) if ca_path else None)
        url = arguments["newest_url"].replace("{channel}", arguments["channel"])
        return packages.newest(url, trust, Deadline(min(timeout, _CHECK)), lambda _line: None)

    # -- refusals, before anything is touched ------------------------------------------------------

    def _check_way(self, guest: Guest, arguments: dict[str, t.Any]) -> None:
        """Raise NotPossible for what this backend cannot do."""
        if not guest.capabilities.runs_without_restart:
            raise NotPossible(
                f"Backend {guest.backend} runs a script in {guest.vm!r} only when it boots, so an upgrade cannot be watched. "
                "Use chr_backend: xenstore in dom0."
            )
        if arguments["packages"] and not guest.capabilities.files:
            raise NotPossible(
                f"Backend {guest.backend} moves no files of this size to {guest.vm!r}, so packages cannot come from the "
                "controller. Without packages, the router downloads them itself (/system package update)."
            )
        if arguments["backup_dest"] is not None:
            exports.check_possible(guest)
        if arguments["snapshot"]:
            snapshots = guest.snapshots()
            snapshots.check_name(arguments["snapshot"])
            if arguments["rollback"] and not snapshots.reverts:
                raise NotPossible(
                    f"Backend {guest.backend} does not go back to a snapshot of {guest.vm!r} by itself, so rollback: true is not "
                    "possible. Without it, the snapshot is taken, and can be used with the hypervisor's own tools."
                )

    def _refuse(self, guest: Guest, plan: Plan, arguments: dict[str, t.Any]) -> None:
        """Raise an error for what must not be done to this router."""
        nothing = f"{guest.vm!r} was not upgraded, and nothing was done to it"
        if why := upgrade.why_not(plan.before, plan.wanted, downgrade=arguments["downgrade"], major=arguments["major"]):
            raise NotPossible(f"{nothing}: {why}")
        if plan.wanted < plan.before and not plan.from_controller:
            raise NotPossible(
                f"{nothing}: the router's own update (/system package update) does not go back to {plan.wanted}. Give packages."
            )
        reading = self.reading(guest)
        if reading.license.limited_upgrades or reading.license.expired(reading.clock.local):
            raise NotPossible(
                f"{nothing}: its license of level {reading.license.level} has limited upgrades. RouterOS would install "
                "nothing. Renew the license first (outofband.chr.license)."
            )
        if plan.from_controller:
            self._refuse_packages(guest, plan, nothing)
        need = max(self.size(arguments, "min_free"), 2 * sum(one.size for one in plan.from_controller))
        if not guest.condition(f"{upgrade.FREE_SPACE} >= {need}", _OWN):
            free = self._number(guest, upgrade.FREE_SPACE)
            raise NotPossible(
                f"{nothing}: its disk has {free} bytes free, and {need} are needed. Remove files there, or give "
                "min_free."
            )
        if lying := self._number(guest, upgrade.lying_about(plan.wanted)):
            raise NotPossible(
                f"{nothing}: it has {lying} other package file(s) (.npk), which RouterOS would install at the reboot. "
                "Remove them there."
            )
        if plan.snapshot:
            plan.snapshots = guest.snapshots()
            if plan.snapshot in plan.snapshots.listed():
                raise NotPossible(
                    f"{nothing}: it has a snapshot {plan.snapshot!r} already. It may be that of an earlier run that did not end. "
                    "Remove it (outofband.chr.snapshot), or give another name."
                )
            if plan.rollback:
                guest.power().check()

    def _find(self, guest: Guest, plan: Plan, channel: str | None) -> None:
        """Let the router look for the wanted version in *channel*. Raises NotPossible."""
        was = readable(guest.read(upgrade.CHANNEL, _OWN, [one.encode() for one in upgrade.CHANNELS]))
        other = channel is not None and channel != was
        if other and channel:
            plan.touched = True
            self.read(guest, upgrade.set_channel(channel), _OWN)
        self.read(guest, upgrade.CHECK, _OWN)
        if self._becomes(guest, upgrade.offered(plan.wanted), Deadline(min(_CHECK, plan.timeout))):
            return
        found, status = (readable(guest.read(one, _OWN)) for one in (upgrade.LATEST, upgrade.STATUS))
        if other:
            self.read(guest, upgrade.set_channel(was), _OWN)
            plan.touched = False
        raise NotPossible(
            f"{guest.vm!r} was not upgraded: its own update (channel {channel or was}) found version {excerpt(found, 40)}, not "
            f"{plan.wanted}; its status is {excerpt(status, 200)}. Give packages, or a version that it finds."
        )

    def _refuse_packages(self, guest: Guest, plan: Plan, nothing: str) -> None:
        architecture = readable(guest.read(upgrade.ARCHITECTURE, _OWN))
        listed = upgrade.has_packages(self.read(guest, records.listing("/system package"), _OWN))
        given = [one.package for one in plan.from_controller]
        if why := upgrade.why_not_packages(given, plan.wanted, architecture, listed | {"routeros"}):
            raise NotPossible(f"{nothing}: {why}")

    # -- the steps ---------------------------------------------------------------------------------

    def _look_before(self, guest: Guest, plan: Plan, arguments: dict[str, t.Any]) -> None:
        """Read what must be the same afterwards, and keep the export if that is asked for."""
        plan.interfaces = self._interfaces(guest)
        if not guest.capabilities.output:
            plan.warnings.append(
                f"Backend {guest.backend} does not read the export of {guest.vm!r}, so its menus are not compared."
            )
            return
        try:
            export = self._export(guest, arguments)
        except (NotPossible, ScriptFailed) as error:  # it is too large, or not whole
            strict = isinstance(error, ScriptFailed) and arguments["on_missing"] == "fail"
            if strict or arguments["backup_dest"] is not None:
                raise
            plan.warnings.append(f"The menus of the export are not compared: {error}")
            return
        plan.menus = upgrade.menus(export)
        if arguments["backup_dest"] is None:
            return
        folder = Path(self._loader.path_dwim(arguments["backup_dest"]))
        path = folder / backup.Names(self.router_name).export(sensitive=False)
        try:
            if not path.is_file() or path.read_bytes() != export:
                with local_file.replacing(path, _EXPORT_MODE) as target:
                    target.write(export)
        except OSError as error:
            raise InvalidInput(f"backup_dest {str(folder)!r} cannot be used: {error.strerror or error}.") from error

    def _carry_out(self, guest: Guest, plan: Plan, arguments: dict[str, t.Any]) -> None:
        if plan.snapshots and plan.snapshot:
            self._snapshot(guest, plan, plan.snapshots, plan.snapshot)
        with contextlib.ExitStack() as left:
            for one in plan.from_controller:
                left.enter_context(removed_at_the_end(guest, one.path.name))
            look = self._deliver_or_tell(guest, plan, arguments)
            try:
                deadline = Deadline(plan.timeout)
                self._reboot(guest, plan, look, deadline)
                self._verify(guest, plan, arguments, deadline)
            except ChrError as error:
                raise self._after_failure(guest, plan, error) from error

    def _snapshot(self, guest: Guest, plan: Plan, snapshots: Snapshots, name: str) -> None:
        deadline = Deadline(plan.timeout)
        description = f"RouterOS {plan.before}, before the upgrade to {plan.wanted}"
        why = snapshots.why_not_quiesced()
        taken, unquiesced = take_if_possible(snapshots, name, description, not why, deadline)
        why = why or unquiesced
        plan.touched = True
        plan.warnings += [taken.trouble] if taken.trouble else []
        if why:
            plan.warnings.append(f"The snapshot {name!r} of {guest.vm!r} is not quiesced: {why}.")
        if taken.still_frozen:
            raise NotPossible(
                f"The snapshot {name!r} of {guest.vm!r} was taken and is kept, and nothing else was done."
            )

    def _deliver_or_tell(
        self, guest: Guest, plan: Plan, arguments: dict[str, t.Any]
    ) -> t.Callable[[float], str | None]:
        """Bring the packages to the router. Returns the ``look`` for its reboot."""
        plan.touched = True
        try:
            if plan.from_controller:
                for one in plan.from_controller:
                    with one.path.open("rb") as file:
                        guest.put(file, one.path.name, self.transfer_limit(arguments))
            else:
                self._download(guest, plan)
            return reboots.before_reboot(guest, Deadline(plan.timeout))
        except (ChrError, OSError) as error:
            told = f"{error} {guest.vm!r} was not rebooted, and still has RouterOS {plan.before}."
            if plan.snapshots and plan.snapshot:
                try:
                    plan.snapshots.remove(plan.snapshot, Deadline(plan.timeout))
                    told += f" The snapshot {plan.snapshot!r} was removed again."
                except ChrError as trouble:
                    told += f" The snapshot {plan.snapshot!r} was not removed again: {trouble}"
            if not isinstance(error, ChrError):
                raise InvalidInput(told) from error
            error.args = (told,)
            raise

    def _download(self, guest: Guest, plan: Plan) -> None:
        """Let the router download the packages. Raises ScriptFailed, TimedOut."""
        self.read(guest, upgrade.DOWNLOAD, _OWN)
        deadline = Deadline(plan.timeout)
        if self._becomes(guest, upgrade.DOWNLOADED, deadline, upgrade.DOWNLOAD_FAILED):
            return
        status = excerpt(readable(guest.read(upgrade.STATUS, _OWN)), 200)
        with contextlib.suppress(ChrError):
            self.read(guest, upgrade.CANCEL, _OWN)
        if deadline.expired:
            raise TimedOut(
                f"{guest.vm!r} has not downloaded {plan.wanted} within {plan.timeout:g} s: its status is {status}."
            )
        raise ScriptFailed(f"{guest.vm!r} did not download {plan.wanted}: {status}.")

    def _becomes(self, guest: Guest, condition: str, deadline: Deadline, never: str | None = None) -> bool:
        """Wait until *condition* is true. False at *deadline*, or when *never* is true."""
        began = time.monotonic()
        while not guest.condition(condition, _OWN):
            if deadline.expired or (never and guest.condition(never, _OWN)):
                return False
            time.sleep(min(max(_PACE, poll_interval(time.monotonic() - began)), deadline.remaining))
        return True

    def _reboot(self, guest: Guest, plan: Plan, look: t.Callable[[float], str | None], deadline: Deadline) -> None:
        """Reboot once, and wait until the router is back. Raises TimedOut, Unreachable."""
        told = f"was told to reboot for RouterOS {plan.wanted}"
        asked = time.monotonic()
        reboots_by_itself = False
        if plan.wanted < plan.before:
            reboots.order(guest, upgrade.DOWNGRADE)
            try:  # whether this command reboots by itself is not known
                reboots.watch_boot(guest, told, asked, Deadline(min(_BY_ITSELF, plan.timeout / 2)), look)
                return
            except Unreachable:
                reboots_by_itself = True
            except TimedOut:
                pass
        if not reboots_by_itself:
            reboots.order(guest, upgrade.REBOOT)
        reboots.watch_boot(guest, told, asked, deadline, look)

    def _verify(self, guest: Guest, plan: Plan, arguments: dict[str, t.Any], deadline: Deadline) -> None:
        """Check that the router is what it should be. Raises ScriptFailed.

        A router may reboot once more by itself, and interfaces and menus may come later than the
        agent.
        """
        settled = Deadline(min(_SETTLING, deadline.remaining))
        try:
            wait_until_ready(guest, {f"it has not RouterOS {plan.wanted}": upgrade.has(plan.wanted)}, settled)
        except TimedOut:
            raise ScriptFailed(
                f"{guest.vm!r} is back with RouterOS {self._version(guest)} instead of {plan.wanted}: it has not installed the "
                "packages. Its log may say why (/log print)."
            ) from None
        missing = self._settles(lambda: self._interfaces_lost(guest, plan.interfaces), deadline)
        if not missing:
            settled = Deadline(min(_SETTLING, deadline.remaining))
            missing = self._settles(lambda: self._menus_lost(guest, plan, arguments), settled)
        if not missing:
            return
        told = f"{guest.vm!r} is back with RouterOS {plan.wanted}, but without {missing}."
        if arguments["on_missing"] == "fail":
            raise ScriptFailed(told)
        plan.warnings.append(told)

    def _settles(self, problem: t.Callable[[], str], deadline: Deadline) -> str:
        """Look, at least once, until there is no *problem*. Returns the last one."""
        while True:
            try:
                found = problem()
            except (OutcomeUnknown, ScriptFailed, Unreachable) as error:
                found = f"an answer ({str(error).rstrip('.')})"
            if not found or deadline.expired:
                return found
            time.sleep(min(_PACE, deadline.remaining))

    def _interfaces_lost(self, guest: Guest, before: list[str] | int) -> str:
        """Which interfaces of *before* the router does not have. Empty if it has all of them."""
        if isinstance(before, int):
            there = guest.condition(f"{upgrade.INTERFACES} >= {before}", _OWN)
            return "" if there else f"some of its {before} interfaces"
        lost = set(before) - set(t.cast("list[str]", self._interfaces(guest)))
        return f"the interface(s) {', '.join(sorted(lost))}" if lost else ""

    def _menus_lost(self, guest: Guest, plan: Plan, arguments: dict[str, t.Any]) -> str:
        """Which menus the export does not have any more. Empty if it has all of them."""
        if plan.menus is None:
            return ""
        try:
            gone = plan.menus - upgrade.menus(self._export(guest, arguments))
        except NotPossible as error:  # it is too large now
            plan.warnings.append(f"The menus of the export are not compared: {error}")
            return ""
        return f"the export's menu(s) {', '.join(f'/{one}' for one in sorted(gone))}" if gone else ""

    def _after_failure(self, guest: Guest, plan: Plan, error: ChrError) -> ChrError:
        """Roll back if that is asked for. Returns *error* with what became of the snapshot."""
        if not (plan.snapshots and plan.snapshot):
            return error
        name, deadline = plan.snapshot, Deadline(plan.timeout)
        if not plan.rollback:
            error.args = (f"{error} The snapshot {name!r} of before is kept.",)
            return error
        try:
            power = guest.power()
            if power.is_on():
                switching.order(guest, power, "stopped", deadline)
            plan.snapshots.revert(name, deadline)
            if not power.is_on():
                switching.order(guest, power, "started", deadline)
            wait_for_agent(guest, deadline)
            wait_until_ready(guest, {f"it has not RouterOS {plan.before}": upgrade.has(plan.before)}, deadline)
            told = f"{error} It was rolled back to the snapshot {name!r}, and has RouterOS {plan.before} again."
        except ChrError as trouble:
            error.args = (f"{error} The rollback to the snapshot {name!r} did not end well: {trouble}",)
            return error
        try:
            plan.snapshots.remove(name, deadline)
        except ChrError as trouble:
            told += f" The snapshot was not removed: {trouble}"
        return NotPossible(told)  # even if the router could not be reached before

    # -- reading -----------------------------------------------------------------------------------

    def _version(self, guest: Guest) -> Version:
        """Return the installed version. Raises ScriptFailed."""
        try:
            return upgrade.installed(guest.read(upgrade.VERSION, _OWN))
        except ValueError as error:
            raise ScriptFailed(f"The version of {guest.vm!r} cannot be read: {error}.") from None

    def _interfaces(self, guest: Guest) -> list[str] | int:
        """Return the names of the interfaces that are configured, or else their number."""
        if not guest.capabilities.output:
            return self._number(guest, upgrade.INTERFACES)
        found = records.parse(self.read(guest, upgrade.INTERFACES_SCRIPT, _OWN), lenient=True)
        return [one["name"] for one in found if "name" in one]

    def _number(self, guest: Guest, expression: str) -> int:
        """Return the number that is the value of *expression*. Raises ScriptFailed."""
        value = readable(guest.read(expression, _OWN, [b"0"]))
        try:
            return int(value)
        except ValueError:
            raise ScriptFailed(
                f"The value of {expression!r} on {guest.vm!r} is not a number: {excerpt(value)}."
            ) from None

    def _export(self, guest: Guest, arguments: dict[str, t.Any]) -> bytes:
        return exports.export(guest, None, self.script_timeout({}), self.transfer_limit(arguments))
