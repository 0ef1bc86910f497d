"""The mini_cs corpus: what its sets promise to the stages that read them."""

import hashlib
import random
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from k2d.datadir import DataDir, read_segments
from k2d.tables import read_table

LOCAL = Path(__file__).resolve().parents[2] / "egs" / "mini_cs" / "k2d1" / "local"
sys.path.insert(0, str(LOCAL))
import acoustics  # noqa: E402
import grammar  # noqa: E402
import synthesize  # noqa: E402
from conditions import LECTURE_VOICES, OUT_VOICES, SEED_VOICES, SETS  # noqa: E402
from recording import balanced, plan_set  # noqa: E402

HOURS = "0.012"  # one short recording


def make(output_dir, sets, nj=1, seed=0):
    options = (
        f"--sets {sets} --nj {nj} --seed {seed} --lecture_hours {HOURS} --seed_hours {HOURS} --scale 0.1"
    )
    command = [
        sys.executable,
        str(LOCAL / "synthesize.py"),
        "--output_dir",
        str(output_dir),
        *options.split(),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def bytes_of(folder: Path) -> dict[str, str]:
    """File → hash, except what holds the folder's own path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("wav.scp", "step.json")
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A tiny corpus, made by two jobs."""
    folder = tmp_path_factory.mktemp("corpus")
    result = make(folder, "seed,lectures,test_in,test_out,test_mono", nj=2)
    assert result.returncode == 0, result.stderr
    return folder


def test_every_set_is_a_valid_data_directory(corpus):
    for name in ("seed", "lectures", "test_in", "test_in_long", "test_out"):
        data = DataDir(corpus / name)
        assert data.validate() == []
        assert data.wav


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """Two sets of it once more, made by one job."""
    folder = tmp_path_factory.mktemp("again")
    assert make(folder, "lectures,test_out", nj=1).returncode == 0
    return folder


def test_same_seed_gives_same_bytes_with_any_number_of_jobs(corpus, again):
    for name in ("lectures", "test_out"):
        assert bytes_of(again / name) == bytes_of(corpus / name)


def test_another_seed_gives_another_corpus(corpus, tmp_path):
    assert make(tmp_path, "seed", seed=1).returncode == 0
    assert read_table(tmp_path / "seed" / "text") != read_table(corpus / "seed" / "text")


def test_segments_lie_in_their_recording_in_order_and_carry_their_times_in_their_ids(corpus):
    for tables in ("seed", "test_in", "test_out", "lectures/reference"):
        wav = DataDir(corpus / tables.split("/")[0]).wav
        lengths = {recording: soundfile.info(source).duration for recording, source in wav.items()}
        previous = {}
        for utterance, segment in read_segments(corpus / tables / "segments").items():
            assert 0 <= segment.start < segment.end <= lengths[segment.recording]
            assert segment.start >= previous.get(segment.recording, 0)
            previous[segment.recording] = segment.end
            times = f"{round(segment.start * 100):07d}-{round(segment.end * 100):07d}"
            assert utterance == f"{segment.recording}-{times}"
            assert 1 < segment.end - segment.start < 12


def test_speech_is_inside_segments_and_louder_than_what_lies_between(corpus):
    data = DataDir(corpus / "seed")
    audio = {recording: soundfile.read(source)[0] for recording, source in data.wav.items()}
    between = {recording: np.ones(len(samples), bool) for recording, samples in audio.items()}
    inside = []
    for segment in data.segments.values():
        start, end = (round(time * 16000) for time in (segment.start, segment.end))
        inside.append(acoustics.level(audio[segment.recording][start:end]))
        between[segment.recording][start:end] = False
    quiet = max(acoustics.level(samples[between[recording]]) for recording, samples in audio.items())
    assert min(inside) > 5 * quiet  # seed speech is clean: at least 25 dB apart on the whole


def test_audio_is_16_khz_mono_flac_that_does_not_clip(corpus):
    for name in ("seed", "lectures", "test_in", "test_out"):
        for source in DataDir(corpus / name).wav.values():
            info = soundfile.info(source)
            assert (info.samplerate, info.channels, info.format) == (16000, 1, "FLAC")
            assert 0.05 < np.abs(soundfile.read(source)[0]).max() < 0.96


def test_lectures_carry_no_transcript(corpus):
    lectures = corpus / "lectures"
    assert sorted(path.name for path in lectures.iterdir() if path.is_file()) == [
        "spk2utt", "step.json", "utt2dur", "utt2spk", "wav.scp",
    ]  # fmt: skip
    assert (lectures / "reference" / "text").is_file()


def test_every_word_is_timed_inside_its_utterance(corpus):
    folder = corpus / "test_in"
    lines = [line.split() for line in (folder / "reference/words.ctm").read_text(encoding="utf-8").splitlines()]
    texts = read_table(folder / "text")
    for utterance, segment in read_segments(folder / "segments").items():
        said = [(float(t), float(t) + float(d), word) for r, _, t, d, word in lines if r == segment.recording]
        said = [word for word in said if segment.start <= word[0] < segment.end]
        assert "".join(word for *_, word in said) == texts[utterance].replace(" ", "")
        assert all(a[0] < a[1] <= b[0] + 0.002 for a, b in pairwise(said)) and said[-1][1] <= segment.end


def test_long_form_twin_has_the_same_words(corpus):
    words = {}
    for utterance, text in read_table(corpus / "test_in" / "text").items():
        words.setdefault(utterance.rsplit("-", 2)[0], []).append(text)
    long = read_table(corpus / "test_in_long" / "text")
    assert long == {recording: " ".join(texts) for recording, texts in words.items()}
    assert not (corpus / "test_in_long" / "segments").exists()


def test_lectures_and_tests_have_stretches_without_speech_and_the_seed_has_none(corpus):
    def longest_gap(tables):
        ends, gap = {}, 0.0
        for segment in read_segments(corpus / tables / "segments").values():
            gap = max(gap, segment.start - ends.get(segment.recording, segment.start))
            ends[segment.recording] = segment.end
        return gap

    assert longest_gap("seed") < 1
    assert longest_gap("test_in") > 4


def test_a_killed_run_goes_on_and_a_second_run_does_nothing(corpus, again):
    folder = again / "test_out"
    # A kill leaves no step.json, tables missing, recordings missing or half written under a temporary name.
    first, *_, last = sorted((folder / "recordings").iterdir())
    written = first.stat().st_mtime_ns
    (folder / "step.json").rename(folder / ".begun.json")
    (folder / "text").unlink()
    last.rename(last.with_name(f".{last.name}.12345.tmp"))
    assert "(1 new)" in make(again, "test_out").stdout
    assert bytes_of(folder) == bytes_of(corpus / "test_out")
    assert first.stat().st_mtime_ns == written
    assert "skipped" in make(again, "test_out").stdout


def test_a_moved_corpus_points_at_its_new_place(corpus, tmp_path):
    shutil.copytree(corpus / "seed", tmp_path / "seed")
    assert make(tmp_path, "seed").returncode == 0
    for source in DataDir(tmp_path / "seed").wav.values():
        assert Path(source).is_relative_to(tmp_path)


def test_unknown_set_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["synthesize.py", "--sets", "lectures,nonsense"])
    with pytest.raises(SystemExit):
        synthesize.main()
    assert "nonsense" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ the words


