"""Flags of the command line."""

import pytest

from distrl.config.fields import list_fields, read_docs
from distrl.config.flags import format_flags, read_flags
from distrl.errors import ConfigError


def _read(*arguments):
    return read_flags(arguments, ("--json",))


def test_values_positionals_and_switches_in_any_order():
    positional, values, switches = _read(
        "--seed", "3", "a.yaml", "--json", "--learner.learning_rate=1e-3"
    )
    assert positional == ["a.yaml"]
    assert values == {"seed": 3, "learner.learning_rate": 0.001}
    assert switches == {"--json"}


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (["--stop.env_steps", "null"], {"stop.env_steps": None}),
        (["--stop.evaluation_return", "-1e2"], {"stop.evaluation_return": -100.0}),
        (["--stop.evaluation_return=-5"], {"stop.evaluation_return": -5}),
        (["--launch.isolate", "false"], {"launch.isolate": False}),
        (["--seed", "1", "--seed", "2"], {"seed": 2}),
        # Where the field is text, a flag is text, whatever YAML would take it for.
        (["--name", "5"], {"name": "5"}),
        (["--name", "true"], {"name": "true"}),
        (["--run_dir", "5"], {"run_dir": "5"}),
        (["--run_dir", "null"], {"run_dir": None}),
        (["--run_dir=a=b"], {"run_dir": "a=b"}),
        (["--environment", "gym:X-v1?a=1"], {"environment": "gym:X-v1?a=1"}),
        (["--replay.kind", "uniform"], {"replay.kind": "uniform"}),
        (
            ["--network.args.hidden_sizes", "[64, 64]"],
            {"network.args.hidden_sizes": [64, 64]},
        ),
        (["--network.args", "{a: 1}"], {"network.args": {"a": 1}}),
        (["--environment_args.name", "x"], {"environment_args.name": "x"}),
        (["--learner", "{batch_size: 32}"], {"learner": {"batch_size": 32}}),
        # An unset variable of the shell must not switch a field off.
        (["--stop.env_steps="], {"stop.env_steps": ""}),
    ],
)
def test_values(arguments, values):
    assert _read(*arguments) == ([], values, set())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--sede", "3"],
            "--sede = null: there is no such field. Did you mean 'seed'?",
        ),
        (["--sede=3"], "--sede = '3': there is no such field. Did you mean 'seed'?"),
        (["--learner.batch", "3"], "Did you mean 'learner.batch_size'?"),
        (["--seed"], "--seed needs a value: a whole number, at least 0"),
        (["--seed", "--json"], "--seed needs a value"),
        (["--network.args.x"], "--network.args.x needs a value: any value"),
        (["-s", "3"], "-s: there is no such flag; flags begin with two dashes"),
        (["--network.args", "{a: "], "--network.args = '{a: ', line 1"),
        (["--"], "there is no such field"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ConfigError) as caught:
        _read(*arguments)
    assert message in str(caught.value)


def test_help_has_every_field_with_its_docstring_and_default():
    text = format_flags("distrl train", "Trains.", "CONFIG", "switches:")
    words = " ".join(text.split())
    for name, field in list_fields().items():
        entry = f"--{name} {read_docs()[name]} ({field.describe()}; default: "
        # Lines may break after a hyphen.
        assert "".join(entry.split()) in "".join(words.split()), name
    assert "(a whole number, at least 1; default: 256)" in words
    assert "default: null)" in words
    assert "default: true)" in words


def test_help_is_grouped_by_section():
    text = format_flags("distrl train", "Trains.", "CONFIG", "switches:")
    docs = {
        "learner": "The updates on the accelerator:",
        "launch": "How the program runs, on this machine or on a cluster:",
    }
    for section, title in docs.items():
        after = text[text.index(f"\n{title}\n") :]
        assert after.splitlines()[2].startswith(f"  --{section}.")
    assert max(map(len, text.splitlines())) <= 88
