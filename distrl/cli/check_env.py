"""The command `distrl check-env URI`."""

import argparse
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from distrl.cli.answer import print_answer, reserve_stdout
from distrl.cli.arguments import Parser, whole_number
from distrl.config.plain_yaml import load_yaml
from distrl.findings import Finding, format_finding, name_failed

# A process that ends is blamed on the first of these rules without a finding.
_CHECKED = (
    "builds",
    "actions",
    "observation spec",
    "steps",
    "close",
    "seeding",
    "independence",
)

_DESCRIPTION = """\
Builds the environment as a run does, takes random actions in it and prints one line
per rule: whether the environment keeps it, and if not, what to do. Exit codes: 0
nothing failed (there may be warnings), 1 a rule failed, 2 bad usage, or an environment
that cannot be built."""

_OTHER_FLAGS = """\
Any other --KEY VALUE is an argument of the environment, as in the field
environment_args; one with the name of a flag above goes into the URI: ?steps=5"""


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code."""
    options, values = _make_parser().parse_open(arguments)
    args = {key: _read_value(key, text) for key, text in values.items()}
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    findings: list[Finding] = []
    if options.json:
        with reserve_stdout() as write:
            findings += _check(options, args)
            rows = [dataclasses.asdict(finding) for finding in findings]
            write(json.dumps(rows, indent=2) + "\n")
    else:
        for finding in _check(options, args):
            findings.append(finding)
            print_answer(format_finding(finding))
        print_answer(name_failed(findings))
    return int(any(finding.state == "failed" for finding in findings))


def _make_parser() -> Parser:
    parser = Parser("check-env", _DESCRIPTION, "print the list of findings")
    parser.epilog = _OTHER_FLAGS
    parser.add_argument(
        "uri",
        metavar="URI",
        help="as in the field environment: gym:CartPole-v1, atari:Pong or "
        "package.module:factory, with ?key=value&key=value; see distrl list envs",
    )
    for flag, text, least, default in (
        ("--steps", "the number of random actions", 1, 10_000),
        ("--seed", "of the environment and of the actions", 0, 1),
        ("--seconds", "the time limit for each rule", 1, 600),
    ):
        help = f"{text} (default: {default:,})"
        kind = whole_number(least)
        parser.add_argument(flag, metavar="N", type=kind, default=default, help=help)
    return parser


def _read_value(key: str, text: str) -> Any:
    # YAML reads empty text, such as an unset shell variable, as null.
    return load_yaml(text, f"--{key} = {text}") if text.strip() else text


def _check(options: argparse.Namespace, args: dict[str, Any]) -> Iterator[Finding]:
    from distrl.environments.conformance import check_environment
    from distrl.launch.checking_child import CheckLost, run_in_child

    def task(tell: Callable[[Finding], None]) -> None:
        for finding in check_environment(
            options.uri, args, options.steps, options.seed
        ):
            tell(finding)

    seen = set()
    try:
        for finding in run_in_child(task, options.seconds, limit="--seconds"):
            seen.add(finding.name)
            yield finding
    except CheckLost as lost:
        rule = next((rule for rule in _CHECKED if rule not in seen), "process")
        advice = (
            "a node of a run would fail in the same way: return or raise instead; an "
            "environment that is only slow needs fewer --steps or more --seconds"
        )
        yield Finding(rule, "failed", f"the environment {lost}", advice)
