# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""One VM of a Proxmox VE cluster and the calls to its agent. Texts of the server: qemu-server 6.2 to 9.2.6."""

from __future__ import annotations

import re
import time
import typing as t
from base64 import b64encode
from urllib.parse import urlencode

from ..deadline import Deadline
from ..errors import (
    AgentNotThere,
    AgentRefused,
    GuestError,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    TooLarge,
    VmNotThere,
)
from ..https import Interrupted
from .api import FORM_LIMIT, REPLY_TIMEOUT, Api, ApiError
from .cluster import Listed, guests

_GONE = re.compile(r"Configuration file .* does not exist")
_OFF = re.compile(r"VM \d+ (is )?not running")
_RETRY = 0.25
_PLACES = 3  # a VM is looked for so often before a migration counts as an error


class AgentSilent(OutcomeUnknown):
    """The agent took a command from Proxmox VE and did not answer it in time."""


class VmOff(AgentNotThere):
    """The VM is not running."""


class VmMoves(VmNotThere):
    """The VM is not on the node where the cluster says it is: it is on its way to another."""


class Vm:
    """The VM that ``chr_vm`` names, found once and again when it has moved. Times are in seconds."""

    def __init__(
        self, api: Api, vm: str, node: str | None, connect_timeout: float, place: tuple[int, str] | None = None
    ) -> None:
        """*place*: (vmid, node), where they are known already."""
        self.api = api
        self.name = vm
        self._wanted_node = node
        self._connect_timeout = connect_timeout
        self._place = place
        self._vmid = place[0] if place else None
        """Of the VM that was found the first time; no other is talked to afterwards."""

    def __str__(self) -> str:
        place = f", vmid {self._place[0]} on node {self._place[1]}" if self._place else ""
        return f"{self.name!r} ({self.api.where}{place})"

    @property
    def version(self) -> tuple[int, int]:
        version: tuple[int, int] = self._ask(lambda: self.api.version(self._connect_timeout))
        return version

    # -- where it is -------------------------------------------------------------------------------------------------

    def locate(self) -> tuple[int, str]:
        """(vmid, node). Raises VmNotThere."""
        if self._place is None:
            listed: list[Listed] = self._ask(lambda: guests(self.api, self._connect_timeout))
            vmid, node = self._pick(listed)
            if self._vmid not in (None, vmid):
                raise VmNotThere(
                    f"{self.name!r} of {self.api.where} is another VM now: vmid {vmid} on node {node} instead of vmid {self._vmid}"
                    ". Nothing was sent to it. Put the vmid of the right one into chr_vm."
                )
            self._vmid = vmid
            self._place = vmid, node
        return self._place

    def _pick(self, listed: list[Listed]) -> tuple[int, str]:
        found = [one for one in listed if self.name in (str(one.vmid), one.name)]
        if not found:
            raise VmNotThere(
                f"{self.api.where} shows {self.api.access.login} no VM with the vmid or name {self.name!r}. Check chr_vm, and "
                "that the user or token has VM.Audit on it: VMs without that are not listed."
            )
        if len(found) > 1:
            found.sort(key=lambda one: one.vmid)
            names = " and ".join(f"vmid {one.vmid} ({one.name!r}) on node {one.node}" for one in found)
            raise VmNotThere(
                f"{self.api.where} has more than one VM that {self.name!r} can mean: {names}. None was touched; put the vmid of "
                "the right one into chr_vm, and give no VM a number as its name."
            )
        (one,) = found
        if one.kind != "qemu":
            raise VmNotThere(
                f"{self.name!r} is container {one.vmid} ({one.name!r}) of {self.api.where}, not a virtual machine."
            )
        if one.template:
            raise VmNotThere(
                f"{self.name!r} (vmid {one.vmid}) is a template of {self.api.where}, which never runs. Name a VM that was made of "
                "it in chr_vm."
            )
        if self._wanted_node and one.node != self._wanted_node:
            raise VmNotThere(
                f"{self.name!r} (vmid {one.vmid}) is on node {one.node!r} of {self.api.where}, and chr_node is "
                f"{self._wanted_node!r}. Leave chr_node out: the node is found by itself."
            )
        return one.vmid, one.node

    def _ask(self, question: t.Callable[[], t.Any]) -> t.Any:
        """The answer to a question that changes nothing."""
        try:
            return question()
        except Interrupted as error:
            raise AgentNotThere(str(error)) from None
        except ApiError as error:
            if error.status >= 595:
                raise AgentNotThere(str(error)) from None
            raise

    # -- its agent ---------------------------------------------------------------------------------------------------

    def agent(
        self,
        method: str,
        command: str,
        values: dict[str, t.Any] | None = None,
        *,
        changes: bool = False,
        as_json: bool = False,
        timeout: float | None = None,
        connect: float = 1.0,
        patience: float = REPLY_TIMEOUT,
    ) -> t.Any:
        """The answer to ``.../agent/<command>``; waits up to *timeout* for an agent that is not running.

        The server has the longer of *timeout* and *connect* to take a connection.

        *changes*: it is not harmless, so a lost answer is OutcomeUnknown. Raises AgentNotThere, AgentRefused, NotPermitted,
        NotPossible, TooLarge, VmNotThere, OutcomeUnknown; ApiError for what the server itself refused, of which nothing
        reached the guest when its status is 400.
        """
        deadline = Deadline(self._connect_timeout if timeout is None else timeout)
        places = 0
        while True:
            vmid, node = self.locate()
            path = f"/nodes/{node}/qemu/{vmid}/agent/{command}"
            try:
                left = max(deadline.remaining, connect)
                answer = self.api.call(method, path, values, as_json=as_json, timeout=left, patience=patience)
            except NotPermitted as error:
                raise self._forbidden(error, command, vmid) from None
            except Interrupted as error:
                raise self._lost(str(error), changes) from None
            except ApiError as error:
                if _GONE.search(error.said) and places < _PLACES:
                    places += 1
                    self._place = None  # it has moved to another node: nothing reached it
                    time.sleep(_RETRY * (places - 1))
                    continue
                verdict = self._verdict(error, command, changes, deadline)
                if not isinstance(verdict, AgentNotThere) or not verdict.silent or deadline.expired:
                    raise verdict from None
                time.sleep(min(_RETRY, deadline.remaining))
                continue
            return self._result(answer, command)

    def _result(self, answer: t.Any, command: str) -> t.Any:
        """Simple commands report an agent's error inside HTTP 200."""
        if isinstance(answer, dict) and isinstance(answer.get("result"), dict) and "error" in answer["result"]:
            error = answer["result"]["error"]
            said = error.get("desc") or error.get("class") if isinstance(error, dict) else error
            raise AgentRefused(str(self), command, str(said))
        return answer

    def _verdict(self, error: ApiError, command: str, changes: bool, deadline: Deadline) -> GuestError:
        said, status = error.said, error.status
        if "guest agent is not running" in said:
            return AgentNotThere(
                f"The guest agent of {self} did not answer within {deadline.seconds:g} s: {said}. The router may still be "
                "booting, its image may have no agent, or another program may hold the agent's socket on the node.",
                silent=True,
            )
        if _OFF.search(said):
            return VmOff(f"{self} is off: {said}. Start the VM.")
        if "No QEMU guest agent configured" in said or "guest agent configured" in said.lower():
            return NotPossible(
                f"The guest agent is not enabled in the options of {self}: {said}. Set agent: 1 (type virtio), and stop and "
                "start the VM: a reboot from inside does not add the device."
            )
        if _GONE.search(said):
            return VmMoves(
                f"{self} is no longer where the cluster says it is: {said}. Nothing was sent. Is it moving to another node? Repeat "
                "the task when that is over."
            )
        if status == 595:
            return AgentNotThere(
                f"The node of {self} cannot be reached from there: 595 {said}. Nothing was sent to the VM. Is the node up, and "
                "'pvecm status' well?"
            )
        if status == 501:
            if "too large" in said:
                return TooLarge(
                    f"{self.api.where} refused {command} for its size (501 {said}); nothing reached the router."
                )
            return NotPossible(
                f"{self.api.where} does not know {command} (501 {said}): it is too old. Nothing was sent."
            )
        if said.startswith("Agent error: "):
            return AgentRefused(str(self), command, said.removeprefix("Agent error: ").partition("; Agent error")[0])
        if status == 400:
            return error
        if status > 595:  # the node's own proxy: cut while it sent, read, or waited
            return self._lost(f"{error} (the connection to the node was cut, at the latest after 30 s).", changes)
        if changes:
            kind = AgentSilent if "got timeout" in said else OutcomeUnknown
            return kind(self._unknown(f"{error}."))
        return error

    def _lost(self, text: str, changes: bool) -> GuestError:
        if not changes:
            return AgentNotThere(text)
        return OutcomeUnknown(self._unknown(text))

    def _unknown(self, text: str) -> str:
        return (
            f"{text} What became of it in {self.name!r} is unknown; it was not sent again. Look at the router before you "
            "repeat it."
        )

    def _forbidden(self, error: NotPermitted, command: str, vmid: int) -> NotPermitted:
        if "403" not in str(error):
            return error
        if command == "shutdown":
            needed = "VM.PowerMgmt"
        elif self.version < (9, 0):
            needed = "VM.Monitor"
        else:
            needed = "VM.GuestAgent.Unrestricted"
        return NotPermitted(
            f"{error} Give it the privilege {needed} on /vms/{vmid}; a token with privilege separation needs it of its own."
        )

    # -- the machine itself --------------------------------------------------------------------------------------------

    def machine(
        self,
        method: str,
        what: str,
        values: dict[str, t.Any] | None = None,
        *,
        changes: bool = False,
        privilege: str = "VM.Audit",
    ) -> t.Any:
        """The answer to a call of the VM's own (``config``; empty: the VM itself). *privilege*: what it needs, for messages.

        Raises AgentNotThere when nobody was reached, ApiError for what the server refused, NotPermitted, VmNotThere, and with
        *changes* OutcomeUnknown for a lost answer.
        """
        places = 0
        while True:
            vmid, node = self.locate()
            path = f"/nodes/{node}/qemu/{vmid}/{what}".rstrip("/")
            try:
                return self.api.call(method, path, values, timeout=self._connect_timeout)
            except NotPermitted as error:
                if "403" not in str(error):
                    raise
                raise NotPermitted(f"{error} It needs the privilege {privilege} on /vms/{vmid}.") from None
            except Interrupted as error:
                raise self._lost(str(error), changes) from None
            except ApiError as error:
                if _GONE.search(error.said) and places < _PLACES:
                    places += 1
                    self._place = None  # it has moved to another node: nothing reached it
                    time.sleep(_RETRY * (places - 1))
                    continue
                if error.status in (596, 599):
                    raise self._lost(str(error), changes) from None
                if error.status == 595:
                    raise AgentNotThere(f"The node of {self} cannot be reached: {error}") from None
                raise

    # -- scripts and files over REST -----------------------------------------------------------------------------------

    def execute(self, values: dict[str, t.Any], *, as_json: bool) -> str:
        """The job id of a POST to ``exec``. Raises as ``agent``."""
        answer = self.agent("POST", "exec", values, changes=True, as_json=as_json)
        try:
            return str(int(str(answer["pid"])))
        except (KeyError, TypeError, ValueError):
            raise OutcomeUnknown(f"{self.api.where} answered exec without a job id: {str(answer)[:80]!r}.") from None

    def status(self, job: str, patience: float) -> dict[str, t.Any]:
        """One look at a job, as the server gives it. Raises as ``agent``."""
        answer = self.agent(
            "GET", "exec-status", {"pid": job}, timeout=0.5, connect=self._connect_timeout, patience=patience
        )
        if not isinstance(answer, dict):
            raise OutcomeUnknown(f"{self.api.where} answered exec-status with no status.")
        return answer

    def write(self, name: str, data: bytes) -> None:
        """Write the file *name* with one ``file-write``; whether all of it arrived, the caller must find out.

        Before qemu-server 7.1-5 there is no ``encode``; the server takes characters below 256 as bytes then, which in JSON
        can be too large for it.
        """
        values: dict[str, t.Any] = {"file": name}
        if self.version >= (7, 2):
            values |= {"content": b64encode(data).decode("ascii"), "encode": 0}
        else:
            values["content"] = data.decode("latin-1")
        # A form is three times as long, and characters below 256 are only in JSON what they are.
        as_json = self.version >= (8, 0) or not data.isascii() or _form_size(values) > FORM_LIMIT
        try:
            self.agent("POST", "file-write", values, changes=True, as_json=as_json)
        except AgentSilent as error:
            # A CHR carries guest-file-close out and does not answer it (observed by tikoci/mikropkl on 7.22).
            if "guest-file-close" not in str(error):
                raise


def _form_size(values: dict[str, t.Any]) -> int:
    return len(urlencode(values))
