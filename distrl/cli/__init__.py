"""The command `distrl`: one module a subcommand, imported when it is asked for."""

from distrl.search_path import settle_search_path

# `python -m` and PYTHONPATH may have put the working directory first; what the command
# imports next must not come from there.
settle_search_path()
