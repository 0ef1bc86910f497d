"""Utterances in batches of similar length."""

from hypothesis import given
from hypothesis import strategies as st

from k2d.whisper.short_form import plan_batches

lengths = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.floats(0.1, 30), max_size=60)


@given(lengths, st.integers(1, 9), st.booleans())
def test_batches_hold_every_utterance_once_longest_first(seconds, batch_size, trim):
    batches = plan_batches(seconds, batch_size, trim)
    flat = [name for batch in batches for name in batch]
    assert sorted(flat) == sorted(seconds)
    assert [seconds[n] for n in flat] == sorted(seconds.values(), reverse=True)
    for batch in batches:
        if trim:
            # Together no more audio, with its padding, than batch_size full windows (one always fits).
            assert len(batch) <= 4 * batch_size
            assert len(batch) * seconds[batch[0]] <= batch_size * 30 + 1e-6 or len(batch) <= batch_size
        else:
            assert len(batch) <= batch_size


def test_short_utterances_share_larger_batches_only_where_padding_is_trimmed():
    seconds = {f"u{i:02d}": 3.0 for i in range(40)}
    assert [len(b) for b in plan_batches(seconds, 4, trim_padding=True)] == [16, 16, 8]
    assert {len(b) for b in plan_batches(seconds, 4, trim_padding=False)} == {4}
