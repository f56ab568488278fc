# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: quote
short_description: Quote text as a RouterOS string
version_added: 1.0.0
author:
  - The outofband.chr authors (@outofband)
description:
  - Puts text between quotation marks, and escapes every character that has a meaning in RouterOS,
    so that nothing in the text can be run.
options:
  _input:
    description: The text. It is encoded as UTF-8.
    type: str
    required: true
seealso:
  - plugin: outofband.chr.guest_agent
    plugin_type: connection
"""

EXAMPLES = r"""
- name: Set a note that contains special characters
  outofband.chr.script:
    source: /system note set note={{ text | outofband.chr.quote }}
  vars:
    text: 'The key is "$1?"'
"""

RETURN = r"""
_value:
  description: The string, with its quotation marks.
  type: str
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import quoting


def quote(text):
    if not isinstance(text, str):
        raise AnsibleFilterError(f"{text!r} is not text.")
    return quoting.quote(text)


class FilterModule:
    def filters(self):
        return {"quote": quote}
