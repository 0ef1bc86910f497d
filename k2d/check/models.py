"""Teacher, validators and where the student starts from: whether they load, and whether they belong together.

In: their names. Out: findings, and what is known of each Whisper model. Files are read as far as what is wrong with
them shows: headers, tokenizers, and every weight once, for NaN; nothing is downloaded. What has been found whole is
remembered under the model's content.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

from k2d.audio import sources
from k2d.check.findings import Finding, fails, fine, left_out, note, some, warning
from k2d.check.memory import Memory
from k2d.check.recordings import HEADERS, sample
from k2d.check.tables import Set
from k2d.constants import MEL_BANDS
from k2d.corpus.subtitles import fault_of_lengths
from k2d.distill.layers import choose_layers
from k2d.errors import BadAudio, UserError
from k2d.plan import size_of
from k2d.transcribers import kind_of, open_transcriber
from k2d.transcribers.text import ReadyTranscripts
from k2d.whisper.identity import ALIASES, SERVER, check_language, comes_later, downloads, english_only, unreachable
from k2d.wording import counted
from k2d.work.folders import size_in_words

if TYPE_CHECKING:
    from k2d.whisper.checkpoint import Checkpoint


_NO_WORDS = 5  # tokens of a label that are none: start, language, task, no timestamps, end


@dataclass(frozen=True)
class Models:
    """Names, as k2d.sh takes them. revisers: their transcripts may replace labels; labels: transcripts in place of the
    teacher's; student_init: the student starts from it, on stored encoder output if same_encoder; decoder_layers: of
    the teacher, which the student is made of; language: of decoding.
    """

    teacher: str | None = None
    validators: tuple[str, ...] = ()
    revisers: tuple[str, ...] = ()
    labels: str | None = None
    student_init: str | None = None
    same_encoder: bool = False
    decoder_layers: str | None = None
    language: str | None = None

    def roles(self) -> list[tuple[str, str]]:
        """(role, name) of all that are given."""
        given = [("teacher", self.teacher), *(("validator", name) for name in self.validators)]
        given += [("revise", name) for name in self.revisers if name not in (self.teacher, *self.validators)]
        given += [("labels", self.labels), ("student_init", self.student_init)]
        return [(role, name) for role, name in given if name]


@dataclass(frozen=True)
class Known:
    """What is known of a model that would load. digest: of its content; dims, parameters, doubts: of a Whisper model
    that is there; todo: what to do about one that cannot be fetched now.
    """

    name: str
    digest: str
    summary: str
    todo: str = ""
    dims: dict | None = None
    parameters: int = 0
    languages: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()


def look(models: Models, train: Set | None, memory: Memory) -> tuple[list[Finding], dict[str, Known]]:
    """Findings, and what is known of each model by its name; of one that would not load nothing is."""
    found: list[Finding] = []
    known: dict[str, Known] = {}
    for role, name in models.roles():
        what = f"{role} {shortened(name)}"
        try:
            if name not in known:
                known[name] = learn(name, train, memory)
            there = known[name].dims is not None or kind_of(name) != "whisper"
            grade = warning if known[name].todo else fine if there else note
            found.append(grade(what, known[name].summary, known[name].todo))
            found += [note(what, sentence) for sentence in known[name].findings]
            found += [warning(what, *doubt) for doubt in known[name].doubts]
            if kind_of(name) == "text" and train is not None:
                found += coverage(what, name, train)
            if models.language and kind_of(name) == "whisper":
                found += language(what, known[name], models.language)
        except UserError as error:
            found.append(_refused(what, name, error))
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:  # whatever its files hold
            reason = f"cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:160]})"
            found.append(fails(what, reason, "download it again; if that fails alike, report it with this message"))
    found += same_models(models, known)
    return found + student(models, known, memory), known


def shortened(name: str, most: int = 32) -> str:
    """The end of a long path."""
    parts = name.rstrip("/").split("/")
    kept = parts[-1]
    for part in reversed(parts[:-1]):
        if len(f"…/{part}/{kept}") > most:
            break
        kept = f"{part}/{kept}"
    return kept if kept == "/".join(parts) else f"…/{kept}"


def _refused(what: str, name: str, error: UserError) -> Finding:
    said = str(error)
    for named in (name, name.partition(":")[2]) if name in what else ():
        said = said.removeprefix(f"{named}: ")
    message, _, todo = said.rpartition("; ")
    return fails(what, message or todo, todo if message else "correct the name, or copy the model again")


def learn(name: str, train: Set | None, memory: Memory) -> Known:
    """Look at a model's files. Raises UserError for one that would not load."""
    data = train.data if train else None
    transcriber = open_transcriber(name, data)
    digest = transcriber.identity.digest
    key = f"model {digest}"
    if (facts := memory.get(key)) is None or kind_of(name) == "text":
        if kind_of(name) == "whisper":
            facts = _of_whisper(name)
        else:
            summary, *more = transcriber.inspect()
            facts = {"summary": summary, "findings": more}
        if facts.get("dims") or kind_of(name) in ("espnet", "transformers"):
            memory.put(key, facts)
    fields = {field: tuple(value) if isinstance(value, list) else value for field, value in facts.items()}
    return Known(name, digest, **fields)


