# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The router: its state, and running scripts on it."""

from __future__ import annotations

import copy
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..switches import LicenseSwitches, PackageSwitches
from . import backup, device_mode, files, interfaces, license, network, packages, system
from .accounts import Accounts, from_environment
from .clock import Clock
from .commands import COMMANDS
from .errors import LimitError, PowerEvent, ScriptError, ScriptSyntaxError
from .evaluate import Interpreter
from .export import EXPORT, IMPORT
from .files import File, check_name
from .kinds import Prop
from .license import License, new_system_id
from .menus import BaseMenu, Item, ItemMenu, SettingsMenu, Table, build
from .packages import Packages, parse_version
from .specs import Menu
from .values import Value, text

OK, ERROR, STOPPED = 0, -1, 1
MENUS: tuple[BaseMenu, ...] = (
    system.MENUS
    + device_mode.MENUS
    + packages.MENUS
    + backup.MENUS
    + license.MENUS
    + interfaces.MENUS
    + network.MENUS
    + files.MENUS
)
_ON_DISK = ("identity", "license", "files", "tables", "settings", "packages")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


@dataclass
class Outcome:
    """The end of a run.

    ``exitcode`` is 0 for success, -1 for an error, and 1 if it was stopped. The output of a failed
    run ends with the error text.
    """

    exitcode: int
    output: bytes


@dataclass(frozen=True)
class LogEntry:
    """One line of the log."""

    number: int
    time: datetime
    topics: str
    message: str


