"""The tree itself: every field says what it is, and the defaults make a run."""

import ast
import dataclasses
import inspect

import pytest

from distrl.config import Config, NetworkConfig, ReplayConfig, check_config, schema
from distrl.config.fields import list_fields, list_sections

CLASSES = [
    node
    for node in ast.parse(inspect.getsource(schema)).body
    if isinstance(node, ast.ClassDef)
]


def read_fields(node):
    """Returns the name and the docstring, or None, of each field of a class."""
    found = []
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign):
            is_text = isinstance(following, ast.Expr) and isinstance(
                following.value, ast.Constant
            )
            text = following.value.value if is_text else None
            found.append((statement.target.id, text))
    return found


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_every_group_and_every_field_has_a_docstring_of_one_sentence(node):
    assert ast.get_docstring(node).endswith(".")
    cls = getattr(schema, node.name)
    assert [name for name, _ in read_fields(node)] == [
        field.name for field in dataclasses.fields(cls)
    ]
    for name, text in read_fields(node):
        assert text, f"{node.name}.{name} has no docstring"
        assert text.endswith("."), f"{node.name}.{name}"
        assert "\n" not in text, f"{node.name}.{name}"


def test_the_tree_holds_every_class_once():
    used = [Config, *list_sections().values()]
    assert sorted(cls.__name__ for cls in used) == sorted(n.name for n in CLASSES)


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_nobody_changes_a_configuration(node):
    section = getattr(schema, node.name)()
    first = dataclasses.fields(section)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(section, first, None)


def test_the_defaults_make_a_run():
    check_config(Config())


def test_configurations_share_nothing_that_changes():
    assert Config().environment_args is not Config().environment_args
    assert Config().network.args is not Config().network.args


def test_counts_of_steps_say_which_steps():
    loose = [
        name
        for name in list_fields()
        if name.endswith("steps")
        and not name.endswith(
            ("env_steps", "episode_steps", "learner_steps", "shuffle_steps")
        )
    ]
    assert loose == []


def test_the_recurrent_state_by_core():
    sizes = {c: NetworkConfig(core=c, core_size=3).carry_sizes for c in ("gru", "lstm")}
    assert sizes == {"gru": (3,), "lstm": (3, 3)}
    assert NetworkConfig().carry_sizes == ()


def test_the_shards_are_named_like_their_nodes():
    assert ReplayConfig().shard_names == ("replay/0",)
    assert ReplayConfig(shards=2).shard_names == ("replay/0", "replay/1")


@pytest.mark.parametrize(
    ("replay", "block", "stride"),
    [
        (ReplayConfig(), 32, 1),
        (ReplayConfig(transitions_per_item=8), 8, 1),
        (ReplayConfig(kind="prioritized"), 1, 1),
        (ReplayConfig(sequence_length=9), 1, 4),
        (ReplayConfig(sequence_length=9, sequence_period=2), 1, 2),
    ],
)
def test_what_replay_derives(replay, block, stride):
    assert (replay.block_size, replay.sequence_stride) == (block, stride)
