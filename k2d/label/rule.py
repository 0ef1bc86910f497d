"""A selection rule: a small expression over score names, read without running it as Python.

In: text such as `comp <= 0.4 and loop_teacher == 0`. Out: which chunks each clause keeps.

Allowed are numbers, score names, + - * /, comparisons, and/or/not, parentheses and min, max, mean, abs.
The clauses of the outermost `and` are kept apart, so that a dropped chunk can say which one it failed.
A clause over a score that a chunk lacks, or that is NaN, keeps nothing.

A selection is such a rule in a file of `conf/selections/`, in which `alpha` is filled in later.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from k2d.errors import RuleError
from k2d.label.distance import MOST_ALPHA
from k2d.options import nearest

_COMPARE = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_ARITHMETIC = {ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide}
_FUNCTIONS = {
    "min": lambda *values: np.minimum.reduce(np.broadcast_arrays(*values)),
    "max": lambda *values: np.maximum.reduce(np.broadcast_arrays(*values)),
    "mean": lambda *values: np.add.reduce(np.broadcast_arrays(*values)) / len(values),
    "abs": np.abs,
}
_ALLOWED = "numbers, score names, + - * /, comparisons, and, or, not, min, max, mean, abs"
_DEEPEST = 50
ALPHA = "alpha"  # in a selection: a number given later
KEEP = "keep"  # behind an @: a share of the speech in place of α
_OWN, _SHARED = Path("conf/selections"), Path(__file__).resolve().parents[2] / "conf/selections"


@dataclass(frozen=True)
class Clause:
    """One condition of a rule; `names` are the scores it asks for."""

    text: str
    names: frozenset[str]
    node: ast.expr = field(repr=False, compare=False)

    def keeps(self, scores: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        """(count,) bool; `scores` hold an array of shape (count,) for each name, NaN where it is missing."""
        with np.errstate(all="ignore"):
            kept = np.broadcast_to(_truth(_evaluate(self.node, scores)), count).copy()
        for name in self.names:
            kept &= ~np.isnan(scores[name])
        return kept

    def value(self, scores: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        """(count,) float, the number that the expression stands for; NaN where a score is missing."""
        with np.errstate(all="ignore"):
            return np.broadcast_to(_number(_evaluate(self.node, scores)), count)


@dataclass(frozen=True)
class Rule:
    text: str
    clauses: tuple[Clause, ...]

    @property
    def names(self) -> frozenset[str]:
        """Every score the rule asks for."""
        return frozenset().union(*(clause.names for clause in self.clauses))

    def renamed(self, names: Mapping[str, str]) -> "Rule":
        """With other score names in the place of some."""
        text = self.text
        for name, other in names.items():
            text = re.sub(rf"\b{name}\b", other, text)
        return read_rule(text)


def read_rule(text: str, known: frozenset[str] | set[str] | None = None) -> Rule:
    """Read a rule over the score names `known` (None: any). RuleError for anything that is not allowed in one."""
    if len(text) > 10_000:
        raise RuleError(f"a rule of {len(text)} characters: expected at most 10000")
    if "#" in text:  # the rest would be lost, and with it any condition that is added behind it
        raise RuleError(f"rule {text!r}: a # begins a comment, which a rule cannot have; leave it out")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RuleError(f"rule {text!r}: {getattr(error, 'msg', error)}; allowed are {_ALLOWED}") from None
    conjuncts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    clauses = []
    for node in conjuncts:
        _check(node, text, known)
        names = frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id not in _FUNCTIONS)
        clauses.append(Clause(ast.unparse(node), names, node))
    return Rule(text.strip(), tuple(clauses))


def conjunction(*texts: str) -> str:
    """The rule that keeps what all of these keep; empty ones keep everything."""
    said = list(filter(None, texts))
    if len(said) == 1:
        return said[0]
    return " and ".join(f"({text})" if _is_or(text) else text for text in said)


def _is_or(text: str) -> bool:
    """Whether an `and` behind the rule would join its last part alone."""
    tree = ast.parse(text, mode="eval").body
    return isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.Or)


@dataclass(frozen=True)
class SelectionRule:
    """A file of `conf/selections`, or a rule from the command line.

    text: the rule, in which `alpha` stands for a number given later. segment_alpha: a number, or `alpha`, within
    which segments are trusted; None where whole chunks are chosen. weight: an expression whose value, at most 1, is
    how much a kept chunk counts in the loss; None where all count alike.
    """

    name: str
    text: str
    segment_alpha: str | None = None
    weight: str | None = None

    @property
    def uses_alpha(self) -> bool:
        return self.segment_alpha == ALPHA or any(_ALPHA.search(text) for text in (self.text, self.weight or ""))

    def at(self, alpha: float) -> "SelectionRule":
        """With α put in."""
        value = f"{alpha:g}"
        segments = value if self.segment_alpha == ALPHA else self.segment_alpha
        weight = None if self.weight is None else _ALPHA.sub(value, self.weight)
        return SelectionRule(self.name, _ALPHA.sub(value, self.text), segments, weight)

    def weighted(self, weight: str) -> "SelectionRule":
        """With this weight, and without the chunks that it gives none."""
        for text in filter(None, (self.text, weight)):
            read_rule(text)
        return SelectionRule(self.name, conjunction(self.text, f"({weight}) > 0"), self.segment_alpha, weight)


_ALPHA = re.compile(r"\balpha\b")


def known_selections() -> list[str]:
    """Names that `read_selection` finds: of the recipe in the working directory, and of the repository."""
    return sorted({path.stem for folder in (_OWN, _SHARED) for path in folder.glob("*.rule")})


def read_selection(name: str) -> SelectionRule:
    """The selection of this name, the recipe's own before the shared one, or of this path.

    Raises RuleError for an unknown one and for a file that is no rule.
    """
    places = [Path(name)] if "/" in name or name.endswith(".rule") else [f / f"{name}.rule" for f in (_OWN, _SHARED)]
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        raise RuleError(f"selection {name!r}: expected a file, or one of {', '.join(known_selections())}")
    words, keys = [], {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # some editors begin UTF-8 with a mark
    except UnicodeDecodeError as error:
        raise RuleError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from None
    for line in lines:
        line = line.partition("#")[0]  # or the rest of the rule, behind it in one line, would be a comment, too
        key, colon, value = line.partition(":")
        if colon and key.strip() in ("segment_alpha", "weight"):
            keys[key.strip()] = value.strip()
        else:
            words.append(line.strip())
    segment_alpha = keys.get("segment_alpha")
    if segment_alpha not in (None, ALPHA):
        try:
            check_alpha(float(segment_alpha))
        except ValueError:
            raise RuleError(f"{path}: segment_alpha {segment_alpha!r}, expected alpha or a number") from None
    selection = SelectionRule(path.stem, " ".join(filter(None, words)), segment_alpha)
    try:
        if "weight" in keys:
            selection = selection.weighted(keys["weight"])
        read_rule(selection.text)
    except RuleError as error:
        raise RuleError(f"{path}: {error}") from None
    return selection


def split_alpha(selection: str) -> tuple[str, float | None]:
    """("comp", 0.2) of "comp@0.2", ("comp", None) of "comp". Raises RuleError where no number follows the @."""
    name, at, value = selection.rpartition("@")
    if not at or "/" in value:
        return selection, None
    try:
        alpha = float(value)
    except ValueError:
        raise RuleError(f"selection {selection!r}: expected a number behind the @, such as comp@0.2") from None
    return name, check_alpha(alpha)


def split_keep(selection: str) -> tuple[str, float | None]:
    """("comp", 0.75) of "comp@keep0.75": the share that α is to be chosen for. ("comp@0.2", None) of any other."""
    name, at, value = selection.rpartition("@")
    if not at or not value.startswith(KEEP):
        return selection, None
    try:
        return name, check_share(float(value.removeprefix(KEEP)))
    except ValueError:
        raise RuleError(f"selection {selection!r}: expected a share behind @keep, such as comp@keep0.75") from None


def check_share(share: float) -> float:
    """A share of the speech as it is, if it can be one. Raises RuleError."""
    if 0 < share <= 1:
        return share
    hint = f"; {share:g} % is {share / 100:g}" if 1 < share <= 100 else ""
    raise RuleError(f"keep {share:g}: expected a share of the speech above 0 and at most 1{hint}")


def check_alpha(alpha: float) -> float:
    """α as it is, if it can be one. Raises RuleError."""
    if 0 <= alpha <= MOST_ALPHA:
        return alpha
    hint = f"; {alpha:g} % is {alpha / 100:g}" if MOST_ALPHA < alpha <= 100 else ""
    raise RuleError(f"alpha {alpha:g}: expected a distance from 0 to {MOST_ALPHA:g}, most are below 1{hint}")


def _check(node: ast.AST, text: str, known: frozenset[str] | set[str] | None, depth: int = 0) -> None:
    def refuse(what: str):
        where = f" (column {node.col_offset + 1})" if hasattr(node, "col_offset") else ""
        raise RuleError(f"rule {text!r}: {what}{where}; allowed are {_ALLOWED}")

    if depth > _DEEPEST:
        refuse(f"more than {_DEEPEST} levels deep")
    if isinstance(node, ast.Constant):
        if not isinstance(node.value, (int, float)):
            refuse(f"{node.value!r} is not a number")
        return
    if isinstance(node, ast.Name):
        if known is not None and node.id not in known:
            near = nearest(node.id, known)
            hint = f" (did you mean {near}?)" if near else ""
            raise RuleError(f"rule {text!r}: no score {node.id!r}{hint}; there are {', '.join(sorted(known))}")
        return
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
            refuse(f"{ast.unparse(node.func)!r} is not a function of rules")
        if node.keywords or not node.args or (node.func.id == "abs" and len(node.args) != 1):
            refuse(f"{node.func.id} with these arguments")
        parts = node.args
    elif isinstance(node, ast.BoolOp):
        parts = node.values
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub, ast.UAdd)):
        parts = [node.operand]
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        parts = [node.left, node.right]
    elif isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
        parts = [node.left, *node.comparators]
    else:
        refuse(f"{ast.unparse(node)!r} is not part of a rule")
    for part in parts:
        _check(part, text, known, depth + 1)


def _truth(value) -> np.ndarray:
    value = np.asarray(value)
    return value if value.dtype == bool else value != 0


def _evaluate(node: ast.AST, scores: Mapping[str, np.ndarray]):
    """Value of a checked node: a number, an array of numbers or an array of truth values."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return scores[node.id]
    if isinstance(node, ast.Call):
        return _FUNCTIONS[node.func.id](*(_number(_evaluate(part, scores)) for part in node.args))
    if isinstance(node, ast.BoolOp):
        parts = [_truth(_evaluate(part, scores)) for part in node.values]
        combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return combine.reduce(np.broadcast_arrays(*parts))
    if isinstance(node, ast.UnaryOp):
        value = _evaluate(node.operand, scores)
        if isinstance(node.op, ast.Not):
            return ~_truth(value)
        return -_number(value) if isinstance(node.op, ast.USub) else _number(value)
    if isinstance(node, ast.BinOp):
        left, right = (_number(_evaluate(part, scores)) for part in (node.left, node.right))
        return _ARITHMETIC[type(node.op)](left, right)
    result = np.True_
    left = _number(_evaluate(node.left, scores))
    for op, comparator in zip(node.ops, node.comparators, strict=True):
        right = _number(_evaluate(comparator, scores))
        result = np.logical_and(result, _COMPARE[type(op)](left, right))
        left = right
    return result


def _number(value):
    value = np.asarray(value)
    return value.astype(float)
