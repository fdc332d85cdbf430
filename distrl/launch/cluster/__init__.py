"""The ray backend: runs a program on the machines of a Ray cluster."""
