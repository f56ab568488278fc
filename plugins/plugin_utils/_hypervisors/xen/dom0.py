# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""dom0: a connection to its xenstore, and the domain that ``chr_vm`` names."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t
from dataclasses import astuple
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPermitted,
    NotPossible,
    Unreachable,
    VmAmbiguous,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.channel import Channel
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.private_file import PrivateFile
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.recent_list import RecentList
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.sockets import UnixChannel
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.ssh import SshForward, SshMaster

from .options import XenstoreOptions
from .store import Domain, Store, StoreLost, StoreRefused
from .store_by_commands import CommandStore
from .store_by_socket import WireStore

SOCKETS = ("/run/xenstored/socket", "/var/run/xenstored/socket")
_PATIENCE = 2.0  # seconds for a socket that has not worked before


class Dom0:
    """The dom0 that *options* name, reached by the first way that works, and one of its VMs."""

    def __init__(self, options: XenstoreOptions) -> None:
        self._options = options
        self.vm = options.vm
        self.name = f"dom0 of {options.ssh_host}" if options.ssh_host else "this machine as dom0"
        self._ways = options.EXEC_MODES if options.exec_mode == "auto" else (options.exec_mode,)
        paths = (options.socket,) if options.socket else SOCKETS
        self._channels = [self._channel(path) for path in paths]
        self._open_store: Store | None = None
        self._known: Domain | None = None

    def _channel(self, path: str) -> Channel:
        target = UnixChannel(Path(path))
        ssh = SshMaster.from_options(self._options)
        return SshForward(ssh, target) if ssh else target

    @property
    def store(self) -> Store:
        """The connection to xenstore, opened if necessary. Raises Unreachable, InvalidInput."""
        if self._open_store is None:
            memory = Memory(self._options.runtime_directory, "way", self.name, self._options.ssh_args)
            remembered = memory.read().get("way")
            refused = []
            for way in sorted(self._ways, key=lambda way: way != remembered):
                try:
                    self._open_store = self._connected(way, known=way == remembered)
                except StoreLost as error:
                    refused.append(f"{way}: {error}.")
                    continue
                if way != remembered:
                    memory.write({"way": way})
                return self._open_store
            raise Unreachable(
                f"No way to xenstore in {self.name} works, so {self.vm!r} cannot be reached. "
                f"{' '.join(refused)} It needs root there, and for the way 'socket' an sshd that "
                "allows AllowStreamLocalForwarding."
            )
        return self._open_store

    def _connected(self, way: str, *, known: bool) -> Store:
        """Connect by *way*. *known*: the way has worked before.

        Raises StoreLost, and Unreachable when ssh itself failed.
        """
        if way == "commands":
            return CommandStore.open(Machine(self._options), self.name)
        problems = []
        timeout = self._options.connect_timeout
        for channel in self._channels:
            try:
                return WireStore.open(channel, timeout, timeout if known else min(timeout, _PATIENCE))
            except StoreLost as error:
                problems.append(str(error))
        raise StoreLost("; ".join(problems), refused=True)

    def _reconnect(self) -> Store:
        self.drop()
        return self.store

    def ask(self, question: t.Callable[[Store], t.Any]) -> t.Any:
        """The answer to a *question* that may be repeated. Raises Unreachable, NotPossible."""
        try:
            try:
                return question(self.store)
            except StoreLost:
                return question(self._reconnect())
        except StoreLost as error:
            raise Unreachable(f"xenstore in {self.name} does not answer for {self.vm!r}: {error}.") from None
        except StoreRefused as error:
            raise self.refusal(error) from None

    def refusal(self, error: StoreRefused) -> ChrError:
        if str(error) in ("EACCES", "EPERM"):
            return NotPermitted(
                f"xenstore in {self.name} refused what {self.vm!r} needs: {error}. It must be dom0, as root."
            )
        return NotPossible(f"xenstore in {self.name} refused what {self.vm!r} needs: {error}. Nothing was handed over.")

    def drop(self) -> None:
        """Close the connection. The next use opens another."""
        if self._open_store is not None:
            self._open_store.close()
            self._open_store = None

    @property
    def known(self) -> bool:
        """Whether a domain of the VM has been seen."""
        return self._known is not None

    def present(self) -> Domain | None:
        """The present domain of the VM. None when none runs. Raises VmAmbiguous."""
        known = self._known
        if known is not None and self.ask(lambda store: store.domain(known.domid)) == known:
            return known
        found = followed(known, self._domains()) if known else self._look_up()
        if len(found) > 1:
            raise VmAmbiguous(
                f"{self.name} has more than one domain that {self.vm!r} can mean: "
                f"{' and '.join(map(str, found))}. None was touched; put the uuid of the right one "
                "into chr_vm."
            )
        if not found:
            return None
        self._known = found[0]
        return found[0]

    def domain(self) -> Domain:
        """The present domain of the VM.

        Raises Unreachable when none runs, VmAmbiguous when several match.
        """
        found = self.present()
        if found is None:
            running = ", ".join(sorted(one.name for one in self._domains())) or "none"
            raise Unreachable(
                f"No domain {self.vm!r} runs in {self.name}: xenstore has only running domains (here: "
                f"{line(running, 300)}). The VM is off, restarting, or on another host, or chr_vm is "
                "not a valid domid, name or uuid."
            )
        return found

    def forget(self) -> None:
        """Forget the domain. It is looked up again when it is needed next."""
        self._known = None

    def _domains(self) -> list[Domain]:
        return t.cast("list[Domain]", self.ask(lambda store: store.domains()))

    def _look_up(self) -> list[Domain]:
        """All domains that ``chr_vm`` matches."""
        options = self._options
        kept = RecentList(options.runtime_directory, "xenstore", self.name, options.ssh_args, options.socket or "")
        found, _all = kept.find(
            lambda: [astuple(one) for one in self._domains()],
            lambda rows: [astuple(one) for one in self._named([Domain(*row) for row in rows])],
            lambda row: self.ask(lambda store: store.domain(row[0])) == Domain(*row),
        )
        return [Domain(*row) for row in found]

    def _named(self, domains: list[Domain]) -> list[Domain]:
        """All domains that ``chr_vm`` matches.

        A VM can have a number as its name, and another VM can have the same number as its domid.
        """
        uuid = self.vm.lower()
        found = [one for one in domains if self.vm in (str(one.domid), one.name) or uuid == one.uuid.lower() != ""]
        return sorted(found, key=lambda one: one.domid)

    def memory(self, domain: Domain) -> Memory:
        """The file with what is known about the VM of *domain*."""
        return Memory(self._options.runtime_directory, "domain", *self._key(domain))

    def lock_path(self, domain: Domain) -> Path:
        """The file that the tasks of this user lock to wait for one another at that VM."""
        return self._options.runtime_directory / f"chr-xen-{_digest(*self._key(domain))}.lock"

    def _key(self, domain: Domain) -> tuple[str, str]:
        return self.name, domain.vm or domain.name


def followed(known: Domain, domains: list[Domain]) -> list[Domain]:
    """The domains of the VM that was *known*, after it restarted as another domain."""
    return [domain for domain in domains if (domain.vm == known.vm if known.vm else domain.name == known.name)]


class Memory:
    """A fact about a dom0 or a domain for the next task, in a file that only this user can read.

    It holds no secrets.
    """

    def __init__(self, directory: Path, *key: str) -> None:
        self._file = PrivateFile(directory, f"chr-xen-{_digest(*key)}.json")

    def read(self) -> dict[str, t.Any]:
        return self._file.load()

    def write(self, content: dict[str, t.Any]) -> None:
        """Save *content*. Errors are ignored: without the file, the next task finds out again."""
        with contextlib.suppress(OSError):
            self._file.save(content)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
