"""What an encoder recognises, and when it appends a frame again."""

import numpy as np
import pytest
import reverb
from replay.framed_play import Play, join_batches

from distrl.frames import join_frames, make_frame_spec
from distrl.items import make_item_spec
from distrl.replay.frame_encoder import FrameEncoder
from distrl.types import Transition

PLAY = Play(environments=2, steps=6, episode=10**9)


def make_encoder(replay, kept, play=PLAY, **fields):
    item = make_item_spec(replay.config(**fields), play.spec)
    return FrameEncoder(item, make_frame_spec(play.spec, play.stack), kept)


def make_batch(numbers_tm1, numbers_t):
    """Transitions whose frames are all of one value each, `[M, 4]` both."""
    observations = [
        join_frames(np.broadcast_to(x[..., None, None, None], (*x.shape, 3, 2, 1)))
        for x in (
            np.array(numbers_tm1, np.uint8),
            np.array(numbers_t, np.uint8),
        )
    ]
    count = len(numbers_t)
    return Transition(
        observations[0],
        np.arange(count, dtype=np.int32),
        np.full(count, 0.5, np.float32),
        np.full(count, -0.0, np.float32),
        observations[1],
    )


def test_a_frame_is_one_object_wherever_it_is_shown(replay):
    encoder = make_encoder(replay, 100)
    frames, words = encoder.encode(make_batch([[1, 1, 2, 3]], [[1, 2, 3, 4]]))
    assert frames.shape == (1, 8)
    one, _, two, three, _, _, _, four = frames[0]
    assert list(frames[0]) == [one, one, two, three, one, two, three, four]
    assert [each.content[0] for each in (one, two, three, four)] == [1, 2, 3, 4]
    assert all(len(each.content) == 6 for each in frames[0])
    # The next step of the same environment brings one more.
    later, _ = encoder.encode(make_batch([[1, 2, 3, 4]], [[2, 3, 4, 5]]))
    assert list(later[0])[:7] == [one, two, three, four, two, three, four]
    assert later[0, 7] not in frames
    # Bits, not numbers: the discount is -0.0.
    assert words.dtype == np.int32
    np.testing.assert_array_equal(words, [[0, 0x3F000000, -(2**31)]])


def test_it_recognises_the_frames_that_it_saw_last(replay):
    encoder = make_encoder(replay, 3)
    first, _ = encoder.encode(make_batch([[1, 1, 1, 1]], [[2, 2, 2, 2]]))
    encoder.encode(make_batch([[3, 3, 3, 3]], [[1, 1, 1, 1]]))
    # The fourth one takes the place of 2, which was not seen for longest.
    encoder.encode(make_batch([[4, 4, 4, 4]], [[4, 4, 4, 4]]))
    again, _ = encoder.encode(make_batch([[1, 1, 1, 1]], [[2, 2, 2, 2]]))
    assert again[0, 0] is first[0, 0]
    assert again[0, 7] is not first[0, 7]


def test_a_frame_that_the_writer_forgot_is_appended_again(replay):
    config = replay.config(transitions_per_item=1, frame_stack=4)
    encoder = make_encoder(replay, 12)
    address, _ = replay.serve(replay.config())
    client = reverb.Client(address)

    def append(writer, tm1, t):
        """Appends an item; returns the steps that it took."""
        frames, words = encoder.encode(make_batch([tm1], [t]))
        before = writer.episode_steps
        item = encoder.append(writer, (frames, words))
        assert item.words.numpy().tolist()[0][:3] == words[0].tolist()
        shown = item.frames.numpy()[item.words.numpy()[0, 3:]]
        np.testing.assert_array_equal(shown[:, 0, 0, 0], [*tm1, *t])
        return writer.episode_steps - before

    assert config.replay.frame_stack == 4
    writer = encoder.open(client)
    assert append(writer, [1, 1, 1, 2], [1, 1, 2, 3]) == 3
    # Nothing new is still a step, of the words alone.
    assert append(writer, [1, 1, 1, 2], [1, 1, 2, 3]) == 1
    assert append(writer, [1, 1, 2, 3], [1, 2, 3, 4]) == 1
    assert append(writer, [5, 6, 7, 8], [6, 7, 8, 9]) == 5
    # 1 and 2 are ten and nine steps old; the five to come would leave none of them.
    assert append(writer, [1, 2, 5, 6], [2, 5, 6, 10]) == 3
    writer.close()


def test_any_number_of_them_can_be_encoded(replay):
    encoder = make_encoder(replay, 100)
    batches = PLAY.list_transitions()
    parts = [encoder.encode(batch) for batch in batches]
    frames = np.concatenate([part[0] for part in parts])
    again, words = encoder.encode(join_batches(batches))
    np.testing.assert_array_equal(frames, again)
    np.testing.assert_array_equal(words, np.concatenate([part[1] for part in parts]))


def test_sequences_are_stacks_one_behind_the_other(replay):
    encoder = make_encoder(replay, 100, sequence_length=3, core="lstm")
    (batch, *_) = [b for b in PLAY.list_sequences(3, 3) if len(b.action)]
    frames, words = encoder.encode(batch)
    assert frames.shape == (2, 4 * 4)
    assert words.shape == (2, 4 * 3 + 2 * 5)
    # Each shows the last three frames of the one before.
    stacks = frames.reshape(2, 4, 4)
    np.testing.assert_array_equal(stacks[:, 1:, :3], stacks[:, :-1, 1:])


@pytest.mark.parametrize("field", ["observation_tm1", "action_tm1"])
def test_another_dtype_is_refused(replay, field):
    batch = make_batch([[1, 1, 1, 1]], [[1, 1, 1, 1]])
    wrong = batch._replace(**{field: getattr(batch, field).astype(np.float64)})
    with pytest.raises(ValueError, match="float64 .* where replay holds (u?)int"):
        make_encoder(replay, 10).encode(wrong)
