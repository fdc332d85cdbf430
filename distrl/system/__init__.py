"""Processes, files and remote calls: what depends on the operating system."""
