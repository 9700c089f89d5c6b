"""The command line of `python -m cromss.weights.export`."""

from __future__ import annotations

import logging
from typing import Any

from cromss.cli.command import run_command
from cromss.config.paths import EXPORT
from cromss.io.user_paths import as_path

log = logging.getLogger(__name__)


def main() -> None:
    """Runs the command line."""
    run_command("export", run, EXPORT, interrupted="nothing was written.")


def run(settings: Any) -> None:
    """Does what `conf/export.yaml`, as a plain dict, says.

    Raises:
        ValueError: A setting is missing or unknown, or see `export_encoder`.
        OSError: `out` cannot be written.
    """
    # Late: it brings torch along, which help and mistakes need not wait for.
    from cromss.weights.encoder_file import export_encoder
    from cromss.weights.weights_file import EXPORTED

    checkpoint, target = str(settings["checkpoint"]), as_path(settings["out"])
    options = {key: settings[key] for key in ("modality", "origin", "sha256", "overwrite")}
    metadata = export_encoder(checkpoint, target, **options)
    described = "  ".join(f"{key}={value}" for key, value in metadata.items() if key != EXPORTED)
    log.info("Encoder written to %s: %s", target, described)


if __name__ == "__main__":
    main()
