# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command ``python -m lab``.

It serves routers on sockets (serve) or on a simulated hypervisor (hypervisor), runs one as the
agent inside a QEMU guest (guest), or runs the account server of their licenses (accounts).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import sys
import threading
import typing as t
from dataclasses import fields
from pathlib import Path

from . import recorder
from .disk import boot
from .routeros import Router
from .serve import LabRouter, serve_ports
from .switches import LicenseSwitches, Switches


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="routers chr01, chr02, ... on unix sockets in a directory")
    serve.add_argument("directory", type=Path)
    serve.add_argument("--count", type=int, default=1)
    serve.add_argument(
        "--account",
        metavar="NAME:PASSWORD",
        help="also an account server, at unix:DIRECTORY/accounts, with one clock for all",
    )
    whole = commands.add_parser(
        "hypervisor", help="routers chr01, chr02, ... on a hypervisor, until the end of the input"
    )
    whole.add_argument("kind")
    whole.add_argument("--count", type=int, default=1)
    whole.add_argument("--listed", type=int, default=0, help="how many VMs there are besides, only to be listed")
    whole.add_argument("--cache", type=Path)
    guest = commands.add_parser("guest", help="one router on a virtio-serial port")
    guest.add_argument("--port", type=Path, action="append", required=True)
    guest.add_argument(
        "--disk", type=Path, help="where the router keeps its state, and finds autorun.scr at its first boot"
    )
    accounts = commands.add_parser(
        "accounts", help="an account server at unix:/path or tcp:host:port, until the end of the input"
    )
    accounts.add_argument("address")
    accounts.add_argument("--account", action="append", default=[], metavar="NAME:PASSWORD")
    ask = commands.add_parser("ask", help="have an account server do something: shift seconds=86400")
    ask.add_argument("address")
    ask.add_argument("operation")
    ask.add_argument("values", nargs="*", metavar="KEY=VALUE")
    for command in (serve, guest):
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="a switch, identity or version"
        )
    arguments = parser.parse_args()
    if arguments.command == "hypervisor":
        return serve_hypervisor(arguments.kind, arguments.count, arguments.cache, arguments.listed)
    if arguments.command == "accounts":
        return serve_accounts(arguments.address, [word.split(":", 1) for word in arguments.account])
    if arguments.command == "ask":
        return ask_accounts(arguments.address, arguments.operation, arguments.values)
    settings = dict(word.split("=", 1) for word in arguments.set)
    if arguments.command == "guest":
        router, switches = build("MikroTik", settings)
        if arguments.disk:
            boot(router, arguments.disk, runs_script=switches.autorun)
        os._exit(serve_ports(arguments.port, router, switches))  # threads wait in read(), which no exit handler can end
    arguments.directory.mkdir(parents=True, exist_ok=True)
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each router has a socket, and its client another one
    sys.setswitchinterval(0.0005)  # many routers in one process: answer before the jobs of others
    with contextlib.ExitStack() as running:
        if arguments.account:
            from .accounts import AccountServer  # not inside a QEMU guest, which has no need of it

            accounts = running.enter_context(AccountServer())
            accounts.add_account(*arguments.account.split(":", 1))
            accounts.listen(f"unix:{arguments.directory / 'accounts'}")
        for number in range(1, arguments.count + 1):
            name = f"chr{number:02d}"
            router, switches = build(name, settings)
            if arguments.account:
                router.accounts, router.clock = accounts, accounts.clock
            running.enter_context(LabRouter(router, f"unix:{arguments.directory / name}.sock", switches))
        print(f"{arguments.count} routers in {arguments.directory}", flush=True)
        threading.Event().wait()
    return 0


def serve_hypervisor(kind: str, count: int, cache: Path | None, listed: int) -> int:
    """Print the variables of its routers as JSON."""
    from .cache import cache as default  # not inside a QEMU guest, which has no need of these
    from .hypervisors import hypervisor
    from .missing import Missing

    sys.setswitchinterval(0.0005)
    names = [f"chr{number:02d}" for number in range(1, count + 1)]
    try:
        with hypervisor(kind, names, cache or default(), listed=listed) as hosts:
            print(json.dumps(hosts), flush=True)
            sys.stdin.read()
    except Missing as error:
        sys.exit(f"ERROR: {error}")
    return 0


def serve_accounts(address: str, accounts: list[list[str]]) -> int:
    """Print what to set for the routers of other processes, so that they find it."""
    from .accounts import AccountServer  # nor of this one
    from .routeros.accounts import ENVIRONMENT

    with AccountServer() as server:
        for name, password in accounts:
            server.add_account(name, password)
        print(f"{ENVIRONMENT}={server.listen(address)}", flush=True)
        sys.stdin.read()
    return 0


def ask_accounts(address: str, operation: str, values: list[str]) -> int:
    """Print its answer as JSON."""
    from .routeros.accounts import RemoteAccounts

    arguments = dict(word.split("=", 1) for word in values)
    numbers = {key: float(value) for key, value in arguments.items() if key == "seconds"}
    print(json.dumps(RemoteAccounts(address).ask(operation, **arguments | numbers)))
    return 0


def build(identity: str, settings: dict[str, str]) -> tuple[Router, Switches]:
    """A router and its switches from text settings. Raises KeyError for an unknown one."""
    switches, license_switches = Switches(), LicenseSwitches()
    of_router: dict[str, t.Any] = {"identity": identity}
    for key, value in settings.items():
        if key in {field.name for field in fields(Switches)}:
            switches.change(key, value)
        elif key in {field.name for field in fields(LicenseSwitches)}:
            license_switches.change(key, value)
        elif key == "record":
            os.environ[recorder.ENVIRONMENT] = value
        elif key in ("identity", "version", "system_id", "level"):
            of_router[key] = value
        elif key == "cards_after":
            of_router[key] = float(value)
        elif key == "address":
            of_router[key] = None if value == "none" else value
        elif key == "interfaces":
            of_router[key] = tuple(value.split(",")) if value else ()
        else:
            raise KeyError(key)
    newline = switches.output_newline
    return Router(output_newline=newline, license_switches=license_switches, **of_router), switches


if __name__ == "__main__":
    sys.exit(main())
