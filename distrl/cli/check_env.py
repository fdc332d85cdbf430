"""The command `distrl check-env URI`."""

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from typing import Any

from distrl.cli.answer import print_answer, reserve_stdout
from distrl.cli.arguments import Parser, whole_number
from distrl.config.plain_yaml import load_yaml
from distrl.findings import Finding, format_finding, name_failed

_STEPS = 10_000
_SEED = 1
_SECONDS = 600
# The rule checked after each finding, which is to blame if the process ends there.
_NEXT = {
    None: "builds",
    "builds": "actions",
    "observation spec": "steps",
    "resets": "close",
    "close": "seeding",
    "seeding": "independence",
}

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
    check = functools.partial(
        _check, options.uri, args, options.steps, options.seed, options.seconds
    )
    if not options.json:
        findings = check(lambda finding: print_answer(format_finding(finding)))
        print_answer(name_failed(findings))
    else:
        with reserve_stdout() as write:
            findings = check(lambda finding: None)
            rows = [dataclasses.asdict(finding) for finding in findings]
            write(json.dumps(rows, indent=2) + "\n")
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
    parser.add_value(
        "--steps", "N", "the number of random actions", whole_number(1), _STEPS
    )
    parser.add_value(
        "--seed", "N", "of the environment and of the actions", whole_number(0), _SEED
    )
    parser.add_value(
        "--seconds", "N", "the time limit for each rule", whole_number(1), _SECONDS
    )
    return parser


def _read_value(key: str, text: str) -> Any:
    # YAML reads empty text, such as an unset shell variable, as null.
    return load_yaml(text, f"--{key} = {text}") if text.strip() else text


def _check(
    uri: str,
    args: dict[str, Any],
    steps: int,
    seed: int,
    seconds: int,
    show: Callable[[Finding], object],
) -> list[Finding]:
    from distrl.environments.conformance import check_environment
    from distrl.launch.checking_child import CheckLost, run_in_child

    def task(tell: Callable[[Finding], None]) -> None:
        for finding in check_environment(uri, args, steps, seed):
            tell(finding)

    findings: list[Finding] = []

    def note(finding: Finding) -> None:
        findings.append(finding)
        show(finding)

    try:
        for finding in run_in_child(task, seconds, limit="--seconds"):
            note(finding)
    except CheckLost as lost:
        rule = _NEXT.get(findings[-1].name if findings else None, "process")
        advice = (
            "a node of a run would fail in the same way: return or raise instead; an "
            "environment that is only slow needs fewer --steps or more --seconds"
        )
        note(Finding(rule, "failed", f"the environment {lost}", advice))
    return findings
