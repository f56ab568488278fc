# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Sphinx that the nox session "docs" appends to those that antsibull-docs makes."""

# The inventories of other projects would be downloaded. Without them, a reference to a page of
# another collection is plain text.
intersphinx_mapping: dict[str, tuple[str, None]] = {}
nitpick_ignore_regex = [
    ("std:ref", r"ansible_collections\.(?!outofband\.).*"),
    ("std:envvar", "ANSIBLE_.*"),
    ("std:ref", "action_plugins|ansible_configuration_settings|common_return_values"),
]

html_static_path = ["static"]
html_css_files = ["tables.css"]
html_theme_options = {"topbar_links": {"Source": "https://github.com/outofband/chr"}}
