"""A clock for tests of what depends on the time."""


class Clock:
    """A time that a test sets."""

    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        return self.now
