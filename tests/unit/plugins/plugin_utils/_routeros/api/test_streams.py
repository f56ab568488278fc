# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command that goes on by itself is known as one, by the command trees of real routers."""

from __future__ import annotations

import gzip
import json

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.command import command
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.trap import Trap
from ansible_collections.outofband.chr.tests.tools.check_scripts import VERSIONS, trees

# They show how far they are, and end by themselves.
END_BY_THEMSELVES = {
    *("activate-profile", "check-for-updates", "check-installation", "copy", "create-certificate-request", "download"),
    *("download-file", "enable-ssl-certificate", "export-client-configuration", "firmware-upgrade"),
    *("import-ovpn-configuration", "inject-pcap", "install", "provision", "remove-file", "renew", "setup-repeater"),
    *("sign", "sup-output", "update", "upload-file"),
}
OF_THE_LOG = {"info"}
"""It is also the name of a command of /log, which must work."""


def streams(node: dict, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, child in node.items():
        if not isinstance(child, dict):
            continue
        if child.get("_type") == "cmd" and "once" in child and "interval" in child and name != "print":
            found.append((*path, name))
        elif child.get("_type") in ("dir", "path"):
            found += streams(child, (*path, name))
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_commands_without_an_end_are_refused(version):
    known = trees()
    if known is None:
        pytest.skip("not run: the command trees of RouterOS are not next to the checkout")
    tree = json.loads(gzip.decompress(known[version].read_bytes()))
    unknown = set()
    for name in {path[-1] for path in streams(tree)} - END_BY_THEMSELVES - OF_THE_LOG:
        try:
            command([f"/x/{name}".encode()])
        except Trap:
            continue
        unknown.add(name)
    assert unknown == set()
