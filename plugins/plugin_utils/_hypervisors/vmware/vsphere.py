# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A vCenter or an ESXi host: calls in one shared session, finding VMs, and texts of errors.

pyvmomi is imported when it is needed.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import operator
import re
import ssl
import time
import typing as t
import weakref
from datetime import datetime
from urllib.parse import unquote
from xml.parsers.expat import ExpatError

from ansible_collections.outofband.chr.plugins.plugin_utils._core import library as libraries
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, poll_interval
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    LoginRefused,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    Unreachable,
    UntrustedCertificate,
    VmAmbiguous,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import protect
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line
from ansible_collections.outofband.chr.plugins.plugin_utils._transport import tls
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.bounded_response import API_REPLY, bound
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.password_login import PasswordLogin
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.recent_list import RecentList

# The API of vSphere 6.5: the oldest release that can run a CHR has it, and every later one still
# answers to it.
_API = "vim.version.version11"
_IDLE = 5.0  # seconds until an idle connection is not used again: the server may have closed it meanwhile
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOID = re.compile(r"(vm-)?\d+")
_Way = dict[str, tuple[str, str, tuple[str, ...]]]
"""A way through the inventory: by the name of each step the type of an object, its property that
leads on, and the steps that can follow."""
_DOWN: dict[str, _Way] = {
    "folder": {"folder": ("Folder", "childEntity", ("folder",))},
    "pool": {"pool": ("ResourcePool", "resourcePool", ("pool",))},
}
# From the root folder to VMs, and to all that a list of them tells. A VM in a vApp is found below
# the folder of the vApp; one in a vApp that is in another vApp only below the resource pools.
_EVERYWHERE: tuple[_Way, ...] = (
    {
        "vms": ("Datacenter", "vmFolder", ("vm_folder",)),
        "vm_folder": ("Folder", "childEntity", ("vm_folder", "vms", "vapp")),
        "vapp": ("VirtualApp", "vm", ()),
    },
    {
        "hosts": ("Datacenter", "hostFolder", ("folder",)),
        "networks": ("Datacenter", "network", ()),
        "folder": ("Folder", "childEntity", ("folder", "hosts", "networks", "host", "pools")),
        "host": ("ComputeResource", "host", ()),
        "pools": ("ComputeResource", "resourcePool", ("pool", "inner_vapp")),
        "pool": ("ResourcePool", "resourcePool", ("pool", "inner_vapp")),
        "inner_vapp": ("VirtualApp", "vm", ()),
    },
)
_TYPES = (
    *("vim.Folder", "vim.Datacenter", "vim.VirtualApp", "vim.VirtualMachine"),
    *("vim.ComputeResource", "vim.ResourcePool"),
    *("vim.vm.guest.NamePasswordAuthentication", "vim.fault.NotAuthenticated"),
    *(f"vim.vm.guest.ProcessManager.{name}" for name in ("ProgramSpec", "ProcessInfo")),
    *(f"vmodl.query.PropertyCollector.{name}Spec" for name in ("Filter", "Traversal", "Object", "Property")),
    *(f"vmodl.query.PropertyCollector.Retrieve{name}" for name in ("Options", "Result")),
)
_ANSWERS = 4  # times chr_connect_timeout for a whole answer; each of its parts must come within that once
_PAGING = 120.0  # seconds for all pages of a list
_OBJECTS = 500_000
_PAGE = 5000  # objects in one answer; the next ones take another call
# pyvmomi parses an answer while it arrives, and turns one that is not SOAP into an error of the XML
# parser or into one of its own code.
_NO_ANSWER = (
    *(OSError, http.client.HTTPException, ExpatError),
    *(AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError, MemoryError),
)


