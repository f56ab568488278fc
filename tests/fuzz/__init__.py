# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzzing of everything that reads the words of routers, guests, hypervisors, clients and files.

A target is a function that takes any bytes. Its docstring says in one sentence what must hold, and
it raises something if that does not hold. hypothesis calls the targets in the unit tests, and
atheris, which is guided by coverage, in ``make fuzz``.
"""
