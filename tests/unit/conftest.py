# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from ansible_collections.outofband.chr.plugins.plugin_utils._core import masking

# The machines that run this are small and noisy: a slow example is no failure.
settings.register_profile("noisy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("noisy")


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process has to mask is known until its end, and tests may share one."""
    monkeypatch.setattr(masking, "_known", ())
