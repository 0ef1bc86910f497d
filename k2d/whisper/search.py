"""Greedy search, sampling and beam search over a batch of windows.

In: a decoder's state after its prompts, first logits, rules. Out: candidates of every window with their
log-probabilities. Candidates are kept and ranked as openai-whisper's GreedyDecoder, BeamSearchDecoder and
MaximumLikelihoodRanker do; the difference is that windows which end leave the batch, and that a text which is of no
use any more (`Hopeless`) ends where it stands.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from k2d.whisper.incremental import DecoderState
from k2d.whisper.logit_rules import LogitRules, RowState
from k2d.whisper.vocabulary import top


@dataclass
class Candidate:
    """A finished text: ids without the end of text; sum of log-probabilities with it."""

    tokens: list[int]
    sum_logprob: float
    token_logprobs: list[float]


Hopeless = Callable[[int, int, list[int]], bool]  # window, row of it, tokens so far: will the text be thrown away?
Enough = Callable[[int, list[Candidate | None]], bool]  # window, what its rows ended with: are the others not needed?
LOOK = 16  # steps from one look for hopeless texts to the next


def _worth_compacting(state: DecoderState, alive: int) -> bool:
    """Whether so few windows still run that the batch should go on without the others.

    Copying the caches costs about two greedy steps, which the steps saved repay. On a GPU a step of a smaller batch
    is hardly faster and has to be recorded.
    """
    if state.static:
        return alive <= state.windows / 2
    return alive <= (0.75 if state.group == 1 else 0.99) * state.windows


class _Texts:
    """What the rows of a batch have said so far; `group` rows belong to each window.

    windows: the number of the window in each place of the batch. tokens, logprobs: (rows, most steps).
    """

    def __init__(self, logits: Tensor, limits: Sequence[int], group: int, rules: LogitRules):
        self.group, self.rules, self.device = group, rules, logits.device
        self.windows = list(range(len(limits)))
        self.last = RowState.fresh(len(logits), self.device)
        self.tokens = torch.full((len(logits), max(limits)), rules.eot, device=self.device)
        self.logprobs = torch.zeros(len(logits), max(limits), device=self.device)
        self.steps = 0

    def append(self, tokens: Tensor, logprobs: Tensor) -> None:
        """tokens, logprobs: (rows,), of the next step."""
        self.tokens[:, self.steps], self.logprobs[:, self.steps] = tokens, logprobs
        self.last.append(tokens, self.rules.timestamp_begin)
        self.steps += 1

    def rows_of(self, places: Iterable[int]) -> list[int]:
        return [place * self.group + number for place in places for number in range(self.group)]

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, in this order."""
        self.tokens, self.logprobs, self.last = self.tokens[rows], self.logprobs[rows], self.last.select(rows)

    def keep(self, places: Sequence[int]) -> Tensor:
        """Go on with the windows in these places, whose rows are returned."""
        self.windows = [self.windows[place] for place in places]
        rows = torch.tensor(self.rows_of(places), device=self.device)
        self.select(rows)
        return rows

    def candidates(self, rows: Sequence[int]) -> list[Candidate]:
        """What rows have said up to the end of text, or up to now."""
        index, eot = torch.tensor(rows, dtype=torch.int64, device=self.device), self.rules.eot
        found = []
        for ids, scores in zip(self.tokens[index, : self.steps].tolist(), self.logprobs[index, : self.steps].tolist()):
            length = ids.index(eot) if eot in ids else self.steps
            found.append(Candidate(ids[:length], sum(scores), scores[:length]))
        return found

    def unfinished(self, row: int, total: float) -> Candidate:
        """What a beam has said, which has the sum of log-probabilities `total`."""
        return Candidate(self.tokens[row, : self.steps].tolist(), total, self.logprobs[row, : self.steps].tolist())