def characters(topics, new_terms=True) -> set[str]:
    """Every Chinese character that sentences on these topics may hold."""
    tables = [grammar.COMMON, *(grammar.TOPICS[topic] for topic in topics)]
    lists = [said for table in tables for slot, said in table.items() if new_terms or not slot.startswith("new_")]
    lists += grammar.TECHNICAL, grammar.OPENINGS, grammar.CLOSINGS
    return {character for said in lists for text in said for character in text if "一" <= character <= "鿿"}


SEED = characters(grammar.SEED_TOPICS, new_terms=False)


def test_lectures_and_out_of_domain_test_use_characters_of_the_seed_only():
    # A model cannot write a character it was never taught: such a test would measure nothing.
    assert characters(grammar.LECTURE_TOPICS) - SEED == set()
    assert characters(grammar.OUT_TOPICS) - SEED == set()


def test_four_hours_of_seed_say_every_character_and_rarely_repeat_a_sentence():
    words = random.Random(0)
    texts = [grammar.draw(words.choice(grammar.SEED_TOPICS), words, tests=False).text for _ in range(3200)]
    said = set("".join(texts))
    assert SEED - said == set()
    assert len(set(texts)) > 0.9 * len(texts)
    units = [unit for text in texts for unit in grammar.units(text)]
    assert 0.25 < sum(unit.isascii() for unit in units) / len(units) < 0.35


def test_about_one_lecture_sentence_in_eight_has_a_term_the_seed_lacks():
    words = random.Random(0)
    new = {t: grammar.TOPICS[t]["new_en"] + grammar.TOPICS[t]["new_zh"] for t in grammar.LECTURE_TOPICS}
    share = np.mean(
        [
            any(term in grammar.draw(topic, words, tests=False, new_terms=True).text for term in new[topic])
            for topic in grammar.LECTURE_TOPICS * 150
        ]
    )
    assert 0.08 < share < 0.18


