import numpy as np
import pytest
import tensorflow as tf

from distrl.replay.tables import TABLE_NAME, make_form, make_table


def test_signature_has_a_block_of_each_part(replay):
    signature = make_form(replay.config(transitions_per_item=8), replay.spec).signature
    assert signature.observation_t["pixels"] == tf.TensorSpec((8, 4, 3), tf.uint8)
    assert signature.observation_tm1["speed"] == tf.TensorSpec((8, 2), tf.float32)
    assert signature.action_tm1 == tf.TensorSpec((8,), tf.int32)
    assert signature.reward_t == signature.discount_t == tf.TensorSpec((8,), tf.float32)


@pytest.mark.parametrize(("core", "parts"), [("none", 0), ("gru", 1), ("lstm", 2)])
def test_signature_of_a_sequence_is_one_item_with_its_recurrent_state(
    replay, core, parts
):
    config = replay.config(sequence_length=4, core=core)
    signature = make_form(config, replay.spec).signature
    assert signature.observation["pixels"] == tf.TensorSpec((1, 5, 4, 3), tf.uint8)
    assert signature.action == tf.TensorSpec((1, 4), tf.int32)
    assert signature.mask == signature.reward == signature.discount
    assert signature.mask == tf.TensorSpec((1, 4), tf.float32)
    assert signature.carry == (tf.TensorSpec((1, 5), tf.float32),) * parts
    assert make_table(config, replay.spec).info.current_size == 0


def test_sizes_count_items(replay):
    config = replay.config(
        transitions_per_item=8,
        capacity=800,
        min_size=81,
        samples_per_insert=4.0,
        error_buffer=160.0,
    )
    info = make_table(config, replay.spec).info
    limiter = info.rate_limiter_info
    assert info.name == TABLE_NAME
    assert info.max_size == 100
    # 81 transitions are 11 blocks of 8; 11 * 4 - 20 and 11 * 4 + 20.
    assert limiter.min_size_to_sample == 11
    assert limiter.samples_per_insert == 4.0
    assert (limiter.min_diff, limiter.max_diff) == (24.0, 64.0)
    assert info.remover_options.fifo
    assert info.sampler_options.uniform


def test_no_ratio_means_no_limit(replay):
    table = make_table(replay.config(samples_per_insert=None), replay.spec)
    assert table.info.rate_limiter_info.max_diff == np.finfo(np.float64).max
    assert table.can_insert(10**6)


def test_an_empty_table_gives_nothing_even_with_min_size_zero(replay):
    table = make_table(replay.config(min_size=0), replay.spec)
    assert table.info.rate_limiter_info.min_size_to_sample == 1


@pytest.mark.parametrize("exponent", [0.0, 0.6])
def test_prioritized_takes_the_exponent(replay, exponent):
    config = replay.config(
        kind="prioritized", transitions_per_item=1, priority_exponent=exponent
    )
    options = make_table(config, replay.spec).info.sampler_options
    assert options.prioritized.priority_exponent == exponent
    assert options.WhichOneof("distribution") == "prioritized"