class Router:
    """A simulated CHR.

    All state may be read at any time; hold ``lock`` to change it while scripts run.
    """

    def __init__(
        self,
        *,
        identity: str = "MikroTik",
        version: str = "7.22",
        interfaces: tuple[str, ...] = ("ether1",),
        system_id: str | None = None,
        level: str = "free",
        output_newline: str = "\r\n",
        address: str | None = "10.0.2.15/24",
        memory: int = 1024 * 1024 * 1024,
        max_steps: int = 20_000_000,
        clock: Clock | None = None,
        on_power: Callable[[str], None] | None = None,
        accounts: Accounts | None = None,
        license_switches: LicenseSwitches | None = None,
        cards_after: float = 0.0,
    ) -> None:
        self.default_identity = self.identity = identity
        self.packages = Packages()
        self.package_switches = PackageSwitches()
        self.offers: dict[str, str] | None = None
        """The versions of the update server by channel; None: there is no way to it."""
        self.architecture = "x86_64"
        self.free_space = 60 * system.MEBIBYTE
        self.disk_full = False
        """Nothing can be written to a file any more."""
        self.hardware = interfaces
        self.cards_after = cards_after
        """Seconds after a boot until the cards show, which others have seen after the agent."""
        self.first_address = address
        self.output_newline = output_newline
        self.memory = memory
        self.max_steps = max_steps
        self.license = License(system_id or new_system_id(), level)
        self.clock = clock or Clock()
        self.on_power = on_power
        self.on_change: Callable[[], None] | None = None
        """Called after each script and each file, which may have changed the state."""
        self.accounts = accounts if accounts is not None else from_environment()
        """The account server as this router reaches it; None: there is no way to it."""
        self.license_switches = license_switches or LicenseSwitches()
        self.quiet_import = False
        """``/import`` ends without an error and without its words of success when a line fails."""
        self.export_errors: tuple[str, ...] = ()
        """Lines such as ``#error exporting /ip socks`` that ``/export`` has instead of menus."""
        self.files_late = 0.0
        """Seconds after ``/export file=`` and ``/system backup save`` until their file shows."""
        self.load_asks = False
        """``/system backup load`` in a script waits for an answer, as it does on a terminal."""
        self.load_reboots = True
        """``/system backup load`` reboots by itself."""
        self.load_error_fails = True
        """A backup that is refused ends the script with an error; otherwise it is only text."""
        self.device_mode_update: dict[str, Value] | None = None
        """The update of the device-mode that waits for the power to be cut."""
        self.reset_confirms = True
        """A reset of the machine confirms an update of the device-mode, as a loss of power does."""
        self.as_value_flags = True
        """``print as-value`` has the properties that are flags, as ``disabled`` and ``dynamic``."""
        self.as_value_counters = False
        """``print as-value`` has counters, too, and not only ``print stats as-value``."""
        self.scripts_set_passwords = True
        """Scripts of the agent have the policy ``password``. One source says that they do not."""
        self.values_with_crlf = False
        """A line end inside a value is printed as two characters."""
        self.machine = os.urandom(8).hex()
        """What tells this machine from another one with a copy of its disk."""
        self.lock = threading.RLock()
        self.files: dict[str, File] = {}
        self.tables: dict[str, Table] = {}
        self.settings: dict[str, dict[str, Value]] = {}
        self.globals: dict[str, Value] = {}
        self.log: list[LogEntry] = []
        self._logged = 0
        self.booted_at = self.clock.now()
        self.become(version)
        for menu in self._item_menus():
            menu.setup(self)
        self.add_log("system,info", "router rebooted")

    def become(self, version: str) -> None:
        """Have this version of RouterOS, with its menus."""
        self.version = self.packages.installed["routeros"] = version
        self.number_version = parse_version(version)
        self.channel = "testing" if re.search(r"rc|beta", version) else "stable"
        self.root = build(MENUS, EXPORT, self.number_version)
        self.root.commands.update({spec.name: spec for spec in COMMANDS if spec.since <= self.number_version})
        self.root.commands[IMPORT.name] = IMPORT

    def _item_menus(self) -> list[ItemMenu]:
        return [menu for menu in MENUS if isinstance(menu, ItemMenu)]

    # -- running -----------------------------------------------------------------------------------

    def run(self, source: bytes | str, *, stop: threading.Event | None = None, dialect: str = "") -> Outcome:
        """Run a script and wait for its end. Setting ``stop`` ends it with exit code 1.

        May be called in threads.

        A script that came from outside says by which ``dialect``, and is recorded.
        """
        data = source.encode("utf-8") if isinstance(source, str) else source
        interpreter = Interpreter(self, stop, dialect)
        output = interpreter.output
        code = OK
        power = ""
        try:
            interpreter.run(data.decode("latin-1"))
        except ScriptSyntaxError as error:
            code = ERROR
            output.line(str(error))
        except ScriptError as error:
            code = ERROR
            output.line(error.text)
        except (LimitError, MemoryError):
            code = STOPPED
        except RecursionError:
            code = ERROR
            output.line("failure: maximum recursion depth reached")
        except PowerEvent as event:
            power = event.action
            self.device_mode_update = None
        self.changed()
        if power and self.on_power is not None:
            self.on_power(power)
        return Outcome(code, bytes(output.data))

    def changed(self) -> None:
        """Tell ``on_change`` that the state may be another one."""
        if self.on_change is not None:
            self.on_change()

    def lose_power(self) -> None:
        """The machine's power is cut."""
        device_mode.confirm(self)

    def reset(self) -> None:
        """The machine is reset."""
        if self.reset_confirms:
            device_mode.confirm(self)
        self.reboot()

    def reboot(self) -> None:
        """Restart.

        Uptime, global variables, dynamic items and the log begin anew; configuration and files
        stay.
        """
        with self.lock:
            self.device_mode_update = None
            self.booted_at = self.clock.now()
            self.globals.clear()
            self.log.clear()
            self.license.reboot()
            for path in ("ip address", "ip arp"):
                table = self.tables[path]
                table.items[:] = [item for item in table.items if not item.dynamic]
                self.behaviour(path).setup(self)
            packages.boot(self)
            self.add_log("system,info", "router rebooted")

    def disk(self) -> dict[str, Any]:
        """What a snapshot keeps of this router."""
        with self.lock:
            return copy.deepcopy({name: getattr(self, name) for name in _ON_DISK})

    def put_back(self, disk: dict[str, Any]) -> None:
        """Be again as at the moment of ``disk``, with the machine off."""
        with self.lock:
            vars(self).update(copy.deepcopy(disk))
            self.become(self.packages.installed["routeros"])

    def clone(self, identity: str) -> Router:
        """Make another machine, which is off, with a copy of this one's disk.

        It has the same configuration, license and system id.
        """
        with self.lock:
            other = Router(
                identity=identity,
                version=self.version,
                interfaces=self.hardware,
                output_newline=self.output_newline,
                address=self.first_address,
                memory=self.memory,
                max_steps=self.max_steps,
                clock=self.clock,
                accounts=self.accounts,
                license_switches=self.license_switches,
            )
            for name in ("license", "files", "tables", "settings"):
                setattr(other, name, copy.deepcopy(getattr(self, name)))
            other.license.renewals = other.license.attempts = 0
            return other

    # -- state -------------------------------------------------------------------------------------

    @property
    def system_id(self) -> str:
        """The license's system id."""
        return self.license.system_id

    @property
    def uptime(self) -> float:
        """Seconds since the last boot, by the router's clock."""
        return max((self.clock.now() - self.booted_at).total_seconds(), 0.0)

    def menu(self, path: str) -> Menu:
        """The place in this router's menu tree."""
        node = self.root
        for name in path.split():
            node = node.children[name]
        return node

    def behaviour(self, path: str) -> ItemMenu:
        """The item menu at a path."""
        found = self.menu(path).behaviour
        assert isinstance(found, ItemMenu)
        return found

    def behaviour_of_settings(self, path: str) -> SettingsMenu:
        """The menu with one set of settings at a path."""
        found = self.menu(path).behaviour
        assert isinstance(found, SettingsMenu)
        return found

    def items(self, path: str) -> list[Item]:
        """The items of a menu."""
        return self.behaviour(path).rows(self)

    def renamed(self, path: str, old: str, new: str) -> None:
        """Lets every property that named an item by its old name follow it."""
        base = "interface" if path.startswith("interface ") and "list" not in path else path
        for menu in self._item_menus():
            for prop in menu.properties(self).values():
                self._follow(menu, prop, (base, path), old, new)

    def _follow(self, menu: ItemMenu, prop: Prop, paths: tuple[str, ...], old: str, new: str) -> None:
        if prop.kind.refers not in paths or not prop.kind.refers:
            return
        for item in menu.table(self).items:
            for name in (prop.name, f"actual-{prop.name}"):
                if item.values.get(name) == old:
                    item.values[name] = new

    def write_file(self, name: str, data: bytes) -> None:
        """Writes a whole file; ``ScriptError`` when the name is refused."""
        with self.lock:
            check_name(self, name)
            files.check_room(self, data)
            file = self.files.setdefault(name, File())
            if file.directory:
                raise ScriptError("failure: can not write to a directory")
            file.data, file.modified = data, self.clock.now()
        self.changed()

    def write_late(self, name: str, data: bytes) -> None:
        """Writes the file of a command, which may show some time after the command."""
        if self.files_late:
            threading.Timer(self.files_late, self.write_file, (name, data)).start()
        else:
            self.write_file(name, data)

    def add_log(self, topics: str, message: str) -> None:
        """Adds a line to the log; the oldest ones go."""
        with self.lock:
            self._logged += 1
            self.log.append(LogEntry(self._logged, self.clock.now(), topics, message))
            del self.log[: -system.MAX_LOG]

    def check_login(self, user: str, password: str) -> bool:
        """True when an enabled user has that password."""
        with self.lock:
            for item in self.items("user"):
                if item.value("name") == user and item.value("disabled") is not True:
                    return text(item.value("password")).encode("latin-1") == password.encode()
        return False

    def interfaces_report(self) -> list[dict[str, Any]]:
        """Interfaces and addresses in the shape of ``guest-network-get-interfaces``."""
        with self.lock:
            return [self._report(item) for item in self.items("interface")]

    def _report(self, interface: Item) -> dict[str, Any]:
        name = text(interface.value("name"))
        report: dict[str, Any] = {"name": name}
        if name != "lo":
            report["hardware-address"] = text(interface.value("mac-address")).lower()
        addresses = []
        for path, kind in (("ip address", "ipv4"), ("ipv6 address", "ipv6")):
            for item in self.items(path):
                if item.value("interface") == name and item.value("disabled") is not True:
                    address, _unused, prefix = text(item.value("address")).partition("/")
                    addresses.append({"ip-address-type": kind, "ip-address": address, "prefix": int(prefix)})
        report["ip-addresses"] = addresses
        return report

    # -- dates -------------------------------------------------------------------------------------

    def date(self, moment: datetime) -> str:
        """A date as this version writes it."""
        if self.number_version >= (7, 10):
            return moment.strftime("%Y-%m-%d")
        return f"{_MONTHS[moment.month - 1]}/{moment.day:02d}/{moment.year}"

    def date_time(self, moment: datetime) -> str:
        """A date and time as this version writes them."""
        return f"{self.date(moment)} {moment.strftime('%H:%M:%S')}"

    def parse_date(self, content: str) -> datetime:
        """A date as this version writes it; ``ScriptError`` when it is none."""
        match = re.match(r"([a-z]{3})/(\d\d)/(\d{4})\Z", content)
        try:
            if match and self.number_version < (7, 10):
                return datetime(int(match[3]), _MONTHS.index(match[1]) + 1, int(match[2]))
            return datetime.fromisoformat(f"{content}T00:00:00")
        except ValueError:
            raise ScriptError("invalid value for argument date") from None
