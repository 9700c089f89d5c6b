"""`cromss prepare`: makes stores and checks them."""

from __future__ import annotations

from typing import Any

from cromss.cli.command import check_exist, run_command


def main() -> None:
    """Runs the command line."""
    interrupted = "what is complete stays; the same command resumes."
    run_command("prepare", run, interrupted, sweeps=True)


def run(settings: Any) -> None:
    """Does what `conf/prepare.yaml`, as a plain dict that fits `cromss.config.programs.Prepare`, says.

    Raises:
        ValueError: Settings contradict each other, the source cannot be read, or `verify` found damage.
        OSError: The disk is full, or a path cannot be written.
    """
    check_exist({"path": settings["path"]})
    # Imported late: it loads torch.
    from cromss.prepare.actions import ACTIONS

    ACTIONS[settings["action"]](settings)
