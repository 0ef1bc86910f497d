"""Settings of all tests."""

from hypothesis import settings

# No deadline: on a machine that also trains, a slow example says nothing of the code. Derandomised: the same
# commit passes or fails the same way everywhere.
settings.register_profile("k2d", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("k2d")