class NotSent(Exception):
    """The connection could not be made, so the call did not leave this machine."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


def library() -> t.Any:
    """Import pyVmomi. Raises NotPossible if it is missing."""
    return libraries.load("pyVmomi", backend="vmware", requirement="pyvmomi>=9")


def warm_up() -> None:
    """Import pyvmomi and make the types that a task uses. Raises ImportError without pyvmomi."""
    types = importlib.import_module("pyVmomi")
    importlib.import_module("pyVmomi.SoapAdapter")
    for name in _TYPES:
        operator.attrgetter(name)(types)  # pyvmomi makes a type when it is first asked for
    tls.context(True, None)


class Vsphere:
    """Calls to one endpoint, with a session that is shared through a file.

    All errors are ChrError.
    """

    def __init__(self, endpoint: PasswordLogin) -> None:
        self.endpoint = endpoint
        self.shared = endpoint.session("vsphere")
        self._stub: t.Any = None
        self._session: dict[str, t.Any] = {}

    # -- calls -------------------------------------------------------------------------------------

    def object(self, kind: str, moid: str) -> t.Any:
        """The managed object with the id *moid*, for use in ``call``.

        *kind*: its type, such as ``VirtualMachine`` or ``vm.Snapshot``.
        """
        return operator.attrgetter(kind)(library().vim)(moid, self._stub)

    def guest_processes(self) -> t.Any:
        return library().vim.vm.guest.ProcessManager(self._session["processes"], self._stub)

    def call(self, what: str, function: t.Callable[[], t.Any], *, changes: bool = False) -> t.Any:
        """Call *function*, which makes one API call with objects from ``object``.

        A session that the server refuses is replaced once: such a call was not carried out. *what*
        names the call in messages. Raises the faults of the API (``vmodl.MethodFault``). A
        connection error is OutcomeUnknown if *changes* says that the call changes something and it
        had left this machine, and Unreachable otherwise.
        """
        fault = library().vim.fault
        self._open()
        for attempt in (1, 2):
            try:
                return function()
            except fault.NotAuthenticated as error:
                if attempt == 2:
                    raise NotPermitted(
                        f"{self.endpoint.where} accepted the login of {self.endpoint.user!r}, but still says that nobody is logged "
                        f"in ({what}). Does a proxy between this machine and the server drop cookies?"
                    ) from error
                self._open(refused=self._session)
            except NotSent as error:
                raise self.unreachable(error.reason, what) from error
            except _NO_ANSWER as error:
                if changes:
                    raise OutcomeUnknown(
                        f"The connection to {self.endpoint.where} was lost after {what} was sent ({_words(error)}). Whether "
                        "it was carried out is "
                        "unknown; it was not sent again. Look at the router before you repeat it."
                    ) from error
                raise self.unreachable(error, what) from error
        raise AssertionError("not reached")

    def run(self, what: str, start: t.Callable[[], t.Any], deadline: Deadline, of: str) -> t.Any:
        """Start a task with *start*, wait for its end and return its result.

        *of*: the object of the task, for messages. Raises the errors of ``call``, and
        OutcomeUnknown when the task did not end before *deadline*.
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
            except Unreachable as error:
                last = str(error)
            if deadline.expired:
                raise OutcomeUnknown(
                    f"{task._moId} ({what} of {of}) did not end within {deadline.seconds:g} s ({last}). It was not started again "
                    "and may go on; look at it in VMware."
                )
            time.sleep(min(max(poll_interval(time.monotonic() - began), 0.1), max(deadline.remaining, 0.01)))

    def content(self) -> t.Any:
        """The server's managers, and its description of itself."""
        return self.call(
            "RetrieveServiceContent",
            lambda: library().vim.ServiceInstance("ServiceInstance", self._stub).RetrieveContent(),
        )

    def session(self) -> t.Any:
        """What the server knows of this session. None if it does not tell.

        Raises as ``properties``.
        """
        self._open()
        return self.properties(self._session["sessions"], ["currentSession"], "SessionManager").get("currentSession")

    def privileges(self, entity: t.Any, names: list[str]) -> dict[str, bool] | None:
        """Whether this user has each of the privileges *names* on *entity*.

        None if the server does not say. Raises Unreachable.
        """
        try:
            manager = self.object("AuthorizationManager", self.content().authorizationManager._moId)
            key = self.session().key
            answers = self.call("HasPrivilegeOnEntities", lambda: manager.HasPrivilegeOnEntities([entity], key, names))
        except (library().vmodl.MethodFault, NotPossible, NotPermitted, AttributeError, KeyError):
            return None
        return {one.privId: bool(one.isGranted) for answer in answers or [] for one in answer.privAvailability or []}

    @property
    def cookie(self) -> str:
        """The cookie that makes a request to the server's other interfaces part of this session."""
        self._open()
        return str(self._stub.cookie)

    def unreachable(self, error: Exception, what: str) -> ChrError:
        """Turn a connection error into one whose text says what to do."""
        endpoint = self.endpoint
        if isinstance(error, ssl.SSLCertVerificationError):
            return UntrustedCertificate(
                f"The certificate of {endpoint.where} is not trusted: {error.verify_message}. Name the authority's file in "
                "chr_ca_path, or a host name that the certificate has in chr_api_host; chr_validate_certs: false switches "
                "the check off."
            )
        if isinstance(error, ssl.SSLError):
            return Unreachable(f"TLS with {endpoint.where} failed: {error.reason or error}. Is that port a vCenter's?")
        if isinstance(error, TimeoutError):
            return Unreachable(
                f"{endpoint.where} did not answer within {endpoint.connect_timeout:g} s ({what}). Is chr_api_host right, and is "
                "it busy? chr_connect_timeout gives it more time.",
                silent=True,
            )
        if not isinstance(error, OSError):
            return Unreachable(
                f"{endpoint.where} gave {what} an answer that is not vSphere's API: {_words(error)}. Is that a vCenter or an ESXi "
                "host (chr_api_host, chr_api_port), and are its services up?"
            )
        return Unreachable(
            f"{endpoint.where} cannot be reached ({what}): {_words(error)}. Check chr_api_host and chr_api_port."
        )

    # -- the session -------------------------------------------------------------------------------

    def _open(self, refused: dict[str, t.Any] | None = None) -> None:
        """Make a stub with the shared session.

        If there is no shared session, or it is the *refused* one, log in to get a new one.
        """
        if self._stub is not None and refused is None:
            return
        self._session = self.shared.get(self._login, refused)
        protect(self._session["id"])
        if self._stub is None:
            self._stub = self._new_stub(self._session["id"])
        else:  # objects in use keep their stub
            self._stub.DropConnections()
            self._stub.SetSessionId(self._session["id"])

    def _login(self) -> dict[str, t.Any]:
        """Log in, and return the ids of the session and of the managed objects needed later."""
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
        finally:
            stub.DropConnections()
        return {
            "id": stub.GetSessionId(),
            "sessions": content.sessionManager._moId,
            "root": content.rootFolder._moId,
            "collector": content.propertyCollector._moId,
            "search": content.searchIndex._moId,
            "fields": content.customFieldsManager._moId if content.customFieldsManager else None,
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
        # A strong reference would be a cycle, which keeps the connections of a stub that is not
        # used any more.
        itself = weakref.proxy(stub)

        def connect() -> t.Any:
            """Connect. Raises NotSent if that fails, which tells it from a call that was lost."""
            try:
                connection = adapter.SoapStubAdapter.GetConnection(itself)
            except OSError as error:
                raise NotSent(error) from error
            if connection.sock is not None:
                connection.sock.settimeout(endpoint.connect_timeout)  # reading the last answer has lowered it
            bound(
                connection, seconds=_ANSWERS * endpoint.connect_timeout, stall=endpoint.connect_timeout, limit=API_REPLY
            )
            return connection

        stub.GetConnection = connect
        return stub

    def forget(self) -> None:
        """End the session. This and every other task log in again for the next call."""
        self._stub = None
        if session := self.shared.forget():
            with contextlib.suppress(ChrError):  # the server ends it when nobody uses it
                self.log_out(session)

    def log_out(self, session: dict[str, t.Any]) -> None:
        """End *session* at the server. Raises ChrError."""
        stub = self._new_stub(str(session.get("id")))
        try:
            library().vim.SessionManager(str(session.get("sessions")), stub).Logout()
        except NotSent as error:
            raise self.unreachable(error.reason, "logout") from error
        except _NO_ANSWER as error:
            raise self.unreachable(error, "logout") from error
        except library().vmodl.MethodFault as error:
            raise NotPossible(f"{self.endpoint.where} did not log out: {fault_words(error)}.") from error
        finally:
            stub.DropConnections()

    # -- finding a VM ------------------------------------------------------------------------------

    def find(self, vm: str) -> str:
        """The managed object id of the one VM that *vm* names. Raises VmNotFound, VmAmbiguous.

        *vm* is compared with one property of all VMs that the user may see, fetched in one call. A
        uuid is also looked up in the server's index, as BIOS and as instance uuid, and an id is
        compared along with the names: a VM can be named like the uuid or the id of another.
        """
        path = vm.startswith("[")
        prop = "summary.config.vmPathName" if path else "name"
        of_index = self._by_uuid(vm) if _UUID.fullmatch(vm) else []
        of_id = _MOID.fullmatch(vm)

        def matching(rows: t.Sequence[t.Sequence[str]]) -> list[t.Sequence[str]]:
            named = {moid: value for moid, value in rows if vm in (value, unquote(value)) or (of_id and moid == vm)}
            return [*named.items(), *((moid, kind) for moid, kind in of_index if moid not in named)]

        def holds(row: t.Sequence[str]) -> bool:
            moid, value = row
            try:
                return row in of_index or self.properties(moid, [prop]).get(prop) == value
            except (VmNotFound, NotPermitted):
                return False

        kept = RecentList(self.endpoint.directory, "vsphere", self.endpoint.where, self.endpoint.user, prop)
        found, listed = kept.find(lambda: self.values(prop), matching, holds)
        if not found:
            kind = "path" if path else "name, uuid or id"
            raise VmNotFound(
                f"{self.endpoint.where} has no VM with the {kind} {vm!r} among the {len(listed)} that {self.endpoint.user!r} may "
                "see. Check chr_vm and the user's permissions."
            )
        if len(found) > 1:
            names = ", ".join(f"{moid} ({value!r})" for moid, value in sorted(map(tuple, found)))
            raise VmAmbiguous(
                f"{len(found)} VMs of {self.endpoint.where} have the {'path' if path else 'name'} {vm!r}: {names}. Nothing "
                "was sent to any of them. Set chr_vm to the id (such as vm-123) or the uuid of one of them."
            )
        return str(found[0][0])

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

    def values(self, prop: str) -> list[tuple[str, str]]:
        """The (id, value of *prop*) of all VMs in the inventory, including those in vApps.

        VMs without a text there are left out.
        """
        listed = self.survey({"VirtualMachine": [prop]})["VirtualMachine"]
        return [(moid, values[prop]) for moid, values in listed.items() if isinstance(values.get(prop), str)]

    def listing(
        self, kind: str, names: list[str], start: t.Any = None, step: str = "folder"
    ) -> list[tuple[str, dict[str, t.Any]]]:
        """The (id, properties *names*) of every *kind* below *start*.

        *start*: an object; by default the root folder. *step*: ``folder`` or ``pool``, which are
        searched with those inside them. Properties that are not set or may not be seen are left
        out.
        """
        self._open()
        start = self.object("Folder", self._session["root"]) if start is None else start
        return [(one._moId, values) for one, values in self._found({kind: names}, [_from(start, _DOWN[step])])]

    def survey(
        self, wanted: t.Mapping[str, list[str]], deadline: Deadline | None = None
    ) -> dict[str, dict[str, dict[str, t.Any]]]:
        """The properties of everything in the inventory whose type is *wanted*.

        *wanted*: properties by type, such as ``{"VirtualMachine": ["name"]}``. Returns them by type
        and id; an object of a subtype is found under the type that was wanted, and under its own if
        that was, too. Properties that are not set or may not be seen are left out. One call tells
        _PAGE objects; none is made after *deadline*, then Unreachable is raised.
        """
        self._open()
        root = self.object("Folder", self._session["root"])
        kinds = {kind: operator.attrgetter(kind)(library().vim) for kind in wanted}
        found: dict[str, dict[str, dict[str, t.Any]]] = {kind: {} for kind in wanted}
        for one, values in self._found(wanted, [_from(root, way) for way in _EVERYWHERE], deadline):
            for kind, type_ in kinds.items():
                if isinstance(one, type_):
                    found[kind].setdefault(one._moId, {}).update(values)
        return found

    def attributes(self) -> dict[int, str]:
        """The names of the custom attributes by their keys. An ESXi host has none."""
        self._open()
        manager = self._session.get("fields")
        found = self.properties(manager, ["field"], "CustomFieldsManager") if manager else {}
        return {one.key: str(one.name) for one in found.get("field") or []}

    def several(self, kind: str, objects: list[t.Any], names: list[str]) -> list[tuple[str, dict[str, t.Any]]]:
        """The (id, properties *names*) of these *objects*."""
        collector = library().vmodl.query.PropertyCollector
        starts = [collector.ObjectSpec(obj=one, skip=False) for one in objects]
        return [(one._moId, values) for one, values in self._found({kind: names}, starts)] if objects else []

    def _found(
        self, wanted: t.Mapping[str, list[str]], objects: list[t.Any], deadline: Deadline | None = None
    ) -> list[tuple[t.Any, dict[str, t.Any]]]:
        """(object, properties) of all that are *wanted*: properties by type."""
        vim, vmodl = library().vim, library().vmodl
        collector = vmodl.query.PropertyCollector
        properties = [
            collector.PropertySpec(type=operator.attrgetter(kind)(vim), pathSet=names, all=False)
            for kind, names in wanted.items()
        ]
        try:
            spec = collector.FilterSpec(propSet=properties, objectSet=objects)
            return list(self._retrieve(spec, deadline or Deadline(_PAGING)))
        except vmodl.fault.ManagedObjectNotFound as error:
            raise NotPossible(
                f"The inventory of {self.endpoint.where} changed while it was looked at ({fault_words(error)}). Repeat the task."
            ) from error

    def _retrieve(self, spec: t.Any, deadline: Deadline) -> t.Iterator[tuple[t.Any, dict[str, t.Any]]]:
        vmodl = library().vmodl
        options = vmodl.query.PropertyCollector.RetrieveOptions(maxObjects=_PAGE)

        def collector() -> t.Any:
            return vmodl.query.PropertyCollector(self._session["collector"], self._stub)

        count, token = 0, ""
        try:
            while True:
                if deadline.expired:
                    raise Unreachable(
                        f"{self.endpoint.where} did not list its objects within {deadline.seconds:g} s: {count} so far. "
                        "Nothing was sent to any VM."
                    )
                page = self.call(
                    "RetrieveProperties",
                    lambda: (
                        collector().ContinueRetrievePropertiesEx(token)  # noqa: B023
                        if token  # noqa: B023
                        else collector().RetrievePropertiesEx([spec], options)
                    ),
                )
                if page is None:  # nothing was found, or pyvmomi did not understand the answer
                    if self.content() is None:
                        raise self.unreachable(ValueError("another kind of document"), "RetrieveProperties")
                    return
                for one in page.objects or []:
                    count += 1
                    yield one.obj, {item.name: item.val for item in one.propSet or []}
                token = page.token
                if not token:
                    return
                if count > _OBJECTS:
                    raise NotPossible(
                        f"{self.endpoint.where} lists more and more objects: {count} so far. Nothing was sent to any VM."
                    )
        except vmodl.fault.ManagedObjectNotFound:
            raise
        except vmodl.MethodFault as error:
            raise NotPermitted(
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
        """The texts of a VM's events since a time of the server.

        *kinds*: the names of the events' types.
        """
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
        return [
            line(str(one.fullFormattedMessage) if one.fullFormattedMessage else type(one).__name__.rpartition(".")[2])
            for one in found or []
        ]

    def power(self, moid: str) -> str:
        """``poweredOn``, ``poweredOff`` or ``suspended``. Raises the errors of ``properties``."""
        return str(self.properties(moid, ["runtime.powerState"]).get("runtime.powerState"))

    def properties(self, moid: str, names: list[str], kind: str = "VirtualMachine") -> dict[str, t.Any]:
        """Some properties of a VM (or another *kind*), without those that it does not have.

        Raises VmNotFound if the VM does not exist any more, NotPossible for another object.
        """
        vim, vmodl = library().vim, library().vmodl
        collector = vmodl.query.PropertyCollector
        self._open()
        spec = collector.FilterSpec(
            propSet=[collector.PropertySpec(type=operator.attrgetter(kind)(vim), pathSet=names, all=False)],
            objectSet=[collector.ObjectSpec(obj=self.object(kind, moid), skip=False)],
        )
        try:
            return dict(next(iter(self._retrieve(spec, Deadline(_PAGING))), (None, {}))[1])
        except vmodl.fault.ManagedObjectNotFound:
            gone = VmNotFound if kind == "VirtualMachine" else NotPossible
            raise gone(f"{self.endpoint.where} no longer has the {kind} {moid}.") from None


def _from(start: t.Any, way: _Way) -> t.Any:
    """Select what is found from the object *start* on by following *way*, without *start*."""
    vim, collector = library().vim, library().vmodl.query.PropertyCollector
    steps = [
        collector.TraversalSpec(
            name=name,
            type=getattr(vim, of),
            path=path,
            skip=False,
            selectSet=[collector.SelectionSpec(name=one) for one in following],
        )
        for name, (of, path, following) in way.items()
    ]
    return collector.ObjectSpec(obj=start, skip=True, selectSet=steps)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return line(str(error)) or type(error).__name__


def fault_words(error: t.Any) -> str:
    """A fault of the API as a short text: its type, and the server's message."""
    said = [str(getattr(error, name, "") or "") for name in ("msg", "reason")]
    return ": ".join([type(error).__name__.rpartition(".")[2], *dict.fromkeys(line(text) for text in said if text)])
