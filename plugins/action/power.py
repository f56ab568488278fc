# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import switching
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.readiness import (
    has_interfaces,
    wait_for_agent,
    wait_until_ready,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.reboots import (
    before_reboot,
    order,
    up_for_less,
    watch_boot,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import (
    Deadline,
    positive_seconds,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPermitted,
    NotPossible,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest

_COMES_UP = ("started", "reset", "rebooted")
"""The states after which the router answers."""


class ActionModule(GuestAction):
    """Turn the router's machine on or off, and wait until this has happened."""

    SPEC = {
        "state": {
            "type": "str",
            "choices": ["started", "stopped", "reset", "rebooted", "shutdown"],
            "required": True,
        },
        "method": {"type": "str", "choices": ["auto", "script", "agent"], "default": "auto"},
        "wait": {"type": "str", "choices": ["none", "agent", "ready"]},
        "timeout": {"type": "float", "default": 300.0},
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        deadline = Deadline(positive_seconds("timeout", arguments["timeout"]))
        state, method = arguments["state"], arguments["method"]
        wait = arguments["wait"] or ("agent" if guest.capabilities.agent else "none")
        if wait != "none" and state in switching.ORDERS and not guest.capabilities.agent:
            raise NotPossible(
                f"Nothing was done to {guest.vm!r}: backend {guest.backend} has no channel to its guest agent, so wait: {wait} "
                "would never end. Leave wait out; ansible.builtin.wait_for with a port waits for a router over the network."
            )
        if wait == "ready" and state in _COMES_UP and not guest.capabilities.runs_without_restart:
            raise NotPossible(
                f"Backend {guest.backend} runs a script in {guest.vm!r} only when it boots, so whether it is ready cannot be asked "
                "there. Use wait: agent."
            )
        if state in switching.ORDERS:
            if method != "auto":
                raise InvalidInput(
                    f"method {method} is for the states rebooted and shutdown. The hypervisor carries out state {state}: leave "
                    "method out."
                )
            return self._switch(guest, state, wait, deadline)
        guest.require_routeros()
        if self._task.check_mode:
            return {"changed": True, "state": state, "msg": f"The router would have been asked for state {state}."}
        began = time.monotonic()
        if method == "script" and not guest.capabilities.runs_without_restart:
            raise NotPossible(
                f"Backend {guest.backend} runs a script in {guest.vm!r} only when it boots, so a script cannot restart it "
                "or shut it down: it would run again after the restart. Use method: agent."
            )
        if state == "rebooted":
            # RouterOS's own command is known to work; it is not known whether its agent honours the
            # mode "reboot".
            own = "script" if guest.capabilities.runs_without_restart else "agent"
            method = own if method == "auto" else method
            if wait == "none":
                self._ask(guest, method, "reboot", "/system reboot")
            else:
                self._reboot(guest, method, deadline)
            if wait == "ready":
                wait_until_ready(guest, has_interfaces(1), deadline)
        else:
            method = "agent" if method == "auto" else method
            switching.shut_down(
                guest,
                f"({method})",
                lambda: self._ask(guest, method, "powerdown", "/system shutdown"),
                deadline,
                f"Try method: {'script' if method == 'agent' else 'agent'}.",
            )
        return {"changed": True, "state": state, "method": method, "elapsed": _since(began)}

    # -- by the hypervisor -------------------------------------------------------------------------

    def _switch(self, guest: Guest, state: str, wait: str, deadline: Deadline) -> dict[str, t.Any]:
        """Bring the machine into *state* through its hypervisor. The router need not answer."""
        began = time.monotonic()
        power = guest.power()
        switching.when_free(power.check, deadline)
        on = power.is_on()
        if state == "reset" and not on:
            raise NotPossible(f"{guest.vm!r} was not reset, because its machine is off. Use state: started.")
        result: dict[str, t.Any] = {"changed": state == "reset" or on != (state == "started"), "state": state}
        if self._task.diff:
            before = "started" if on else "stopped"
            result["diff"] = {"before": f"{before}\n", "after": f"{state}\n" if result["changed"] else f"{before}\n"}
        if self._task.check_mode:
            done = "would have been brought into" if result["changed"] else "is in"
            return result | {"msg": f"The machine {done} state {state}."}
        asked = time.monotonic()
        if result["changed"]:
            switching.order(guest, power, state, deadline)
            self._so_far["changed"] = True
        if state in _COMES_UP and wait != "none":
            if state == "reset" and guest.capabilities.runs_without_restart:
                result["warnings"] = self._watch_reset(guest, asked, deadline)
            else:
                wait_for_agent(guest, deadline)
            if wait == "ready":
                wait_until_ready(guest, has_interfaces(1), deadline)
        return result | {"method": "hypervisor", "elapsed": _since(began)}

    def _watch_reset(self, guest: Guest, asked: float, deadline: Deadline) -> list[str]:
        """Wait for the boot after a reset at the time *asked*, and return warnings.

        An agent that answers and lets nobody run a script, such as one that refuses the login, has
        answered.
        """
        warnings: list[str] = []
        booted = up_for_less(guest)

        def look(elapsed: float) -> str | None:
            try:
                return booted(elapsed)
            except (NotPermitted, NotPossible) as error:
                warnings.append(
                    f"The guest agent of {guest.vm!r} answers after the reset. Its uptime was not read: {error}"
                )
                return None

        watch_boot(guest, "was reset", asked, deadline, look)
        return warnings

    # -- by the router -----------------------------------------------------------------------------

    def _reboot(self, guest: Guest, method: str, deadline: Deadline) -> None:
        if not guest.capabilities.runs_without_restart:
            self._reboot_by_boots(guest, method, deadline)
            return
        self._watch_reboot(guest, method, deadline, before_reboot(guest, deadline))

    def _reboot_by_boots(self, guest: Guest, method: str, deadline: Deadline) -> None:
        """Reboot where the hypervisor tells one boot from the next, without a script."""
        before = guest.boot()

        def look(_elapsed: float) -> str | None:
            return "is in the same boot" if guest.boot() == before else None

        self._watch_reboot(guest, method, deadline, look)

    def _watch_reboot(
        self, guest: Guest, method: str, deadline: Deadline, look: t.Callable[[float], str | None]
    ) -> None:
        """Order a reboot and wait for it. *look*: see ``watch_boot``."""
        asked = time.monotonic()
        self._ask(guest, method, "reboot", "/system reboot")
        watch_boot(guest, "was told to reboot", asked, deadline, look)

    def _ask(self, guest: Guest, method: str, mode: str, command: str) -> None:
        if method == "agent":
            guest.shutdown(mode)
        else:
            order(guest, command)
        self._so_far["changed"] = True


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
