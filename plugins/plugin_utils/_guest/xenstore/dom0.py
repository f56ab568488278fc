# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""dom0: the way to its xenstore, and the domain that ``chr_vm`` names."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t
from pathlib import Path

from ..base import GuestOptions
from ..channels.base import Channel
from ..channels.direct import UnixChannel
from ..channels.ssh import SshChannel, execute
from ..errors import AgentNotThere, GuestError, NotPermitted, NotPossible, VmNotThere
from ..private import PrivateFile
from .commands import CommandStore
from .store import Domain, Store, StoreLost, StoreRefused
from .wire import WireStore

MODES = ("socket", "commands")
SOCKETS = ("/run/xenstored/socket", "/var/run/xenstored/socket")
_PATIENCE = 2.0  # seconds for a socket that has not worked before


class Dom0:
    """The dom0 that *options* name, by the first way that works, and one VM of it."""

    def __init__(self, options: GuestOptions) -> None:
        self._options = options
        self.vm = options.vm
        self.name = f"dom0 of {options.ssh_host}" if options.ssh_host else "this machine as dom0"
        self._ways = MODES if options.exec_mode == "auto" else (options.exec_mode,)
        paths = (options.socket,) if options.socket else SOCKETS
        self._channels = [self._channel(path) for path in paths]
        self._open_store: Store | None = None
        self._known: Domain | None = None

    def _channel(self, path: str) -> Channel:
        target = UnixChannel(Path(path))
        options = self._options
        if not options.ssh_host:
            return target
        return SshChannel(options.ssh_host, options.ssh_args, target, options.runtime_directory)

    @property
    def store(self) -> Store:
        """Raises AgentNotThere, InvalidInput."""
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
            raise AgentNotThere(
                f"No way to xenstore in {self.name} works, so {self.vm!r} cannot be reached. {' '.join(refused)} It needs "
                "root there, and for the way 'socket' an sshd that allows AllowStreamLocalForwarding."
            )
        return self._open_store

    def _connected(self, way: str, *, known: bool) -> Store:
        """*known*: it has worked before. Raises StoreLost; AgentNotThere when ssh itself failed."""
        if way == "commands":
            if not self._options.ssh_host:
                return CommandStore.open(execute, self.name)
            return CommandStore.open(t.cast("SshChannel", self._channels[0]).run, self.name)
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
        """The answer to something that may be asked twice. Raises AgentNotThere, NotPossible."""
        try:
            try:
                return question(self.store)
            except StoreLost:
                return question(self._reconnect())
        except StoreLost as error:
            raise AgentNotThere(f"xenstore in {self.name} does not answer for {self.vm!r}: {error}.") from None
        except StoreRefused as error:
            raise self.refusal(error) from None

    def refusal(self, error: StoreRefused) -> GuestError:
        if str(error) in ("EACCES", "EPERM"):
            return NotPermitted(
                f"xenstore in {self.name} refused what {self.vm!r} needs: {error}. It must be dom0, as root."
            )
        return NotPossible(f"xenstore in {self.name} refused what {self.vm!r} needs: {error}. Nothing was handed over.")

    def drop(self) -> None:
        """Let go of the connection; the next use makes another."""
        if self._open_store is not None:
            self._open_store.close()
            self._open_store = None

    def domain(self) -> Domain:
        """The domain of the VM as it is now. Raises AgentNotThere when none runs, VmNotThere when it could be several."""
        known = self._known
        if known is not None and self.ask(lambda store: store.domain(known.domid)) == known:
            return known
        domains: list[Domain] = self.ask(lambda store: store.domains())
        found = followed(known, domains) if known else self._named(domains)
        if len(found) > 1:
            raise VmNotThere(
                f"{self.name} has more than one domain that {self.vm!r} can mean: {' and '.join(map(str, found))}. None was "
                "touched; put the uuid of the right one into chr_vm."
            )
        if not found:
            running = ", ".join(sorted(domain.name for domain in domains)) or "none"
            raise AgentNotThere(
                f"No domain {self.vm!r} runs in {self.name}: xenstore has only those that do (here: {running[:300]}). The VM "
                "is off, restarting, or on another host, or chr_vm is none of domid, name and uuid."
            )
        self._known = found[0]
        return found[0]

    def forget(self) -> None:
        """Look for the domain again when it is needed next."""
        self._known = None

    def _named(self, domains: list[Domain]) -> list[Domain]:
        """All that can be meant: a VM can have a number as its name, and another one that domid since its last boot."""
        uuid = self.vm.lower()
        found = [one for one in domains if self.vm in (str(one.domid), one.name) or uuid == one.uuid.lower() != ""]
        return sorted(found, key=lambda one: one.domid)

    def memory(self, domain: Domain) -> Memory:
        """What is known of the VM of *domain*."""
        return Memory(self._options.runtime_directory, "domain", *self._key(domain))

    def lock_path(self, domain: Domain) -> Path:
        """The file by which the tasks of this user wait for one another at that VM."""
        directory = self._options.runtime_directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return directory / f"chr-xen-{_digest(*self._key(domain))}.lock"

    def _key(self, domain: Domain) -> tuple[str, str]:
        return self.name, domain.vm or domain.name


def followed(known: Domain, domains: list[Domain]) -> list[Domain]:
    """The VM that was *known*, after it restarted as another domain."""
    return [domain for domain in domains if (domain.vm == known.vm if known.vm else domain.name == known.name)]


class Memory:
    """A small thing to know of a dom0 or a domain for the next task, in a file of this user alone. No secrets are in it."""

    def __init__(self, directory: Path, *key: str) -> None:
        self._file = PrivateFile(directory, f"chr-xen-{_digest(*key)}.json")

    def read(self) -> dict[str, t.Any]:
        return self._file.load()

    def write(self, content: dict[str, t.Any]) -> None:
        """Best effort: without the file, the next task finds out again."""
        with contextlib.suppress(OSError):
            self._file.save(content)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
