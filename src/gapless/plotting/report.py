"""The page of a readable network: what it adds up, what is proven, and single rows explained."""

from __future__ import annotations

import html
import json
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array
from ..readable.effects import Effect
from ..readable.price import HEADS, PriceOfReading, interval
from .axes import plain
from .effect_svg import drawing, heights, importance_bars
from .explanation import cells_of, shown
from .page import fact_table, listed, number_table, page
from .readable import Formats, output_names, unit_of, unused, window

# Effects drawn, the most important ones; bars of importances; rows that can be explained.
DRAWN, BARS, ROWS = 24, 20, 500


def readable_page(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    title: str = "",
    facts: Any = (),
    price: PriceOfReading | None = None,
    formats: Formats | None = None,
) -> str:
    """One self-contained HTML page about a fitted additive estimator; it loads nothing.

    What is proven, importances, each effect over the density of the training data, the price of
    reading, and the rows of X explained one by one.

    Parameters
    ----------
    estimator : AdditiveReLURegressor or AdditiveReLUClassifier
    X : array or table of shape (n_samples, n_features)
        Rows to explain, the first 500.
    y : array of shape (n_samples,), optional
        What they really are.
    title : str, optional
        What is predicted.
    facts : iterable of (name, value), optional
        Further rows of the summary, as text.
    price : PriceOfReading, optional
    formats : mapping of str to callable, optional
        How numbers of a feature are written, by its name: ``{"income": "{:,.0f} CHF".format}``.

    Returns
    -------
    str

    Raises
    ------
    NotFittedError
        Before ``fit``.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from gapless import AdditiveReLURegressor, readable_page
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = AdditiveReLURegressor(weight_decay=0.03).fit(X, y)
    >>> readable_page(model, X, y, title="progression").startswith("<!doctype html>")
    True
    """
    check_is_fitted(estimator, "effects_")
    effects, what = estimator.effects_, html.escape(title or "the target")
    names = output_names(estimator)
    body = [
        f"<h1>A model of {what} that can be read</h1>",
        f'<p class="verdict">{_verdict(estimator, what)}</p>',
        fact_table(facts) if (facts := list(facts)) else "",
        "<h2>What matters</h2>",
        f'<p class="quiet">Mean absolute value that each {_what(estimator)}.</p>',
        importance_bars([e.name for e in effects[:BARS]], estimator.importances_[:BARS]),
        _drawings(estimator, names, formats or {}),
        _SINGLE if effects else "",
        '<script type="application/json" id="rows">'
        f"{_rows(estimator, X, y, names, formats)}</script>",
        listed("How to read it", _reading(estimator)),
        "<h2>What is proven</h2>",
        fact_table(_summary(estimator)),
        "" if price is None else _priced(price),
    ]
    return page(f"gapless: {title or 'a model'}", "\n".join(body), _STYLE, _SCRIPT)


def _verdict(estimator: Any, what: str) -> str:
    count = len(estimator.effects_)
    sums = "a constant" if count == 0 else f"a sum of {count} effect{'s' * (count > 1)}"
    known = html.escape(estimator.solution_.known)
    return f"{sums.capitalize()} predicts {what}; {known}."


def _what(estimator: Any) -> str:
    """What importances measure."""
    several = estimator.network_.n_outputs > 1
    unit = "adds to the outputs, summed over them" if several else unit_of(estimator, 0)
    return html.escape(unit)


def _summary(estimator: Any) -> list[tuple[str, str]]:
    """What is proven, in words and numbers."""
    proof = estimator.certificate_
    return [
        ("status", estimator.status_.value),
        ("certificate", f"objective {proof.objective:.6g}, and no such network is below "
         f"{proof.lower_bound:.6g}"),
        ("proof", proof.proof),
        ("neurons", str(estimator.n_neurons_)),
        ("weight decay", f"{estimator.weight_decay_:.4g}"),
    ]  # fmt: skip


def _drawings(estimator: Any, names: list[str], formats: Formats) -> str:
    """A card an effect, for each output a group of its own."""
    effects = estimator.effects_[:DRAWN]
    groups = []
    for output, name in enumerate(names):
        ends = [heights(e, output) for e in effects if e.kind != "pair"] or [(0.0, 0.0)]
        low, high = min(a for a, _ in ends), max(b for _, b in ends)
        cards = "\n".join(
            f"<figure><figcaption>{html.escape(e.name)}{_beyond(e, output, formats)}</figcaption>\n"
            f"{drawing(e, output, low, high, formats.get(e.name))}</figure>"
            for e in effects
        )
        unit = html.escape(unit_of(estimator, output))
        if len(names) > 1:
            unit = f"{unit} ({html.escape(name)})" if name not in unit else unit
        groups.append(f'<p class="quiet">What each {unit}.</p>\n<div class="cards">\n{cards}</div>')
    head = "<h2>Effects</h2>"
    if len(estimator.effects_) > DRAWN:
        head += f'<p class="quiet">The {DRAWN} most important of {len(estimator.effects_)}.</p>'
    if idle := unused(estimator):
        told = html.escape(f"Not used, as they add nothing: {', '.join(idle)}.")
        groups.append(f'<p class="quiet">{told}</p>')
    return "\n".join([head, *groups]) if effects else ""