def sample(
    state: DecoderState,
    logits: Tensor,
    rules: LogitRules,
    position: int,
    limits: Sequence[int],
    temperatures: Sequence[float] = (0.0,),
    generators: Sequence[torch.Generator] = (),
    hopeless: Hopeless | None = None,
    enough: Enough | None = None,
) -> list[list[Candidate]]:
    """Greedy (temperature 0) or sampled texts: `state.group` candidates for each window.

    logits: (rows, n_vocab) at the last prompt token. position: where the first sampled token stands.
    limits: most tokens to sample, one a window. temperatures: one a row of a window, all 0 or all above. generators:
    one a row, needed above 0. Candidates that `hopeless` or `enough` has ended are no whole texts.
    """
    group, device, eot = state.group, logits.device, rules.eot
    texts = _Texts(logits, limits, group, rules)
    results: list[list[Candidate]] = [[] for _ in limits]
    done = torch.zeros(len(logits), dtype=torch.bool, device=device)
    room = torch.tensor(limits, device=device).repeat_interleave(group)
    scales = torch.tensor(temperatures, device=device).repeat(len(limits))[:, None]
    for step in range(max(limits)):
        logits = rules.apply(logits, texts.last, first=step == 0)
        chosen = _drawn(logits / scales, generators) if generators else top(logits, 1)[1][:, 0]
        logprob = logits.gather(1, chosen[:, None])[:, 0] - torch.logsumexp(logits, dim=-1)
        chosen = torch.where(done, eot, chosen)
        texts.append(chosen, torch.where(done, 0.0, logprob))
        done = done | (chosen == eot) | (room <= step + 1)
        if hopeless is not None or enough is not None:
            before = done.tolist()
            if (after := _stopped(texts, before, hopeless, enough)) != before:
                done = torch.tensor(after, device=device)

        ended = done.view(-1, group).all(dim=1).tolist()
        alive = [place for place, e in enumerate(ended) if not e]
        if not alive or _worth_compacting(state, len(alive)):
            finished = [place for place, e in enumerate(ended) if e]
            found = iter(texts.candidates(texts.rows_of(finished)))
            for place in finished:
                results[texts.windows[place]] = list(islice(found, group))
            if not alive:
                break
            state.keep(alive)
            rows = texts.keep(alive)
            chosen, done, room, scales = chosen[rows], done[rows], room[rows], scales[rows]
            generators = [generators[row] for row in rows.tolist()] if generators else generators
        # A sample may be any token; the choice of the likeliest one needs only those that come near it.
        logits = state.step(chosen, position + step, exact=bool(generators))
    return results


