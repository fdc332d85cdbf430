"""The ray back end: runs a program on the machines of a Ray cluster."""
