"""A Hugging Face model as a transcriber: CTC (Wav2Vec2, HuBERT …) or sequence to sequence (Whisper, Speech2Text …).

In: a folder as save_pretrained writes it, with its processor, or an id of the Hub. Out: text of utterances. CTC tells
where a pause is, so its segments have times, and a confidence; of a sequence-to-sequence model there is the
log-probability.
"""

import math
from itertools import groupby
from pathlib import Path

import numpy as np

from k2d.constants import N_TEXT_CTX, SAMPLE_RATE
from k2d.errors import CheckpointError, UsageError
from k2d.text.transcript import TimedText
from k2d.transcribers.recogniser import Recogniser, to_rate
from k2d.whisper import hub
from k2d.whisper.files import read_json, read_json_value, weight_files
from k2d.wording import counted
from k2d.work.identity import Identity, digest_of, file_digest

PAUSE = 0.5  # seconds without a token: a segment of CTC ends
_DECIDES = (".json", ".safetensors", ".bin", ".model", ".txt")
_OTHER = ("README", "trainer_state", "training_args", "optimizer", "scheduler", "rng_state", "all_results", "results")


class HuggingFaceRecogniser(Recogniser):
    kind = "transformers"
    accepts = (*Recogniser.accepts, "max_new_tokens")

    def __init__(self, place: str, max_new_tokens: int | None = None, **options):
        """beam_size and max_new_tokens are for sequence-to-sequence models."""
        super().__init__(place, **options)
        self.max_new_tokens = max_new_tokens
        if not (self.folder / "config.json").is_file():
            raise CheckpointError(f"{self.folder}: no config.json there; expected a folder of save_pretrained")

    @property
    def decides(self) -> dict[str, object]:
        return {**super().decides, "max_new_tokens": self.max_new_tokens}

    def files(self) -> list[Path]:
        """Those of the folder that decide what it writes."""
        return sorted(
            p for p in self.folder.iterdir() if p.suffix in _DECIDES and not p.name.startswith(_OTHER) and p.is_file()
        )

    @property
    def identity(self) -> Identity:
        if hub.parts_of(self.place):
            return Identity(self.place, digest_of([self.kind, hub.parts_of(self.place)[0], self.folder.name]))
        return Identity(str(self.folder), digest_of([self.kind, {p.name: file_digest(p) for p in self.files()}]))

    def inspect(self) -> tuple[str, ...]:
        from k2d.whisper.formats.state import check_state, read_state

        file = self.folder / "config.json"
        config = read_json(file, "a model's configuration")
        if not isinstance(config.get("model_type"), str):
            raise CheckpointError(
                f"{file}: says no model_type, so transformers does not know it; give a folder that save_pretrained "
                "wrote, or a Whisper of another form by its path alone"
            )
        for path in self.files():
            if path.suffix == ".json":
                read_json_value(path, "JSON")
        for path in weight_files(self.folder):
            check_state(read_state(path), path)
        size = config.get("vocab_size")
        for path in (self.folder / "vocab.json", self.folder / "added_tokens.json"):
            tokens = read_json(path, "tokens and their ids") if path.is_file() else {}
            over = [t for t, number in tokens.items() if isinstance(number, int) and number >= (size or number + 1)]
            if over:
                raise CheckpointError(
                    f"{path}: {over[0]!r} is token {tokens[over[0]]}, and {file} says vocab_size {size}; take both "
                    "from one model"
                )
        named = ", ".join(config.get("architectures") or [str(config.get("model_type"))])
        return (f"{self.folder}: {named} of transformers, {size} tokens",)

    def load_model(self) -> None:
        try:
            import torch
            from transformers import AutoConfig, AutoModelForCTC, AutoModelForSpeechSeq2Seq, AutoProcessor
            from transformers.utils.logging import disable_progress_bar, set_verbosity_error
        except ImportError as error:
            raise UsageError(
                f"transformers:{self.folder}: {error}; install it with 'pip install transformers'"
            ) from None
        disable_progress_bar()
        set_verbosity_error()  # its notes on options of generation come with every piece
        here = {"local_files_only": True, "trust_remote_code": False}
        try:
            config = AutoConfig.from_pretrained(self.folder, **here)
        except Exception as error:
            raise CheckpointError(f"{self.folder}: transformers does not know its config.json ({error})") from None
        self.ctc = any(name.endswith("ForCTC") for name in config.architectures or [])
        loader = AutoModelForCTC if self.ctc else AutoModelForSpeechSeq2Seq
        if not self.ctc and type(config) not in AutoModelForSpeechSeq2Seq._model_mapping:
            named = ", ".join(config.architectures or [config.model_type])
            raise CheckpointError(
                f"{self.folder}: {named} does not recognise speech; expected a model for CTC or speech sequence to "
                "sequence"
            )
        try:
            self.model, report = loader.from_pretrained(
                self.folder, dtype=getattr(torch, self.dtype), output_loading_info=True, **here
            )
        except Exception as error:
            raise CheckpointError(f"{self.folder}: its weights cannot be loaded ({error}); copy them again") from None
        if lacking := sorted(report["missing_keys"]):
            said = f"lacks {counted(len(lacking), 'weight')} ({lacking[0]} …); copy it again"
            raise CheckpointError(f"{self.folder}: {said}")
        try:
            self.processor = AutoProcessor.from_pretrained(self.folder, **here)
            self.features, self.tokenizer = self.processor.feature_extractor, self.processor.tokenizer
        except Exception as error:
            raise CheckpointError(
                f"{self.folder}: no processor can be made of its files ({error}); expected preprocessor_config.json or "
                "processor_config.json, and the tokenizer's files"
            ) from None
        self.model.to(self.device).eval()

    def recognise(self, audio: np.ndarray) -> list[TimedText]:
        import torch

        rate = self.features.sampling_rate
        inputs = self.features(to_rate(audio, rate), sampling_rate=rate, return_tensors="pt").to(self.device)
        inputs = {name: x.to(self.model.dtype) if x.is_floating_point() else x for name, x in inputs.items()}
        with torch.inference_mode():
            return self._of_ctc(inputs, len(audio) / SAMPLE_RATE) if self.ctc else self._of_generation(inputs)

    def _of_ctc(self, inputs: dict, seconds: float) -> list[TimedText]:
        logprobs = self.model(**inputs).logits[0].float().log_softmax(-1)
        best, ids = (x.cpu().tolist() for x in logprobs.max(-1))  # (frames,) each
        frame = seconds / len(ids)
        silent = {self.tokenizer.pad_token_id, getattr(self.tokenizer, "word_delimiter_token_id", None)}
        runs, place = [], 0  # (id, first frame, last frame + 1) of each run of one id
        for token, run in groupby(ids):
            end = place + len(list(run))
            if token not in silent:
                runs.append((token, place, end))
            place = end
        segments: list[list] = []
        for run in runs:
            if segments and (run[1] - segments[-1][-1][2]) * frame < PAUSE:
                segments[-1].append(run)
            else:
                segments.append([run])
        found = []
        for own in segments:
            first, last = own[0][1], own[-1][2]
            sure = [max(best[start:end]) for _, start, end in own]
            tokens = [token for token, _, _ in own]
            text = self._text_of_ctc(ids[first:last], tokens)
            found.append(
                TimedText(first * frame, last * frame, text, tokens, confidence=math.exp(sum(sure) / len(sure)))
            )
        return found

    def _text_of_ctc(self, frames: list[int], tokens: list[int]) -> str:
        """Text of a stretch of frames, of which `tokens` are the runs that are not blank."""
        if not hasattr(self.tokenizer, "word_delimiter_token"):
            return self.tokenizer.decode(tokens, skip_special_tokens=True)
        # A tokenizer for CTC merges equal neighbours itself, so it needs the blanks, which it would skip as special.
        blank = self.tokenizer.pad_token_id
        other = set(self.tokenizer.all_special_ids) - {self.tokenizer.word_delimiter_token_id}
        return self.tokenizer.decode([blank if token in other else token for token in frames])

    def _of_generation(self, inputs: dict) -> list[TimedText]:
        most = getattr(self.model.config, "max_target_positions", None) or N_TEXT_CTX
        options = {"num_beams": self.beam_size, "do_sample": False}
        options["max_new_tokens"] = self.max_new_tokens or max(1, min(N_TEXT_CTX, most) - 8)
        if self.beam_size > 1:
            options["length_penalty"] = 1.0  # the score is the mean log-probability
        if getattr(self.model.generation_config, "is_multilingual", False):  # Whisper's, which has a token of it
            options |= {"language": self.language, "task": "transcribe"}
        made = self.model.generate(**inputs, **options, return_dict_in_generate=True, output_scores=True)
        ids = made.sequences[0]
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        if self.beam_size > 1:
            whole = getattr(made, "sequences_scores", None)
            mean = None if whole is None else float(whole[0])
        else:
            steps = self.model.compute_transition_scores(made.sequences, made.scores, normalize_logits=True)[0]
            mean = float(steps.float().mean()) if len(steps) and steps.isfinite().all() else None
        return [TimedText(0.0, None, text, ids[-len(made.scores) :].tolist(), avg_logprob=mean)]
