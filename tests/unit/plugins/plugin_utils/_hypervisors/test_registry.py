# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core import library
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible

PRELOAD = """\
import sys
for name in {missing!r}:
    sys.modules[name] = None
from ansible_collections.outofband.chr.plugins.plugin_utils import _hypervisors
_hypervisors.preload_backends()
prefix = _hypervisors.__name__
print(sorted(name for name, one in _hypervisors.BACKENDS.items() if f"{{prefix}}.{{one.package}}.guest" in sys.modules))
"""


def test_all_backends_are_loaded_before_the_fork_and_missing_libraries_are_no_error():
    for missing in ((), ("libvirt", "pyVmomi")):
        said = subprocess.run(
            [sys.executable, "-c", PRELOAD.format(missing=missing)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.stderr == ""
        assert said.stdout.strip() == (
            "['hyperv', 'libvirt', 'proxmox', 'qemu', 'virtualbox', 'vmrun', 'vmware', 'xenapi', 'xenstore']"
        )


def test_a_library_that_breaks_in_its_import_is_named(monkeypatch, tmp_path):
    (tmp_path / "broken_library.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(NotPossible, match="the Python library broken>=1, which .* cannot import .division by zero."):
        library.load("broken_library", backend="x", requirement="broken>=1")
