"""The command `distrl`: one module a subcommand, imported when it is asked for."""