def _beyond(effect: Effect, output: int, formats: Formats) -> str:
    """What a drawing leaves out."""
    write = formats.get(effect.name, plain)
    told = "" if effect.kind == "pair" else window(effect, output, write)[2]
    return f' <span class="quiet">{html.escape(told)}</span>' if told else ""


def _rows(estimator: Any, X: Any, y: Any, names: list[str], formats: Formats | None) -> str:
    """The rows to explain, as JSON that may stand in a page."""
    X = X.tocsr()[:ROWS] if sp.issparse(X) else X[:ROWS]
    explained = estimator.explain(X)
    values = cells_of(X, estimator.effects_, formats)
    classes = getattr(estimator, "classes_", None)
    answers = [shown(v) for v in np.asarray(estimator.predict(X)).reshape(len(values), -1)[:, 0]]
    data = {
        "names": explained.names,
        "outputs": names,
        "units": [unit_of(estimator, c).removeprefix("adds to the ") for c in range(len(names))],
        "baseline": _rounded(explained.baseline),
        "added": _rounded(explained.contributions),
        "values": values,
        "answers": answers,
        "truth": None if y is None else [shown(v) for v in np.asarray(y, object)[:ROWS].ravel()],
        "odds": estimator.loss == "logistic" and classes is not None and len(classes) == 2,
        "classes": None if classes is None else [str(c) for c in classes],
    }
    # "</script>" in a name would end the block
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def _rounded(values: Array) -> Any:
    """Six digits, as lists."""
    text = np.vectorize(lambda v: float(f"{v:.6g}"), otypes=[float])(values)
    return text.tolist()


def _priced(price: PriceOfReading) -> str:
    """One sentence on the simplest neurons, and the table."""
    least, most = interval(*price.price())
    reads, of = "every neuron looks at one feature", "of the objective on the training data"
    if most != "unknown":
        told = f"That {reads} costs at least {least} and at most {most} {of}, proven."
    else:
        told = f"What it costs at most that {reads} was not proven in the time given"
        told += f"; it costs at least {least} {of}." if price.price()[0] > 0 else "."
    return f"<h2>The price of reading</h2>\n<p>{told}</p>\n{number_table(HEADS, price.rows())}"


def _reading(estimator: Any) -> list[str]:
    sentences = [
        "The sum starts from the baseline, the mean prediction: an effect has mean zero over the "
        "training data.",
        "A curve shows what the model adds, not what would happen if the feature were changed.",
        "Features that go together share what they explain.",
        "The proof is about the objective on the training data; it says nothing of new data.",
    ]
    unit = unit_of(estimator, 0)
    if "log odds" in unit:
        told = "Log odds of 0 are a probability of 50%, 1 is 73%, 2 is 88%, 3 is 95%; below zero "
        sentences.insert(1, f"{told}they are as far below 50%.")
    elif "logarithm" in unit:
        told = "Logarithms add as factors multiply: "
        sentences.insert(1, f"{told}+0.1 means 10% more, +0.7 twice as much, -0.7 half.")
    kinds = {effect.kind for effect in estimator.effects_}
    if "numeric" in kinds:
        sentences.insert(1, "Grey bars count the training samples; a dot is where a curve bends.")
    if any(effect.missing is not None for effect in estimator.effects_):
        sentences.insert(1, "A diamond, or a last bar, is what a missing value adds.")
    if "pair" in kinds:
        sentences[0] = (
            "The sum starts from the baseline, what the mean prediction would be if features were "
            "independent; an effect of one feature has mean zero over the training data."
        )
        sentences.insert(
            1, "In heat maps red adds and blue takes away, at most the number below: what two "
            "features add only together. Rows and columns are zero in the mean; what one feature "
            "adds alone is in its curve.",
        )  # fmt: skip
    return sentences


_STYLE = """.cards { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)) }
.cards figure { margin: 0; padding: .5rem; background: var(--card); border-radius: .5rem }
.cards figcaption { color: var(--text); font-weight: 600; overflow-wrap: anywhere }
.cards figcaption .quiet { font-weight: 400 }
svg { width: 100%; height: auto; display: block }
svg text { font: 11px system-ui, sans-serif; fill: var(--quiet) }
.data { fill: var(--data) } .zero { stroke: var(--quiet); stroke-width: .8 }
.curve { fill: none; stroke: var(--curve); stroke-width: 2 } .kink { fill: var(--curve) }
.lacks { fill: var(--up) } rect.up { fill: var(--up) } rect.down { fill: var(--down) }
.frame { fill: none; stroke: var(--line) }
.bars { list-style: none; padding: 0 }
.bars li { display: grid; grid-template-columns: minmax(6rem, 14rem) 1fr 5rem; gap: .6rem;
  align-items: center; margin: 0 0 .2rem }
.bars .name { overflow-wrap: anywhere; line-height: 1.2 } .bars .value { text-align: right;
  font-variant-numeric: tabular-nums }
.track { position: relative; height: 1rem; background: var(--card); border-radius: .2rem }
.bar { position: absolute; top: 0; bottom: 0; left: 0; background: var(--curve);
  border-radius: .2rem }
.bar.up { background: var(--up) } .bar.down { background: var(--down) }
.mark { position: absolute; top: -.15rem; bottom: -.15rem; border-left: 1px dotted var(--quiet) }
.chooser { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center }
.chooser input { width: 6rem } .chooser button, .chooser input, .chooser select { font: inherit }
@media (max-width: 36rem) { .bars li { grid-template-columns: 1fr 4.5rem }
  .bars li { margin-bottom: .6rem } .bars .track { grid-row: 2; grid-column: 1 / 3 } }"""

