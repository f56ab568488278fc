# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where other people's clients reach the API of a lab router."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

import pytest

from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.api import ApiService, ApiSwitches

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


ENDPOINTS = {"direct": direct}


@pytest.fixture(params=sorted(ENDPOINTS))
def endpoint(request: pytest.FixtureRequest) -> t.Iterator[Endpoint]:
    """One endpoint after the other: the answers must be the same."""
    with ENDPOINTS[request.param]() as found:
        yield found
