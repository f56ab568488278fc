# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a controller does in a cell of the table, here or in a process that can be killed.

As a program it reads an order, which is JSON, and prints what came of it.
"""

from __future__ import annotations

import io
import json
import sys
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.tests.lab.options import options_for

Work = t.Literal["script", "put", "get"]
SCRIPT_TIMEOUT = 8.0
CONNECT_TIMEOUT = 3.0
OUTPUT = "The output of the script. " * 20
SCRIPT = f':put "{OUTPUT}"\n/ip firewall filter add chain=ran\n:delay 2s\n:put "and its end"\n'
"""It leaves a rule on the router each time that it runs; two at once leave two."""
RAN = "[/ip firewall filter find chain=ran]"
"""The rules that it left."""
FILE = "fault.txt"
DONE = "done"


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    name: str
    """DONE, or the name of an error's class."""
    text: str
    """The output of the script, or the text of the error."""
    seconds: float


def do(work: Work, backend: str, options: dict[str, t.Any], content: bytes = b"") -> Outcome:
    """Run the script, or write or read the file FILE with its *content*."""
    began = time.monotonic()
    try:
        text = _DO[work](open_guest(options_for(backend, **options)), content)
    except (ChrError, OSError) as error:
        public = next(one for one in type(error).__mro__ if not one.__name__.startswith("_"))
        return Outcome(public.__name__, str(error), time.monotonic() - began)
    return Outcome(DONE, text, time.monotonic() - began)


def _script(guest: t.Any, content: bytes) -> str:
    result = guest.run(SCRIPT.encode(), SCRIPT_TIMEOUT)
    return str(guest.checked(result, SCRIPT_TIMEOUT).output.decode())


def _put(guest: t.Any, content: bytes) -> str:
    return str(guest.put(io.BytesIO(content), FILE))


def _get(guest: t.Any, content: bytes) -> str:
    with Path("/dev/full").open("wb", buffering=0) as target:
        return str(guest.get(FILE, target))


_DO = {"script": _script, "put": _put, "get": _get}

if __name__ == "__main__":
    order = json.load(sys.stdin)
    order["options"]["runtime_directory"] = Path(order["options"]["runtime_directory"])
    done = do(order["work"], order["backend"], order["options"], order["content"].encode())
    print(json.dumps(vars(done)))