def _drawn(scaled: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """(rows,) tokens, drawn by logits over temperature, (rows, n_vocab). Every row draws a number of its own, whatever
    batch it is in.
    """
    drawn = [torch.rand(1, generator=g, device=scaled.device, dtype=torch.float64) for g in generators]
    reached = torch.softmax(scaled, dim=-1).cumsum(dim=-1, dtype=torch.float64)
    chosen = torch.searchsorted(reached, torch.stack(drawn) * reached[:, -1:], right=True)[:, 0]
    return chosen.clamp_(max=scaled.shape[1] - 1)


def _stopped(texts: _Texts, ended: list[bool], hopeless: Hopeless | None, enough: Enough | None) -> list[bool]:
    """Which rows have ended, with those that are hopeless, and all of windows that have enough."""
    ended, group = list(ended), texts.group
    if hopeless is not None and texts.steps % LOOK == 0:
        running = [row for row, e in enumerate(ended) if not e]
        for row, found in zip(running, texts.candidates(running)):
            ended[row] = hopeless(texts.windows[row // group], row % group, found.tokens)
    if enough is not None:
        for place, window in enumerate(texts.windows):
            mine = texts.rows_of([place])
            if any(ended[row] for row in mine) and not all(ended[row] for row in mine):
                whole = iter(texts.candidates([row for row in mine if ended[row]]))
                if enough(window, [next(whole) if ended[row] else None for row in mine]):
                    for row in mine:
                        ended[row] = True
    return ended


def _in_place(parents: Sequence[int]) -> list[int]:
    """An order of beams in which as many as possible stand in the row of their parent, whose caches are theirs then.

    parents: the row that each goes on from; those of a window stand in that window's rows.
    """
    order, others = [-1] * len(parents), []
    for beam, parent in enumerate(parents):
        if order[parent] < 0:
            order[parent] = beam
        else:
            others.append(beam)
    left = iter(others)  # window by window there are as many as rows without a beam
    return [next(left) if beam < 0 else beam for beam in order]


def beam_search(
    state: DecoderState,
    logits: Tensor,
    rules: LogitRules,
    position: int,
    limits: Sequence[int],
    patience: float = 1.0,
    hopeless: Hopeless | None = None,
) -> list[list[Candidate]]:
    """Beam search with `state.group` beams; each window's finished candidates, best beams added if too few.

    Arguments as in `sample`. A window ends when it has round(beams · patience) finished candidates, or when all its
    beams are hopeless.
    """
    beams, device = state.group, logits.device
    wanted = max(1, round(beams * patience))
    texts = _Texts(logits, limits, beams, rules)
    results: list[list[Candidate]] = [[] for _ in limits]
    ended: set[int] = set()  # windows, some of which may still take their place in the batch
    # All beams begin equal: only the first may continue, or every text would be found five times.
    totals = torch.where(torch.arange(len(logits), device=device) % beams == 0, 0.0, -float("inf"))
    for step in range(max(limits)):
        scores = torch.log_softmax(rules.apply(logits, texts.last, first=step == 0), dim=-1)
        best, ids = top(scores, beams + 1)
        n = len(texts.windows)
        sums, order = (totals[:, None] + best).view(n, -1).sort(dim=-1, descending=True, stable=True)
        ids = ids.view(n, -1).gather(1, order)
        best = best.view(n, -1).gather(1, order)
        source = order // (beams + 1) + torch.arange(n, device=device)[:, None] * beams
        ends = ids == rules.eot
        continuing = (~ends).cumsum(dim=1)
        # An end of text counts only if it ranks before the last beam that goes on.
        finishing = ends & (continuing < beams) & torch.isfinite(sums)
        for place, column in finishing.nonzero().tolist():
            found = results[texts.windows[place]]
            if len(found) < wanted and texts.windows[place] not in ended:
                found.append(texts.unfinished(int(source[place, column]), float(sums[place, column])))

        chosen_columns = (~ends & (continuing <= beams)).nonzero()[:, 1].view(n, beams)
        going_on = [x.gather(1, chosen_columns).view(-1) for x in (ids, source, sums, best)]
        order = torch.tensor(_in_place(going_on[1].tolist()), device=device)
        chosen, parents, totals, logprobs = (x[order] for x in going_on)
        texts.select(parents)
        texts.append(chosen, logprobs)

        alive = []
        for place, window in enumerate(texts.windows):
            if window in ended:
                continue
            rows = texts.rows_of([place])
            runs = len(results[window]) < wanted and step + 1 < limits[window]
            if runs and hopeless is not None and (step + 1) % LOOK == 0:
                said = texts.tokens[rows, : step + 1].tolist()
                runs = not all(hopeless(window, beam, text) for beam, text in enumerate(said))
            if runs:
                alive.append(place)
                continue
            ended.add(window)
            if len(results[window]) >= wanted:
                continue
            # Out of room, or hopeless: the best unfinished beams fill the list, as openai-whisper does.
            best_first = sorted(rows, key=lambda row: -float(totals[row]))
            missing = max(0, beams - len(results[window]))
            results[window] += [texts.unfinished(row, float(totals[row])) for row in best_first[:missing]]
        if not alive:
            break
        state.reorder(parents.tolist())
        if _worth_compacting(state, len(alive)):
            state.keep(alive)
            rows = texts.keep(alive)
            totals, chosen = totals[rows], chosen[rows]
        logits = state.step(chosen, position + step)
    return results
