# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conversion of this collection's errors into Ansible's.

PRIVATE to the collection: may change in any release.

All actions and the connection use only this file, so the same fault has the same result everywhere.
"""

from __future__ import annotations

import contextlib
import re
import traceback
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFilterError

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NoSecretWay,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import masked, masked_data
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import harmless, without_controls

_HIDDEN = "The task failed. The reason is not shown because no_log is set."
_HIDDEN_UNREACHABLE = "The router or its hypervisor was not reached. The reason is not shown because no_log is set."
_HIDDEN_OUTCOME = (
    "The agent was lost after a request was sent, so what became of it on the router is unknown; it was not repeated. "
    "The details are not shown because no_log is set."
)
_HIDDEN_WARNINGS = "There are warnings, which are not shown because no_log is set."
_KIND = "_kind"
"""The key of a result that failed for the kind of its error."""
_TEXTS = {"msg", "warnings", "skipped_reason", "exception"}


def result_of(error: Exception, *, no_log: bool) -> dict[str, t.Any]:
    """Return the keys of a task's result for *error*, a ChrError or an AnsibleError.

    A hypervisor, its machine or an agent that was not reached makes the host ``unreachable``;
    everything else has ``failed``. ``changed`` is true if the request may have been carried out.
    With *no_log*, ``msg`` gives no reason: Ansible shows it even then, and it can quote a script,
    an option or the router.
    """
    lost = isinstance(error, (Unreachable, AnsibleConnectionFailure))
    text = told(str(error)) if not no_log else _HIDDEN_UNREACHABLE if lost else hidden(error)
    if isinstance(error, ChrError):
        text = with_topic(text, type(error))
    if lost:
        return {"unreachable": True, "changed": False, "msg": text}
    return {"failed": True, "changed": isinstance(error, OutcomeUnknown), "msg": text}


def topic(kind: type[ChrError]) -> str:
    """Return the section of the troubleshooting guide for errors of *kind*.

    It is the name of the class in words ("VM not found"), or that of the nearest base which belongs
    to ``_core/errors.py``.
    """
    name = next((one.__name__ for one in kind.__mro__ if one.__module__ == ChrError.__module__), ChrError.__name__)
    if name == ChrError.__name__:
        return "Other failure"
    return re.sub(r"(?<!^)[A-Z]", lambda letter: f" {letter[0].lower()}", name).replace("Vm ", "VM ")


def with_topic(text: str, kind: type[ChrError]) -> str:
    """Return *text* with a last sentence that names the section of the guide for *kind*."""
    ended = text.rstrip()
    return f"{ended}{'' if ended.endswith(('.', '!', '?')) else '.'} See '{topic(kind)}' in the troubleshooting guide."


def failure(text: str, kind: type[ChrError]) -> dict[str, t.Any]:
    """Return what a result has more if the task failed as an error of *kind* with *text* would.

    For a task whose result is needed as a whole; ``outcome`` completes it.
    """
    return {"failed": True, "msg": text, _KIND: kind}


def failed(result: dict[str, t.Any], error: Exception, *, no_log: bool) -> dict[str, t.Any]:
    """Return the *result* of a task that *error* ended. What had changed before stays changed."""
    ended = result_of(error, no_log=no_log)
    return {**result, **ended, "changed": bool(result.get("changed")) or ended["changed"]}


def ansible_error(error: Exception, *, no_log: bool) -> AnsibleError:
    """Return the exception that tells Ansible the same as ``result_of``, for a connection."""
    result = result_of(error if isinstance(error, (ChrError, AnsibleError)) else fault(error), no_log=no_log)
    return (AnsibleConnectionFailure if result.get("unreachable") else AnsibleError)(result["msg"])


def outcome(
    result: dict[str, t.Any], perform: t.Callable[[], dict[str, t.Any] | None], *, no_log: bool
) -> dict[str, t.Any]:
    """Return the *result* of an action, with what *perform* adds to it, for Ansible to show.

    Secrets are masked in everything. With *no_log*, no words of the far side are shown.
    """
    try:
        result.update(perform() or {})
        kind = result.pop(_KIND, None)
        if no_log and result.get("failed"):
            result["msg"] = hidden()
        if kind is not None:
            result["msg"] = with_topic(result["msg"], kind)
    except (ChrError, AnsibleError) as error:
        result = failed(result, error, no_log=no_log)
    except Exception as error:  # a fault of the collection, or of a library that it uses
        result = failed(result, fault(error), no_log=no_log)
        if not no_log:
            result["exception"] = told("".join(traceback.format_exception(error)))
    return shown(result, no_log=no_log)


def fault(error: Exception) -> ChrError:
    """Return the error that says that the collection, or a library that it uses, has a fault."""
    return ChrError(
        f"The collection failed in an unexpected way ({type(error).__name__}: {error}). What had been done until then is not "
        "undone. Please report this with the output of -vvv."
    )


def shown(result: dict[str, t.Any], *, no_log: bool) -> dict[str, t.Any]:
    """Return *result* without secrets, and its texts without what a terminal would obey."""
    safe = {key: masked_data(value) for key, value in result.items()}
    for key in _TEXTS & safe.keys():
        safe[key] = [told(str(one)) for one in safe[key]] if isinstance(safe[key], list) else told(str(safe[key]))
    if no_log and safe.get("warnings"):
        safe["warnings"] = [_HIDDEN_WARNINGS]
    return safe


def told(text: str) -> str:
    """Return *text* for people: without secrets, and without what a terminal would obey."""
    return harmless(masked(text))


def printed(output: str) -> str:
    """Return the *output* of a script as ``ansible.builtin.raw`` shows it on the terminal."""
    return without_controls(str(masked_data(output)))


@contextlib.contextmanager
def of_filter() -> t.Iterator[None]:
    """Turn InvalidInput into the exception with which a filter or a test tells Ansible."""
    try:
        yield
    except InvalidInput as error:
        raise AnsibleFilterError(with_topic(str(error), type(error))) from None


def hidden(error: Exception | None = None) -> str:
    """Return the text to show instead of that of *error* under no_log.

    It includes what the operator must clear away.
    """
    if isinstance(error, OutcomeUnknown):
        return f"{_HIDDEN_OUTCOME} {error.left}".rstrip()
    if isinstance(error, NoSecretWay):
        return str(error)
    return _HIDDEN
