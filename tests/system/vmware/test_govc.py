# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""govc, govmomi's client, gets along with the simulated vCenter."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t

from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import PASSWORD, USER, build_govc


def test_govc_starts_a_script_in_the_guest_and_sees_its_end(vcenter: t.Callable[..., t.Any]) -> None:
    """govmomi's client; the job that its listing shows as ended is gone afterwards (manual 7.5)."""
    vc = vcenter("chr1")
    environment = os.environ | {
        "GOVC_URL": f"https://{vc.about['host']}:{vc.about['port']}",
        "GOVC_USERNAME": USER,
        "GOVC_PASSWORD": PASSWORD,
        "GOVC_TLS_CA_CERTS": vc.about["ca"],
        "GOVC_GUEST_LOGIN": "admin:",
        "GOVC_PERSIST_SESSION": "false",
    }
    program = build_govc(cache())

    def govc(*arguments: str) -> str:
        command = [program, *arguments]
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    pid = govc("guest.start", "-vm", "chr1", "inline", '/system identity set name="by govc"')
    (job,) = json.loads(govc("guest.ps", "-vm", "chr1", "-p", pid, "-X", "-json"))["processInfo"]
    assert (job["name"], job.get("exitCode", 0)) == ("inline", 0)
    assert job["endTime"]
    assert json.loads(govc("guest.ps", "-vm", "chr1", "-p", pid, "-json"))["processInfo"] is None
    assert vc.router("chr1").identity == "by govc"
    assert vc.log == [(vc.vm("chr1")["moid"], "inline", '/system identity set name="by govc"')]
