# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of modules. Every module runs on the controller."""

    DOCUMENTATION = r"""
options: {}
attributes:
  action:
    description: Indicates this has a corresponding action plugin so some parts of the options can
      be executed on the controller.
    support: full
  action_group:
    description: Use C(group/outofband.chr.chr) in C(module_defaults) to set defaults for this
      module.
    support: full
    details:
      - The modules of the group have no option in common. What they share are the options of the
        connection, set as variables.
    membership:
      - outofband.chr.chr
  async:
    description: Supports being used with the C(async) keyword.
    support: none
    details:
      - The whole module runs on the controller. Use forks for many hosts, or
        M(outofband.chr.fleet).
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying
      target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in
      C(check_mode)), when in diff mode.
"""

    # For modules that work over the connection of the router, or take the hypervisor from its
    # options.
    ROUTER = r"""
options: {}
attributes:
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: RouterOS (CHR)
requirements:
  - The connection P(outofband.chr.guest_agent#connection) on the host.
seealso:
  - plugin: outofband.chr.guest_agent
    plugin_type: connection
"""

    # For modules that do not need the connection of the router.
    CONTROLLER = r"""
options: {}
attributes:
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: posix
"""
