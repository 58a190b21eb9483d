"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# How long one example takes depends on what else the machine does, and says nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
