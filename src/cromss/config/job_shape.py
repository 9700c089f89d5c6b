"""Whether the processes that a launcher starts are those that a training needs."""

from __future__ import annotations

import os
from collections.abc import Iterator

from omegaconf import DictConfig


def check_shape(cfg: DictConfig) -> Iterator[str]:
    """Sentences about settings of launcher and trainer that do not fit, before anything is submitted.

    Args:
        cfg: Config of one run, with that of Hydra itself.
    """
    launcher = cfg.hydra.launcher
    if "tasks_per_node" not in launcher or "nodes" not in launcher:
        return  # the launcher that runs jobs in this process
    devices, nodes = cfg.trainer.devices, cfg.trainer.num_nodes
    tasks, hosts = launcher.tasks_per_node, launcher.nodes
    if not isinstance(devices, int) or devices < 1:
        yield f"trainer.devices={devices} must be a whole number of at least 1: a launcher starts one process each"
    elif tasks != devices:
        yield (
            f"trainer.devices={devices} needs hydra.launcher.tasks_per_node={devices}, one process per device, not "
            f"{tasks}"
        )
    if hosts != nodes:
        yield f"trainer.num_nodes={nodes} needs hydra.launcher.nodes={nodes}, and it is {hosts}"
    gpus = launcher.get("gpus_per_node")
    if gpus is not None and isinstance(devices, int) and gpus < devices and cfg.trainer.accelerator in ("gpu", "cuda"):
        yield f"trainer.devices={devices} GPUs need hydra.launcher.gpus_per_node={devices}, and it is {gpus}"


def check_tasks(cfg: DictConfig) -> Iterator[str]:
    """Sentences where Slurm did not start one process per device; called within the job.

    Lightning refuses too few. With too many, each would train on its own in the same folder.

    Args:
        cfg: Config of one run.
    """
    if "SLURM_PROCID" not in os.environ or "SLURM_STEP_NUM_TASKS" not in os.environ:
        return
    tasks, devices, nodes = int(os.environ["SLURM_STEP_NUM_TASKS"]), cfg.trainer.devices, cfg.trainer.num_nodes
    if tasks > 1 and isinstance(devices, int) and devices > 0 and tasks != devices * nodes:
        yield (
            f"Slurm started {tasks} processes for trainer.devices={devices} on trainer.num_nodes={nodes} node(s): set "
            f"--ntasks-per-node={devices}, or trainer.devices={tasks // nodes}"
        )


def gpus_per_node(accelerator: str, devices: int | str) -> int | None:
    """GPUs to ask a scheduler for: as many as the training has devices; None where it runs on CPUs.

    Args:
        accelerator: ``trainer.accelerator``.
        devices: ``trainer.devices``.
    """
    return devices if accelerator in ("gpu", "cuda") and isinstance(devices, int) and devices > 0 else None
