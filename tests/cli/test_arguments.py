"""Argument parsers of the commands."""

import pytest

from distrl.cli.answer import HelpShown
from distrl.cli.arguments import Parser, number, read_configured
from distrl.config.field_types import Count, Probability
from distrl.config.fields import list_fields, read_docs
from distrl.errors import ConfigError


@pytest.fixture
def parser():
    parser = Parser("play", "Plays.", "print an object")
    parser.add_argument("run_dirs", metavar="RUN_DIR", nargs="+")
    parser.add_argument("--episodes", metavar="N", type=number(Count))
    parser.add_argument("--epsilon", metavar="X", type=number(Probability))
    parser.add_argument("--checkpoint", choices=("best", "latest"))
    return parser


def test_flags_and_arguments_are_accepted_in_any_order(parser):
    arguments = ["a", "--episodes=12", "--json", "b", "--epsilon", "0", "c"]
    args = parser.parse([*arguments, "--checkpoint=best", "--episodes", "3"])
    assert args.run_dirs == ["a", "b", "c"]
    assert (args.episodes, args.epsilon, args.checkpoint) == (3, 0.0, "best")
    assert args.json


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "RUN_DIR"),
        (["a", "--jsn"], "distrl play has no argument '--jsn'. Did you mean '--json'?"),
        (["a", "--episode", "3"], "'--episode'. Did you mean '--episodes'?"),
        (["--episode=3", "a"], "Its flags are --help, --json, --episodes, --epsilon"),
        (["a", "-x"], "has no argument '-x'."),
        (["a", "--json=1"], "--json"),
        (["a", "--episodes"], "--episodes: expected one argument"),
        (["a", "--episodes", "--json"], "--episodes: expected one argument"),
        (["a", "--episodes", "0"], "--episodes = '0': it must be a whole number, at"),
        (["a", "--episodes", "1.5"], "--episodes = '1.5': it must be"),
        (["a", "--episodes", ""], "--episodes = '': it must be"),
        (["a", "--epsilon", "1.5"], "--epsilon = '1.5': it must be a finite number, 0"),
        (["a", "--epsilon", "nan"], "--epsilon = 'nan': it must be"),
        (["a", "--epsilon", "x"], "--epsilon = 'x': it must be"),
        (["a", "--checkpoint", "lates"], "--checkpoint: invalid choice: 'lates'"),
    ],
)
def test_bad_usage_is_refused(parser, arguments, words):
    with pytest.raises(ConfigError) as caught:
        parser.parse(arguments)
    assert words in str(caught.value)


def test_unknown_flags_become_keys_and_values(parser):
    arguments = ["a:b", "--size=[1]", "--at", "-1", "--json", "--x=y=z", "--at", "2"]
    more = ["--episodes", "3", "--name=", "--box", "[1, 2]"]
    args, values = parser.parse_open([*arguments, *more])
    assert (args.run_dirs, args.json, args.episodes) == (["a:b"], True, 3)
    assert values == {"size": "[1]", "at": "2", "x": "y=z", "name": "", "box": "[1, 2]"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a", "--size"], "--size needs a value: --size VALUE"),
        (["a", "--size", "--at", "1"], "--size needs a value"),
        (["a", "--jsn"], "Did you mean '--json'?"),
        (["a", "-s", "3"], "distrl play has no argument '-s'."),
        (["--size", "3"], "RUN_DIR"),
        (["a", "--size=3", "--episodes=0"], "--episodes = '0': it must be"),
    ],
)
def test_bad_usage_with_unknown_flags_is_refused(parser, arguments, words):
    with pytest.raises(ConfigError) as caught:
        parser.parse_open(arguments)
    assert words in str(caught.value)


def test_fields_are_accepted_as_flags():
    arguments = ["--seed", "3", "a.yaml", "--json", "--learner.learning_rate=1e-3"]
    arguments += ["--network.args", "{a: 1}", "--stop.env_steps=", "--seed", "2"]
    values = {"seed": 2, "learner.learning_rate": 0.001, "network.args": {"a": 1}}
    found = read_configured("train", "CONFIG", "", arguments)
    assert found == ("a.yaml", {**values, "stop.env_steps": ""}, True)


def test_help_lists_every_field_with_docstring_and_default(capfd):
    with pytest.raises(HelpShown):
        read_configured("train", "CONFIG", "Trains.", ["--help"])
    out = capfd.readouterr().out
    # Lines may break after a hyphen.
    words = "".join(out.split())
    for name, field in list_fields().items():
        entry = f"--{name} {read_docs()[name]} ({field.describe()}; default: "
        assert "".join(entry.split()) in words, name
    assert "\nThe updates on the accelerator:\n  --learner.devices" in out
    assert "(awholenumber,atleast1;default:256)" in words
    assert max(map(len, out.splitlines())) <= 88
