# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A vCenter or an ESXi host: calls in one shared session, finding VMs, and errors in words. pyvmomi is imported when needed."""

from __future__ import annotations

import http.client
import importlib
import operator
import re
import ssl
import sys
import time
import typing as t
from datetime import datetime
from urllib.parse import unquote
from xml.parsers.expat import ExpatError

from . import tls
from .access import Access
from .deadline import Deadline, poll_interval
from .errors import AgentNotThere, GuestError, InvalidInput, LoginRefused, NotPossible, OutcomeUnknown

# The API of vSphere 6.5: the oldest release that can run a CHR has it, and every later one still answers to it.
_API = "vim.version.version11"
_IDLE = 5.0  # seconds until an idle connection is not used again: the server may have closed it meanwhile
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOID = re.compile(r"(vm-)?\d+")
# Ways through the inventory: from what, by which of its properties.
_STEPS = {
    "folder": ("Folder", "childEntity"),
    "datacenter": ("Datacenter", "vmFolder"),
    "pool": ("ResourcePool", "resourcePool"),
    "vapp": ("VirtualApp", "vm"),
}
# Also what pyvmomi makes of an answer that is no SOAP: an error of the XML parser, or a KeyError for an unknown element.
_NO_ANSWER = (OSError, http.client.HTTPException, ExpatError, KeyError)


