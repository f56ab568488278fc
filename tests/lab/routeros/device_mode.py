# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``/system device-mode``.

Source: the vendor's page on the device-mode; a CHR is in mode ``advanced``, with these functions
off, as tikoci/quickchr has seen it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .errors import ScriptError
from .evaluate import Call
from .kinds import BOOL, STRING, Prop
from .menus import SettingsMenu
from .specs import CommandSpec, Param, params
from .values import Value, parse_time, text

if TYPE_CHECKING:
    from .device import Router

_MODES = ("advanced", "home", "basic", "rose")
_ON = ("scheduler", "socks", "fetch", "pptp", "l2tp", "bandwidth-test", "sniffer", "ipsec", "romon", "proxy", "smb")
_OFF = ("container", "traffic-gen")
_OFF_SINCE_7_17 = ("partitions", "routerboard", "install-any-version")
_SINCE = (7, 17)
_PATH = "system device-mode"


def _update(call: Call) -> Value:
    """Wait until the power is cut, which ``Router.lose_power`` sees, or until the time is over."""
    router = call.router
    values: dict[str, Value] = {}
    for name, value in call.args.items():
        if name == "mode" and text(value) not in _MODES:
            raise ScriptError("input does not match any value of mode")
        if name in (*_ON, *_OFF, *_OFF_SINCE_7_17):
            word = text(value)
            if word not in ("yes", "no", "true", "false"):
                raise ScriptError("syntax error: expecting yes or no")
            values[name] = word in ("yes", "true")
        elif name == "mode":
            values[name] = text(value)
    limit = parse_time(text(call.get("activation-timeout", "5m")))
    seconds = limit.seconds if limit else 0
    if not 10 <= seconds <= 86400:
        raise ScriptError("value of activation-timeout out of range (00:00:10..1d00:00:00)")
    parallel = router.device_mode_update is not None
    router.device_mode_update = None if parallel else values
    call.output.line(f"update: please activate by turning power off or pressing reset or mode button in {seconds:.0f}s")
    end = time.monotonic() + seconds
    while router.device_mode_update is values and time.monotonic() < end:
        call.interpreter.sleep(0.05)
    if router.device_mode_update is values:
        router.device_mode_update = None
    raise ScriptError("update canceled")


def confirm(router: Router) -> None:
    """Take the update that waits for this."""
    if router.device_mode_update is not None:
        router.settings.setdefault(_PATH, {}).update(router.device_mode_update)
        router.device_mode_update = None


class DeviceModeMenu(SettingsMenu):
    """It is changed by ``update`` only."""

    def commands(self, version: tuple[int, ...]) -> tuple[CommandSpec, ...]:
        switches = params("yes-no", *_ON, *_OFF, *(_OFF_SINCE_7_17 if version >= _SINCE else ()))
        more = (Param("mode", "text"), Param("activation-timeout"))
        return (*super().commands(version), CommandSpec("update", _update, (*switches, *more), locked=False))


MENUS = (
    DeviceModeMenu(
        _PATH,
        Prop("mode", STRING, default="advanced", read_only=True),
        *(Prop(name, BOOL, default=True, read_only=True) for name in _ON),
        *(Prop(name, BOOL, default=False, read_only=True) for name in _OFF),
        *(Prop(name, BOOL, default=False, read_only=True, since=_SINCE) for name in _OFF_SINCE_7_17),
        exported=False,
        without="export",
    ),
)
