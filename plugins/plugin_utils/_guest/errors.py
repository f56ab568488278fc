# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What can go wrong between the controller and a guest.

The text of every error is complete: what was tried, where, what came back, what to do next. Nothing below
the action and connection plugins knows Ansible's own exceptions.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.module_utils._routeros.records import Cut


class GuestError(Exception):
    """Base of all errors of this package."""


class InvalidInput(GuestError):
    """The request cannot be right; nothing was sent to the guest."""


class AgentNotThere(GuestError):
    """The agent could not be reached, or did not answer in time: the router is unreachable.

    Attribute ``silent``: the channel was open and nobody answered, which can also mean that somebody else holds it.
    """

    def __init__(self, text: str, *, silent: bool = False) -> None:
        super().__init__(text)
        self.silent = silent


class VmNotThere(GuestError):
    """The hypervisor has no such VM, or more than one. Nothing was sent to any."""


class NotPermitted(GuestError):
    """The hypervisor refused the login, or does not let this user do it."""


class LoginRefused(NotPermitted):
    """The hypervisor does not take this user with this password."""


class NotAnAgent(GuestError):
    """Something answered, but it is not a guest agent, or not a RouterOS one."""


class AgentRefused(GuestError):
    """The agent answered a command with an error object.

    Attributes: ``command`` (QMP name), ``description`` (the agent's own text).
    """

    def __init__(self, where: str, command: str, description: str) -> None:
        super().__init__(f"The guest agent of {where} refused {command}: {description}")
        self.command = command
        self.description = description


class OutcomeUnknown(GuestError):
    """A request that changes the guest was sent, and no trustworthy answer came back. It must not be repeated blindly.

    Attribute ``left``: what the operator must clear away, and how; a part of the text that holds nothing of a script.
    """

    def __init__(self, text: str, *, left: str = "") -> None:
        super().__init__(f"{text} {left}".rstrip())
        self.left = left


class ScriptFailed(GuestError):
    """A script that the collection itself needed ended with an error, or with output it cannot read."""


class OutputCut(ScriptFailed, Cut):
    """A script that the collection itself needed printed more than the way to the router carries."""


class NotBoolean(InvalidInput):
    """A condition has a value that is neither true nor false."""


class TooLarge(InvalidInput):
    """More bytes than the way to the guest can carry; nothing was sent."""


class NotPossible(GuestError):
    """This hypervisor, agent or RouterOS cannot do what was asked."""


class NoSecretWay(NotPossible):
    """Every way to the guest would show a script with a secret in it, or leave it lying about. Nothing was sent.

    The text holds no secret, so it may be shown under no_log.
    """


class FileNotThere(GuestError):
    """The router has no such file, or the agent does not serve it."""


class TransferFailed(GuestError):
    """A file did not arrive whole. The text says what is on the router now."""


class NotQuiesced(GuestError):
    """A quiesced snapshot was asked for, the guest's file systems were not at rest, and there is no snapshot."""
