"""Processes, files and remote calls: what depends on the operating system."""

import sys

IS_LINUX = sys.platform == "linux"
"""Elsewhere only the serial backend runs, with less protection."""
