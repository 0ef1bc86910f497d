"""Greedy search, sampling and beam search over a batch of windows.

In: a decoder's state after its prompts, first logits, rules. Out: candidates of every window with their
log-probabilities. Candidates are kept and ranked as openai-whisper's GreedyDecoder, BeamSearchDecoder and
MaximumLikelihoodRanker do; the difference is that windows which end leave the batch, and that a text which is of no
use any more (`Hopeless`) ends where it stands.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


def _rows_of(windows: Sequence[int], group: int) -> list[int]:
    return [w * group + g for w in windows for g in range(group)]


def _worth_compacting(state: DecoderState, alive: int) -> bool:
    """Whether so few windows still run that the batch should go on without the others.

    Copying the caches costs about two greedy steps, which the steps saved repay. On a GPU a step of a smaller batch
    is hardly faster and has to be recorded.
    """
    if state.static:
        return alive <= state.windows / 2
    return alive <= (0.75 if state.group == 1 else 0.99) * state.windows


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
    results: list[list[Candidate]] = [[] for _ in limits]
    windows = list(range(len(limits)))  # the window of each place in the batch
    rows = RowState.fresh(len(logits), device)
    tokens = torch.full((len(logits), max(limits)), eot, device=device)
    logprobs = torch.zeros(len(logits), max(limits), device=device)
    done = torch.zeros(len(logits), dtype=torch.bool, device=device)
    room = torch.tensor(limits, device=device).repeat_interleave(group)
    scales = torch.tensor(temperatures, device=device).repeat(len(limits))[:, None]

    def candidates(rows: list[int], steps: int) -> list[Candidate]:
        index = torch.tensor(rows, dtype=torch.int64, device=device)
        found = []
        for ids, scores in zip(tokens[index, :steps].tolist(), logprobs[index, :steps].tolist()):
            length = ids.index(eot) if eot in ids else steps
            found.append(Candidate(ids[:length], sum(scores), scores[:length]))
        return found

    def collect(places: list[int], steps: int) -> None:
        found = candidates(_rows_of(places, group), steps)
        for number, place in enumerate(places):
            results[windows[place]] = found[number * group : (number + 1) * group]

    def stop(ended: list[bool], steps: int) -> list[bool]:
        """End rows that are hopeless, and windows that have enough; which rows have ended."""
        ended = list(ended)
        if hopeless is not None and steps % LOOK == 0:
            running = [row for row, e in enumerate(ended) if not e]
            for row, found in zip(running, candidates(running, steps)):
                ended[row] = hopeless(windows[row // group], row % group, found.tokens)
        if enough is not None:
            for place, window in enumerate(windows):
                mine = range(place * group, (place + 1) * group)
                if any(ended[row] for row in mine) and not all(ended[row] for row in mine):
                    whole = iter(candidates([row for row in mine if ended[row]], steps))
                    if enough(window, [next(whole) if ended[row] else None for row in mine]):
                        for row in mine:
                            ended[row] = True
        return ended

    for step in range(max(limits)):
        logits = rules.apply(logits, rows, first=step == 0)
        if not generators:
            chosen = top(logits, 1)[1][:, 0]
        else:
            # Every row draws a number of its own, whatever batch it is in.
            drawn = torch.stack([torch.rand(1, generator=g, device=device, dtype=torch.float64) for g in generators])
            reached = torch.softmax(logits / scales, dim=-1).cumsum(dim=-1, dtype=torch.float64)
            chosen = torch.searchsorted(reached, drawn * reached[:, -1:], right=True)[:, 0]
            chosen = chosen.clamp_(max=logits.shape[1] - 1)
        logprob = logits.gather(1, chosen[:, None])[:, 0] - torch.logsumexp(logits, dim=-1)
        chosen = torch.where(done, eot, chosen)
        tokens[:, step] = chosen
        logprobs[:, step] = torch.where(done, 0.0, logprob)
        done = done | (chosen == eot) | (room <= step + 1)
        rows.append(chosen, rules.timestamp_begin)

        if hopeless is not None or enough is not None:
            before = done.tolist()
            if (after := stop(before, step + 1)) != before:
                done = torch.tensor(after, device=device)
        ended = done.view(-1, group).all(dim=1).tolist()
        alive = [p for p, e in enumerate(ended) if not e]
        if not alive:
            collect(list(range(len(windows))), step + 1)
            break
        if _worth_compacting(state, len(alive)):
            collect([p for p in range(len(windows)) if p not in set(alive)], step + 1)
            state.keep(alive)
            kept = _rows_of(alive, group)
            index = torch.tensor(kept, device=device)
            rows = rows.select(index)
            tokens, logprobs, chosen = tokens[index], logprobs[index], chosen[index]
            done, room, scales = done[index], room[index], scales[index]
            windows = [windows[p] for p in alive]
            generators = [generators[i] for i in kept] if generators else generators
        # A sample may be any token; the choice of the likeliest one needs only those that come near it.
        logits = state.step(chosen, position, exact=bool(generators))
        position += 1
    return results


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
    beams, device, eot = state.group, logits.device, rules.eot
    wanted = max(1, round(beams * patience))
    results: list[list[Candidate]] = [[] for _ in limits]
    windows = list(range(len(limits)))
    rows = RowState.fresh(len(logits), device)
    tokens = torch.full((len(logits), max(limits)), eot, device=device)
    logprobs = torch.zeros(len(logits), max(limits), device=device)
    totals = torch.zeros(len(logits), device=device)
    begin = position  # caches of one window's beams differ from here on
    ended: set[int] = set()  # windows, some of which may still take their place in the batch

    def candidate(row: int, steps: int, total: float) -> Candidate:
        return Candidate(tokens[row, :steps].tolist(), total, logprobs[row, :steps].tolist())

    for step in range(max(limits)):
        scores = torch.log_softmax(rules.apply(logits, rows, first=step == 0), dim=-1)
        best, ids = top(scores, beams + 1)
        n = len(windows)
        if step == 0:
            # All beams are still equal: only the first may continue, or every text would be found five times.
            totals = torch.where(torch.arange(n * beams, device=device) % beams == 0, 0.0, -float("inf"))
        sums = (totals[:, None] + best).view(n, -1)
        sums, order = sums.sort(dim=-1, descending=True, stable=True)
        ids = ids.view(n, -1).gather(1, order)
        best = best.view(n, -1).gather(1, order)
        source = order // (beams + 1) + torch.arange(n, device=device)[:, None] * beams
        ends = ids == eot
        continuing = (~ends).cumsum(dim=1)
        # An end of text counts only if it ranks before the last beam that goes on.
        finishing = ends & (continuing < beams) & torch.isfinite(sums)
        for place, column in finishing.nonzero().tolist():
            found = results[windows[place]]
            if len(found) < wanted and windows[place] not in ended:
                row = int(source[place, column])
                found.append(candidate(row, step, float(sums[place, column])))

        chosen_columns = (~ends & (continuing <= beams)).nonzero()[:, 1].view(n, beams)
        chosen = ids.gather(1, chosen_columns).view(-1)
        parents = source.gather(1, chosen_columns).view(-1)
        totals = sums.gather(1, chosen_columns).view(-1)
        tokens, logprobs = tokens[parents], logprobs[parents]
        tokens[:, step] = chosen
        logprobs[:, step] = best.gather(1, chosen_columns).view(-1)
        rows = rows.select(parents)
        rows.append(chosen, rules.timestamp_begin)

        alive = []
        for place, window in enumerate(windows):
            if window in ended:
                continue
            going_on = len(results[window]) < wanted and step + 1 < limits[window]
            if going_on and hopeless is not None and (step + 1) % LOOK == 0:
                texts = tokens[place * beams : (place + 1) * beams, : step + 1].tolist()
                going_on = not all(hopeless(window, beam, text) for beam, text in enumerate(texts))
            if going_on:
                alive.append(place)
                continue
            ended.add(window)
            if len(results[window]) >= wanted:
                continue
            # Out of room, or hopeless: the best unfinished beams fill the list, as openai-whisper does.
            for row in sorted(range(place * beams, (place + 1) * beams), key=lambda r: -float(totals[r])):
                if len(results[window]) < beams:
                    results[window].append(candidate(row, step + 1, float(totals[row])))
        if not alive:
            break
        state.reorder(parents.tolist(), begin, position)
        if _worth_compacting(state, len(alive)):
            state.keep(alive)
            index = torch.tensor(_rows_of(alive, beams), device=device)
            rows = rows.select(index)
            tokens, logprobs, totals, chosen = tokens[index], logprobs[index], totals[index], chosen[index]
            windows = [windows[p] for p in alive]
        logits = state.step(chosen, position)
        position += 1
    return results
