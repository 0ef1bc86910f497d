"""An ESPnet model, trained here by ESPnet's own task, as a transcriber."""

import shutil

import pytest
import torch
import yaml
from other_models import WORDS, half

from k2d.audio import sources
from k2d.errors import BadAudio, CheckpointError, UsageError
from k2d.transcribers import open_transcriber
from k2d.work.journal import Journal


@pytest.fixture(scope="module")
def transcriber(espnet_model):
    return open_transcriber(f"espnet:{espnet_model}", beam_size=2)


@pytest.fixture
def copy(espnet_model, tmp_path):
    (tmp_path / "exp").mkdir()
    for name in ("config.yaml", "valid.acc.ave_1best.pth"):
        shutil.copy(espnet_model / name, tmp_path / "exp" / name)
    return tmp_path / "exp"


def test_utterances_have_text_and_the_decoders_probability_and_no_times(transcriber, tones):
    found = [one for (one,) in transcriber.transcribe(["low", "high"], sources.files(tones), long_form=False)]
    assert [one.text for one in found] == list(WORDS)
    assert [one.timed for one in found] == [False, False]
    for one in found:
        (segment,) = one.segments
        assert -0.5 < segment.avg_logprob < 0 and segment.no_speech_prob is None and segment.confidence is None


def test_a_long_recording_is_cut_at_silence_into_timed_segments(transcriber, tones):
    done = []
    ((talk,),) = transcriber.transcribe(["talk"], sources.files(tones), long_form=True, progress=done.append)
    assert talk.duration == 38.0 and sum(done) == pytest.approx(38.0)
    assert [s.start for s in talk.segments] == pytest.approx([1.9 + 4 * n for n in range(9)], abs=0.06)
    assert [s.end for s in talk.segments] == pytest.approx([3.1 + 4 * n for n in range(9)], abs=0.06)
    assert all(s.text.strip() for s in talk.segments)


def test_what_the_journal_holds_is_not_recognised_again(transcriber, tones, tmp_path):
    source = sources.files({**tones, "gone": str(tmp_path / "gone.wav")})
    first = list(transcriber.transcribe(["low", "gone"], source, False, Journal(tmp_path / "work", source.stamp)))
    assert isinstance(first[1][0], BadAudio) and first[1][0].recording == "gone"

    class Deaf:
        def __getattr__(self, name):
            raise AssertionError("nothing is recognised")

    again = open_transcriber(f"espnet:{transcriber.folder}", beam_size=2)
    again.recogniser, again._loaded = Deaf(), True
    journal = Journal(tmp_path / "work", source.stamp)
    second = list(again.transcribe(["low", "gone"], source, False, journal))
    assert second[0] == first[0] and str(second[1][0]) == str(first[1][0])


def test_the_identity_is_that_of_weights_and_configuration(transcriber, copy):
    same = open_transcriber(f"espnet:{copy}")
    assert same.identity.digest == transcriber.identity.digest
    config = yaml.safe_load((copy / "config.yaml").read_text())
    (copy / "config.yaml").write_text(yaml.safe_dump(config | {"max_epoch": 7}))
    assert open_transcriber(f"espnet:{copy}").identity.digest == transcriber.identity.digest
    (copy / "config.yaml").write_text(yaml.safe_dump(config | {"token_list": config["token_list"][::-1]}))
    assert open_transcriber(f"espnet:{copy}").identity.digest != transcriber.identity.digest


