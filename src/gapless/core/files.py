"""Files by name, and :func:`write`: what gapless writes is there whole, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from pathlib import Path

from .checks import InputError


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Give ``path`` the ``content``; what fails or is interrupted leaves it as it was.

    A link is followed.  A device or a pipe is written into, never replaced.

    Parameters
    ----------
    path : path
    content : bytes

    Raises
    ------
    OSError
        With ``path`` and the reason: a full disk, a folder that may not be written.
    """
    try:
        if _is_regular(path):
            _replace(Path(os.path.realpath(path)), content)
        else:
            with open(path, "wb") as stream:
                stream.write(content)
    except OSError as error:
        reason = f"cannot be written: {error.strerror}"
        raise OSError(error.errno, reason, os.fspath(path)) from error


def _is_regular(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` leads to a regular file, or to nothing yet."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True


def _replace(target: Path, content: bytes) -> None:
    partial = target.with_name(f".gapless-{secrets.token_hex(8)}")
    try:
        with partial.open("xb") as stream:  # its mode is what the umask leaves
            stream.write(content)
        if target.exists():
            target.open("r+b").close()  # a file that may not be written is not replaced either
            shutil.copymode(target, partial)
        partial.replace(target)
    finally:  # Ctrl-C and SIGTERM come here as well
        partial.unlink(missing_ok=True)


def named_file(path: str | Path, what: str = "a file") -> Path:
    """``path``, unless it is empty or a folder.

    Parameters
    ----------
    path : path
    what : str, default "a file"
        What it should be, for the message.

    Returns
    -------
    Path
        The file need not exist.

    Raises
    ------
    InputError
    """
    if str(path) == "":
        raise InputError(f"the name of {what} is empty; give a file")
    if (file := Path(path)).is_dir():
        raise InputError(f"{path} is a folder; give {what}")
    return file


def existing_file(path: str | Path) -> Path:
    """``path``, where there is a file.

    Parameters
    ----------
    path : path

    Returns
    -------
    Path

    Raises
    ------
    InputError
    """
    file = named_file(path)
    if not file.is_file():
        raise InputError(f"no such file: {path}")
    return file
