"""How people write metrics: in `competition.toml`, and in a free description.

One table of spellings serves both. Patterns match `plain_words(text)`: lower case, single
spaces, no punctuation but @ and decimal points.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_AREA = r"area under (?:the )?"
_ROC = r"(?:roc|receiver operat\w+ characteristics?)(?: roc)?"
_AVERAGE = r"(?P<average{}>macro|micro|weighted|binary)(?: averag(?:ed?|ing))?"
_OF = r" (?:between|of|on) (?:the )?(?:natural )?log"
_NUMBER = r"(?P<{}>\d*\.\d+|\d+|k\b)"

# name -> what stands for it. Of two that match at one place the longer wins, so
# "root mean squared error" is never read as "mean squared error".
_CORES = {
    "roc_auc": rf"(?:macro |one vs rest |ovr )*(?:{_AREA}{_ROC}(?: curves?)?|{_AREA}curve|"
    r"roc ?aucs?|aucs? roc|auroc|aucs?)(?: ovr| macro)*",
    "average_precision": rf"{_AREA}(?:precision recall|pr)(?: curve)?|auprc|aucpr|auc pr|pr auc|"
    r"average precision",
    "log_loss": r"(?:(?:multi ?class|binary|negative) )*(?:log ?loss|logarithmic loss|"
    r"(?:categorical )?cross entropy(?: loss)?|log likelihood)",
    "brier": r"brier(?: loss)?",
    "balanced_accuracy": r"balanced (?:classification )?accuracy|unweighted average recall",
    "accuracy": r"(?:(?:classification|categori[sz]ation|multi ?class) )?accuracy|acc",
    "f1": rf"(?:{_AVERAGE.format('')} )?(?:mean )?f ?(?:1|score|measure)(?: (?:score|measure))?"
    rf"(?: (?:with |using )?{_AVERAGE.format('2')})?",
    "mcc": r"matthews? (?:s )?correlation(?: coefficient)?|mcc|phi coefficient",
    "quadratic_kappa": r"quadratic(?:ally)? (?:weighted )?(?:cohen s )?kappa|qwk|"
    r"(?:cohen s )?kappa (?:with )?quadratic(?: weights)?",
    "rmsle": r"root mean squared? log(?:arithmic)? error|rmsle|"
    rf"(?:root mean squared? error(?: rmse)?|rmse){_OF}\w*",
    "rmse": r"root mean squared? (?:error|deviation)|rmsd|rmse",
    "mse": r"mean squared? error|mse",
    "mae": r"mean absolute (?:error|deviation)|mae",
    "medae": r"median absolute error|medae|mdae",
    "smape": r"symmetric mean absolute percent(?:age)? error|smape",
    "mape": r"mean absolute percent(?:age)? error|mape",
    "r2": r"r ?2|r squared|coefficient of determination",
    "spearman": r"spearman(?: s)?(?: rank)?(?: correlation)?(?: coefficient)?|rank correlation",
    "pearson": r"pearson(?: s)?(?: correlation)?(?: coefficient)?",
    "mcrmse": r"mcrmse",
    "pinball": rf"(?:pinball|quantile) loss(?: ?@ ?| at (?:quantile )?){_NUMBER.format('n')}|"
    rf"pinball ?@ ?{_NUMBER.format('m')}|(?:pinball|quantile) loss",
    "map": rf"mean average precision(?: ?@ ?| at ){_NUMBER.format('n')}|"
    rf"map(?: ?@ ?| at ?){_NUMBER.format('m')}|mean average precision",
    "ndcg": r"(?:ndcg|normali[sz]ed discounted cumulative gain)"
    rf"(?:(?: ?@ ?| at ){_NUMBER.format('n')})?",
}
_COLUMNS = r"(?P<columns>(?:mean )?(?:of )?column ?wise (?:mean )?(?:of )?(?:the )?)?"
_EVERY_COLUMN = re.compile(
    r"column ?wise|each (?:\w+ ){0,2}(?:column|target)\b|"
    r"averaged? (?:over|across) (?:all |the )*(?:\w+ )?(?:columns|targets)"
)
_DENIED = re.compile(r"(?:\bnot|instead of|rather than|unlike)(?: the| by| on| plain| simple)*$")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TOP = re.compile(
    rf"(?:up to|top|at most|first|maximum of|exactly) (\d+|{'|'.join(_WORDS)}) "
    r"(?:\w+ )?(?:predict|label|item|product|recommend|guess|class|result|id)"
)
_QUANTILE = re.compile(r"(?:quantile|alpha|tau)s? (?:of |is )?(0?\.\d+)|(0?\.\d+) quantile")


@dataclass(frozen=True)
class Spelling:
    name: str
    pattern: str
    """For `plain_words`; with the group `columns`, where it has them `average`, `n`, `m`."""

    def canonical(self, match: re.Match[str]) -> str:
        """Name as `get_metric` knows it: f1_macro, map@5; empty for a k or quantile off range."""
        groups = match.groupdict()
        name = self.name
        if average := groups.get("average") or groups.get("average2"):
            name = name if average == "binary" else f"{name}_{average}"
        number = groups.get("n") or groups.get("m")
        if number and number != "k":
            value = float(number)
            if not (0 < value < 1 if name == "pinball" else value >= 1 and value.is_integer()):
                return ""
            name = f"{name}@{value:g}"
        elif name == "pinball":
            name = "pinball@0.5"
        if groups["columns"]:
            return _columnwise(name)
        return name


def _columnwise(name: str) -> str:
    return "mcrmse" if name in ("rmse", "mcrmse") else f"mean columnwise {name}"


SPELLINGS = tuple(Spelling(name, rf"{_COLUMNS}(?:{core})") for name, core in _CORES.items())


def plain_words(text: str) -> str:
    """Lower-case words, digits, @ and decimal points, one space between them."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"[^a-z0-9@.]+", " ", text)
    text = re.sub(r"(?<!\d)\.(?!\d)|\.(?!\d)", " ", text)
    return " ".join(text.split())