class NotSent(Exception):
    """The connection could not be made, so the call did not leave this machine."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


def library() -> t.Any:
    """The module pyVmomi. Raises NotPossible."""
    try:
        return importlib.import_module("pyVmomi")
    except ImportError as error:
        raise NotPossible(
            f"Backend vmware needs the Python library pyvmomi, 9 or newer, and {sys.executable} has none ({error}). Install it "
            "with: pip install 'pyvmomi>=9'"
        ) from error


def warm_up() -> None:
    """Do once, in the process that forks the workers, what every task would do again. Raises ImportError without pyvmomi."""
    types = importlib.import_module("pyVmomi")
    importlib.import_module("pyVmomi.SoapAdapter")
    vim, collector = types.vim, types.vmodl.query.PropertyCollector
    process = vim.vm.guest.ProcessManager  # pyvmomi makes a type when it is first asked for
    _made: tuple[t.Any, ...] = (
        vim.Folder,
        vim.Datacenter,
        vim.VirtualApp,
        vim.VirtualMachine,
        vim.vm.guest.NamePasswordAuthentication,
    )
    _made += (
        process.ProgramSpec,
        process.ProcessInfo,
        collector.FilterSpec,
        collector.TraversalSpec,
        collector.ObjectSpec,
    )
    _made += (collector.PropertySpec, collector.RetrieveOptions, collector.RetrieveResult, vim.fault.NotAuthenticated)
    tls.context(True, None)


class Vsphere:
    """Calls to one endpoint, with a session that is shared through a file. All errors are GuestError."""

    def __init__(self, endpoint: Access) -> None:
        self.endpoint = endpoint
        self.shared = endpoint.session("vsphere")
        self._stub: t.Any = None
        self._session: dict[str, t.Any] = {}

    # -- calls -------------------------------------------------------------------------------------------------------

    def object(self, kind: str, moid: str) -> t.Any:
        """The managed object *kind* (as ``VirtualMachine`` or ``vm.Snapshot``) of that id, for use in ``call``."""
        return operator.attrgetter(kind)(library().vim)(moid, self._stub)

    def guest_processes(self) -> t.Any:
        return library().vim.vm.guest.ProcessManager(self._session["processes"], self._stub)

    def call(self, what: str, function: t.Callable[[], t.Any], *, changes: bool = False) -> t.Any:
        """The value of *function*, which makes one API call with objects that it asks for by ``object``.

        A session that the server refuses is replaced, once: such a call was not carried out. *what* names the call in messages.
        Faults of the API come out as they are (``vmodl.MethodFault``); connection errors as AgentNotThere, or as OutcomeUnknown
        where *changes* says that the call changes something and it had left this machine.
        """
        fault = library().vim.fault
        self._open()
        for attempt in (1, 2):
            try:
                return function()
            except fault.NotAuthenticated as error:
                if attempt == 2:
                    raise NotPossible(
                        f"{self.endpoint.where} accepted the login of {self.endpoint.user!r} and still says that nobody is logged "
                        f"in ({what}). Is something between here and the server that drops cookies?"
                    ) from error
                self._open(refused=self._session)
            except NotSent as error:
                raise self.unreachable(error.reason, what) from error
            except _NO_ANSWER as error:
                if changes:
                    raise OutcomeUnknown(
                        f"{self.endpoint.where} was lost after {what} was sent ({_words(error)}). Whether it was carried out is "
                        "unknown; it was not sent again. Look at the router before you repeat it."
                    ) from error
                raise self.unreachable(error, what) from error
        raise AssertionError("not reached")

    def run(self, what: str, start: t.Callable[[], t.Any], deadline: Deadline, of: str) -> t.Any:
        """The result of the task that *start* starts; *of* names what it is about. Faults come out as in ``call``.

        Raises OutcomeUnknown when it did not end before *deadline*.
        """
        task = self.call(what, start, changes=True)
        began = time.monotonic()
        last = "it still runs"
        while True:
            try:
                info = self.properties(task._moId, ["info.state", "info.error", "info.result"], "Task")
                if info.get("info.state") == "success":
                    return info.get("info.result")
                if info.get("info.state") == "error":
                    raise info["info.error"]
            except AgentNotThere as error:
                last = str(error)
            if deadline.expired:
                raise OutcomeUnknown(
                    f"{task._moId} ({what} of {of}) did not end within {deadline.seconds:g} s ({last}). It was not started again "
                    "and may go on; look at it in VMware."
                )
            time.sleep(min(max(poll_interval(time.monotonic() - began), 0.1), max(deadline.remaining, 0.01)))

    def content(self) -> t.Any:
        """The server's managers, and what it says about itself."""
        return self.call(
            "RetrieveServiceContent",
            lambda: library().vim.ServiceInstance("ServiceInstance", self._stub).RetrieveContent(),
        )

    @property
    def cookie(self) -> str:
        """What a request to the server's other interfaces carries to be one of this session."""
        self._open()
        return str(self._stub.cookie)

    def unreachable(self, error: Exception, what: str) -> GuestError:
        """A connection error as a sentence that says what to do."""
        endpoint = self.endpoint
        if isinstance(error, ssl.SSLCertVerificationError):
            return NotPossible(
                f"The certificate of {endpoint.where} is not trusted: {error.verify_message}. Name the authority's file in "
                "chr_ca_path, or a host name that the certificate has in chr_api_host; chr_validate_certs: false does without "
                "the check."
            )
        if isinstance(error, ssl.SSLError):
            return AgentNotThere(f"No TLS with {endpoint.where}: {error.reason or error}. Is that port a vCenter's?")
        if isinstance(error, TimeoutError):
            return AgentNotThere(
                f"{endpoint.where} did not answer within {endpoint.connect_timeout:g} s ({what}). Is chr_api_host right, and is "
                "it busy? chr_connect_timeout gives it more time.",
                silent=True,
            )
        if not isinstance(error, OSError):
            return AgentNotThere(
                f"{endpoint.where} gave {what} no answer of vSphere's API: {_words(error)}. Is that a vCenter or an ESXi host "
                "(chr_api_host, chr_api_port), and are its services up?"
            )
        return AgentNotThere(
            f"{endpoint.where} cannot be reached ({what}): {_words(error)}. Check chr_api_host and chr_api_port."
        )

    # -- the session -------------------------------------------------------------------------------------------------

    def _open(self, refused: dict[str, t.Any] | None = None) -> None:
        """Have a stub with a session: the shared one, or a new one where there is none or it is the *refused* one."""
        if self._stub is not None and refused is None:
            return
        self._session = self.shared.get(self._login, refused)
        if self._stub is None:
            self._stub = self._new_stub(self._session["id"])
        else:  # objects in use keep their stub
            self._stub.DropConnections()
            self._stub.SetSessionId(self._session["id"])

    def _login(self) -> dict[str, t.Any]:
        """Log in; the session's id, and the ids of the managed objects that are needed later."""
        endpoint = self.endpoint
        stub = self._new_stub("")
        vim = library().vim
        try:
            content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
            content.sessionManager.Login(endpoint.user, endpoint.password, None)
        except vim.fault.InvalidLogin:
            raise LoginRefused(
                f"{endpoint.where} refused the login of {endpoint.user!r}: wrong user or password (chr_api_user, chr_api_password)."
            ) from None
        except NotSent as error:
            raise self.unreachable(error.reason, "login") from error
        except _NO_ANSWER as error:
            raise self.unreachable(error, "login") from error
        except library().vmodl.MethodFault as error:
            raise NotPossible(f"{endpoint.where} did not log {endpoint.user!r} in: {fault_words(error)}.") from error
        return {
            "id": stub.GetSessionId(),
            "root": content.rootFolder._moId,
            "collector": content.propertyCollector._moId,
            "search": content.searchIndex._moId,
            "processes": content.guestOperationsManager.processManager._moId,
            "events": content.eventManager._moId if content.eventManager else None,
        }

    def _new_stub(self, session: str) -> t.Any:
        endpoint = self.endpoint
        adapter = importlib.import_module("pyVmomi.SoapAdapter")
        library()
        stub = adapter.SoapStubAdapter(
            host=endpoint.host,
            port=endpoint.port,
            version=_API,
            poolSize=8,
            sslContext=tls.context(
                endpoint.validate_certs, endpoint.ca_path
            ),  # without one, pyvmomi does not check certificates on this machine
            httpConnectionTimeout=endpoint.connect_timeout,
            connectionPoolTimeout=_IDLE,
            sessionId=session or None,
        )
        connected = stub.GetConnection

        def connect() -> t.Any:
            """Tells a connection that could not be made from a call that was lost."""
            try:
                return connected()
            except OSError as error:
                raise NotSent(error) from error

        stub.GetConnection = connect
        return stub

    def forget(self) -> None:
        """Log in anew next time, here and in every other task."""
        self._stub = None
        self.shared.forget()

    # -- finding a VM ------------------------------------------------------------------------------------------------

    def find(self, vm: str) -> str:
        """The managed object id of the one VM that *vm* names. Raises InvalidInput for none and for several.

        *vm* is compared with one property of all VMs that the user may see, fetched in one call. A uuid is also looked up in the
        server's index, as BIOS and as instance uuid, and an id is compared along with the names: a VM can be named like the
        uuid or the id of another.
        """
        path = vm.startswith("[")
        listed = self._list("summary.config.vmPathName" if path else "name")
        wanted = [(moid, value) for moid, value in listed if vm in (value, unquote(value))]
        if _UUID.fullmatch(vm):
            named = {moid for moid, _value in wanted}
            wanted += [(moid, kind) for moid, kind in self._by_uuid(vm) if moid not in named]
        elif _MOID.fullmatch(vm):
            wanted += [(moid, value) for moid, value in listed if moid == vm and (moid, value) not in wanted]
        if not wanted:
            kind = "path" if path else "name, uuid or id"
            raise InvalidInput(
                f"{self.endpoint.where} has no VM with the {kind} {vm!r} among the {len(listed)} that {self.endpoint.user!r} may "
                "see. Check chr_vm and the user's permissions."
            )
        if len(wanted) > 1:
            names = ", ".join(f"{moid} ({value!r})" for moid, value in sorted(wanted))
            raise InvalidInput(
                f"{len(wanted)} VMs of {self.endpoint.where} answer to the {'path' if path else 'name'} {vm!r}: {names}. Nothing "
                "was sent to any of them. Name one by its id (as vm-123) or its uuid in chr_vm."
            )
        return wanted[0][0]

    def _by_uuid(self, uuid: str) -> list[tuple[str, str]]:
        found: dict[str, str] = {}
        for instance in (False, True):
            refs = self.call(
                "FindAllByUuid",
                lambda instance=instance: self.object("SearchIndex", self._session["search"]).FindAllByUuid(
                    None, uuid, True, instance
                ),  # type: ignore[misc]
            )
            found.update({ref._moId: f"{'instance' if instance else 'BIOS'} uuid" for ref in refs or []})
        return list(found.items())

    def _list(self, prop: str) -> list[tuple[str, str]]:
        """(id, value of *prop*) of all VMs in the inventory, also those in vApps."""
        listed = self.listing("VirtualMachine", [prop], through=("folder", "datacenter", "vapp"))
        return [(moid, values[prop]) for moid, values in listed if isinstance(values.get(prop), str)]

    def listing(
        self, kind: str, names: list[str], start: t.Any = None, through: tuple[str, ...] = ("folder",)
    ) -> list[tuple[str, dict[str, t.Any]]]:
        """(id, properties *names*) of every *kind* that is reached from the object *start* (the root folder), in one call.

        *through*: keys of _STEPS, the ways that are followed. Properties that are not set or may not be seen are left out.
        """
        vim = library().vim
        collector = library().vmodl.query.PropertyCollector
        self._open()
        if start is None:
            start = self.object("Folder", self._session["root"])
        selections = [collector.SelectionSpec(name=one) for one in through]
        steps = [
            collector.TraversalSpec(name=one, type=getattr(vim, of), path=path, skip=False, selectSet=selections)
            for one, (of, path) in _STEPS.items()
            if one in through
        ]
        return self._found(kind, names, [collector.ObjectSpec(obj=start, skip=True, selectSet=steps)])

    def several(self, kind: str, objects: list[t.Any], names: list[str]) -> list[tuple[str, dict[str, t.Any]]]:
        """As ``listing``, for these *objects*."""
        collector = library().vmodl.query.PropertyCollector
        self._open()
        return (
            self._found(kind, names, [collector.ObjectSpec(obj=one, skip=False) for one in objects]) if objects else []
        )

    def _found(self, kind: str, names: list[str], objects: list[t.Any]) -> list[tuple[str, dict[str, t.Any]]]:
        vim, vmodl = library().vim, library().vmodl
        collector = vmodl.query.PropertyCollector
        spec = collector.FilterSpec(
            propSet=[collector.PropertySpec(type=operator.attrgetter(kind)(vim), pathSet=names, all=False)],
            objectSet=objects,
        )
        try:
            return list(self._retrieve(spec))
        except vmodl.fault.ManagedObjectNotFound as error:
            raise NotPossible(
                f"The inventory of {self.endpoint.where} changed while it was looked at ({fault_words(error)}). Repeat the task."
            ) from error

    def _retrieve(self, spec: t.Any) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
        vmodl = library().vmodl
        options = vmodl.query.PropertyCollector.RetrieveOptions()

        def collector() -> t.Any:
            return vmodl.query.PropertyCollector(self._session["collector"], self._stub)

        try:
            page = self.call("RetrieveProperties", lambda: collector().RetrievePropertiesEx([spec], options))
            while page is not None:
                for one in page.objects or []:
                    yield one.obj._moId, {item.name: item.val for item in one.propSet or []}
                token = page.token
                if not token:
                    return
                page = self.call("RetrieveProperties", lambda: collector().ContinueRetrievePropertiesEx(token))  # noqa: B023
        except vmodl.fault.ManagedObjectNotFound:
            raise
        except vmodl.MethodFault as error:
            raise NotPossible(
                f"{self.endpoint.where} does not let {self.endpoint.user!r} look at its VMs: {fault_words(error)}. Nothing was "
                "sent to any VM. The user needs at least the role Read-only there."
            ) from error

    def now(self) -> datetime:
        """The server's own time."""
        return t.cast(
            "datetime",
            self.call(
                "CurrentTime", lambda: library().vim.ServiceInstance("ServiceInstance", self._stub).CurrentTime()
            ),
        )

    def events(self, moid: str, since: datetime, kinds: tuple[str, ...]) -> list[str]:
        """The texts of the events of these *kinds* (names of types) of a VM since a time of the server."""
        event = library().vim.event
        chosen = event.EventFilterSpec(
            entity=event.EventFilterSpec.ByEntity(entity=self.object("VirtualMachine", moid), recursion="self"),
            time=event.EventFilterSpec.ByTime(beginTime=since),
            eventTypeId=list(kinds),
        )
        manager = self._session.get("events")
        if not manager:
            return []
        found = self.call("QueryEvents", lambda: event.EventManager(manager, self._stub).QueryEvents(chosen))
        return [str(one.fullFormattedMessage or type(one).__name__.rpartition(".")[2]) for one in found or []]

    def properties(self, moid: str, names: list[str], kind: str = "VirtualMachine") -> dict[str, t.Any]:
        """Some properties of a VM (or another *kind*), without those it does not have. Raises InvalidInput when it is gone."""
        vim, vmodl = library().vim, library().vmodl
        collector = vmodl.query.PropertyCollector
        self._open()
        spec = collector.FilterSpec(
            propSet=[collector.PropertySpec(type=operator.attrgetter(kind)(vim), pathSet=names, all=False)],
            objectSet=[collector.ObjectSpec(obj=self.object(kind, moid), skip=False)],
        )
        try:
            return dict(next(iter(self._retrieve(spec)), (moid, {}))[1])
        except vmodl.fault.ManagedObjectNotFound:
            raise InvalidInput(f"{self.endpoint.where} no longer has the {kind} {moid}.") from None


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def fault_words(error: t.Any) -> str:
    """A fault of the API in short: its type, and what the server said."""
    said = [str(getattr(error, name, "") or "") for name in ("msg", "reason")]
    return ": ".join([type(error).__name__.rpartition(".")[2], *dict.fromkeys(text for text in said if text)])
