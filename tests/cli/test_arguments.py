"""Argument parsers of the commands."""

import pytest

from distrl.cli.answer import HelpShown
from distrl.cli.arguments import Parser, probability, read_configured, whole_number
from distrl.config.fields import list_fields, read_docs
from distrl.errors import ConfigError


@pytest.fixture
def parser():
    parser = Parser("play", "Plays.", "print an object")
    parser.add_argument("run_dirs", metavar="RUN_DIR", nargs="+")
    parser.add_argument("--episodes", metavar="N", type=whole_number(1))
    parser.add_argument("--epsilon", metavar="X", type=probability)
    parser.add_argument("--checkpoint", choices=("best", "latest"))
    return parser


def test_flags_and_arguments_are_accepted_in_any_order(parser):
    arguments = ["a", "--episodes=12", "--json", "b", "--epsilon", "0", "c"]
    args = parser.parse([*arguments, "--checkpoint=best", "--episodes", "3"])
    assert args.run_dirs == ["a", "b", "c"]
    assert (args.episodes, args.epsilon, args.checkpoint) == (3, 0.0, "best")
    assert args.json


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_flag_prints_usage(parser, flag, capsys):
    with pytest.raises(HelpShown):
        parser.parse(["--episodes=3", flag])
    out = capsys.readouterr().out
    assert out.startswith("usage: distrl play ")
    assert "--episodes N" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "RUN_DIR"),
        (["a", "--jsn"], "--jsn: distrl play has no such flag. Did you mean '--json'?"),
        (["a", "--episode", "3"], "--episode: distrl play has no such flag. Did you"),
        (["--episode=3", "a"], "two dashes: --help, --json, --episodes, --epsilon"),
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
        (["a", "-s", "3"], "-s: distrl play has no such flag."),
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


def test_help_lists_every_field_with_docstring_and_default(capsys):
    with pytest.raises(HelpShown):
        read_configured("train", "CONFIG", "Trains.", ["--help"])
    out = capsys.readouterr().out
    # Lines may break after a hyphen.
    words = "".join(out.split())
    for name, field in list_fields().items():
        entry = f"--{name} {read_docs()[name]} ({field.describe()}; default: "
        assert "".join(entry.split()) in words, name
    assert "\nThe updates on the accelerator:\n  --learner.devices" in out
    assert "(awholenumber,atleast1;default:256)" in words
    assert max(map(len, out.splitlines())) <= 88
