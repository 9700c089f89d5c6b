"""Starts and ends runs of W&B within bounded time, whatever its process and its server do."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import wandb

from cromss.io.redact import redact

try:
    # Private, but what W&B raises when its process dies has no public name.
    from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError
    from wandb.sdk.mailbox.mailbox_handle import ServerResponseError
except ImportError as error:
    raise ValueError(
        f"wandb {wandb.__version__} is another version than this program knows ({error}): pip install 'wandb<0.32'"
    ) from error

log = logging.getLogger(__name__)

EXIT_CODES = {"done": 0, "failed": 1, "preempted": 143, "stopped": 255}
"""Exit codes of runs for W&B: 0 is shown as finished, 255 is its own code for Ctrl-C, all others are failed, or
preempted where the run was marked so."""

LOST = (wandb.Error, OSError, HandleAbandonedError, MailboxClosedError, ServerResponseError)
"""What W&B raises when its process is killed, or its server does not answer."""

FLUSHED = 1.0
"""Seconds between two writes of the `.wandb` file: W&B's process may be killed with what it has not written."""


def limits(init_timeout: float, finish_timeout: float) -> wandb.Settings:
    """Settings of a run that asks nothing and prints nothing.

    Args:
        init_timeout: Seconds to wait for the server before the run goes offline.
        finish_timeout: Seconds to wait at the end until everything is uploaded.
    """
    return wandb.Settings(
        silent=True,
        console="off",
        init_timeout=init_timeout,
        finish_timeout=finish_timeout,
        finish_timeout_raises=True,
        x_transaction_log_flush_interval=FLUSHED,
    )


def start(online: bool, arguments: Mapping[str, Any], settings: wandb.Settings) -> wandb.Run:
    """Starts a run, or resumes the one of the same id.

    Args:
        online: Whether to try the server; where it does not answer, a warning says so and the run goes offline.
        arguments: Of `wandb.init`.
        settings: See `limits`.

    Raises:
        wandb.Error: A setting that W&B refuses.
    """
    if online:
        try:
            return _init("online", arguments, settings)
        except wandb.errors.UsageError:
            raise
        except LOST as error:
            log.warning(
                "W&B takes no run, with trainer.wandb_init_timeout=%g seconds (%s): this one is written offline; "
                "`make wandb-sync` uploads it",
                settings.init_timeout,
                in_one_line(error),
            )
            with suppress(*LOST):
                wandb.teardown()  # which frees the run's id
    return _init("offline", arguments, settings)


def _init(mode: Literal["online", "offline"], arguments: Mapping[str, Any], settings: wandb.Settings) -> wandb.Run:
    # `resume` is noted offline, too: without it, uploading a resumed run would overwrite what it had before.
    with _arguments_without_credentials():
        run = wandb.init(**arguments, mode=mode, resume="allow", settings=settings)
    # Not the step, which an offline run counts anew when it resumes.
    run.define_metric("*", step_metric="epoch")
    return run


@contextmanager
def _arguments_without_credentials() -> Iterator[None]:
    """W&B stores the command line, and has no setting that changes what it takes for it."""
    typed = sys.argv
    sys.argv = [typed[0], *map(redact, typed[1:])]
    try:
        yield
    finally:
        sys.argv = typed


def end(run: wandb.Run, state: str) -> None:
    """Ends a run.

    Args:
        run: It has not ended yet.
        state: One of `EXIT_CODES`; also in the summary, as W&B has no words for all of them.
    """
    run.summary["state"] = state
    if state == "preempted":
        run.mark_preempting()
    try:
        run.finish(exit_code=EXIT_CODES[state])
    except TimeoutError:
        log.warning(
            "W&B had not taken everything after trainer.wandb_finish_timeout=%g seconds: "
            "`wandb sync --include-online %s` uploads it",
            run.settings.finish_timeout,
            Path(run.dir).parent,
        )


def in_one_line(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