def test_new_terms_are_absent_from_the_seed():
    words = random.Random(1)
    said = "\n".join(
        grammar.draw(words.choice(grammar.SEED_TOPICS), words, tests=False).text for _ in range(3000)
    )
    for topic in grammar.LECTURE_TOPICS:
        for term in grammar.TOPICS[topic]["new_en"] + grammar.TOPICS[topic]["new_zh"]:
            assert term not in said


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(grammar.TOPICS)), st.integers(0, 2**32), st.booleans())
def test_text_and_spoken_pieces_hold_the_same_units(topic, seed, tests):
    sentence = grammar.draw(topic, random.Random(seed), tests)
    spoken = " ".join(words for _, words in sentence.pieces).replace(grammar.PAUSE, " ")
    assert grammar.units(spoken) == grammar.units(sentence.text)
    assert all(words.isascii() == (language == "en") for language, words in sentence.pieces)
    assert grammar.tidy(sentence.text) == sentence.text
    assert "{" not in sentence.text and grammar.PAUSE not in sentence.text
    assert sentence.for_tests == tests


def test_no_test_sentence_is_in_a_training_set(corpus):
    trained = set(read_table(corpus / "seed" / "text").values())
    trained |= set(read_table(corpus / "lectures" / "reference" / "text").values())
    for name in ("test_in", "test_out"):
        assert trained.isdisjoint(read_table(corpus / name / "text").values())


def test_large_tests_are_by_voices_of_their_own_and_can_tell_students_apart():
    plans = {name: plan_set(name, 0, 0, test_scale=10) for name in ("dev", "test_in", "test_out", "test_mono")}
    for name in ("test_in", "test_out", "test_mono"):
        assert len(plans[name]) == 60 and {plan.set for plan in plans[name]} == {f"large_{name}"}
    others = {v.variant for name, set_ in SETS.items() if not name.startswith("large_") and name != "test_mono"
              for v in (*set_.voices, *set_.crowd)}  # fmt: skip
    seen = set(others)
    for name in plans:
        voices = {voice.variant for voice in SETS[f"large_{name}"].voices}
        assert not voices & seen, name
        seen |= voices
    assert not {voice.variant for voice in SETS["large_test_in"].crowd} & seen


def test_a_test_scale_of_one_leaves_the_demonstrations_sets_as_they_are():
    for name in ("dev", "test_in", "test_out", "lectures"):
        assert plan_set(name, 0, 0.1, test_scale=1) == plan_set(name, 0, 0.1)
    assert plan_set("lectures", 0, 0.1, test_scale=10) == plan_set("lectures", 0, 0.1)


def test_a_small_corpus_of_lectures_is_the_beginning_of_a_large_one_but_for_its_last_recording():
    small, large = (plan_set("lectures", 0, hours) for hours in (1.0, 3.0))
    assert small[:-1] == large[: len(small) - 1]


def test_the_monolingual_test_speaks_one_language_a_recording(corpus):
    languages = {}
    for utterance, text in read_table(corpus / "test_mono/text").items():
        found = {"en" if unit.isascii() else "zh" for unit in grammar.units(text)}
        languages.setdefault(utterance.rsplit("-", 2)[0], set()).update(found)
    assert list(languages.values()) == [{"zh"}, {"en"}] * 3
    assert len(set(read_table(corpus / "test_mono/utt2spk").values())) == 3, "a voice speaks both"


def test_seed_lectures_and_out_of_domain_test_share_no_voice():
    variants = [{voice.variant for voice in voices} for voices in (SEED_VOICES, LECTURE_VOICES, OUT_VOICES)]
    assert sum(map(len, variants)) == len(set.union(*variants)) == 14


# ---------------------------------------------------------------------------------------------- the acoustics


@pytest.mark.parametrize("kind", sorted(acoustics.NOISES))
def test_noise_has_unit_level_and_follows_its_generator(kind):
    voices = [np.sin(np.arange(5000) / k).astype(np.float32) for k in (3, 7)]
    first, second = (acoustics.noise(kind, 20000, np.random.default_rng(3), voices) for _ in range(2))
    assert acoustics.level(first) == pytest.approx(1, abs=1e-3)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, acoustics.noise(kind, 20000, np.random.default_rng(4), voices))


def test_room_keeps_length_and_direct_sound_and_rings_on():
    click = np.zeros(16000, np.float32)
    click[1000] = 1
    wet = acoustics.room(click, np.random.default_rng(0), decay=0.3, direct_db=6)
    assert len(wet) == len(click)
    assert wet[1000] == pytest.approx(1, abs=1e-3)
    assert acoustics.level(wet[1100:3000]) > 10 * acoustics.level(wet[6500:8000])
    assert np.sum(wet[1001:] ** 2) == pytest.approx(10 ** (-6 / 10), rel=0.05)


def test_few_recordings_have_every_noise_and_topic():
    plans = plan_set("test_out", seed=0, hours=0)
    for purpose, choices in (("noise", SETS["test_out"].noises), ("topic", SETS["test_out"].topics)):
        assert {balanced(plan, purpose, choices) for plan in plans} == set(choices)


def test_recordings_fill_the_hours_asked_for():
    plans = plan_set("lectures", seed=0, hours=1.5)
    assert sum(plan.seconds for plan in plans) == pytest.approx(5400, abs=30)
    assert all(20 <= plan.seconds <= 360 for plan in plans)
