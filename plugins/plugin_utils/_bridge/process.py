# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The program of the process. It reads its orders as a line of JSON, and says "ready"."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Read the orders and carry them out."""
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader([str(Path(__file__).absolute().parents[6])])
    from ansible_collections.outofband.chr.plugins.plugin_utils._bridge.server import Orders, serve
    from ansible_collections.outofband.chr.plugins.plugin_utils._transport.runs import Run

    given = json.loads(sys.stdin.readline())

    def ready() -> None:
        print("ready", flush=True)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nowhere, standard)
        os.close(nowhere)

    serve(Orders(Path(given["socket"]), given["pid"], Run(**given["run"]) if given["run"] else None), ready)
    os._exit(0)  # Python would wait for a command that a hypervisor does not end


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file, whose modules are not programs
    main()
