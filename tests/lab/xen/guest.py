# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A router's Xen tools.

They take scripts from xenstore over a real guest's ring, as the manual's section "Guest tools: Xen"
says.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time
import typing as t
from dataclasses import dataclass

from ..routeros import Router
from .wire import Client, Gone, Ring, StoreError

SCRIPT = "vm-data/provision/script"
STATUS = f"{SCRIPT}/status"


@dataclass
class XenSwitches:
    """What nobody has proven about the tools of a CHR. Times are in seconds."""

    output_name: str = "otuput"
    """Or ``output``: the manual's spelling may be a misprint."""
    output_first: bool = True
    """The output is written before the status that ends a script; otherwise after it."""
    gap: float = 0.0
    """Between the two."""
    success: str = "ready"
    """What the status becomes after success: ``ready``, or ``absent``: its node is removed."""
    writes_status: bool = True
    """False: no status is ever written, only output."""
    announces: bool = True
    """``ready`` is written when the tools start."""
    clears_running: bool = True
    """A status ``running`` that was there at boot is replaced; otherwise it blocks all scripts."""
    runs_at_boot: bool = True
    """A script that is there when the tools start is run."""
    too_long: str = "dropped"
    """Output that the store refuses (E2BIG): ``dropped``, ``cut`` to what fits, ``error`` as the
    status, or the tools ``stop`` there: the status stays ``running`` until the next boot."""
    without_permission: str = "runs"
    """A script whose status may not be written (EACCES): still ``runs``, or is ``ignored``."""
    delay: float = 0.0
    """Before a script is looked at."""
    boot_seconds: float = 0.02
    watches: bool = True
    """False: RouterOS without tools that look into xenstore."""
    control_shutdown: bool = True
    """``control/shutdown`` is obeyed."""


class XenGuest:
    """The tools of one boot of one router."""

    def __init__(
        self,
        ring: Ring,
        router: Router,
        switches: XenSwitches,
        log: list[str],
        power: t.Callable[[str], None],
        dialect: str,
    ) -> None:
        self.store = Client(ring)
        self._dialect = dialect
        self._router = router
        self._switches = switches
        self._log = log
        self._stop = threading.Event()
        self._running = threading.Event()
        self._power = power
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        """As at a power cut."""
        self._stop.set()
        self.store.close()

    def _serve(self) -> None:
        if self._stop.wait(self._switches.boot_seconds):
            return
        with contextlib.suppress(Gone, StoreError):
            store = self.store
            self._report(store)
            if self._switches.watches:
                self._announce(store)
                store.watch(SCRIPT, "script")
            store.watch("control/shutdown", "shutdown")
            first = True
            while (event := store.events.get()) is not None:
                path, token = event
                if token == "shutdown":
                    self._shutdown(store)
                elif path == SCRIPT:
                    if not first or self._switches.runs_at_boot:
                        self._look(store)
                    first = False

    def _report(self, store: Client) -> None:
        """What Xen's tools tell; the names are those of XenServer's guest agent."""
        store.write("data/os_name", f"RouterOS {self._router.version}")
        store.write("data/os_distro", "routeros")
        store.write("attr/PVAddonsInstalled", "1")
        for number, interface in enumerate(
            one for one in self._router.interfaces_report() if "hardware-address" in one
        ):
            seen: dict[str, int] = {}
            for address in interface["ip-addresses"]:
                kind = address["ip-address-type"]
                index = seen[kind] = seen.get(kind, -1) + 1
                store.write(f"attr/vif/{number}/{kind}/{index}", address["ip-address"])
        store.write("data/updated", "1")
        if self._switches.control_shutdown:
            for feature in ("poweroff", "reboot"):
                with contextlib.suppress(StoreError):
                    store.write(f"control/feature-{feature}", "1")

    def _announce(self, store: Client) -> None:
        with contextlib.suppress(StoreError):
            if store.read(STATUS) == "running" and not self._switches.clears_running:
                self._running.set()
            elif self._switches.announces and self._switches.writes_status:
                store.write(STATUS, "ready")

    def _look(self, store: Client) -> None:
        time.sleep(self._switches.delay)
        value = store.read(SCRIPT)
        if not value or self._running.is_set():
            return  # a script is accepted only while status is not "running"
        self._running.set()
        try:
            self._status(store, "running")
        except StoreError:
            if self._switches.without_permission == "ignored":
                self._running.clear()
                return
        threading.Thread(target=self._run, args=(store, value), daemon=True).start()

    def _status(self, store: Client, status: str) -> None:
        if self._switches.writes_status:
            store.write(STATUS, status)

    def _run(self, store: Client, value: str) -> None:
        self._router.on_power = self._power
        try:
            source = base64.b64decode(value, validate=True)
        except ValueError:
            source = b":error base64"
        self._log.append(source.decode("utf-8", "replace"))
        outcome = self._router.run(source, stop=self._stop, dialect=self._dialect)
        end = "error" if outcome.exitcode else self._switches.success
        self._running.clear()
        with contextlib.suppress(Gone, StoreError):
            if self._switches.output_first:
                end = self._output(store, outcome.output, end)
                time.sleep(self._switches.gap)
                self._end(store, end)
            else:
                self._end(store, end)
                time.sleep(self._switches.gap)
                self._output(store, outcome.output, end)

    def _end(self, store: Client, status: str) -> None:
        if status == "absent":
            store.remove(STATUS)
        else:
            self._status(store, status)

    def _output(self, store: Client, output: bytes, status: str) -> str:
        """Write *output*, if any; the status that the script then ends with."""
        if not output:
            return status
        path = f"{SCRIPT}/{self._switches.output_name}"
        try:
            store.write(path, base64.b64encode(output).decode())
        except StoreError as error:
            if str(error) == "E2BIG" and self._switches.too_long == "cut":
                store.write(path, base64.b64encode(output[:1536]).decode())
            elif str(error) == "E2BIG" and self._switches.too_long == "error":
                return "error"
            elif str(error) == "E2BIG" and self._switches.too_long == "stop":
                self._running.set()
                raise
        return status

    def _shutdown(self, store: Client) -> None:
        with contextlib.suppress(StoreError):
            what = store.read("control/shutdown")
            if what in ("poweroff", "halt", "reboot") and self._switches.control_shutdown:
                store.write("control/shutdown", "")
                self._power("reboot" if what == "reboot" else "shutdown")
