"""An ESPnet ASR model as a transcriber, through ESPnet's own Speech2Text.

In: the folder of an experiment (config.yaml and *.pth), or of an unpacked published model (meta.yaml), or the id of one
on the Hugging Face Hub. Out: text of utterances, with the log-probability of the decoder.
"""

import tempfile
from pathlib import Path

import numpy as np
import yaml

from k2d.constants import SAMPLE_RATE
from k2d.distill import espnet_import
from k2d.errors import CheckpointError, UsageError
from k2d.text.transcript import TimedText
from k2d.transcribers.recogniser import Recogniser, to_rate
from k2d.whisper.files import check_file, inside
from k2d.wording import counted
from k2d.work.identity import Identity, digest_of, file_digest

WEIGHTS = ("valid.acc.ave*", "valid.cer*.ave*", "valid.*.ave*", "train.*.ave*", "valid.acc.best", "*.best", "latest")
NEEDED = ("bpemodel", "stats_file", "src_bpemodel", "non_linguistic_symbols")  # files that a configuration names
_KILO = {"k": 1000}
_OUTPUTS = ("ctc.ctc_lo.weight", "decoder.output_layer.weight")  # a row a token


class ESPnetRecogniser(Recogniser):
    kind = "espnet"

    def __init__(self, place: str, **options):
        super().__init__(place, **options)
        self.config_file, self.weights = find_model(self.folder)
        self.config = _with_files_found(self.config_file)
        self.rate = _hertz(self.config_file, _section(self.config, "frontend_conf").get("fs", SAMPLE_RATE))

    @property
    def identity(self) -> Identity:
        files = [file_digest(path) for path in sorted(_files(self.config))]
        config = {name: value for name, value in self.config.items() if name in _DECIDES or name.endswith("_conf")}
        plain = digest_of(config | dict.fromkeys(NEEDED))
        return Identity(str(self.folder), digest_of([self.kind, plain, file_digest(self.weights), files]))

    def inspect(self) -> tuple[str, ...]:
        from k2d.whisper.formats.state import check_state, read_state

        for path in _files(self.config):
            check_file(path, f"a file that {self.config_file} needs")
        state = read_state(self.weights)
        check_state(state, self.weights)
        tokens = self.config["token_list"]
        if not isinstance(tokens, list):
            raise CheckpointError(f"{self.config_file}: token_list is not a list; expected that of a training's config")
        for name in _OUTPUTS:
            if name in state and len(state[name]) != len(tokens):
                raise CheckpointError(
                    f"{self.weights}: {name} has {len(state[name])} rows and token_list of {self.config_file} "
                    f"{len(tokens)} tokens; take both from one training"
                )
        return (f"{self.folder}: an ESPnet model ({self.weights.name}), {len(tokens)} tokens",)

    def load_model(self) -> None:
        try:
            with espnet_import.light():
                from espnet2.bin.asr_inference import Speech2Text
        except ImportError as error:
            raise UsageError(f"espnet:{self.folder}: {error}; install ESPnet with 'pip install espnet'") from None
        from k2d.whisper.formats.state import read_state

        options = {}
        share = _section(self.config, "model_conf").get("ctc_weight", 0.5)
        if share in (0.0, 1.0):  # one of the two was never trained
            options["ctc_weight"] = share
        with tempfile.TemporaryDirectory() as folder:
            adjusted = Path(folder) / "config.yaml"
            adjusted.write_text(yaml.safe_dump(self.config, allow_unicode=True), encoding="utf-8")
            try:
                self.recogniser = Speech2Text(
                    asr_train_config=adjusted,
                    asr_model_file=self.weights,
                    device=self.device,
                    dtype=self.dtype,
                    beam_size=self.beam_size,
                    **options,
                )
            except Exception as error:  # whatever a configuration of another task or version makes it raise
                raise CheckpointError(
                    f"{self.folder}: ESPnet cannot build an ASR model of {self.config_file} and {self.weights.name} "
                    f"({type(error).__name__}: {error}); expected one of this version's asr task"
                ) from error
        # ESPnet itself leaves what the file lacks at random.
        lacking = sorted(set(self.recogniser.asr_model.state_dict()) - set(read_state(self.weights)))
        if lacking:
            raise CheckpointError(
                f"{self.weights}: lacks {counted(len(lacking), 'weight')} of the model that {self.config_file} "
                f"describes ({lacking[0]} …); expected those of this experiment"
            )

    def recognise(self, audio: np.ndarray) -> list[TimedText]:
        from espnet2.legacy.nets.pytorch_backend.transformer.subsampling import TooShortUttError

        try:
            found = self.recogniser(to_rate(audio, self.rate))
        except TooShortUttError:  # a few frames, in which there is no word
            return []
        if isinstance(found, tuple):  # with the intermediate layers' texts
            found = found[0]
        if not found or not found[0][0]:
            return []
        text, _, ids, hypothesis = found[0]
        return [TimedText(0.0, None, text, ids, avg_logprob=_mean_logprob(hypothesis, len(ids)))]


