"""Errors and warnings as the user sees them: one line on stderr, and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from tf2.errors import Tf2Error

FAILED = 1
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

PASSED_ON = (typer.Exit, typer.Abort)


@contextmanager
def reported(*, debug: bool) -> Iterator[None]:
    """Print whatever goes wrong inside as one line and exit with its code.

    Args:
        debug: Print the traceback as well.
    """
    try:
        with _warnings_shown():
            yield
    except Tf2Error as error:
        raise _failure(str(error), debug) from error
    except KeyboardInterrupt as error:
        typer.echo(str(error) or "interrupted: nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from error
    except BrokenPipeError as error:  # the reader of stdout has gone: tf2 info x.tf2 | head
        # What is still in the buffer must not be written when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from error
    except MemoryError as error:
        raise _failure("out of memory", debug) from error
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        raise _failure(f"{name}{error.strerror or error}", debug) from error
    except Exception as error:
        if isinstance(error, PASSED_ON) or hasattr(error, "exit_code"):  # usage errors, too
            raise
        text = f"internal error: {type(error).__name__}: {error}"
        hint = "" if debug else ". Please report it with the output of tf2 --debug ..."
        raise _failure(text + hint, debug) from error


def _failure(message: str, debug: bool) -> typer.Exit:
    if debug:
        traceback.print_exc()
    lines = " ".join(line.strip() for line in message.splitlines() if line.strip())
    typer.echo(f"error: {lines}", err=True)
    return typer.Exit(FAILED)


class _WarningLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(f"{record.levelname.lower()}: {record.getMessage()}", err=True)


@contextmanager
def _warnings_shown() -> Iterator[None]:
    """Show what the library logs as warnings, as lines on stderr."""
    logger, handler = logging.getLogger("tf2"), _WarningLines(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
