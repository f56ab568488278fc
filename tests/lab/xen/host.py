# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Xen host: domains with routers in them, made in xenstore as the toolstacks make them."""

from __future__ import annotations

import contextlib
import itertools
import threading
import typing as t
import uuid as uuids
from pathlib import Path

from ..routeros import Router
from .guest import XenGuest, XenSwitches
from .oxenstored import Oxenstored, Programs
from .wire import Client, Ring, Socket


class Domain:
    """A VM with a router; it is another domain, with another domid, after each boot."""

    def __init__(self, host: XenHost, name: str, router: Router, switches: XenSwitches, toolstack: str) -> None:
        self.host = host
        self.name = name
        self.uuid = str(uuids.uuid4())
        self.router = router
        self.switches = switches
        self.toolstack = toolstack
        self.log: list[str] = []
        """The scripts that ran, over all boots."""
        self.boots = 0
        self.data: dict[str, str] = {}
        """XAPI's ``VM.xenstore_data``: written at each boot, and taken from the guest's part of the
        store when a domain ends."""
        self.dialect = "xenstore"
        """How scripts come to the router, for the recorder."""
        self.domid: int | None = None
        self.guest: XenGuest | None = None
        self._lock = threading.RLock()

    @property
    def path(self) -> str:
        return f"/local/domain/{self.domid}"

    def start(self, paused: bool = False) -> None:
        """Power on. *paused*: all but the guest, until ``unpause``."""
        with self._lock:
            domid = self.domid = next(self.host.domids)
            store = self.host.store
            (self.host.daemon.folder / f"ring-{domid}").write_bytes(bytes(4096))
            own = f"n{domid}"
            store.make(self.path)
            store.permit(self.path, "n0", f"r{domid}")
            for key, value in {"name": self.name, "domid": str(domid), "vm": f"/vm/{self.uuid}"}.items():
                store.write(f"{self.path}/{key}", value)
            for key, value in {"name": self.name, "uuid": self.uuid}.items():
                store.write(f"/vm/{self.uuid}/{key}", value)
            writable = ["data", "attr", "control/shutdown", "control/feature-poweroff", "control/feature-reboot"]
            if self.toolstack == "xapi":  # libxl makes vm-data only where its configuration has some
                writable.append("vm-data")
            for folder in writable:
                store.make(f"{self.path}/{folder}")
                store.permit(f"{self.path}/{folder}", own)
            for number, one in enumerate(one for one in self.router.interfaces_report() if "hardware-address" in one):
                store.write(f"{self.path}/device/vif/{number}/mac", one["hardware-address"])
            for key, value in self.data.items():
                if key.split("/")[0] in ("vm-data", "FIST"):
                    store.write(f"{self.path}/{key}", value)
            port = 10 + domid
            store.introduce(domid, port)
            self.boots += 1
            if not paused:
                self.unpause()

    def unpause(self) -> None:
        with self._lock:
            domid = t.cast("int", self.domid)
            ring = Ring(self.host.daemon.folder, domid, 10 + domid)
            self.guest = XenGuest(ring, self.router, self.switches, self.log, self._power, self.dialect)

    def stop(self) -> None:
        """Power off, as at a power cut: the domain is gone from the store."""
        with self._lock:
            if self.domid is None:
                return
            if self.guest is not None:
                self.guest.stop()
                self.guest = None
            if self.toolstack == "xapi":
                self.data = self.vm_data()
            self.host.store.release(self.domid)
            self.host.store.remove(self.path)
            self.host.store.remove(f"/vm/{self.uuid}")
            self.domid = None

    def reboot(self) -> None:
        with self._lock:
            self.stop()
            self.router.reboot()
            self.start()

    def _power(self, what: str) -> None:
        """As in a machine, the end comes a moment after the order."""
        threading.Timer(0.05, self.reboot if what == "reboot" else self.stop).start()

    def vm_data(self) -> dict[str, str]:
        """All nodes of the guest's part, by their path below the domain's."""
        return self.host.store.tree(f"{self.path}/vm-data", self.path) if self.domid is not None else {}

    def set_live(self, data: dict[str, str]) -> None:
        """Set vm-data as XAPI's ``set_xenstore_data`` does on a running VM.

        vm-data is made anew, and no longer belongs to the guest.
        """
        self.data = dict(data)
        root = f"{self.path}/vm-data"
        self.host.store.remove(root)
        for key, value in data.items():
            if key.split("/")[0] == "vm-data":
                self.host.store.write(f"{self.path}/{key}", value)


class XenHost:
    """oxenstored with domains; a context manager."""

    def __init__(self, programs: Programs, folder: Path) -> None:
        self.daemon = Oxenstored(programs, folder)
        self.domids = itertools.count(1)
        self.domains: list[Domain] = []

    def __enter__(self) -> t.Self:
        self.daemon.__enter__()
        self.store = Client(Socket(self.daemon.socket))
        self.store.write("/local/domain/0/name", "Domain-0")
        self.store.write("/local/domain/0/domid", "0")
        return self

    def __exit__(self, *exc_info: object) -> None:
        for domain in self.domains:
            with contextlib.suppress(Exception):
                domain.stop()
        self.store.close()
        self.daemon.__exit__(*exc_info)

    def domain(self, name: str, toolstack: str = "xapi", **switches: t.Any) -> Domain:
        """A new one, powered on. *toolstack*: ``xapi`` or ``xl``; *switches*: see XenSwitches."""
        domain = self.halted(name, toolstack, **switches)
        domain.start()
        return domain

    def halted(self, name: str, toolstack: str = "xapi", **switches: t.Any) -> Domain:
        domain = Domain(self, name, Router(identity=name), XenSwitches(**switches), toolstack)
        self.domains.append(domain)
        return domain
