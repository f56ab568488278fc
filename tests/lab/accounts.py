# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The account server behind ``/system license renew``: accounts, trials, purchases, keys.

    with AccountServer() as server:
        server.add_account("me@example.com", "secret")
        router = Router(accounts=server, clock=server.clock)     # one clock: to move time for both
        server.purchase("me@example.com", router.system_id, "p10")

Routers in other processes reach it at an address: start them with ``OUTOFBAND_LAB_ACCOUNTS`` set to
what ``listen`` gives. A machine inside QEMU cannot. Written from the vendor's manual ("Manual" and
numbers in what follows are its sections).
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
import time
import typing as t
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from .routeros.accounts import Answer, Refused
from .routeros.clock import Clock

LEVELS = ("p1", "p10", "p-unlimited")
PRICES = {"p1": 45, "p10": 95, "p-unlimited": 250}
TRIAL = timedelta(days=60)
FORGOTTEN = timedelta(days=60)
"""After the end of a trial without a purchase (Manual 5.1: 60 days in one sentence, two months in
the next)."""
PERIOD = GRACE = timedelta(days=30)
"""Until the next renewal, and from it to the deadline, in every published sample."""

UNAUTHORIZED = "ERROR: Unauthorized"  # observed, as the next one
TRIALS = "ERROR: Licensing Error: too many trial licences"  # MikroTik's own spelling
# Nobody has published the texts of these cases.
EXPIRED = "ERROR: Licensing Error: license has expired, use a prepaid key"
FOREIGN = "ERROR: Licensing Error: system id belongs to another account"
TWIN = "ERROR: Licensing Error: system id is used by another system"
WRONG_KEY = "ERROR: Licensing Error: key does not match system id"
UNKNOWN = "ERROR: Licensing Error: unknown system id"


@dataclass
class Account:
    """An account at mikrotik.com.

    ``trials`` is how many trials may run at once, ``keys`` are the levels of licenses that became
    free, and ``spent`` is in US dollars.
    """

    password: str
    trials: int
    keys: list[str] = field(default_factory=list)
    prepaid: dict[str, str] = field(default_factory=dict)
    spent: int = 0


@dataclass
class Instance:
    """A system id on the server.

    ``given`` is what its router knows: the level, and whether it is paid.
    """

    account: str
    machine: str
    level: str
    ends: datetime
    paid: bool = False
    prepaid: bool = False
    moved: bool = False
    """Its license was transferred away; the level stays, with limited upgrades."""
    given: tuple[str, bool] = ("", False)


@dataclass(frozen=True)
class Contact:
    """One visit of a router. Of the credentials only the account is kept."""

    at: datetime
    system_id: str
    machine: str
    account: str | None
    status: str


