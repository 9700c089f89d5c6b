"""`cromss export`: writes an encoder as a file for other programs."""

from __future__ import annotations

import logging
from typing import Any

from cromss.cli.command import check_exist, run_command
from cromss.io.user_paths import as_path, check_new_file

log = logging.getLogger(__name__)


def main() -> None:
    """Runs the command line."""
    run_command("export", run, interrupted="nothing was written.")


def run(settings: Any) -> None:
    """Does what `conf/export.yaml`, as a plain dict, says.

    Raises:
        ValueError: A setting is missing or unknown, or see `cromss.weights.export.export`.
        OSError: `out` cannot be written.
    """
    out = as_path(settings["out"])
    check_new_file(out, settings["overwrite"])
    check_exist({"checkpoint": settings["checkpoint"]})
    # Imported late: it loads torch.
    from cromss.weights.export import export
    from cromss.weights.weights_file import EXPORTED

    options = {key: settings[key] for key in ("modality", "origin", "sha256", "overwrite")}
    metadata = export(str(settings["checkpoint"]), out, **options)
    described = "  ".join(f"{key}={value}" for key, value in metadata.items() if key != EXPORTED)
    log.info("Encoder written to %s: %s", out, described)
