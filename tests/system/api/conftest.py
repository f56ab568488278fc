# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where other people's clients reach the API of a lab router."""

from __future__ import annotations

import contextlib
import itertools
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._bridge import client
from ansible_collections.outofband.chr.plugins.plugin_utils._transport import runs
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.api import ApiService, ApiSwitches
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.switches import Switches
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder

USER, PASSWORD = "api", "p4ss word"
IDENTITY = "chr-a"


@dataclass
class Endpoint:
    """An endpoint that speaks RouterOS's API, and the router behind it."""

    hostname: str
    port: int
    username: str
    password: str
    router: Router


@contextlib.contextmanager
def direct() -> t.Iterator[Endpoint]:
    """The router's own service."""
    router = new_router()
    with ApiService(router, ApiSwitches(login_seconds=1.0)) as service:
        yield Endpoint("127.0.0.1", service.port, USER, PASSWORD, router)


def new_router() -> Router:
    """A router as the tests expect it, with some configuration."""
    router = Router(identity=IDENTITY, interfaces=("ether1", "ether2"), system_id="HDlXorQ3f7L")
    prepare = f"""
/user add name={USER} group=full password="{PASSWORD}"
/ip address add address=192.168.88.1/24 interface=ether2 comment=lan
/ip firewall address-list
add list=mgmt address=10.1.1.1 comment=first
add list=mgmt address=10.1.1.2 disabled=yes
add list=other address=10.1.1.3 timeout=1d02:03:04
/ip dns set servers=1.1.1.1,8.8.8.8
"""
    outcome = router.run(prepare)
    assert outcome.exitcode == 0, outcome.output
    return router


# What programs and hostile clients do with the router's own service is a matter of the lab.
_OF_THE_LAB = ("test_bad_input.py", "test_community_routeros.py", "test_programs.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name in _OF_THE_LAB and "direct" in item.name:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def bridges() -> t.Iterator[Path]:
    """The folder of a run, whose process of the bridge serves all tests."""
    with temporary_folder() as folder:
        run = runs.begin()
        # The process ends when it has no router any more.
        client.start(
            "keep", options_for("qemu", vm="keep", socket=str(folder / "none"), runtime_directory=folder), 30, 600
        )
        yield folder
        client.end(run, folder)
        assert not list(folder.glob("bridge-*"))


@contextlib.contextmanager
def bridge(folder: Path) -> t.Iterator[Endpoint]:
    """The bridge to it, over QEMU's guest agent."""
    router = new_router()
    router.as_value_flags = False  # what scripts show then is less than what the API shows
    name = f"router{next(_NUMBERS)}"
    options = options_for("qemu", vm=name, socket=str(folder / name), runtime_directory=folder, connect_timeout=5)
    with contextlib.ExitStack() as running:
        agent = LabRouter(router, f"unix:{folder / name}", Switches()).start()
        running.callback(agent.stop)
        access = client.start(name, options, 30.0, 600.0)
        running.callback(client.stop, name, folder, 30.0)
        yield Endpoint(access["hostname"], access["port"], access["username"], access["password"], router)


_NUMBERS = itertools.count()


@pytest.fixture(params=["direct", "bridge"])
def endpoint(request: pytest.FixtureRequest) -> t.Iterator[Endpoint]:
    """One endpoint after the other: the answers must be the same."""
    way = direct() if request.param == "direct" else bridge(request.getfixturevalue("bridges"))
    with way as found:
        yield found
