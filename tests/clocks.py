"""A clock for tests that depend on the time."""


class Clock:
    """A clock whose time is set by a test."""

    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        return self.now