def test_what_is_missing_is_named(copy, tones):
    with pytest.raises(CheckpointError, match=f"no config.yaml there; .*; perhaps espnet:{copy}"):
        open_transcriber(f"espnet:{copy.parent}")
    config = yaml.safe_load((copy / "config.yaml").read_text())
    (copy / "config.yaml").write_text(yaml.safe_dump(config | {"bpemodel": "data/token_list/bpe.model"}))
    with pytest.raises(CheckpointError, match=r"needs data/token_list/bpe.model, which is neither here nor"):
        open_transcriber(f"espnet:{copy}")
    (copy / "config.yaml").write_text(yaml.safe_dump({"tts": "fastspeech2"}))
    with pytest.raises(CheckpointError, match="no configuration of ESPnet's asr task"):
        open_transcriber(f"espnet:{copy}")
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    weights = copy / "valid.acc.ave_1best.pth"
    state = torch.load(weights, weights_only=True)
    state.pop(next(iter(state)))
    torch.save(state, weights)
    with pytest.raises(CheckpointError, match="lacks 1 weight of the model"):
        list(open_transcriber(f"espnet:{copy}").transcribe(["low"], sources.files(tones), False))
    weights.unlink()
    with pytest.raises(CheckpointError, match="no weights there"):
        open_transcriber(f"espnet:{copy}")
    with pytest.raises(UsageError, match="--patience does not apply to it"):
        open_transcriber(f"espnet:{copy}", patience=2.0)


def not_a_number(file):
    state = torch.load(file, weights_only=True)
    state["ctc.ctc_lo.weight"][1, 2] = float("nan")
    torch.save(state, file)


def one_token_more(file):
    config = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**config, "token_list": [*config["token_list"], "extra"]}))


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("valid.acc.ave_1best.pth", lambda file: file.write_bytes(b""), "is empty; download it again"),
        ("valid.acc.ave_1best.pth", half, "cut short, .* bytes are there"),
        ("valid.acc.ave_1best.pth", not_a_number, "ctc.ctc_lo.weight holds 1 values of .* NaN"),
        ("valid.acc.ave_1best.pth", lambda file: torch.save({"x": Evil()}, file), r"objects besides weights \(exec\)"),
        ("valid.acc.ave_1best.pth", lambda file: torch.save([1], file), "no state_dict"),
        ("config.yaml", lambda file: file.write_text("a: [1"), "no YAML, cut short or damaged"),
        ("config.yaml", lambda file: file.write_text("- a"), "expected a table of names and values"),
        ("config.yaml", lambda file: file.write_text("<html>Sign in</html>"), "a web page in place of the file"),
        ("config.yaml", one_token_more, "has 8 rows and token_list of .* 9 tokens"),
    ],
)
def test_a_damaged_file_is_named_before_espnet_is_imported(copy, name, damage, said):
    damage(copy / name)
    for look in ("inspect", "load"):
        with pytest.raises(CheckpointError, match=said) as error:
            getattr(open_transcriber(f"espnet:{copy}"), look)()
        assert str(copy / name) in str(error.value) and "ALLOW_UNSAFE" not in str(error.value)


@pytest.mark.parametrize("name", ["../config.yaml", "/etc/passwd"])
def test_files_that_a_published_model_names_lie_in_its_folder(copy, name):
    meta = {"yaml_files": {"asr_train_config": name}, "files": {"asr_model_file": "valid.acc.ave_1best.pth"}}
    (copy / "meta.yaml").write_text(yaml.safe_dump(meta))
    with pytest.raises(CheckpointError, match=r"meta.yaml: names the file .*, which is not in"):
        open_transcriber(f"espnet:{copy}")
    (copy / "meta.yaml").write_text("files: [1")
    with pytest.raises(CheckpointError, match=r"meta\.yaml: no YAML"):
        open_transcriber(f"espnet:{copy}")


def test_averaged_weights_come_before_the_last_epoch(copy):
    for name in ("latest.pth", "2epoch.pth", "10epoch.pth"):
        (copy / name).write_bytes(b"")
    assert open_transcriber(f"espnet:{copy}").weights.name == "valid.acc.ave_1best.pth"
    for name in ("valid.acc.ave_1best.pth", "latest.pth"):
        (copy / name).unlink()
    assert open_transcriber(f"espnet:{copy}").weights.name == "10epoch.pth"