class AccountServer:
    """Shared by routers in this process, and by others while ``listen`` holds; a context manager.

    The attributes are switches: *reachable*; *delay* seconds before a renewal by hand is answered;
    *error*: a status that every renewal gets; *clones*: two machines with one system id are
    ``refused`` ("that breaks getting a license") or ``share`` it; *expired_needs_prepaid*: nothing
    else helps after the end (help page), or a purchase does (wiki manual); *automatic_learns*: a
    router finds a purchase by itself, without the ``renew`` by hand that the manual demands.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.reachable = True
        self.delay = 0.0
        self.error = ""
        self.clones = "refused"
        self.expired_needs_prepaid = True
        self.automatic_learns = False
        self.accounts: dict[str, Account] = {}
        self.instances: dict[str, Instance] = {}
        self.log: list[Contact] = []
        self._lock = threading.RLock()
        self._running = contextlib.ExitStack()

    def __enter__(self) -> AccountServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._running.close()

    # -- what routers do ---------------------------------------------------------------------------

    def reach(self) -> None:
        if not self.reachable:
            raise ConnectionRefusedError("the account server cannot be reached")

    def contact(
        self,
        system_id: str,
        machine: str,
        key_id: str | None = None,
        expired: bool = False,
        credentials: tuple[str, str] | None = None,
        level: str = "",
    ) -> Answer:
        self.reach()
        with self._lock:
            if self.error:
                answer = Answer(self.error)
            elif key_id not in (None, system_id):
                answer = Answer(WRONG_KEY)
            elif credentials is None:
                answer = self._automatic(system_id, machine)
            else:
                answer = self._by_hand(system_id, machine, expired, credentials, level)
            account = credentials[0] if credentials else None
            self.log.append(Contact(self.clock.now(), system_id, machine, account, answer.status))
        if credentials:
            time.sleep(self.delay)
        return answer

    def _by_hand(self, system_id: str, machine: str, expired: bool, credentials: tuple[str, str], level: str) -> Answer:
        name, password = credentials
        account = self.accounts.get(name)
        if account is None or account.password != password:
            return Answer(UNAUTHORIZED)
        instance = self.instances.get(system_id)
        if instance is None:
            if expired:
                return Answer(EXPIRED)
            if len(self._trials(name)) >= account.trials:
                return Answer(TRIALS)
            instance = Instance(name, machine, level, self.clock.now() + TRIAL)
            self.instances[system_id] = instance
        if instance.account != name:
            return Answer(FOREIGN)
        if not self._same_machine(instance, machine):
            return Answer(TWIN)
        if instance.moved:
            return Answer("done", instance.level, limited_upgrades=True)
        if self._ended(instance) or (expired and self.expired_needs_prepaid and not instance.prepaid):
            return Answer(EXPIRED)
        instance.prepaid = False
        return self._give(instance)

    def _automatic(self, system_id: str, machine: str) -> Answer:
        instance = self.instances.get(system_id)
        if instance is None:
            return Answer(UNKNOWN)
        if not self._same_machine(instance, machine):
            return Answer(TWIN)
        if instance.moved:
            return Answer("done", instance.level, limited_upgrades=True)
        level, paid = (instance.level, instance.paid) if self.automatic_learns else instance.given
        if not paid and self.clock.now() >= instance.ends:
            return Answer(EXPIRED)
        return self._dates(level, None if paid else instance.ends)

    def _give(self, instance: Instance) -> Answer:
        instance.given = (instance.level, instance.paid)
        return self._dates(instance.level, None if instance.paid else instance.ends)

    def _dates(self, level: str, ends: datetime | None) -> Answer:
        deadline = ends or self.clock.now() + PERIOD + GRACE
        return Answer("done", level, deadline - GRACE, deadline)

    def _ended(self, instance: Instance) -> bool:
        return not instance.paid and self.clock.now() >= instance.ends

    def _same_machine(self, instance: Instance, machine: str) -> bool:
        return instance.machine == machine or self.clones == "share"

    def _trials(self, account: str) -> list[Instance]:
        mine = [one for one in self.instances.values() if one.account == account]
        return [one for one in mine if not one.paid and not one.moved and not self._ended(one)]

    def renewals(self, system_id: str) -> int:
        """How many renewals by hand brought this system id a license."""
        with self._lock:
            mine = [one for one in self.log if one.system_id == system_id and one.account]
            return sum(one.status == "done" for one in mine)

    # -- what people do on the web site ------------------------------------------------------------

    def add_account(self, name: str, password: str, trials: int = 1000) -> None:
        with self._lock:
            self.accounts[name] = Account(password, trials)

    def listed(self, account: str) -> list[str]:
        """Return the system ids that the account shows.

        Those of trials disappear two months after the end (Manual 5.1).
        """
        with self._lock:
            now = self.clock.now()
            mine = [(key, one) for key, one in self.instances.items() if one.account == account]
            return [key for key, one in mine if one.paid or one.moved or now < one.ends + FORGOTTEN]

    def prepaid(self, account: str, level: str) -> str:
        """Buy a balance key of the worth of *level*."""
        with self._lock:
            mine = self.accounts[account]
            key = f"PREPAID-{len(mine.prepaid) + 1}-{level}"
            mine.prepaid[key] = level
            mine.spent += PRICES[level]
            return key

    def purchase(self, account: str, system_id: str, level: str, prepaid: str = "", own_key: bool = False) -> None:
        """Upgrade an instance; pay with the deposit, a prepaid key, or a license that became free.

        Raises Refused.
        """
        with self._lock:
            mine, instance = self.accounts[account], self._mine(account, system_id, forgotten=bool(prepaid))
            least = LEVELS.index(instance.level) + (0 if prepaid else 1) if instance.paid else 0
            if level not in LEVELS or LEVELS.index(level) < least:
                raise Refused(f"no upgrade from {instance.level} to {level}")
            if self._ended(instance) and self.expired_needs_prepaid and not prepaid:
                raise Refused("an expired instance takes a prepaid key only")
            if prepaid:
                if mine.prepaid.get(prepaid) != level:
                    raise Refused("prepaid keys cannot be combined or divided")
                del mine.prepaid[prepaid]
            elif own_key:
                if level not in mine.keys:
                    raise Refused(f"no {level} license is free")
                mine.keys.remove(level)
            else:
                mine.spent += PRICES[level]
            if instance.paid and instance.level != level:
                mine.keys.append(instance.level)
            instance.level, instance.paid, instance.prepaid = level, True, bool(prepaid)

    def transfer(self, account: str, source: str, target: str) -> None:
        """Move a paid license to another instance of the account. Raises Refused."""
        with self._lock:
            old, new = self._mine(account, source), self._mine(account, target)
            if not old.paid or new.paid or self._ended(new):
                raise Refused("This key is not eligible for transfer as there is no other valid CHR key...")
            new.level, new.paid = old.level, True
            old.paid, old.moved = False, True

    def shift(self, seconds: float) -> None:
        """Move the server's clock."""
        self.clock.shift(seconds)

    def change(self, **switches: t.Any) -> None:
        """Set attributes that are switches."""
        for name, value in switches.items():
            getattr(self, name)
            setattr(self, name, value)

    def _mine(self, account: str, system_id: str, forgotten: bool = False) -> Instance:
        instance = self.instances.get(system_id)
        if not instance or instance.account != account or (not forgotten and system_id not in self.listed(account)):
            raise Refused(f"no instance {system_id} in the account")
        return instance

    # -- other processes ---------------------------------------------------------------------------

    def listen(self, address: str) -> str:
        """Answer at ``unix:/path`` or ``tcp:host:port`` until the end, and return the address.

        With port 0, a free port is chosen.
        """
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    self.wfile.write(server._reply(self.rfile.readline()))

        kind, _unused, where = address.partition(":")
        host, _unused, port = where.rpartition(":")
        listener: socketserver.BaseServer
        if kind == "unix":
            Path(where).unlink(missing_ok=True)
            listener = _Unix(where, Handler)
        else:
            listener = _Tcp((host, int(port)), Handler)
            address = f"tcp:{host}:{listener.server_address[1]}"
        threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        self._running.callback(listener.server_close)
        self._running.callback(listener.shutdown)
        return address

    def _reply(self, line: bytes) -> bytes:
        try:
            operation, arguments = json.loads(line)
            if operation not in _OPERATIONS:
                raise Refused(f"no operation {operation}")
            value = getattr(self, operation)(**arguments)
        except (OSError, Refused) as error:
            reply: list[t.Any] = ["OSError" if isinstance(error, OSError) else "Refused", str(error)]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reply = ["Refused", f"{type(error).__name__}: {error}"]
        else:
            reply = ["", asdict(value) if isinstance(value, Answer) else value]
        return json.dumps(reply, default=lambda moment: moment.isoformat()).encode() + b"\n"


_OPERATIONS = (
    "reach",
    "contact",
    "renewals",
    "add_account",
    "listed",
    "prepaid",
    "purchase",
    "transfer",
    "shift",
    "change",
)


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 256


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True
