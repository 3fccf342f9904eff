"""The public names, in one file: what a user may rely on changes on purpose or not at all.

``python tests/test_public_api.py`` writes tests/public_api.txt anew; its diff is then what a
change does to users, and belongs into CHANGELOG.md.
"""

import ast
import contextlib
import difflib
import enum
import inspect
import io
import re
from pathlib import Path

import pytest

import gapless
from gapless.cli.main import main
from gapless.core.losses import LOG_LINK, LOSSES

LISTED = Path(__file__).with_name("public_api.txt")


def parameters(call):
    """The parameters of a call, one a line, without hints."""
    lines = []
    for p in inspect.signature(call).parameters.values():
        if p.kind is p.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = "" if p.default is p.empty else f"={getattr(p.default, '__name__', p.default)!r}"
        lines.append(f"{star}{p.name}{default}")
    return lines


def members(kind):
    """Methods and properties that gapless itself defines."""
    for name in sorted(dir(kind)):
        owner = next((c for c in kind.__mro__ if name in vars(c)), object)
        ours = owner.__module__.startswith("gapless") and not name.startswith("_")
        if not ours or re.fullmatch("set_.*_request", name):  # scikit-learn writes these
            continue
        member = inspect.getattr_static(kind, name)
        call = getattr(kind, name)
        if isinstance(member, property):
            yield f".{name}"
        elif callable(call) and not isinstance(call, type):
            yield f".{name}({', '.join(p for p in parameters(call) if p != 'self')})"


def describe(name, value):
    if inspect.ismodule(value):
        yield f"module {name}"
        return
    if not inspect.isclass(value):
        yield f"def {name}"
        yield from (f"    {line}" for line in parameters(value))
        return
    yield f"class {name}"
    if issubclass(value, enum.Enum):
        yield from (f"    {member.name}" for member in value)
    elif not issubclass(value, Exception):
        yield from (f"    {line}" for line in parameters(value))
    yield from (f"    {line}" for line in members(value))


def help_of(*command):
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main([*command, "--help"])
    return text.getvalue()


def describe_command(name):
    usage = " ".join(help_of(name).split("\n\n")[0].split())
    yield f"gapless {name}"
    yield from (f"    {option}" for option in re.findall(r"\[.*?\]|--\S+ \S+|\S+", usage)[4:])


def public_api():
    """Lines, an entry a name, an empty line between two."""
    for name in gapless.__all__:
        yield from (*describe(name, getattr(gapless, name)), "")
    yield "losses by name"
    for name, loss in (LOSSES | LOG_LINK).items():
        yield f"    {name}: {loss.__name__}({', '.join(parameters(loss))})"
    for command in re.findall(r"^    (\w+)  ", help_of(), re.MULTILINE):
        yield from ("", *describe_command(command))


def entries(text):
    return {entry.split("\n")[0]: entry.split("\n") for entry in text.strip().split("\n\n")}


def test_public_api_is_as_listed():
    listed, now = entries(LISTED.read_text()), entries("\n".join(public_api()))
    changes = []
    for name in dict.fromkeys([*listed, *now]):
        old, new = listed.get(name, []), now.get(name, [])
        if old != new:  # the whole entry, so that one sees whose parameter it is
            changes += [line for line in difflib.ndiff(old, new) if line[0] != "?"]
    if changes:
        pytest.fail(
            "the public API is not as tests/public_api.txt lists it (- listed, + now).  If that is "
            "meant, run `python tests/test_public_api.py` and say so in CHANGELOG.md:\n"
            + "\n".join(changes),
            pytrace=False,
        )


def test_types_and_names_come_with_the_package():
    package = Path(gapless.__file__).parent  # of a wheel, all files of the package
    assert (package / "py.typed").is_file()
    # type checkers read the list, the lazy loader the imports above it
    tree = ast.parse((package / "__init__.pyi").read_text())
    listed = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    assert ast.literal_eval(listed[0]) == gapless.__all__


if __name__ == "__main__":
    LISTED.write_text("\n".join(public_api()) + "\n")