def _mean_logprob(hypothesis, tokens: int) -> float | None:
    """Of the decoder, or of CTC where there is none, over the tokens and the end."""
    scores = getattr(hypothesis, "scores", None) or {}
    total = scores.get("decoder", scores.get("ctc"))
    return None if total is None else float(total) / (tokens + 1)


_DECIDES = (
    "token_list", "token_type", "frontend", "normalize", "model", "encoder", "decoder", "preencoder", "postencoder",
    "input_size", "cleaner", "g2p", "use_adapter", "adapter",
)  # fmt: skip


def find_model(folder: Path) -> tuple[Path, Path]:
    """(configuration, weights) of an experiment's folder, the averaged weights first. Raises CheckpointError."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; expected an ESPnet experiment (config.yaml and *.pth)")
    if (folder / "meta.yaml").is_file():
        file = folder / "meta.yaml"
        meta = _yaml(file)
        config = _section(meta, "yaml_files").get("asr_train_config")
        weights = _section(meta, "files").get("asr_model_file")
        if not config or not weights:
            raise CheckpointError(f"{file}: names no asr_train_config and asr_model_file; unpack the model again")
        pair = inside(folder, config, file), inside(folder, weights, file)
        for path in pair:
            if not path.is_file():
                raise CheckpointError(f"{path}: missing, though meta.yaml names it; unpack the model again")
        return pair
    config = folder / "config.yaml"
    if not config.is_file():
        below = sorted(folder.glob("*/config.yaml"))
        hint = f"; perhaps espnet:{below[0].parent}" if below else ""
        raise CheckpointError(f"{folder}: no config.yaml there; expected the folder of an ESPnet experiment{hint}")
    for pattern in WEIGHTS:
        if found := sorted(folder.glob(f"{pattern}.pth")):
            return config, found[0]
    epochs = [p for p in folder.glob("*epoch.pth") if p.stem.removesuffix("epoch").isdigit()]
    if not epochs:
        raise CheckpointError(f"{folder}: no weights there; expected valid.acc.ave.pth or another .pth of training")
    return config, max(epochs, key=lambda p: int(p.stem.removesuffix("epoch")))


def _with_files_found(path: Path) -> dict:
    """The configuration, and found in it the files that it names: relative to the recipe it was trained in."""
    config = _yaml(path)
    if not {"token_list", "ctc_conf", "encoder"} <= set(config):
        raise CheckpointError(f"{path}: no configuration of ESPnet's asr task; espnet: takes only models of that task")
    if config.get("preprocessor") == "s2t":
        raise CheckpointError(f"{path}: a model of ESPnet's s2t task (OWSM); espnet: takes only models of its asr task")
    for table, name, value in list(_named(config)):
        table[name] = str(_found(path, value))
    return config


def _yaml(path: Path) -> dict:
    """The table in a YAML file."""
    check_file(path, "a configuration of ESPnet")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise CheckpointError(f"{path}: no YAML, cut short or damaged ({error}); copy it again") from None
    if not isinstance(content, dict):
        found = str(content)[:40]
        raise CheckpointError(f"{path}: expected a table of names and values, found {found!r}; copy it again")
    return content


def _section(table: dict, name: str) -> dict:
    """A table in a table; {} where there is none."""
    found = table.get(name)
    return found if isinstance(found, dict) else {}


def _named(config: dict):
    """(table, name, path) of each file that a configuration needs."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _named(value)
        elif name in NEEDED and isinstance(value, str) and "/" in value:
            yield config, name, value


def _files(config: dict) -> list[Path]:
    return [Path(value) for _, _, value in _named(config)]


def _found(config: Path, value: str) -> Path:
    """An existing file: as it is named, or relative to a folder above the configuration."""
    for base in (Path(), *config.absolute().parents):
        if (base / value).is_file():
            return (base / value).absolute()
    raise CheckpointError(
        f"{config}: needs {value}, which is neither here nor in a folder above it; copy it to {config.parent / value}"
    )


def _hertz(file: Path, rate) -> int:
    """16000 of 16000, "16000" and "16k"."""
    text = str(rate).strip().lower()
    try:
        return int(float(text[:-1]) * _KILO[text[-1]]) if text[-1:] in _KILO else int(float(text))
    except (ValueError, OverflowError):
        raise CheckpointError(f"{file}: the rate fs is {rate!r}; expected hertz, as 16000 or 16k") from None
