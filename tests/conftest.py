"""Hypothesis profiles: `quick` for `make test`, `deep` for `make test-deep` (`--hypothesis-profile=deep`)."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No deadline: a slow machine must not turn a law red. The database stays off so that every run draws anew.
settings.register_profile("quick", max_examples=100, deadline=None, database=None, print_blob=True)
settings.register_profile(
    "deep",
    max_examples=1_000,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("quick")
