# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab: simulated Cloud Hosted Routers behind the dialects of real hypervisor agents.

Nothing here is MikroTik's.
"""
