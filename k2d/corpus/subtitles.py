"""Files of subtitles (SubRip, WebVTT, SubStation Alpha, SubViewer, Whisper's .tsv and what it prints) in, cues out.

Read are: both decimal marks and none, hours left out, byte-order marks, line ends of all systems, cues without a blank
line between them, text behind the times (`[00:01.000 --> 00:02.500] text`), cue settings, NOTE and STYLE blocks,
mark-up (`<i>`, `<v Name>`, `{\\an8}`) and HTML entities.

Rolling captions, as YouTube makes them by itself, show a line when it is spoken, above the next one, and for 10 ms
alone in between. Each line comes out once, with the times at which it is new.
"""

import html
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from unicodedata import category, normalize

from k2d.constants import TIMESTAMP_STEP, WINDOW, fits_a_chunk
from k2d.corpus.joined import Reject
from k2d.errors import DataError
from k2d.text import timestamps
from k2d.text.encodings import read_text
from k2d.text.normalise import is_cjk
from k2d.text.subtitles import time_code
from k2d.text.transcript import TimedText
from k2d.wording import counted

SUFFIXES = (".vtt", ".srt", ".ass", ".ssa", ".sbv", ".tsv")
LATE = 2.0  # seconds after the recording's end; more of it in many cues are those of another recording
_TIME = r"(?:(\d{1,9}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?"
_CUE = re.compile(rf"^[\s\u200b\u200e\u200f]*(-?){_TIME}\s*-->\s*(-?){_TIME}(?:[\s\u200b\u200e\u200f].*)?$")
_PRINTED = re.compile(r"\s*\[\s*(-?\d[\d:.,]*\s*-->\s*-?\d[\d:.,]*)\s*\](.*)")  # as Whisper writes to a terminal
_NEARLY_PRINTED = re.compile(r"\s*\[[^\]]*-->[^\]]*\]")
_ASS = re.compile(r"Dialogue:[^,]*,\s*(\d[^,]*?)\s*,\s*(\d[^,]*?)\s*,(?:[^,]*,){6}(.*)")
# With drawings, whose points stand where text does: {\p1}m 0 0 l 9 9{\p0}.
_ASS_MARKUP = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}(?:(?!\{[^{}]*\\p0).)*|\{[^{}]*\}|\\[Nnh]")
_SBV = re.compile(r"(\d+:\d\d:\d\d(?:\.\d+)?),(\d+:\d\d:\d\d(?:\.\d+)?)\s*")
_NEARLY_SBV = re.compile(r"\d+:\d\d:\d[^\s,]*,\s*\S+\s*")
_TSV = re.compile(r"(\d{1,12})\t(\d{1,12})\t(.*)")
_BEGINS_TIMED = re.compile(r"\W{0,3}(?:\d{1,3}(?:[:：]\d\d){1,2}(?!\d)|\d+\.\d+(?:s?\s*-+>|\t))")
# Times, and nothing that could be said; the words below them would be lost.
_NEARLY = re.compile(r"^(?=.*(?:[:：]|-->))\W*[-\d][-\d:.,;：，；\s]*(?:[-—–]\s?-?>|→)[-\d:.,;：，；\s]*$")
_CLOCK = r"(?:\d{1,9}:)?\d{1,2}:\d{1,2}[.,]\d{1,3}|\d{1,9}:\d\d:\d\d"
_SILENCE = re.compile(r"\s*(?:WEBVTT[^\n]*(?:\n[A-Za-z-]+:[^\n]*)*)?\s*")  # what programs write of it
_ANY_TIME = re.compile(r"\d[:：.,]\d")
_TWO_TIMES = re.compile(rf"\W*(?:{_CLOCK})[^\w,.]+(?:{_CLOCK})\W*")  # whatever the arrow is
# Lines of STM and CTM, and of RTTM; the head of what a speaker says: "Wang 00:03".
_NIST = re.compile(r"(?:;;|SPEAKER\s+\S+\s+\d+\s+[\d.]+\s+[\d.]+\s|\S+\s+\S+(?:\s+\S+)?\s+\d+\.\d+\s+\d+\.\d+(?:\s|$))")
_HEAD = re.compile(
    r"(?:\S+\s+){1,3}([(\[（]\d{1,3}(?:[:：]\d\d){1,2}[)\]）]|\d{2,3}[:：]\d\d|\d{1,2}[:：]\d\d[:：]\d\d)\s*"
)
_BEGUN = re.compile(r"\d\d?(?::[\d:.,]*\s*(?:-{1,2}|-->\s*[\d:.,]*)?)?")  # times that are cut
_LINE_END = re.compile(r"\r*\n|\r")
_WORD_TIME = re.compile(r"<\d+:\d\d[:.\d]*>")
# The tags there are; "a < b and c > d" and "x<y, y>z" are text.
_MARKUP = re.compile(
    rf"{_WORD_TIME.pattern}|</?(?:[bcisu]|em|strong|ruby|rt|p)(?:\.[^<>\s]+)?/?>|</(?:v|lang|font|span)>|"
    r"(?<![a-z0-9_])<(?:v|lang)(?:[.\s][^<>]*)?>|<(?:font|span)(?:\s[^<>]*)?>|\{\\[^{}]*\}",
    re.IGNORECASE,
)
_BREAK = re.compile(r"<(?:br|BR)\s*/?>|\\N")
# [Music], （掌聲）, ♪; <|NEUTRAL|>, but not <|0.00|>. "[MASK]", "[0, 1]" and "a[i]" are said.
_SOUNDS = (
    "music|applause|laughter|laughs?|laughing|cheering|noise|silence|blank[_ ]audio|inaudible|crosstalk|coughs?|"
    "coughing|sighs?|background (?:music|noise)|[音配]樂|音乐|掌[聲声]|[鼓拍]掌|笑[聲声]|[噪雜杂]音|[靜静]音|[聽听]不清"
)
_NOT_SAID = re.compile(
    rf"[\[［(（【〔]\s*(?:{_SOUNDS})\s*[\]］)）】〕]|[♩♪♫♬]|<\|(?!\d+\.\d\d\|>)[^|<>\s]{{1,30}}\|>", re.IGNORECASE
)
# A dash begins what another one says: "- 你好", "- 5 points"; "-5 度" is said so.
_SPEAKER = re.compile(
    r"^\s*(?:(?:>>+|[-‐–—−]+(?:\s+|$|(?=[^\d\s.,$€£¥]))|\[SPEAKER[_ ]?\d*\]\s*[:：]?|SPEAKER[_ ]\d+\s*[:：])\s*)+",
    re.IGNORECASE,
)
_NAME = re.compile(r"\s*([^\W\d_][\w .·'’()（）-]{0,39}?)\s*(?:：\s*|:\s+)(?=\S|$)")
HEADED = 0.8  # of the cues begin with a name, where names are heads
_JOINERS = "\u200c\u200d"  # letters of some scripts, and emoji, need them
_BLOCKS = ("NOTE", "STYLE", "REGION")
SHOWN = 1.5  # seconds, of a cue that does not say when it ends; below LATE
FLASH = 0.02  # seconds; a cue that is shown no longer repeats a line of rolling captions
FEW = 4  # cues, of which one beyond the recording's end may mean another recording's; of more it is a stray
NAMED = 5  # cues of a file that cannot be used; of others only their number is told
ROLLING = 0.3  # of the cues begin with what the one before ended with: no chance in subtitles that people make
_log = logging.getLogger("k2d.corpus")


@dataclass(frozen=True)
class Cue:
    """start and end in seconds; text on one line."""

    start: float
    end: float
    text: str


def _seconds(sign: str, hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    """What lies before the recording's beginning, as shifted subtitles have it, is 0."""
    return 0.0 if sign else int(hours or 0) * 3600 + int(minutes) * 60 + float(f"{int(seconds)}.{fraction or 0}")


def read_cues(path) -> list[Cue]:
    """Cues with text, in order of time; where two overlap the earlier ends when the later starts.

    None of a file that is empty, as of silence. A cue whose times run backwards or are none is left out, with a
    warning that names its line. Raises DataError with file and line where no other cue is left, for bytes that are not
    UTF-8 (or UTF-16, UTF-32), words without a cue, and a file that cannot be read.
    """
    path, faults = Path(path), []
    text = read_text(path)
    if form := _FORMS.get(path.suffix.lower()):
        text = "\n".join(_converted(form, _LINE_END.split(text.rstrip()), faults))
    return _cues_in(path, text, faults)


Faults = list[tuple[int, str]]  # number of the line, or of the segment, and what is wrong; what to do


def name_left_out(path: Path, faults: Faults, noun: str = "cue", place: str = ":") -> None:
    """Warn, once, of what in a file cannot be used. place: stands between the file and the number."""
    for number, what in sorted(faults)[:NAMED]:
        _warn(f"{path}{place}{number}: left out: {what}")
    if more := len(faults[NAMED:]):
        _warn(f"{path}: left out: {counted(more, f'more {noun}')}")


@cache  # a file is read as often as it has utterances
def _warn(message: str) -> None:
    _log.warning("%s", message)


def _converted(form: Callable[[str], str], lines: list[str], faults: Faults) -> Iterator[str]:
    """Lines of another form; "" for one that has a fault. A last one of which a cut leaves a part has none."""
    any_before = False
    for number, line in enumerate(lines, 1):
        try:
            converted = form(line)
        except DataError as error:
            if number < len(lines) or not any_before:
                faults.append((number, str(error)))
            converted = ""
        any_before = any_before or bool(converted)
        yield converted


def _of_ass(line: str) -> str:
    """A line of SubStation Alpha as Whisper would print it; "" for one that says nothing."""
    match = _ASS.fullmatch(line)
    if not match:
        if line.startswith("Dialogue:"):
            raise DataError(f"{line[:40]!r} has not the ten fields of SubStation Alpha; convert the file to .srt")
        return ""
    text = _ASS_MARKUP.sub(lambda markup: " " if markup[0][0] == "\\" else "", match[3])
    return f"[{match[1]} --> {match[2]}] {text}"


def _of_tsv(line: str) -> str:
    """A line of start, end (milliseconds) and text as Whisper would print it; "" for the heads of the columns."""
    if match := _TSV.fullmatch(line):
        start, end = (time_code(int(time) / 1000, ".") for time in match.groups()[:2])
        return f"[{start} --> {end}] {match[3]}"
    if line.split() not in ([], ["start", "end", "text"]):
        what = f"{line.strip()[:40]!r} is not start, end (milliseconds) and text with tabs between them"
        raise DataError(f"{what}, as whisper writes it; correct or remove the file")
    return ""


def _of_sbv(line: str) -> str:
    """A line of SubViewer, with the arrow of SubRip between two times."""
    if match := _SBV.fullmatch(line):
        return " --> ".join(match.groups())
    return f"{line} -->" if _NEARLY_SBV.fullmatch(line) else line


# What makes of other forms' lines what is read here.
_FORMS = {".ass": _of_ass, ".ssa": _of_ass, ".tsv": _of_tsv, ".sbv": _of_sbv}


def _cues_in(path: Path, text: str, faults: Faults) -> list[Cue]:
    """`read_cues` of a file that has been read. faults: that reading has found."""
    lines, printed = _without_begun(_LINE_END.split(text)), {}
    for number, line in enumerate(lines):
        if match := _PRINTED.fullmatch(line):
            lines[number], printed[number] = match.groups()
    times: list[tuple[int, re.Match | None]] = []  # of which a cue is left out where there are none
    for number, line in enumerate(lines):
        match = _CUE.match(line)
        if match is None and _are_malformed_times(lines, number):
            what = f"{line.strip()[:80]!r} is not as '00:00:01,000 --> 00:00:04,000'"
            faults.append((number + 1, f"{what}; correct the times"))
        elif match is None:
            continue
        times.append((number, match))
    if not times and not faults:
        if _SILENCE.fullmatch(text):
            return []
        raise DataError(f"{path}: no cue ('00:00:01,000 --> 00:00:04,000') in it; correct or remove the file")
    shown: list[tuple[Cue, list[str]]] = []
    subrip = not lines[0].startswith("WEBVTT")
    for (number, match), (following, _) in zip(times, [*times[1:], (len(lines), None)], strict=False):
        if match is None:
            continue
        start, end = _seconds(*match.groups()[:5]), _seconds(*match.groups()[5:])
        if end < start:
            faults.append((number + 1, f"the cue ends at {end:.3f} s, before it starts; correct the times"))
            continue
        numbered = number > 0 and lines[number - 1].strip().isdigit()
        payload = [*([printed[number]] if number in printed else []), *lines[number + 1 : following]]
        last = following == len(lines)
        words = _words(_numbered(payload, last) if numbered and subrip else _payload(payload, numbered, last))
        if words:
            shown.append((Cue(start, end, " ".join(words)), words))
    if faults and not shown:
        number, what = min(faults)
        raise DataError(f"{path}:{number}: {what}")
    name_left_out(path, faults)
    shown.sort(key=lambda pair: (pair[0].start, pair[0].end))
    shown = _with_lengths(shown)
    return in_order(without_speakers(_each_once(shown, timed_words=_WORD_TIME.search(text) is not None)))


def _are_malformed_times(lines: list[str], number: int) -> bool:
    """Whether a line that has no times of a cue was to have them. In the midst of a text it may be a timetable that is
    read out.
    """
    line, before = lines[number], lines[number - 1].strip() if number else ""
    if _NEARLY.match(line) or (_ANY_TIME.search(line) and _NEARLY_PRINTED.match(line)):
        return True
    if before and not before.isdigit():
        return False
    numbered = before.isdigit() and (number < 2 or not lines[number - 2].strip())
    arrow = "-->" in line and (numbered or _ANY_TIME.search(line) is not None)
    return arrow or _TWO_TIMES.fullmatch(_plain(line)) is not None


def _plain(line: str) -> str:
    return normalize("NFKC", html.unescape(line))


def _with_lengths(shown: list[tuple[Cue, list[str]]]) -> list[tuple[Cue, list[str]]]:
    """A cue that ends where it starts is shown until the next one, SHOWN at most."""
    found, following = [], float("inf")
    for place in range(len(shown) - 1, -1, -1):
        cue, words = shown[place]
        if cue.end <= cue.start:
            cue = replace(cue, end=min(cue.start + SHOWN, following))
        found.append((cue, words))
        if place and shown[place - 1][0].start < cue.start:
            following = cue.start
    return found[::-1]


def cues_of_text(path: Path) -> list[Cue] | None:
    """Cues of a text file that has times of them; None of a plain text.

    Raises DataError for other bytes, and for what is no plain text, or has lines with times: it would become words.
    """
    text = read_text(path)
    lines = [line for line in _LINE_END.split(text) if line.strip()]
    if any(_CUE.match(line) or _PRINTED.fullmatch(line) for line in lines):
        return _cues_in(path, text, [])
    if what := _unspoken(text.strip(), lines):
        raise DataError(f"{path}: {what} not words; give it as .srt, .vtt, .json or plain text")
    return None


def _unspoken(text: str, lines: list[str]) -> str:
    """What a text holds that nobody says; "" of a plain one."""
    if re.match(r"<(?:!doctype|\?xml|html|head|body|tt|transcript|sami)\b", text, re.IGNORECASE):
        return "it is a web page or XML, whose tags are"
    if text.startswith("{\\rtf"):
        return "it is RTF, whose marks are"
    if text.startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
            if any(isinstance(one, dict) for one in found) if isinstance(found, list) else found:
                return "it is JSON, whose names are"
    if re.match(r"WEBVTT(?:\s*$|\s+-|\s+Kind:)", text, re.MULTILINE):
        return "it has the head of subtitles and no cue; its lines are"
    if all(map(_NIST.match, lines)) and (len(lines) > 1 or "<" in text):
        return "its lines are those of STM, CTM or RTTM, whose times and names are"
    if len(lines) < 2:
        return ""
    if 2 * sum(_BEGINS_TIMED.match(line) is not None for line in lines) >= len(lines):
        return "its lines begin with times, which are"
    return "lines end with times, which are" if _begin_with_heads(lines) else ""


def _begin_with_heads(lines: list[str]) -> bool:
    """Whether lines are those of speakers, a head with a rising time before what each one says."""
    heads = [(place, head[1]) for place, line in enumerate(lines) if (head := _HEAD.fullmatch(line))]
    if len(heads) < 2 or heads[0][0] > 0:
        return False
    times = [tuple(map(int, re.findall(r"\d+", time))) for _, time in heads]
    alternate = all(b > a + 1 for (a, _), (b, _) in pairwise(heads))
    return alternate and all(len(a) < len(b) or a <= b for a, b in pairwise(times))


def _without_begun(lines: list[str]) -> list[str]:
    """Lines without a last cue of which a cut leaves the number, or a part of it and of the times: no words."""
    end = next((n for n in range(len(lines), 0, -1) if lines[n - 1].strip()), 0)
    begin = next((n for n in range(end, 0, -1) if not lines[n - 1].strip()), 0)
    block = [line.strip() for line in lines[begin:end]]
    numbers = [lines[n - 1].strip() for n in range(1, begin) if _CUE.match(lines[n])]
    following = str(int(numbers[-1]) + 1) if numbers and numbers[-1].isdecimal() else ""
    times = block[1:] if block and following.startswith(block[0]) else block if numbers and not following else [""] * 2
    begun = len(times) == 0 or (len(times) == 1 and _BEGUN.fullmatch(times[0]))
    return lines[:begin] if begin and begun else lines


def _numbered(lines: list[str], last: bool) -> list[str]:
    """The text of a SubRip cue, which may hold blank lines: all up to the number of the next."""
    said = [line for line in lines if line.strip()]
    return said[:-1] if said and not last and said[-1].strip().isdigit() else said


def _payload(lines: list[str], numbered: bool, last: bool) -> list[str]:
    """The text of a cue among the lines between its times and those of the next.

    numbered : the cue has a number above its times, so the next one has
    last     : there is no next cue
    """
    begin = next((place for place, line in enumerate(lines) if line), len(lines))
    end = lines.index("", begin) if "" in lines[begin:] else len(lines)
    if end == len(lines) and not last and end > begin and (begin or (numbered and lines[-1].strip().isdigit())):
        end -= 1  # the next cue's number or name
    if begin and lines[begin:end] and lines[begin].startswith(_BLOCKS):
        return []
    return lines[begin:end]


def _words(lines: list[str]) -> list[str]:
    """Lines without mark-up, without what is invisible, and without those that nothing is left of."""
    plain = [spoken(html.unescape(_MARKUP.sub("", _BREAK.sub(" ", line)))) for line in lines]
    seen = ["".join(c for c in line if category(c) not in ("Cc", "Cf") or c in _JOINERS) for line in plain]
    return [line for line in seen if line.strip()]


def spoken(text: str, times: bool = False) -> str:
    """What of a line is said: without sounds in brackets, notes, speakers' numbers and dashes, and tokens such as
    <|zh|>. times: tokens that tell a time stay, where nothing else does.
    """
    text = text if times else timestamps.strip(text)
    return " ".join(_SPEAKER.sub("", _NOT_SAID.sub(" ", text)).split())


def without_speakers[Timed: (Cue, TimedText)](said: list[Timed]) -> list[Timed]:
    """Cues, or segments, without the names of who says them ("Wang Xiaoming: 大家好"), where nearly all begin with one
    of a few. A head that stands there once is no name.
    """
    heads = [_NAME.match(one.text) for one in said]
    names = Counter(head[1] for head in heads if head)
    if names.total() < max(4, HEADED * len(said)) or 2 * len(names) > names.total():
        return said
    bare = [
        replace(one, text=one.text[head.end() :]) if head and names[head[1]] > 1 else one
        for one, head in zip(said, heads, strict=True)
    ]
    return [one for one in bare if one.text.strip()]


def _already_shown(before: list[str], text: str) -> int:
    """How many of the last lines `before` are what a text begins with."""
    for count in range(len(before), 0, -1):
        head = " ".join(before[-count:])
        rest = text[len(head) :]
        if text.startswith(head) and (not rest or rest[0] == " " or is_cjk(rest[0]) or is_cjk(head[-1])):
            return count
    return 0


def _each_once(shown: list[tuple[Cue, list[str]]], timed_words: bool) -> list[Cue]:
    """Cues in order of time; one that repeats the one before prolongs it, those of rolling captions hold what is new.

    shown       : cues and their lines
    timed_words : the file holds times of words, as rolling captions do
    """
    cues = [cue for cue, _ in shown]
    again = [_already_shown(before, cue.text) for (_, before), cue in zip(shown, cues[1:], strict=False)]
    flashes = any(count and cue.end - cue.start <= FLASH for count, cue in zip(again, cues[1:], strict=True))
    repeats = sum(map(bool, again))
    all_repeat = 1 < repeats == len(again) and any(len(lines) > 1 for _, lines in shown)
    rolling = timed_words or flashes or all_repeat or repeats >= max(3, ROLLING * len(cues))
    new: list[Cue] = []
    screen: list[str] = []
    for cue, lines in shown:
        count = _already_shown(screen, cue.text) if rolling else len(screen) * (" ".join(screen) == cue.text)
        kept = screen[-count:] if count else []
        rest = cue.text[len(" ".join(kept)) :].strip()
        if rest:
            new.append(Cue(cue.start, cue.end, rest))
            screen = [*kept, *(lines[count:] if lines[:count] == kept else [rest])]
        elif new and cue.start <= new[-1].end + FLASH:
            new[-1] = Cue(new[-1].start, max(new[-1].end, cue.end), new[-1].text)
            screen = kept
        else:
            new.append(cue)  # said once more, later
            screen = kept
    return new


def in_order[Timed: (Cue, TimedText)](cues: list[Timed]) -> list[Timed]:
    """Cues, or segments with both times, that follow one another, from such that are sorted and may overlap."""
    ordered: list[Timed] = []
    for cue in cues:
        if ordered:
            last = ordered[-1]
            if cue.start < last.end:
                if cue.start - last.start < TIMESTAMP_STEP:  # the same place: both texts, one after the other
                    text = f"{last.text} {cue.text.lstrip()}"
                    ordered[-1] = replace(last, end=max(last.end, cue.end), text=text)
                    continue
                ordered[-1] = replace(last, end=cue.start)
        ordered.append(cue)
    return ordered


def fault_of_times(segments: Sequence[Cue | TimedText], seconds: float) -> str:
    """Why cues, or segments of which the last may be open, cannot be those of a recording of `seconds`; "" if they can.
    """
    if not any(s.start < seconds for s in segments):
        return "no cue lies inside the recording"
    beyond = sum(s.end is not None and s.end > seconds + LATE for s in segments)
    if beyond > 0.1 * len(segments) and (beyond > 1 or len(segments) < FEW):
        verb = "ends" if beyond == 1 else "end"
        return f"{beyond} of {counted(len(segments), 'cue')} {verb} after {seconds:.0f} s, where the recording ends"
    return ""


def within(segments: Sequence[Cue | TimedText], seconds: float, path: object) -> list[Cue | TimedText]:
    """Cues, or segments, that begin in a recording of `seconds`; a warning names others. path: what they are of."""
    beyond = [s for s in segments if s.start >= seconds]
    if beyond:
        verb = "begins" if len(beyond) == 1 else "begin"
        first = f"{beyond[0].text.strip()[:20]!r} at {beyond[0].start:.1f} s"
        _warn(f"{path}: left out: {counted(len(beyond), 'cue')} that {verb} after {seconds:.0f} s, where the recording "
              f"ends, such as {first}; correct the times")  # fmt: skip
    return [s for s in segments if s.start < seconds]


def fault_of_lengths(segments: Sequence[Cue | TimedText], seconds: float) -> str:
    """Which cues, or segments, of a recording of `seconds` no chunk can hold; "" where there are none."""
    long = [s for s in segments if s.end is not None and not fits_a_chunk(s.start, min(s.end, seconds))]
    if not long:
        return ""
    first = f"{long[0].text.strip()[:20]!r} from {long[0].start:.1f} to {long[0].end:.1f} s"
    verb = "lasts" if len(long) == 1 else "last"
    return (
        f"{len(long)} of {counted(len(segments), 'cue')} {verb} longer than {WINDOW:.0f} s, which no chunk does, and "
        f"what is said there is left out, such as {first}; cut it in two"
    )


def read_all(subtitles: Mapping[str, Path], seconds: Mapping[str, float]) -> tuple[dict[str, list[Cue]], list[Reject]]:
    """recording -> cues of at most 30 s, and recordings whose subtitles, or some cues of them, cannot be used."""
    found, rejects = {}, []
    for recording, path in subtitles.items():
        try:
            cues = read_cues(path)
            why = fault_of_times(cues, seconds[recording])
            why = why and f"{path}: {why}"
        except DataError as error:
            cues, why = [], str(error)
        if why:
            rejects.append(Reject(recording, "unusable subtitles", why))
            continue
        if why := fault_of_lengths(cues, seconds[recording]):
            rejects.append(Reject(recording, "cues too long", f"{path}: {why}"))
        last = seconds[recording]
        fitting = [cue for cue in within(cues, last, path) if fits_a_chunk(cue.start, min(cue.end, last))]
        if fitting:
            found[recording] = fitting
    return found, rejects