def _of_whisper(name: str) -> dict:
    if comes_later(name):
        size = size_in_words(size_of(name).parameters * 2e6)  # float16
        facts = {"languages": published_languages(name)}
        if why := unreachable(SERVER):
            todo = f"connect before it is used, or put its .pt, about {size}, into {downloads()}"
            return facts | {"summary": f"is not here, and {SERVER} cannot be reached now ({why})", "todo": todo}
        return facts | {"summary": f"is downloaded when it is first used, about {size}, into {downloads()}"}
    from k2d.whisper.formats import inspect_model  # and torch with it

    facts = inspect_model(name)
    size = f"{facts.parameters / 1e6:,.0f} M parameters, {facts.form}, {size_in_words(facts.bytes)}"
    return {
        "summary": f"{size}; vocabulary: {facts.vocabulary}",
        "dims": asdict(facts.dims),
        "parameters": facts.parameters,
        "languages": list(facts.languages),
        "findings": list(facts.findings),
        "doubts": list(facts.doubts),
    }


def published_languages(name: str) -> list[str]:
    """Codes of the languages that a published Whisper has tokens for; none of an English-only one."""
    from k2d.text.tokenizer import Layout

    if english_only(name):
        return []
    earlier, third = sorted(MEL_BANDS)[1:]  # vocabularies
    return list(Layout.published(third if "v3" in ALIASES.get(name, name) else earlier).languages)


def language(what: str, model: Known, wanted: str) -> list[Finding]:
    """--language against the languages that the vocabulary has tokens for; UsageError for an English-only model."""
    english = english_only(model.name) if model.dims is None else model.languages in ((), ("en",))
    check_language(model.name, wanted, english)
    if model.languages and not english and wanted not in ("auto", *model.languages):
        return [
            fails(what, f"its vocabulary has no token for --language {wanted}",
                  f"give one of {', '.join(model.languages[:12])}{' …' if len(model.languages) > 12 else ''}")
        ]  # fmt: skip
    return []


def same_models(models: Models, known: dict[str, Known]) -> list[Finding]:
    """Teacher and validator by content: of one model the two agree always."""
    first = known.get(models.labels or models.teacher or "")
    found = []
    for name in models.validators:
        other = known.get(name)
        if first and other and first.digest == other.digest:
            found.append(
                warning(f"validator {shortened(name)}", "is the teacher, by content: both write the same, every "
                        "distance is 0, and nothing is filtered",
                        "name another model, smaller than the teacher (base is the paper's), or let it decode in "
                        "another way: --validator_opts \"--temperatures 0.4\"")
            )  # fmt: skip
    return found


