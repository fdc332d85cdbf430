"""Arguments of the commands that take no configuration."""

import pytest

from distrl.cli.arguments import read_arguments
from distrl.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "positional", "flags"),
    [
        ([], [], set()),
        (["envs", "--json"], ["envs"], {"--json"}),
        (["--json", "a", "--json", "b"], ["a", "b"], {"--json"}),
        (["-h"], [], {"--help"}),
        (["--help", ""], [""], {"--help"}),
    ],
)
def test_positional_arguments_and_flags_in_any_order(arguments, positional, flags):
    assert read_arguments("list", arguments, ("--json",)) == (positional, flags)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--jsn"],
            "--jsn: distrl list has no such flag. Did you mean '--json'? "
            "Its flags are --json, --help.",
        ),
        (["-x"], "-x: distrl list has no such flag. Its flags are --json, --help."),
        (["--json=1"], "--json=1: distrl list has no such flag. Did you mean"),
    ],
)
def test_an_unknown_flag_is_refused(arguments, message):
    with pytest.raises(ConfigError) as caught:
        read_arguments("list", arguments, ("--json",))
    assert str(caught.value).startswith(message)
