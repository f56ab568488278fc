# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that starts QEMU, as it was made and as people changed it."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import Difference
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qemu.command_line import (
    CommandLine,
    start_words,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qemu.start_script import StartScript
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Nic

SCRIPT = """\
#!/bin/sh
# The router of Berlin
umask 077
exec nice /usr/bin/qemu-system-x86_64 \\
    -name 'chr 1' -smp cpus=4,sockets=2 \\
    -m size=1G,slots=2,maxmem=4G \\
    -drive file=/d,if=none,id=disk0 -device virtio-blk-pci,drive=disk0 \\
    -netdev tap,id=net0,ifname=tap0 -device virtio-net-pci,mac=52:54:00:00:00:01,netdev=net0,bootindex=1 \\
    -boot n \\
    "$@"
"""


def card(number, nic):
    yield ["-netdev", f"user,id=net{number}"]
    yield ["-device", f"virtio-net-pci,netdev=net{number}"]


def after(*wanted, nics=()):
    script = StartScript(SCRIPT, "start")
    script.change(wanted, nics, card, [])
    text = str(script)
    assert text.startswith("#!/bin/sh\n# The router of Berlin\numask 077\nexec nice /usr/bin/qemu-system-x86_64 \\\n")
    assert text.endswith('"$@"\n')
    assert str(StartScript(text, "start")) == text
    return CommandLine.parse(start_words(text))


def test_what_is_not_asked_for_stays():
    line = after()
    assert (line.name, line.cpus, line.memory, line.boot) == ("chr 1", 4, 1024, "network")
    assert [(one.mac, one.network) for one in line.cards] == [("52:54:00:00:00:01", "tap:tap0")]


def test_cpus_memory_and_boot_order():
    line = after(Difference("cpus", 4, 2), Difference("memory", 1024, 512), Difference("boot", "network", "disk"))
    assert (line.cpus, line.memory, line.boot) == (2, 512, "disk")


def test_a_card_is_added_connected_and_removed():
    nics = (Nic("user", "virtio"), Nic("user", "virtio"))
    line = after(Difference("nics", 1, 2), Difference("network", "tap:tap0", "user", 1), nics=nics)
    assert [one.network for one in line.cards] == ["user", "user"]
    assert line.cards[0].mac == "52:54:00:00:00:01"
    assert after(Difference("nics", 1, 0)).cards == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#!/bin/sh\nqemu-system-x86_64\n",
        SCRIPT.replace('"$@"', ""),
        SCRIPT.replace("cpus=4", "cpus=$CPUS"),
        SCRIPT + "sleep 1\n",
    ],
    ids=["nothing", "no exec", "no arguments", "variable", "more commands"],
)
def test_a_script_of_another_kind_is_refused(text):
    with pytest.raises(NotPossible, match="is not a script as outofband.chr.qemu_vm writes it"):
        StartScript(text, "start")
