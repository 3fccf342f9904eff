"""A trained network as a function in C, a query in SQL, or cells of a spreadsheet."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.checks import Array, InputError
from ..core.losses import LOG_LINK
from ..core.network import Network
from .dates import PARTS
from .features import Dates, Numbers
from .model_files import Header
from .outputs import csv_text
from .preparing import Encoder

# Characters of a formula that spreadsheets take.
LONGEST_CELL = 8192
# Words of C, and of what is written around the network.
RESERVED = {
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
    "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register",
    "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef",
    "union", "unsigned", "void", "volatile", "while", "classes", "fill", "is", "lacks", "out",
    "h", "predict", "score",
}  # fmt: skip


@dataclass(frozen=True)
class Language:
    """How a language says what a network needs of a column; the first argument is its name.

    Attributes
    ----------
    filled : callable (column, number) -> str
        The number in a column, or another where it is missing.
    lacks : callable (column) -> str
        1 where it is missing, else 0.
    equals : callable (column, text) -> str
        1 where it is that text, else 0.
    part : callable (column, part, number) -> str
        A part of a date, of :data:`.dates.PARTS`, or a number where the date is missing.
    """

    filled: Callable[[str, float], str]
    lacks: Callable[[str], str]
    equals: Callable[[str, str], str]
    part: Callable[[str, str, float], str]


def formula(language: str, network: Network, header: Header) -> str:
    """The text of a network, ready to compile, to run or to open.

    Parameters
    ----------
    language : {"c", "sql", "excel"}
    network : Network
        In the units of the table.
    header : Header
        Of its model file.

    Raises
    ------
    InputError
        For a network whose formula is too long for a cell.
    """
    return {"c": _c, "sql": _sql, "excel": _excel}[language](network, header)


def _features(language: Language, encoder: Encoder, columns: Sequence[str]) -> list[str]:
    """An expression for each number that the network is given."""
    out: list[str] = []
    for column, name in zip(encoder.kinds, columns):
        if isinstance(column, Numbers):
            out.append(language.filled(name, 0.0 if column.fill is None else column.fill))
        elif isinstance(column, Dates):
            fill = column.fill or [0.0] * len(column.parts)
            out += [language.part(name, part, v) for part, v in zip(column.parts, fill)]
        else:
            levels = [language.equals(name, level) for level in column.levels]
            out += [*levels, *[f"(1 - {' - '.join(levels)})"] * column.other]
            continue
        out += [language.lacks(name)] * column.indicator
    return out


def _sum(constant: float, weights: Array, names: Sequence[str]) -> str:
    """``constant + w1*name1 - w2*name2 ...`` without the weights that are zero."""
    text = repr(float(constant))
    for weight, name in zip(weights, names):
        if weight:
            text += f" {'-' if weight < 0 else '+'} {abs(float(weight))!r}*{name}"
    return text


def _identifiers(names: Sequence[str]) -> list[str]:
    """Names that every language takes, all different."""
    out: list[str] = []
    for name in names:
        word = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_") or "column"
        word = f"x{word}" if word[0].isdigit() else word
        while word.lower() in RESERVED or word.lower() in map(str.lower, out):
            word += "_"
        out.append(word)
    return out


def _margins(header: Header) -> bool:
    """Whether the outputs of a network give probabilities."""
    return header.classes is not None and header.training.get("loss") in ("logistic", "softmax")


def _number(output: str, header: Header) -> str:
    """The number predicted, from the output of the network."""
    return f"exp({output})" if header.training.get("loss") in LOG_LINK else output


# C


def _string(text: str) -> str:
    """A literal of C, byte by byte where it must be."""
    return '"' + "".join(
        chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in text.encode()
    ) + '"'  # fmt: skip


_C = Language(
    filled=lambda x, v: f"fill({x}, {v!r})",
    lacks=lambda x: f"lacks({x})",
    equals=lambda x, t: f"is({x}, {_string(t)})",
    part=lambda x, p, v: f"fill({x}_{p}, {v!r})",
)


def _c(network: Network, header: Header) -> str:
    encoder = Encoder(header.columns)
    names = _identifiers([column.name for column in encoder.kinds])
    parameters: list[str] = []
    dated: dict[str, str] = {}
    for column, name in zip(encoder.kinds, names):
        if isinstance(column, Dates):
            parameters += [f"double {name}_{part}" for part in column.parts]
            # what is missing shows in the first part, which stands for the date
            dated[name] = f"{name}_{column.parts[0]}"
        else:
            kind = "double " if isinstance(column, Numbers) else "const char *"
            parameters.append(f"{kind}{name}")
    language = replace(_C, lacks=lambda x: _C.lacks(dated.get(x, x)))
    features = _features(language, encoder, names)
    hidden = [f"h[{k}]" for k in range(network.n_neurons)]
    lines = [
        f"/* {_comment(header)}",
        "   Missing: NAN for a number, NULL for a text. Dates: days since 1970-01-01, weekday",
        "   (Monday 0), month (January 1), hour. Link with -lm. */",
        "#include <math.h>",
        "#include <string.h>",
        "",
        "static double fill(double x, double value) { return isnan(x) ? value : x; }",
        "static double lacks(double x) { return isnan(x) ? 1 : 0; }",
        "static double is(const char *x, const char *text) "
        '{ return strcmp(x ? x : "", text) == 0; }',
        "",
        f"static void score({', '.join([*parameters, 'double *out'])})",
        "{",
        f"    double h[{max(network.n_neurons, 1)}];",
        *(
            f"    {h} = fmax(0, {_sum(b, u, features)});"
            for h, u, b in zip(hidden, network.hidden_weights.T, network.hidden_bias)
        ),
        *(
            f"    out[{c}] = {_sum(b, w, hidden)};"
            for c, (w, b) in enumerate(zip(network.output_weights.T, network.output_bias))
        ),
        "    (void) h; (void) fill; (void) lacks; (void) is;",
        "}",
        "",
        *_c_predict(header, parameters, network.n_outputs),
    ]
    return "\n".join(lines) + "\n"


def _c_predict(header: Header, parameters: list[str], C: int) -> list[str]:
    """The function that calls ``score``."""
    given = ", ".join(p.split()[-1].lstrip("*") for p in parameters)
    if header.classes is None:
        return [
            f"double predict({', '.join(parameters)})",
            "{",
            "    double out[1];",
            f"    score({given}, out);\n    return {_number('out[0]', header)};",
            "}",
        ]
    told = ", ".join(_string(str(c)) for c in header.classes)
    best = (
        "return out[0] > 0;" if C == 1 else
        f"int best = 0;\n    for (int c = 1; c < {C}; c++) if (out[c] > out[best]) best = c;\n"
        "    return best;"
    )  # fmt: skip
    return [
        f"const char *classes[] = {{{told}}};",
        "",
        f"/* The number of the class in classes; score of each output in out[{C}]. */",
        f"int predict({', '.join([*parameters, 'double *out'])})",
        "{",
        f"    score({given}, out);\n    {best}",
        "}",
    ]


def _comment(header: Header) -> str:
    """What is predicted, with nothing in it that ends a comment."""
    return re.sub(r"\*/|[\r\n]", " ", f"Predicts {header.target}; written by gapless export.")


# SQL


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _literal(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


_SQL = Language(
    filled=lambda x, v: f"COALESCE({x}, {v!r})",
    lacks=lambda x: f"(CASE WHEN {x} IS NULL THEN 1 ELSE 0 END)",
    equals=lambda x, t: f"(CASE WHEN COALESCE({x}, '') = {_literal(t)} THEN 1 ELSE 0 END)",
    part=lambda x, p, v: f'COALESCE({x[:-1]} {p}", {v!r})',
)


def _sql(network: Network, header: Header) -> str:
    encoder = Encoder(header.columns)
    names = [_quoted(column.name) for column in encoder.kinds]
    dated = {
        name: f'{name[:-1]} {column.parts[0]}"'
        for column, name in zip(encoder.kinds, names) if isinstance(column, Dates)
    }  # fmt: skip
    language = replace(_SQL, lacks=lambda x: _SQL.lacks(dated.get(x, x)))
    features = _features(language, encoder, names)
    hidden = [f"gapless_h{k}" for k in range(network.n_neurons)]
    positive = [f"(CASE WHEN {h} > 0 THEN {h} ELSE 0 END)" for h in hidden]
    outputs = [f"gapless_s{c}" for c in range(network.n_outputs)]
    inner = ",\n    ".join(
        ["t.*", *(f"{_sum(b, u, features)} AS {h}"
                  for h, u, b in zip(hidden, network.hidden_weights.T, network.hidden_bias))]
    )  # fmt: skip
    middle = ",\n  ".join(
        ["n.*", *(f"{_sum(b, w, positive)} AS {s}"
                  for s, w, b in zip(outputs, network.output_weights.T, network.output_bias))]
    )  # fmt: skip
    result = _quoted(f"predicted {header.target}")
    if header.classes is None:
        outer = f"{_number('gapless_s0', header)} AS {result}"
    else:
        classes = [_literal(str(c)) for c in header.classes]
        if len(outputs) == 1:
            outer = f"CASE WHEN gapless_s0 > 0 THEN {classes[1]} ELSE {classes[0]} END AS {result}"
        else:
            cases = " ".join(
                f"WHEN {' AND '.join(f'{s} >= {o}' for o in outputs if o != s)} THEN {c}"
                for s, c in zip(outputs[:-1], classes)
            )
            outer = f"CASE {cases} ELSE {classes[-1]} END AS {result}"
        if _margins(header) and len(outputs) == 1:
            of = _quoted(f"probability of {header.classes[1]}")
            outer += f",\n  1 / (1 + EXP(-gapless_s0)) AS {of}"
    return (
        f"/* {_comment(header)} Put your table in place of MY_TABLE. Missing cells are NULL;\n"
        '   a date D is given as columns "D day" (since 1970-01-01), "D weekday" (Monday 0), '
        "... */\n"
        f"SELECT o.*,\n  {outer}\nFROM (\n  SELECT {middle}\n  FROM (\n    SELECT {inner}\n"
        "    FROM MY_TABLE t\n  ) n\n) o\n"
    )


# Spreadsheets


def _cell(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


_MOMENTS = {
    "day": "({0}-DATE(1970,1,1))", "weekday": "(WEEKDAY({0},2)-1)", "month": "MONTH({0})",
    "hour": "(24*MOD({0},1))",
}  # fmt: skip
assert set(_MOMENTS) == set(PARTS)
_EXCEL = Language(
    filled=lambda x, v: f'IF({x}="",{v!r},{x})',
    lacks=lambda x: f'IF({x}="",1,0)',
    equals=lambda x, t: f"IF(EXACT({x},{_cell(t)}),1,0)",
    part=lambda x, p, v: f'IF({x}="",{v!r},{_MOMENTS[p].format(x)})',
)


def _letters(number: int) -> str:
    """The name of a column of a spreadsheet."""
    out = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        out = chr(65 + digit) + out
    return out


def _excel(network: Network, header: Header) -> str:
    """Two rows of CSV: names, and formulas beside the empty cells of a row to predict."""
    encoder = Encoder(header.columns)
    d, C = len(encoder.kinds), network.n_outputs
    features = _features(_EXCEL, encoder, [f"{_letters(j)}2" for j in range(d)])
    heads = [column.name for column in encoder.kinds]
    row: list[Any] = [""] * d

    def append(head: str, text: str) -> str:
        if len(text) >= LONGEST_CELL:
            raise InputError(
                f"the formula of {head} has {len(text)} characters, a cell takes {LONGEST_CELL}; "
                "fit with --max-neurons or fewer columns, or export to c or sql"
            )
        heads.append(head)
        row.append(f"={text}")
        return f"{_letters(len(row) - 1)}2"

    hidden = [
        append(f"neuron {k + 1}", f"MAX(0,{_sum(b, u, features)})")
        for k, (u, b) in enumerate(zip(network.hidden_weights.T, network.hidden_bias))
    ]
    sums = [_sum(b, w, hidden) for w, b in zip(network.output_weights.T, network.output_bias)]
    result = f"predicted {header.target}"
    if header.classes is None:
        append(result, _number(sums[0], header))
        return csv_text([heads, row])
    classes = [_cell(str(c)) for c in header.classes]
    scores = [append(f"score {c}", s) for c, s in zip(header.classes[-C:], sums)]
    if C == 1:
        append(result, f"IF({scores[0]}>0,{classes[1]},{classes[0]})")
        if _margins(header):
            append(f"probability of {header.classes[1]}", f"1/(1+EXP(-{scores[0]}))")
    else:
        span = f"{scores[0]}:{scores[-1]}"
        append(result, f"CHOOSE(MATCH(MAX({span}),{span},0),{','.join(classes)})")
    return csv_text([heads, row])
