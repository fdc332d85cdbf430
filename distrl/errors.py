"""The error that a user mends: bad configuration, environment or network."""


class ConfigError(ValueError):
    """Bad input found before anything starts; the command exits with 2.

    Its message is whole: the field or name, the value, what is allowed, what to do.
    """
