"""The parser of the commands: what it takes, and how it refuses."""

import pytest

from distrl.cli.arguments import Parser, one_of, probability, whole_number
from distrl.errors import ConfigError


@pytest.fixture
def parser():
    parser = Parser("play", "Plays.", "print an object")
    parser.add_argument("run_dirs", metavar="RUN_DIR", nargs="+")
    parser.add_value("--episodes", "N", "how many", whole_number(1))
    parser.add_value("--epsilon", "X", "how random", probability)
    parser.add_value("--checkpoint", "W", "which", one_of("best", "latest"))
    return parser


def test_flags_and_positional_arguments_in_any_order(parser):
    arguments = ["a", "--episodes=12", "--json", "b", "--epsilon", "0", "c"]
    args = parser.parse([*arguments, "--checkpoint=best", "--episodes", "3"])
    assert args.run_dirs == ["a", "b", "c"]
    assert (args.episodes, args.epsilon, args.checkpoint) == (3, 0.0, "best")
    assert args.json


def test_flags_that_are_not_given(parser):
    args = parser.parse(["a"])
    assert (args.episodes, args.epsilon, args.json) == (None, None, False)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(parser, flag, capsys):
    assert parser.parse(["--episodes", flag]) is None
    out = capsys.readouterr().out
    assert out.startswith("usage: distrl play ")
    assert "--episodes N" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "RUN_DIR"),
        (["a", "--jsn"], "--jsn: distrl play has no such flag. Did you mean '--json'?"),
        (["a", "--episode", "3"], "--episode: distrl play has no such flag. Did you"),
        (["--episode=3", "a"], "Its flags are --json, --help, --episodes, --epsilon"),
        (["a", "-x"], "-x: distrl play has no such flag."),
        (["a", "--json=1"], "--json"),
        (["a", "--episodes"], "--episodes: expected one argument"),
        (["a", "--episodes", "--json"], "--episodes: expected one argument"),
        *(
            (["a", "--episodes", text], f"--episodes = {text!r}: it must be")
            for text in ("0", "-1", "1.5", "many", "", "1e3", "true")
        ),
        *(
            (["a", "--epsilon", text], f"--epsilon = {text!r}: it must be")
            for text in ("1.5", "-0.1", "nan", "x")
        ),
        (["a", "--checkpoint", "lates"], "--checkpoint = 'lates': it must be one of"),
    ],
)
def test_bad_usage(parser, arguments, words):
    with pytest.raises(ConfigError) as caught:
        parser.parse(arguments)
    assert words in str(caught.value)


def test_one_argument_too_many():
    with pytest.raises(ConfigError, match="distrl doctor takes no argument 'now'"):
        Parser("doctor", "", "").parse(["now"])


def test_other_flags_are_keys_and_values(parser):
    arguments = ["a:b", "--size=[1]", "--at", "-1", "--json", "--x=y=z", "--at", "2"]
    args, values = parser.parse_open([*arguments, "--episodes", "3", "--name="])
    assert (args.run_dirs, args.json, args.episodes) == (["a:b"], True, 3)
    assert values == {"size": "[1]", "at": "2", "x": "y=z", "name": ""}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a", "--size"], "--size needs a value: --size VALUE"),
        (["a", "--size", "--at", "1"], "--size needs a value"),
        (["a", "-s", "3"], "takes no argument '-s'"),
        (["--size", "3"], "RUN_DIR"),
        (["a", "--size=3", "--episodes=0"], "--episodes = '0': it must be"),
    ],
)
def test_bad_usage_with_other_flags(parser, arguments, words):
    with pytest.raises(ConfigError) as caught:
        parser.parse_open(arguments)
    assert words in str(caught.value)
