# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What can go wrong between the controller and a router.

Each class means the same on every hypervisor.

The text of every error is complete: what was tried, where, what came back, what to do next. Nothing
below the action and connection plugins knows Ansible's own exceptions; ``_actions/errors.py`` makes
results of these classes.
"""

from __future__ import annotations


class ChrError(Exception):
    """Base of all errors of this collection."""


class Cut(Exception):
    """The output of a script is not whole.

    Attribute ``output`` (bytes): its beginning, as far as it came.
    """

    output: bytes = b""


# -- the request -----------------------------------------------------------------------------------


class InvalidInput(ChrError):
    """The request cannot be right; nothing was sent."""


class NotBoolean(InvalidInput):
    """A condition has a value that is neither true nor false."""


class TooLarge(InvalidInput):
    """The request has more bytes than the way to the guest can carry; nothing was sent."""


class UntrustedCertificate(InvalidInput):
    """The server's certificate does not match the options (authority, host name).

    Nothing was sent.
    """


# -- the way to the router -------------------------------------------------------------------------


class Unreachable(ChrError):
    """The hypervisor or the agent was not reached, or did not answer in time.

    Nothing was changed, unless the text says that an order was given before.

    Attribute ``silent`` (bool): the channel was open, but nobody answered. Another program may be
    using it.
    """

    def __init__(self, text: str, *, silent: bool = False) -> None:
        super().__init__(text)
        self.silent = silent


class VmNotFound(ChrError):
    """The hypervisor does not have this VM, or what it has cannot run, such as a template."""


class VmAmbiguous(ChrError):
    """More than one VM matches the name. Nothing was done to any of them.

    This is not a subclass of VmNotFound: code that catches VmNotFound because the VM may be gone
    must not treat two VMs as none.
    """


class NotPermitted(ChrError):
    """The hypervisor, its machine or the router refused the login or denied the user's request."""


class LoginRefused(NotPermitted):
    """The hypervisor does not take this user with this password."""


class RouterLoginRefused(NotPermitted):
    """RouterOS takes none of the logins that scripts could run with; it did not run anything."""


class NotAnAgent(ChrError):
    """Something answered, but it is not a guest agent, or not a RouterOS one."""


class NotPossible(ChrError):
    """This hypervisor, agent or RouterOS cannot do what was asked, or cannot do it now."""


class VmBusy(NotPossible):
    """Another task of the hypervisor has the VM at this moment. Nothing was done.

    The text says who has it, as far as that is known.
    """


class NoSecretWay(NotPossible):
    """Every way to the guest would show a script that holds a secret, or leave it on the router.

    Nothing was sent. The text holds no secret, so it may be shown under no_log.
    """


# -- what became of it -----------------------------------------------------------------------------


class AgentRefused(ChrError):
    """The agent answered a command with an error object.

    Attributes: ``command`` (str, its QMP name), ``description`` (str, the agent's own text).
    """

    def __init__(self, where: str, command: str, description: str) -> None:
        super().__init__(f"The guest agent of {where} refused {command}: {description}")
        self.command = command
        self.description = description


class OutcomeUnknown(ChrError):
    """A request that changes something was sent, and no trustworthy answer came back.

    It must not be repeated blindly.

    Attribute ``left`` (str): what the operator must clear away, and how. It is a part of the text
    and quotes nothing of a script.
    """

    def __init__(self, text: str, *, left: str = "") -> None:
        super().__init__(f"{text} {left}".rstrip())
        self.left = left


class TimedOut(ChrError):
    """What was asked for did not happen within its time. It may still happen."""


class ScriptFailed(ChrError):
    """A script of the collection itself failed, or its output cannot be read."""


class ScriptTimedOut(ScriptFailed, TimedOut):
    """A script of the collection itself did not end in time, or the agent's time limit ended it."""


class OutputCut(ScriptFailed, Cut):
    """A script of the collection itself printed more than can be carried back."""

    def __init__(self, text: str, output: bytes = b"") -> None:
        super().__init__(text)
        self.output = output


class FileMissing(ChrError):
    """The router has no such file, or the agent does not serve it."""


class TransferFailed(ChrError):
    """A file did not arrive whole. The text says what is on the router now."""


class NotQuiesced(ChrError):
    """A quiesced snapshot was not made, because the guest's file systems could not be frozen."""