def student(models: Models, known: dict[str, Known], memory: Memory) -> list[Finding]:
    """Whether the student can be made, and learn from the teacher."""
    teacher, start = known.get(models.teacher or ""), known.get(models.student_init or "")
    if not (teacher and teacher.dims) or (models.student_init and not (start and start.dims)):
        return []
    key = f"student {teacher.digest} {start and start.digest} {models.same_encoder} {models.decoder_layers}"
    if memory.get(key) is None:
        from k2d.distill.student import check_student

        try:
            if start and models.same_encoder:
                check_student(checkpoint(start), checkpoint(teacher), same_encoder=True)
            elif start:
                check_student(outline(start), outline(teacher))
            else:
                choose_layers(models.decoder_layers or "first,last", teacher.dims["n_text_layer"])
        except UserError as error:
            what = f"student_init {shortened(start.name)}" if start else "decoder_layers"
            return [_refused(what, models.student_init or "", error)]
        memory.put(key, {})
    return []


def long_labels(dev: Set | None, models: Models, known: dict[str, Known]) -> list[Finding]:
    """Labels of the development set that are longer than the student's decoder is."""
    learner = known.get(models.student_init or models.teacher or "")
    if dev is None or learner is None or not learner.dims:
        return []
    room = learner.dims["n_text_ctx"] - _NO_WORDS
    # A token holds a byte at least; a label with times is cut at one of them.
    texts = {u: t for u, t in (dev.data.text or {}).items() if len(t.encode()) > room and "<|" not in t}
    if not texts:
        return []
    from k2d.whisper.checkpoint import load_tokenizer

    tokenizer = load_tokenizer(learner.name)
    counts = {u: len(tokenizer.encode_with_timestamps(text)) for u, text in texts.items()}
    long = {u: count for u, count in counts.items() if count > room}
    if not long:
        return []
    return [
        left_out(f"{dev.path}/text",
                 f"{counted(len(long), 'utterance')} of more than {room} tokens ({some(list(long))})",
                 "cut them at pauses, in segments and text: the epoch is chosen without them",
                 ((u, f"{count} tokens") for u, count in long.items()))
    ]  # fmt: skip


def checkpoint(model: Known) -> Checkpoint:
    from k2d.whisper.checkpoint import load

    return load(model.name)


def outline(model: Known) -> Checkpoint:
    """A checkpoint without weights: what it takes and writes."""
    from k2d.whisper.checkpoint import Checkpoint, load_tokenizer

    dims = SimpleNamespace(dims=SimpleNamespace(**model.dims))
    return Checkpoint(dims, load_tokenizer(model.name), model.digest, model.name, {})


def coverage(what: str, name: str, train: Set) -> list[Finding]:
    """Recordings of which ready transcripts have none, or none that can be cut into chunks, for each reason; of a
    sample if there are many.
    """
    transcripts = ReadyTranscripts(name.partition(":")[2], train.data)
    source = sources.recordings(train.data)
    names, lacking = sample(list(train.data.wav), HEADERS), {}  # reason -> recording -> the whole story
    partly: dict[str, str] = {}  # recording -> cues that are left out
    for recording in names:
        seconds = source.seconds(recording)
        if not seconds:
            continue  # cannot be read; another row says so
        try:
            if why := fault_of_lengths(transcripts.segments(recording, seconds, timed=True), seconds):
                partly[recording] = why
        except BadAudio as error:
            lacking.setdefault(error.reason, {})[recording] = str(error)
    of = counted(len(names), "recording") + " looked at" * (len(names) < len(train.data.wav))
    nothing_left = sum(map(len, lacking.values())) == len(names)
    grade, end = (fails, "; nothing is left") if nothing_left else (left_out, "")
    cut = f"{len(partly):,} of {of}: cues longer than 30 s ({some(list(partly))})"
    found = [left_out(what, cut, "cut them: no chunk holds more", partly.items())] if partly else []
    return found + [
        grade(
            what,
            f"{len(stories):,} of {of}: {reason} ({some(list(stories))}){end}",
            next(iter(stories.values())).partition(f"{reason}; ")[2],
            stories.items(),
        )
        for reason, stories in lacking.items()
    ]
