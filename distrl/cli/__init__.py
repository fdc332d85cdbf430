"""The command `distrl`: a module for each subcommand, imported when it is called."""

from distrl.search_path import settle_search_path

# `python -m` and PYTHONPATH may have put the working directory first; what the command
# imports next must not come from there.
settle_search_path()
