# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of the connections for the scripts that they run, whatever the backend."""

    DOCUMENTATION = r"""
options:
  script_timeout:
    description:
      - The seconds to wait for the end of one script.
    type: float
    default: 120
    vars:
      - name: chr_script_timeout
    env:
      - name: OUTOFBAND_SCRIPT_TIMEOUT
  encoding:
    description:
      - The encoding of what a router shows and is not valid UTF-8, such as V(cp1251). RouterOS
        itself keeps bytes and knows no encoding; WinBox writes that of its computer.
      - Without it, facts show each such byte as C(\xe9), for example. The output of a script keeps
        it on the connection P(outofband.chr.guest_agent#connection), and shows it like facts on
        P(outofband.chr.network_cli#connection).
    type: str
    vars:
      - name: chr_encoding
    env:
      - name: OUTOFBAND_ENCODING
"""
