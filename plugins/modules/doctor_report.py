# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor_report
author: The outofband.chr authors (@outofband)
short_description: Show what is wrong with the routers of a play
version_added: 1.0.0
description:
  - Shows what M(outofband.chr.fleet) with O(outofband.chr.fleet#module:read=doctor) has found, as a
    table on the terminal, and below it each finding with its cure. It has no contact to a router.
  - Each router of the play has a row. That of a router that could not be looked at says why, for
    example because one of its variables cannot be evaluated.
  - The task fails if something is wrong with a router, after everything is shown and written.
options:
  registered:
    description:
      - The name of the variable in which the result of M(outofband.chr.fleet) was registered.
    type: str
    required: true
  json:
    description:
      - A file on the controller for the findings as JSON. Its folder is made if it is missing.
    type: path
  html:
    description:
      - A file on the controller for the findings as one page of HTML that loads nothing else.
    type: path
  mode:
    description:
      - The mode of the files, as three octal digits.
    type: raw
    default: "0600"
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.controller
attributes:
  check_mode:
    support: full
    details:
      - In check mode, no file is written.
  diff_mode:
    support: none
seealso:
  - module: outofband.chr.doctor
  - module: outofband.chr.fleet
"""

EXAMPLES = r"""
- name: Look at all routers
  outofband.chr.fleet:
    read: doctor
  register: looked
  failed_when: false
  delegate_to: localhost

- name: Show what was found
  outofband.chr.doctor_report:
    registered: looked
    html: /srv/reports/doctor.html
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
summary:
  description: How many routers are in which state.
  returned: always
  type: dict
  contains:
    total:
      description: How many routers there are.
      type: int
    wrong:
      description: How many have something wrong.
      type: int
    note:
      description: How many have nothing wrong, but something worth a note.
      type: int
    good:
      description: How many have neither.
      type: int
    wrong_routers:
      description: The names of the routers that have something wrong.
      type: list
      elements: str
    wrong_checks:
      description: The names of the routers by the check that is wrong there.
      type: dict
  sample:
    total: 3
    wrong: 1
    note: 0
    good: 2
    wrong_routers: [chr2]
    wrong_checks: {agent: [chr2]}
paths:
  description: The files by C(json) and C(html).
  returned: always
  type: dict
  sample: {html: /srv/reports/doctor.html}
msg:
  description: A sentence about all routers.
  returned: always
  type: str
  sample: "Something is wrong with 1 of 3 routers: Agent of 1."
"""
