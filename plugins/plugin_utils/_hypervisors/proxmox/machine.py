# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""One VM of a Proxmox VE cluster and the calls to its agent.

Texts of the server: qemu-server 6.2 to 9.2.6.
"""

from __future__ import annotations

import re
import time
import typing as t
from base64 import b64encode
from dataclasses import astuple, replace

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    ChrError,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    TooLarge,
    Unreachable,
    VmAmbiguous,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import as_bool
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Interrupted
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.recent_list import RecentList

from . import agent_option, privileges
from .api import REPLY_TIMEOUT, Api, ApiError, Ask, Resource, form_body, json_body, max_body
from .cluster import Listed, guests, silent_nodes
from .lost_answers import RETRY, may_pass, not_connected, persist, untrusted
from .tasks import finish

_GONE = re.compile(r"Configuration file .* does not exist")
_NO_NODE = re.compile(r"hostname lookup '.*' failed")
_OFF = re.compile(r"VM \d+ (is )?not running")
_PLACES = 3  # attempts to find a VM before its migration counts as an error


class AgentSilent(OutcomeUnknown):
    """The agent took a command from Proxmox VE and did not answer it in time."""


class VmOff(Unreachable):
    """The VM is not running."""


class NotEnabled(NotPossible):
    """The VM has no agent enabled."""


class VmMoves(VmNotFound):
    """The VM is not on the node that the cluster lists for it: it is moving to another one."""


class _NotLocated(Exception):
    """The VM could not be looked up, so nothing was sent to it. Attribute ``error``: the reason."""

    def __init__(self, error: ChrError) -> None:
        super().__init__(str(error))
        self.error = error


class ProxmoxMachine:
    """The VM that ``chr_vm`` names. It is looked up once, and again when it has moved.

    Times are in seconds.
    """

    def __init__(
        self, api: Api, vm: str, node: str | None, connect_timeout: float, place: tuple[int, str] | None = None
    ) -> None:
        """*place*: (vmid, node) if they are already known."""
        self.api = api
        self.name = vm
        self._wanted_node = node
        self._connect_timeout = connect_timeout
        self._place = place
        # A vmid and its node need no look-up. If the VM has moved, it is looked up after all.
        self._assumed = place is None and node is not None and vm.isascii() and vm.isdigit()
        self._only_vmid = self._assumed
        if self._assumed:
            self._place = place = int(vm), str(node)
        self._vmid = place[0] if place else None
        """The vmid of the VM that was found first. No other VM is used afterwards."""
        self._option_seen = False
        self.close_unanswered = False
        """The agent is known to carry guest-file-close out without an answer."""

    def __str__(self) -> str:
        place = f", vmid {self._place[0]} on node {self._place[1]}" if self._place else ""
        return f"{self.name!r} ({self.api.where}{place})"

    @property
    def version(self) -> tuple[int, int]:
        version: tuple[int, int] = self._ask(lambda: self.api.version(self._connect_timeout))
        return version

    # -- where it is -------------------------------------------------------------------------------

    def locate(self) -> tuple[int, str]:
        """Look up the VM and return (vmid, node). Raises VmNotFound, VmAmbiguous."""
        if self._place is None:
            vmid, node = self._look_up()
            if self._vmid not in (None, vmid):
                raise VmNotFound(
                    f"{self.name!r} of {self.api.where} is another VM now: vmid {vmid} on node {node} instead of vmid {self._vmid}"
                    ". Nothing was sent to it. Put the vmid of the right one into chr_vm."
                )
            self._vmid = vmid
            self._place = vmid, node
        return self._place

    def _look_up(self) -> tuple[int, str]:
        """Find the VM in the cluster's list. Raises as ``locate``."""
        login = self.api.login
        found, listed = RecentList(login.directory, "proxmox", login.where, login.account).find(
            lambda: self._ask(
                lambda: [astuple(replace(one, row=None)) for one in guests(self.api, self._connect_timeout)]
            ),
            lambda rows: [row for row in rows if self.name in (str(row[0]), "" if self._only_vmid else row[1])],
            lambda row: self._holds(Listed(*row)),
        )
        silent = "" if found else silent_nodes([Listed(*row) for row in listed])
        return self._picked([Listed(*row) for row in found], silent)

    def _holds(self, one: Listed) -> bool:
        """Whether the VM is on its node as it is listed: with its name, and a template or not."""
        try:
            config = self.api.call(
                lambda pve: pve.nodes(one.node).qemu(one.vmid).config.get(), timeout=self._connect_timeout
            )
        except (ChrError, Interrupted):
            return False  # the list is asked for again, and that says what is wrong
        if not isinstance(config, dict) or as_bool(config.get("template")) != one.template:
            return False
        return self.name == str(one.vmid) or config.get("name") == self.name

    def _picked(self, found: list[Listed], silent: str) -> tuple[int, str]:
        if not found and silent:
            raise Unreachable(
                f"{self.api.where} shows no VM with the vmid or name {self.name!r}. {silent} If it is one of them, start that "
                "node, or put the vmid into chr_vm."
            )
        if not found:
            raise VmNotFound(
                f"{self.api.where} shows {self.api.login.account} no VM with the vmid or name {self.name!r}. Check chr_vm, and "
                "that the user or token has VM.Audit on it: VMs without that are not listed."
            )
        if len(found) > 1:
            found.sort(key=lambda one: one.vmid)
            names = " and ".join(f"vmid {one.vmid} ({one.name!r}) on node {one.node}" for one in found)
            raise VmAmbiguous(
                f"{self.api.where} has more than one VM that {self.name!r} can mean: {names}. None was touched; put the vmid of "
                "the right one into chr_vm, and give no VM a number as its name."
            )
        (one,) = found
        if one.kind != "qemu":
            raise VmNotFound(
                f"{self.name!r} is container {one.vmid} ({one.name!r}) of {self.api.where}, not a virtual machine."
            )
        if one.template:
            raise VmNotFound(
                f"{self.name!r} (vmid {one.vmid}) is a template of {self.api.where}, which never runs. Name a VM that was made "
                "from it in chr_vm."
            )
        if self._wanted_node not in (None, one.node) and self.name != str(one.vmid):
            raise VmNotFound(
                f"{self.name!r} (vmid {one.vmid}) is on node {one.node!r} of {self.api.where}, and chr_node is "
                f"{self._wanted_node!r}. Leave chr_node out: the node is found by itself."
            )
        return one.vmid, one.node

    def _ask(self, question: t.Callable[[], t.Any]) -> t.Any:
        """The answer to a request that changes nothing.

        It is repeated while there is time and the answer gets lost.
        """
        try:
            return persist(question, self._connect_timeout)
        except Interrupted as error:
            raise Unreachable(str(error)) from None
        except ApiError as error:
            raise self._on_the_way(error, changes=False) or error from None

    def _on_the_way(self, error: ApiError, *, changes: bool) -> ChrError | None:
        """What *error* means if the proxy in front of the VM's node has made it."""
        if untrusted(error):
            return Unreachable(
                f"{self.api.where} does not trust the certificate of the node of {self}: {error.status} {error.said}. "
                "Nothing was sent to the VM. Run 'pvecm updatecerts' on that node, or set chr_api_host to it."
            )
        if error.status == 595:
            return Unreachable(
                f"{self.api.where} cannot reach the node of {self}: 595 {error.said}. Nothing was sent to the VM. Check that "
                "the node is up, and what 'pvecm status' says there."
            )
        if error.status > 595:
            return self._lost(
                f"{error}. The connection to the VM's node broke, or the node was busy for too long.", changes
            )
        return None

    # -- its agent ---------------------------------------------------------------------------------

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
        """Send *command* to the agent, with ``.../agent/<command>``, and return the answer.

        It waits up to *timeout* for an agent that is not running. The server must accept a
        connection within the longer of *timeout* and *connect*. *changes* says that the command is
        not harmless, so that a lost answer is OutcomeUnknown. Other commands are sent again, within
        *timeout*, if their answer is lost.

        Raises Unreachable, AgentRefused, NotPermitted, NotPossible, TooLarge, VmNotFound,
        OutcomeUnknown. Raises ApiError if the server itself refused the request; if its status is
        400, nothing reached the guest.
        """
        deadline = Deadline(self._connect_timeout if timeout is None else timeout)
        encode = json_body if as_json else form_body

        def ask(vm: Resource) -> t.Any:
            return getattr(vm.agent(command), method.lower())(**(values or {}))

        while True:
            try:
                left = max(deadline.remaining, connect)
                answer = self._call(ask, encode=encode, timeout=left, patience=patience)
            except _NotLocated as failed:
                raise failed.error from None
            except NotPermitted as error:
                raise self._forbidden(error, command) from None
            except Interrupted as error:
                verdict, again = self._lost(str(error), changes), not changes
            except ApiError as error:
                verdict = self._verdict(error, command, changes, deadline)
                again = may_pass(error) and not changes
                if isinstance(verdict, Unreachable) and verdict.silent:
                    again = True
                    self._check_option()
            else:
                return self._result(answer, command)
            if not again or deadline.expired:
                raise verdict
            time.sleep(min(RETRY, deadline.remaining))

    def _check_option(self) -> None:
        """As ``check_agent_option``, once. An option that cannot be read counts as enabled."""
        if self._option_seen:
            return
        self._option_seen = True
        try:
            self.check_agent_option()
        except NotEnabled:
            raise
        except ChrError:
            return

    def check_agent_option(self) -> None:
        """Check that the VM has an enabled agent. Raises NotEnabled, and as ``machine``.

        The server says that the agent is not configured only if the option is missing. With
        ``agent: 0`` it says that the agent is not running. A VM whose ``args`` name a socket of
        that kind is left alone.
        """
        listed = self.machine(lambda vm: vm.pending.get())
        try:
            options = {str(one["key"]): one for one in listed}
            args, agent = options.get("args", {}), options.get("agent", {})
            if agent_option.enabled(str(agent.get("value", "0"))) or ".qga" in str(args.get("value", "")):
                return
            waiting = agent_option.enabled(str(agent.get("pending", "0")))
        except (AttributeError, KeyError, TypeError):
            return  # another form of answer
        if waiting:
            raise NotEnabled(
                f"The guest agent is enabled in the options of {self}, but not in the machine that runs: the change waits for a "
                "cold start. Stop and start the VM: a reboot from inside does not add the device."
            )
        raise self._not_enabled(f"agent: {agent.get('value', '0')}")

    def _not_enabled(self, said: str) -> NotEnabled:
        return NotEnabled(
            f"The guest agent is not enabled in the options of {self}: {said}. Set agent: 1 (type virtio), and stop and "
            "start the VM: a reboot from inside does not add the device."
        )

    def _call(self, ask: Ask, **how: t.Any) -> t.Any:
        """Call the API for the VM. If the VM has moved, look it up again and repeat the call.

        Raises the errors of ``Api.call``, and _NotLocated if the look-up failed.
        """
        places = 0
        while True:
            try:
                place = self.locate()
            except (ApiError, NotPermitted) as error:
                raise _NotLocated(error) from None
            try:
                answer = self.api.call(_of(place, ask), **how)
                self._assumed = False
                return answer
            except ApiError as error:
                if self._assumed and (error.status == 595 or _GONE.search(error.said) or _NO_NODE.search(error.said)):
                    self._assumed, self._place = False, None
                    continue
                if places == _PLACES or not _GONE.search(error.said):
                    raise
                places += 1
                self._place = None  # it has moved to another node: nothing reached it
                time.sleep(RETRY * (places - 1))

    def _result(self, answer: t.Any, command: str) -> t.Any:
        """The result in *answer*: simple commands report an agent's error inside HTTP 200.

        Raises AgentRefused.
        """
        if isinstance(answer, dict) and isinstance(answer.get("result"), dict) and "error" in answer["result"]:
            error = answer["result"]["error"]
            said = error.get("desc") or error.get("class") if isinstance(error, dict) else error
            raise AgentRefused(str(self), command, str(said))
        return answer

    def _verdict(self, error: ApiError, command: str, changes: bool, deadline: Deadline) -> ChrError:
        said, status = error.said, error.status
        if "guest agent is not running" in said or not_connected(error):
            return Unreachable(
                f"The guest agent of {self} did not answer within {deadline.seconds:g} s: {said}. The router may still be "
                "booting, its image may have no agent, or another program may hold the agent's socket on the node.",
                silent=True,
            )
        if _OFF.search(said):
            return VmOff(f"{self} is off: {said}. Start the VM.")
        if "No QEMU guest agent configured" in said or "guest agent configured" in said.lower():
            return self._not_enabled(said)
        if _GONE.search(said):
            return VmMoves(
                f"{self} is not on the node that the cluster lists for it: {said}. Nothing was sent. It may be moving to another "
                "node. Repeat the task when the move is over."
            )
        if broken := self._on_the_way(error, changes=changes):
            return broken
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
        if changes:
            kind = AgentSilent if "got timeout" in said else OutcomeUnknown
            return kind(self._unknown(f"{error}."))
        return error

    def _lost(self, text: str, changes: bool) -> ChrError:
        if not changes:
            return Unreachable(text)
        return OutcomeUnknown(self._unknown(text))

    def _unknown(self, text: str) -> str:
        return (
            f"{text} Whether {self.name!r} carried it out is unknown; it was not sent again. Look at the router before you "
            "repeat it."
        )

    def _forbidden(self, error: NotPermitted, command: str) -> NotPermitted:
        if "403" not in str(error):
            return error
        needed = (privileges.POWER if command == "shutdown" else privileges.agent(self.version)).name
        return NotPermitted(
            f"{error} Give it the privilege {needed} on /vms/{self._vmid}; a token with privilege separation needs it of its own."
        )

    # -- the machine itself ------------------------------------------------------------------------

    def machine(self, ask: Ask, *, changes: bool = False, privilege: str = privileges.AUDIT.name) -> t.Any:
        """Return the answer to *ask*, which gets the resource of the VM as its argument.

        An example of *ask* is ``lambda vm: vm.config.get()``. *privilege*: the privilege that it
        needs, for messages. Raises Unreachable when the server was not reached, ApiError when it
        refused, NotPermitted, VmNotFound, and with *changes* OutcomeUnknown for a lost answer. A
        request without *changes* is repeated if its answer is lost.
        """

        def send() -> t.Any:
            return self._call(ask, timeout=self._connect_timeout)

        try:
            return send() if changes else self._ask(send)
        except _NotLocated as failed:
            raise failed.error from None
        except NotPermitted as error:
            if "403" not in str(error):
                raise
            raise NotPermitted(f"{error} It needs the privilege {privilege} on /vms/{self._vmid}.") from None
        except Interrupted as error:
            raise self._lost(str(error), changes) from None
        except ApiError as error:
            raise self._on_the_way(error, changes=changes) or error from None

    def task(self, ask: Ask, deadline: Deadline, privilege: str, otherwise: str) -> None:
        """Start a task of Proxmox VE and wait for its end.

        *otherwise* says in the message what happened to the VM if it failed: "did not start".
        Raises NotPossible if it failed, and the errors of ``machine`` and ``finish``.
        """
        ended = finish(self.api, self.machine(ask, changes=True, privilege=privilege), deadline)
        if not ended.done:
            raise NotPossible(f"{self} {otherwise}: {ended.exitstatus}")

    def running_tasks(self) -> list[str]:
        """The tasks of Proxmox VE about the VM that run now, for messages.

        Empty if this login is not shown them.
        """
        vmid, node = self.locate()
        try:
            listed = self.api.call(lambda pve: pve.nodes(node).tasks.get(vmid=vmid, source="active"))
            return [f"{one['type']} of {one['user']} ({one['upid']})" for one in listed]
        except (ChrError, ApiError, Interrupted, KeyError, TypeError):
            return []

    def current(self) -> dict[str, t.Any]:
        """The present state of the VM, as Proxmox VE says. Raises the errors of ``machine``.

        Its ``status`` is ``running`` or ``stopped``.
        """
        status = self.machine(lambda vm: vm.status.current.get())
        if not isinstance(status, dict) or status.get("status") not in ("running", "stopped"):
            raise ChrError(f"{self.api.where} answered without the state of {self}: {excerpt(status)}.")
        return status

    def state(self) -> str:
        """``running`` or ``stopped``. Raises the errors of ``current``."""
        return str(self.current()["status"])

    def is_frozen(self, timeout: float | None = None) -> bool:
        """Whether the agent says that the file systems are frozen.

        *timeout*: see ``agent``. Raises the errors of ``agent``, and AgentRefused for another
        answer.
        """
        answer = self.agent("POST", "fsfreeze-status", timeout=timeout, connect=self._connect_timeout)
        state = answer.get("result") if isinstance(answer, dict) else answer
        if state not in ("frozen", "thawed"):
            raise AgentRefused(str(self), "fsfreeze-status", f"it answered {excerpt(state)}")
        return bool(state == "frozen")

    # -- scripts and files over REST ---------------------------------------------------------------

    def execute(self, values: dict[str, t.Any], *, as_json: bool) -> str:
        """POST *values* to ``exec`` and return the job id. Raises the errors of ``agent``."""
        answer = self.agent("POST", "exec", values, changes=True, as_json=as_json)
        try:
            return str(int(str(answer["pid"])))
        except (KeyError, TypeError, ValueError):
            raise OutcomeUnknown(f"{self.api.where} answered exec without a job id: {excerpt(answer)}.") from None

    def status(self, job: str, patience: float) -> dict[str, t.Any]:
        """The status of a job, as the server gives it. Raises the errors of ``agent``."""
        answer = self.agent(
            "GET", "exec-status", {"pid": job}, timeout=0.5, connect=self._connect_timeout, patience=patience
        )
        if not isinstance(answer, dict):
            raise OutcomeUnknown(f"{self.api.where} answered exec-status without a status.")
        return answer

    def write(self, name: str, data: bytes) -> None:
        """Write the file *name* with one ``file-write``. The caller must check that all arrived.

        qemu-server before 7.1-5 has no ``encode``. It takes characters below 256 as bytes, which
        can be too large for it in JSON.
        """
        values: dict[str, t.Any] = {"file": name}
        if self.version >= (7, 2):
            values |= {"content": b64encode(data).decode("ascii"), "encode": 0}
        else:
            values["content"] = data.decode("latin-1")
        # A form is three times as long, and only JSON carries characters below 256 unchanged.
        as_json = self.version >= (8, 0) or not data.isascii() or self.needs_json(values)
        try:
            self.agent("POST", "file-write", values, changes=True, as_json=as_json)
        except AgentSilent as error:
            # A CHR carries guest-file-close out and does not answer it (observed by tikoci/mikropkl
            # on 7.22).
            if "guest-file-close" not in str(error):
                raise
            self.close_unanswered = True

    def needs_json(self, values: dict[str, t.Any]) -> bool:
        """Whether *values* are too large for a form, which can be three times as long as JSON."""
        body, _described = form_body(values)
        return isinstance(body, bytes) and len(body) > max_body(self.version)

    def says_routeros(self) -> bool:
        """Whether the agent says that the guest is RouterOS. Raises the errors of ``agent``."""
        try:
            return bool(self.agent("GET", "get-osinfo")["result"]["id"] == "routeros")
        except (AgentRefused, KeyError, TypeError):
            return False


def _of(place: tuple[int, str], ask: Ask) -> Ask:
    """Turn a request to the VM at *place* (vmid, node) into a request to the API."""
    vmid, node = place
    return lambda pve: ask(pve.nodes(node).qemu(vmid))
