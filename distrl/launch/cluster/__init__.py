"""The ray back end: the same program on the machines of a Ray cluster."""
