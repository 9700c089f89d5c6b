"""How the other processes of a training find their run when a sweep starts it on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import read_write

from cromss.config.paths import uninterpolated

_OF_A_GROUP = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that Lightning sets for all processes of a training, including the first."""

_PORTS = range(20_000, 32_000)
"""Ports below the range that systems use for outgoing connections."""


@contextmanager
def as_single_run(folder: Path, overrides: Sequence[str]) -> Iterator[None]:
    """Changes the command line of this process to that of a single run of a sweep.

    Lightning starts the other processes of a training by this one's command line: within a sweep each of them would
    start the whole sweep.

    Args:
        folder: The run's.
        overrides: Those of the run.
    """
    run: Any = HydraConfig.get().run
    typed, before = sys.argv, {name: os.environ.get(name) for name in _OF_A_GROUP}
    with read_write(run):
        run.dir = uninterpolated(str(folder))
    sys.argv = [typed[0], *overrides]
    try:
        yield
    finally:
        sys.argv = typed
        # Otherwise the next training in this process would join the process group of this one.
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        _leave_group()


def _leave_group() -> None:
    if "torch" not in sys.modules:
        return  # the run was refused before
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def join_local_job() -> None:
    """Sets the rank for Lightning where submitit started several processes on this machine for one training."""
    environment = os.environ
    if environment.get("SUBMITIT_EXECUTOR") != "local" or int(environment["SUBMITIT_LOCAL_NTASKS"]) == 1:
        return
    job = int(environment["SUBMITIT_LOCAL_JOB_ID"])
    environment |= {
        "LOCAL_RANK": environment["SUBMITIT_LOCAL_LOCALID"],
        "NODE_RANK": "0",
        "WORLD_SIZE": environment["SUBMITIT_LOCAL_NTASKS"],
        "MASTER_ADDR": "127.0.0.1",
        # All processes have to compute the same port without communication.
        "MASTER_PORT": str(_PORTS[job % len(_PORTS)]),
    }
