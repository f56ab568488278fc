# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The login with user and password, as vSphere and XenAPI need it."""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import ApiOptions

from .api_login import ApiLogin


class PasswordLogin(ApiLogin):
    """A login that needs both a user and a password."""

    @classmethod
    def from_options(cls, options: ApiOptions, port: int, what: str) -> t.Self:
        """Read the options of the connection.

        *port* and *what* are as in ``read``. Raises InvalidInput.
        """
        login = cls.read(options, port, what)
        if not login.user:
            raise InvalidInput(f"chr_api_user is not set for {options.subject}.")
        if options.api_password is None:
            raise InvalidInput(f"chr_api_password is not set for {options.subject}.")
        return login
