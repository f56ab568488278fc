# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's router in a real virtual machine.

It is a small Linux under QEMU with the lab as guest agent.
"""