_SINGLE = """<h2>One row</h2>
<div class="chooser"><button id="back" type="button" aria-label="row before">&#8592;</button>
<label>row <input id="row" type="number" min="1" value="1"></label>
<button id="next" type="button" aria-label="next row">&#8594;</button>
<select id="order" aria-label="order of rows"></select>
<select id="output" aria-label="class or target"></select><span id="count" class="quiet"></span>
</div>
<p id="told" aria-live="polite"></p>
<ul class="bars" id="sum"></ul>"""

_SCRIPT = """(() => {
const data = JSON.parse(document.getElementById("rows").textContent);
const find = (id) => document.getElementById(id), row = find("row"), output = find("output");
if (!row) return;
const MOST = 15;
const short = (v) => Number(v.toPrecision(4)).toString().replace("-", "\\u2212");
const signed = (v) => (v < 0 ? "" : "+") + short(Number(v.toPrecision(3)));
const piece = (kind, text) => {
  const span = document.createElement("span");
  span.className = kind;
  if (text !== undefined) span.textContent = text;
  return span;
};
data.outputs.forEach((name, k) =>
  output.add(new Option(data.classes ? name : "output " + name, k)));
output.hidden = data.outputs.length < 2;
// rows one after another: as they stand, by their sum, or those that are told worst first
const total = (n, c) => data.added[n].reduce((sum, step) => sum + step[c], 0);
const error = (n, c) => data.classes
  ? Math.abs(total(n, c) + data.baseline[c]) * (data.answers[n] === data.truth[n] ? -1 : 1)
  : Math.abs(Number(data.answers[n]) - Number(data.truth[n]));
const orders = [["in order", null], ["highest first", total], ["lowest first",
  (n, c) => -total(n, c)]];
if (data.truth) orders.push(["furthest from the truth first", error]);
orders.forEach(([name], k) => find("order").add(new Option(name, k)));
let order = data.values.map((_, n) => n);
function arrange() {
  const key = orders[Number(find("order").value)][1], c = Number(output.value);
  order = data.values.map((_, n) => n);
  if (key) order.sort((a, b) => key(b, c) - key(a, c));
  row.value = order[0] + 1;
  show();
}
row.max = data.values.length;
find("count").textContent = "of " + data.values.length;
function show() {
  const n = Math.min(Math.max(Math.round(Number(row.value)) || 1, 1), data.values.length) - 1;
  const c = Number(output.value), base = data.baseline[c];
  const steps = data.names.map((name, k) => [name + " = " + data.values[n][k],
    data.added[n][k][c]]);
  steps.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  if (steps.length > MOST) {
    const rest = steps.splice(MOST);
    steps.push([rest.length + " others", rest.reduce((sum, step) => sum + step[1], 0)]);
  }
  let at = base;
  const ends = steps.map((step) => { const from = at; at += step[1]; return [from, at]; });
  const low = Math.min(base, ...ends.flat()), high = Math.max(base, ...ends.flat());
  const share = (v) => 100 * (v - low) / (high - low || 1);
  const list = find("sum");
  list.replaceChildren();
  const line = (label, from, to, kind, value) => {
    const item = document.createElement("li"), track = piece("track"), bar = piece("bar " + kind);
    bar.style.left = share(Math.min(from, to)) + "%";
    bar.style.width = Math.max(Math.abs(share(to) - share(from)), .4) + "%";
    const mark = piece("mark");
    mark.style.left = share(base) + "%";
    track.append(bar, mark);
    item.append(piece("name", label), track, piece("value", value));
    list.append(item);
  };
  line("baseline", base, base, "", short(base));
  steps.forEach((step, k) => line(step[0], ends[k][0], ends[k][1], step[1] < 0 ? "down" : "up",
    signed(step[1])));
  line(data.units[c], at, at, "", short(at));
  let told = "Predicted: " + data.answers[n];
  if (data.truth) told += "; really: " + data.truth[n];
  if (data.odds) told += "; probability of " + data.classes[1] + ": "
    + (100 / (1 + Math.exp(-at))).toFixed(1) + "%";
  find("told").textContent = told + ". From the baseline " + short(base) + " to " + short(at) + ":";
}
const move = (by) => {
  const at = order.indexOf(Math.round(Number(row.value)) - 1) + by;
  row.value = order[Math.min(Math.max(at, 0), order.length - 1)] + 1;
  show();
};
find("back").onclick = () => move(-1);
find("next").onclick = () => move(1);
row.oninput = output.onchange = show;
find("order").onchange = arrange;
show();
})();"""
