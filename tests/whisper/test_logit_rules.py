"""The vectorised rules allow exactly what openai-whisper's filters allow."""

import pytest
import torch
import whisper.tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from whisper import decoding as theirs

from k2d.text.tokenizer import WhisperTokenizer
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.logit_rules import LogitRules, RowState, suppressed_tokens

ours = WhisperTokenizer(51864)
reference = whisper.tokenizer.get_tokenizer(False)
TIME = ours.timestamp_begin


def openai_filters(options: DecodingOptions):
    filters = [theirs.SuppressBlank(reference, 0), theirs.SuppressTokens(suppressed_tokens(ours, options))]
    if options.timestamps:
        filters.append(theirs.ApplyTimestampRules(reference, 0, 50))
    return filters


# What may have been sampled so far, as (text or time) steps; times only grow, as sampled ones do.
histories = st.lists(st.one_of(st.just("text"), st.integers(0, 700)), max_size=8)


def as_tokens(history) -> list[int]:
    tokens, time = [], 0
    for item in history:
        if item == "text":
            tokens.append(100 + len(tokens))
        else:
            time = min(time + item, 1500)
            tokens.append(TIME + time)
    return tokens


@settings(max_examples=30)
@given(st.lists(histories, min_size=1, max_size=4), st.booleans(), st.integers(0, 10**6))
def test_rules_equal_openai_whispers_filters(batch, timestamps, seed):
    options = DecodingOptions(language="en", timestamps=timestamps)
    rules = LogitRules(ours, options, 1500, "cpu")
    length = min(len(h) for h in batch)  # openai-whisper's rows have one length
    rows = torch.tensor([as_tokens(h[:length]) for h in batch], dtype=torch.int64).view(len(batch), length)
    logits = torch.randn(len(batch), ours.vocab_size, generator=torch.Generator().manual_seed(seed)) * 4
    expected = logits.clone()
    for filter_ in openai_filters(options):
        filter_.apply(expected, rows)

    state = RowState.fresh(len(batch), "cpu")
    for column in rows.T:
        state.append(column, TIME)
    found = rules.apply(logits.clone(), state, first=length == 0)
    assert torch.equal(torch.isfinite(found), torch.isfinite(expected))
    assert torch.equal(found[torch.isfinite(found)], expected[torch.isfinite(expected)])


def test_probable_times_win_over_any_single_word():
    rules = LogitRules(ours, DecodingOptions(language="en"), 1500, "cpu")
    state = RowState.fresh(1, "cpu")
    for token in (TIME, 100):
        state.append(torch.tensor([token]), TIME)
    logits = torch.zeros(1, ours.vocab_size)  # 1500 times of equal weight against one word of some more
    logits[0, 7000] = 5.0
    assert not torch.isfinite(rules.apply(logits.clone(), state, first=False)[0, :TIME]).any()
    logits[0, 7000] = 10.0
    assert torch.isfinite(rules.apply(logits, state, first=False)[0, 7000])


@pytest.mark.parametrize("suppress", [True, False])
def test_annotations_are_suppressed_on_request(suppress):
    ids = suppressed_tokens(ours, DecodingOptions(suppress_non_speech=suppress))
    music = ours.encode("♪")[0]
    assert (music in ids) is suppress
    assert {ours.sot, ours.sot_prev, ours.no_speech} <= set(ids)
    assert ours.eot not in ids
