"""The `distrl` command: one module per subcommand, imported when it is called."""

from distrl.system.search_path import settle_search_path

# `python -m` and PYTHONPATH may put the working directory first, where a file could
# shadow what the command imports next.
settle_search_path()