def find_metric(text: str) -> str | None:
    """Canonical name of the metric that a competition's description asks for, else None.

    Sections headed evaluation, metric or scoring come first, then sentences that speak of
    evaluation, then the rest (there `accuracy` is too common a word to count).
    """
    for part in (*_sections(text), _sentences(text)):
        if found := _first(plain_words(part)):
            return found
    found = _first(plain_words(text))
    return None if found == "accuracy" else found


def _first(words: str) -> str | None:
    best: tuple[int, int, str] | None = None
    for spelling in SPELLINGS:
        for match in re.finditer(rf"\b{spelling.pattern}\b", words):
            name = spelling.canonical(match)
            if not name or _DENIED.search(words[: match.start()].rstrip()):
                continue
            candidate = (match.start(), -match.end(), name)
            best = min(best, candidate) if best else candidate
            break
    return _completed(best[2], words) if best else None


def _completed(name: str, words: str) -> str:
    """Add what stands elsewhere in the text: k, the quantile, that columns are averaged."""
    if name in ("map", "ndcg") and (top := _TOP.search(words)):
        number = top[1] if top[1].isdigit() else str(_WORDS.index(top[1]))
        return f"{name}@{number}"
    if name == "pinball@0.5" and (quantile := _QUANTILE.search(words)):
        return f"pinball@{float(quantile[1] or quantile[2]):g}"
    ranking = name.startswith(("map", "ndcg", "mean columnwise", "mcrmse"))
    return name if ranking or not _EVERY_COLUMN.search(words) else _columnwise(name)


def _heading(line: str) -> int:
    """Level of a heading (1 to 6; 7: bold or a short line of its own), 0 for other lines."""
    if match := re.match(r"\s{0,3}(#{1,6})\s*\S", line):
        return len(match[1])
    bare = line.strip()
    alone = re.fullmatch(r"(\*\*|__)[^*_]{1,60}\1:?|[A-Z][A-Za-z ]{2,40}:?", bare)
    return 7 if alone and len(bare.split()) <= 6 else 0


def _sections(text: str) -> list[str]:
    """Sections whose heading speaks of the metric, "metric" before "evaluation"."""
    lines = text.splitlines()
    found = []
    for i, line in enumerate(lines):
        level = _heading(line)
        title = line.lower()
        if not level or not re.search(r"evaluat|metric|scor(?:ed|ing)|judg", title):
            continue
        body = [line]
        for other in lines[i + 1 :]:
            if 0 < _heading(other) <= level:
                break
            body.append(other)
        found.append(("metric" not in title, i, "\n".join(body)))
    return [body for *_, body in sorted(found)]


def _sentences(text: str) -> str:
    """Sentences that speak of how submissions are evaluated."""
    sentences = re.split(r"(?<=[.!?:])\s+|\n\s*\n", text)
    speaks = re.compile(r"evaluat|metric|scored|scoring|judged|leaderboard|are ranked", re.I)
    chosen = [i for i, s in enumerate(sentences) if speaks.search(s)]
    # the metric is often named one sentence later: "This is how we score. It is the RMSE."
    near = sorted({j for i in chosen for j in (i, i + 1) if j < len(sentences)})
    return "\n".join(sentences[j] for j in near)
