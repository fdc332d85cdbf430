"""Arguments of the commands that take no configuration."""

import pytest

from distrl.cli.arguments import read_arguments, read_count, read_values
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


def test_values_stand_behind_their_keys_or_an_equals_sign():
    arguments = ["a:b", "--size=[1]", "--at", "-1", "--json", "--x=y=z", "--at", "2"]
    assert read_values(arguments, ("--json",)) == (
        ["a:b"],
        {"size": "[1]", "at": "2", "x": "y=z"},
        {"--json"},
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size"], "--size needs a value: --size VALUE"),
        (["--size", "--at", "1"], "--size needs a value"),
        (["-s", "3"], "-s: there is no such flag; write --KEY VALUE"),
        (["--", "3"], "--: there is no such flag"),
        (["--=3"], "--=3: there is no such flag"),
    ],
)
def test_a_flag_is_a_key_and_a_value(arguments, words):
    with pytest.raises(ConfigError) as caught:
        read_values(arguments)
    assert str(caught.value).startswith(words)


def test_counts():
    assert read_count("n", "0", least=0) == 0
    assert read_count("n", "12", least=1) == 12


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "1e3", "true"])
def test_what_is_no_count_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        read_count("n", text, least=1)
    message = f"--n = {text!r}: it must be a whole number, at least 1"
    assert str(caught.value) == message
