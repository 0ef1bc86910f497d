"""Ready transcripts: every form that they come in gives the same segments, and what is missing is said."""

import json

import numpy as np
import pytest
import soundfile
from decoding_material import write_data_dir

from k2d.audio import sources
from k2d.corpus.subtitles import SHOWN
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError, UsageError
from k2d.text.transcript import TimedText, Transcript
from k2d.transcribers import open_transcriber

SEGMENTS = [(0.0, 2.5, "大家好"), (2.5, 6.0, "this is important"), (40.0, 43.2, "謝謝")]


@pytest.fixture
def data(tmp_path):
    """Recordings lec (45 s) and short (3 s), and broken, which is none."""
    rng = np.random.default_rng(0)
    files = {}
    for name, seconds in (("lec", 45), ("short", 3)):
        files[name] = tmp_path / f"audio of {name}.wav"
        soundfile.write(files[name], 0.1 * rng.standard_normal(seconds * 16000), 16000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    return DataDir(write_data_dir(tmp_path / "data", {**files, "broken": tmp_path / "broken.wav"}))


def transcripts(place, data, names=("lec",), **options) -> list:
    source = sources.recordings(data)
    found = open_transcriber(f"text:{place}", data).transcribe(names, source, options.pop("long_form", True), **options)
    return [one for several in found for one in several]


def spans(transcript) -> list:
    assert isinstance(transcript, Transcript), transcript
    return [(s.start, s.end, s.text) for s in transcript.segments]


EXPECTED = [(0.0, 2.5, "大家好"), (2.5, 6.0, " this is important"), (40.0, 43.2, "謝謝")]


def kaldi_with_tokens(folder):
    path = folder / "text"
    path.write_text("lec " + "".join(f"<|{a:.2f}|>{text}<|{b:.2f}|>" for a, b, text in SEGMENTS) + "\n")
    return path


def kaldi_of_chunks(folder):
    path = folder / "text"
    path.write_text(
        "lec-0000000-0000600 <|0.00|>大家好<|2.50|><|2.50|> this is important<|6.00|>\nlec-0004000-0004320 謝謝\n"
    )
    return path


def kaldi_with_segments(folder):
    (folder / "text").write_text("".join(f"u{n} {text}\n" for n, (_, _, text) in enumerate(SEGMENTS)))
    (folder / "segments").write_text("".join(f"u{n} lec {a} {b}\n" for n, (a, b, _) in enumerate(SEGMENTS)))
    return folder / "text"


def _json(folder, record):
    (folder / "sub").mkdir()
    (folder / "sub/lec.json").write_text(json.dumps(record, ensure_ascii=False))
    return folder


def openai_whisper(folder):
    segments = [
        {"id": n, "seek": 0, "start": a, "end": b, "text": f" {text}", "tokens": [1, 2], "temperature": 0.2,
         "avg_logprob": -0.5, "compression_ratio": 1.1, "no_speech_prob": 0.25}
        for n, (a, b, text) in enumerate(SEGMENTS)
    ]  # fmt: skip
    return _json(folder, {"text": "…", "segments": segments, "language": "zh"})


def whisperx(folder):
    words = [{"word": "w", "start": 0, "end": 1, "score": 0.5}, {"word": "2024"}]
    segments = [{"start": a, "end": b, "text": text, "words": words} for a, b, text in SEGMENTS]
    return _json(folder, {"segments": segments, "word_segments": words})


def whisper_cpp(folder):
    entries = [{"offsets": {"from": a * 1000, "to": b * 1000}, "text": text} for a, b, text in SEGMENTS]
    return _json(folder, {"result": {"language": "zh"}, "transcription": entries})


def transformers_pipeline(folder):
    return _json(folder, {"text": "…", "chunks": [{"timestamp": [a, b], "text": text} for a, b, text in SEGMENTS]})


def srt(folder):
    lines = [f"{n}\n00:00:{a:06.3f} --> 00:00:{b:06.3f}\n{text}\n" for n, (a, b, text) in enumerate(SEGMENTS, 1)]
    (folder / "audio of lec.zh-TW.srt").write_text("\n".join(lines).replace(".", ","))  # by the stem of its audio
    return folder


def vtt(folder):
    lines = [f"00:{a:06.3f} --> 00:{b:06.3f}\n<i>{text}</i>\n" for a, b, text in SEGMENTS]
    (folder / "lec.vtt").write_text("WEBVTT\n\n" + "\n".join(lines))
    return folder


FORMS = [kaldi_with_tokens, kaldi_of_chunks, kaldi_with_segments, openai_whisper, whisperx, whisper_cpp,
         transformers_pipeline, srt, vtt]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_gives_the_segments_of_a_recording(form, data, tmp_path):
    (tmp_path / "transcripts").mkdir()
    (found,) = transcripts(form(tmp_path / "transcripts"), data)
    assert spans(found) == EXPECTED
    assert found.duration == 45.0


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_chunk_of_a_recording_has_the_segments_in_it(form, data, tmp_path):
    (tmp_path / "transcripts").mkdir()
    place = form(tmp_path / "transcripts")
    chunks = write_data_dir(tmp_path / "chunks", {"lec": data.wav["lec"]})
    (chunks / "segments").write_text("lec-0000200-0003000 lec 2 30\n")
    chunks = DataDir(chunks)
    source = sources.utterances(chunks)
    ((found,),) = open_transcriber(f"text:{place}", chunks).transcribe(chunks.segments, source, long_form=False)
    assert spans(found) == [(0.5, 4.0, " this is important")]
    assert found.text == "this is important" and found.text_with_times == "<|0.50|> this is important<|4.00|>"


def test_a_segment_without_an_end_ends_where_the_next_one_or_the_recording_does(data, tmp_path):
    """transformers leaves the end out where a window cut the segment."""
    times = [(0.0, None), (2.5, 6.0), (20.0, None), (20.0, 21.0), (40.0, None)]
    chunks = [{"timestamp": span, "text": f"w{n}"} for n, span in enumerate(times)]
    folder = _json(tmp_path, {"text": "…", "chunks": [{"timestamp": [None, None], "text": ""}, *chunks]})
    (found,) = transcripts(folder, data)
    ends = [(0.0, 2.5, " w0"), (2.5, 6.0, " w1"), (20.0, 40.0, " w3 w2"), (40.0, 45.0, " w4")]
    assert spans(found) == ends
    ready = open_transcriber(f"text:{folder}", data)
    parts = [[(s.start, s.end, s.text) for s in ready.segments(f"lec-{part}", 5.0, timed=True)]
             for part in ("0000200-0000700", "0003900-0004400", "0004100-0004500")]  # fmt: skip
    assert parts == [[(0.5, 4.0, " w1")], [(1.0, 5.0, " w4")], []]


def test_scores_are_taken_where_they_are_told_and_made_up_nowhere(data, tmp_path):
    for form in (openai_whisper, whisperx, srt):
        (tmp_path / form.__name__).mkdir()
    (found,) = transcripts(openai_whisper(tmp_path / "openai_whisper"), data)
    first = found.segments[0]
    facts = (first.tokens, first.temperature, first.avg_logprob, first.compression_ratio, first.no_speech_prob)
    assert facts == ([1, 2], 0.2, -0.5, 1.1, 0.25) and first.confidence is None
    (found,) = transcripts(whisperx(tmp_path / "whisperx"), data)
    assert found.segments[0] == TimedText(0.0, 2.5, "大家好", confidence=0.5)
    (found,) = transcripts(srt(tmp_path / "srt"), data)
    assert found.segments[0] == TimedText(0.0, 2.5, "大家好")


def test_a_text_without_times_is_enough_for_an_utterance_and_no_more(data, tmp_path):
    path = tmp_path / "text"
    path.write_text("lec 大家好 hello\nshort 大家好 hello\n")
    long, short = transcripts(path, data, ["lec", "short"])
    assert isinstance(long, BadAudio) and long.recording == "lec"
    assert str(long) == (
        "lec: no times; the text of 45 s cannot be cut into chunks; give it timestamp tokens, a line an utterance with "
        "`segments` beside it, or a folder of .json, .vtt or .srt files"
    )
    assert spans(short) == [(0.0, 3.0, "大家好 hello")]
    (utterance,) = transcripts(path, data, ["lec"], long_form=False)
    assert spans(utterance) == [(0.0, None, "大家好 hello")] and not utterance.timed
    assert utterance.text == "大家好 hello"


def test_what_is_missing_or_wrong_is_named_by_recording(data, tmp_path):
    folder = openai_whisper(tmp_path)
    (folder / "short.json").write_text('{"segments": [{"from": 1}]}')
    lec, short, broken = transcripts(folder, data, ["lec", "short", "broken"])
    assert isinstance(lec, Transcript)
    assert short.reason == "unusable transcript" and f"{folder / 'short.json'}: not understood" in str(short)
    assert broken.recording == "broken" and broken.reason != "no transcript", "its audio comes first"
    (folder / "sub/lec.json").unlink()
    (lec,) = transcripts(folder, data)
    forms = ".json, .vtt, .srt, .ass, .ssa, .sbv, .tsv or .txt"
    assert str(lec).endswith(f"lec: no transcript; expected audio of lec{forms} in {folder}; add it")
    (folder.parent / "recordings.tsv").touch()  # k2d recordings makes that folder anew, of links
    (lec,) = transcripts(folder, data)
    assert str(lec).endswith(f"audio of lec{forms} beside the recording; add it, and run stage 1 again")
    (folder / "text").write_text("other text\n")
    assert "expected a line of it in" in str(transcripts(folder / "text", data)[0])


@pytest.mark.parametrize(
    "value",
    ['{"start": NaN, "end": 2, "text": "x"}', '{"start": 0, "end": 1e999, "text": "x"}', "[" * 100_000,
     f'{{"start": 0, "end": 1{"0" * 400}, "text": "x"}}', '{"start": null, "end": 1, "text": "x"}'],
    ids=["nan", "inf", "deep", "huge", "null"],
)  # fmt: skip
def test_times_that_are_none_end_no_job(data, tmp_path, caplog, value):
    folder = openai_whisper(tmp_path)
    (folder / "short.json").write_text(f'{{"segments": [{value}]}}')
    lec, short = transcripts(folder, data, ["lec", "short"])
    assert isinstance(lec, Transcript)
    assert short.reason == "unusable transcript" and "short.json: not understood" in str(short)
    if "start" in value:
        (folder / "short.json").write_text(f'{{"segments": [{{"start": 1, "end": 2, "text": "y"}}, {value}]}}')
        assert spans(transcripts(folder, data, ["short"])[0]) == [(1.0, 2.0, " y")]
        assert "short.json: segment 2: left out: not understood" in caplog.text


@pytest.mark.parametrize(
    ("score", "found"),
    [
        ('"avg_logprob": NaN, "words": [{"probability": NaN}]', {"avg_logprob": None, "confidence": None}),
        ('"avg_logprob": "-0.3", "confidence": "0.9"', {"avg_logprob": -0.3, "confidence": 0.9}),
        ('"words": [{"score": 1.0000001}]', {"confidence": 1.0}),
        ('"temperature": [0.0, 0.2], "avg_logprob": -1', {"temperature": None, "avg_logprob": -1.0}),
        ('"confidence": 93', {"confidence": None}),
    ],
)
def test_scores_are_numbers_or_are_named(data, tmp_path, caplog, score, found):
    (tmp_path / "lec.json").write_text(f'{{"segments": [{{"start": 0, "end": 2, "text": "x", {score}}}]}}')
    (lec,) = transcripts(tmp_path, data)
    assert {name: getattr(lec.segments[0], name) for name in found} == found
    assert ("is no score" in caplog.text) == ("temperature" in score or "93" in score)


def test_a_text_without_segments_is_no_silence(data, tmp_path):
    (tmp_path / "lec.json").write_text('{"text": "all that is said", "segments": []}')
    assert "it has a text and no segment with a part of it" in str(transcripts(tmp_path, data)[0])


def test_names_of_speakers_leave_segments_as_whisper_writes_them(data, tmp_path):
    said = [("Bob: hello", 0), ("Ann: well", 2), ("Bob: bye", 4), ("Ann: bye", 6)]
    record = {"segments": [{"start": start, "end": start + 1, "text": text} for text, start in said]}
    (tmp_path / "lec.json").write_text(json.dumps(record))
    assert [s.text for s in transcripts(tmp_path, data)[0].segments] == [" hello", " well", " bye", " bye"]


def test_an_utterance_to_the_end_of_its_recording_is_heard(data, tmp_path):
    (tmp_path / "text").write_text("u1 first\nu2 rest\n")
    (tmp_path / "segments").write_text("u1 lec 0 10\nu2 lec 10 -1\n")
    ready = open_transcriber(f"text:{tmp_path}/text", data)
    assert [(s.start, s.end, s.text) for s in ready.segments("lec", 31.0, timed=True)] == [
        (0, 10, " first"), (10, 31.0, " rest"),
    ]  # fmt: skip
    assert [s.text for s in ready.segments("lec-0000900-0003000", 21.0, timed=True)] == [" rest"]


@pytest.mark.parametrize(
    ("name", "text"), [("lec.json", '{"segments": [], "text": ""}'), ("lec.srt", ""), ("lec.vtt", "WEBVTT\n\n"),
                       ("lec.vtt", "WEBVTT\nKind: captions\nLanguage: en\n"), ("lec.tsv", "start\tend\ttext\n"),
                       ("lec.txt", "")],
)  # fmt: skip
def test_what_programs_write_of_silence_says_nothing(data, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (lec,) = transcripts(tmp_path, data)
    assert isinstance(lec, Transcript) and "".join(s.text for s in lec.segments).strip() == ""


def test_what_json_says_and_no_file_can_hold_is_left_out(data, tmp_path):
    """Half a character, as an escape that was cut leaves it; no text at all; a start before the recording's."""
    half = '{"start": -0.5, "end": 1, "text": "a\\ud800b"}, {"start": 1, "end": 2, "text": null}'
    (tmp_path / "lec.json").write_text(f'{{"segments": [{half}]}}', "utf-16")
    assert [spans(one) for one in transcripts(tmp_path, data)] == [[(0.0, 1.0, " ab")]]


def test_a_segment_of_no_length_lasts_until_the_next_one_and_one_that_runs_backwards_is_named(data, tmp_path, caplog):
    def of(*segments):
        record = [{"start": start, "end": end, "text": text} for start, end, text in segments]
        (tmp_path / "lec.json").write_text(json.dumps({"segments": record}))
        return transcripts(tmp_path, data)[0]

    assert spans(of((0, 5, "a"), (5, 5, "b"), (6, 9, "c"))) == [(0.0, 5.0, " a"), (5.0, 6.0, " b"), (6.0, 9.0, " c")]
    assert spans(of((0, 0, "a"))) == [(0.0, SHOWN, " a")]
    assert spans(of((0, 0, "a"), (0, 1, "b"), (1, 3, "c"))) == [(0.0, 1.0, " a b"), (1.0, 3.0, " c")]
    assert spans(of((7, 7, "a"), (7, 7.5, "b"), (9, 11, "c"))) == [(7.0, 7.5, " a b"), (9.0, 11.0, " c")]
    assert spans(of((0, 10, "a"), (5, 5, "b"), (10, 12, "c"))) == [(0.0, 10.0, " a b"), (10.0, 12.0, " c")]
    assert spans(of((-2, -1, "a"), (0, 2, "b"))) == [(0.0, 2.0, " b")]
    assert spans(of((0, 28, "a"), (28, 3, "b"))) == [(0.0, 28.0, " a")]
    assert "1 segment with an end before the start, the first: 'b' is said from 28.0 to 3.0 s" in caplog.text
    assert "'b' is said from 28.0 to 3.0 s" in str(of((28, 3, "b")))


def test_segments_out_of_order_come_in_order_and_those_that_run_backwards_are_named(data, tmp_path, caplog):
    def of(text):
        (tmp_path / "text").write_text(f"lec {text}\n")
        return transcripts(tmp_path / "text", data)[0]

    assert spans(of("<|6.00|>b<|9.00|><|0.00|>a<|7.00|>")) == [(0.0, 6.0, " a"), (6.0, 9.0, " b")]
    assert spans(of("<|0.00|>a<|7.00|><|9.00|>b<|6.00|>")) == [(0.0, 7.0, " a")]
    assert "'b' is said from 9.0 to 6.0 s" in caplog.text


def test_subtitles_of_another_recording_are_not_taken(data, tmp_path):
    (tmp_path / "lec.vtt").write_text("WEBVTT\n\n" + "".join(f"{n}:00.000 --> {n}:05.000\n字\n\n" for n in range(9)))
    (lec,) = transcripts(tmp_path, data)
    assert "8 of 9 cues end after 45 s" in str(lec)


def test_two_files_of_one_name_in_two_folders_are_not_chosen_between(data, tmp_path):
    openai_whisper(tmp_path)
    vtt(tmp_path)
    (lec,) = transcripts(tmp_path, data)
    assert "both" in str(lec) and "fit" in str(lec)


def test_an_archive_has_no_stem_that_could_be_a_transcripts(data, tmp_path):
    openai_whisper(tmp_path)
    (tmp_path / "chunks.000001.json").write_text("{}")  # what lies beside an archive of ours
    chunks = DataDir(write_data_dir(tmp_path / "chunks", {"lec-0000200-0003000": "audio/chunks.000001.ark:20"}))
    transcriber = open_transcriber(f"text:{tmp_path}", chunks)
    assert [s.text for s in transcriber.segments("lec-0000200-0003000", 28.0, timed=True)] == [" this is important"]


def test_identity_is_the_content(data, tmp_path):
    path = kaldi_with_segments(tmp_path)
    first = open_transcriber(f"text:{path}").identity
    (tmp_path / "copy").mkdir()
    for name in ("text", "segments"):
        (tmp_path / "copy" / name).write_bytes((tmp_path / name).read_bytes())
    assert open_transcriber(f"text:{tmp_path / 'copy/text'}").identity.digest == first.digest
    (tmp_path / "copy/segments").unlink()
    assert open_transcriber(f"text:{tmp_path / 'copy/text'}").identity.digest != first.digest
    folder = tmp_path / "folder"
    folder.mkdir()
    vtt(folder)
    before = open_transcriber(f"text:{folder}").identity.digest
    (folder / "lec.vtt").write_text((folder / "lec.vtt").read_text().replace("important", "great"))
    assert open_transcriber(f"text:{folder}").identity.digest != before


def test_what_is_not_there_is_said_at_once(tmp_path):
    with pytest.raises(DataError, match="no such file or folder; expected a Kaldi text file"):
        open_transcriber(f"text:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match=r"no \.json, .*, \.tsv, \.txt file in it"):
        open_transcriber(f"text:{tmp_path}")
    (tmp_path / "text").write_text("a b\n")
    with pytest.raises(UsageError, match="--beam_size does not apply to it; it takes --language"):
        open_transcriber(f"text:{tmp_path / 'text'}", beam_size=5)
