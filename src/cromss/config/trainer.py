"""The keys of the trainer group, with its optimisers and schedulers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cromss.config.settings import OPTIONAL, Count, CountOrZero, Means, Part, PathText, Seconds, Settings, Share, Text
from cromss.config.words import OneOf

Rate = Annotated[float, Field(ge=0, le=100)]
Gamma = Annotated[float, Field(gt=0, le=1)]
RATES = ("equal", "rising", "falling")
"""How the learning rate changes from block to block of a decoder, from the deepest features to the head."""

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
"""Precisions of Lightning in which weights, losses and metrics stay float32 or wider."""

STRATEGIES = (
    "auto",
    *(
        f"ddp{start}{unused}"
        for start in ("", "_spawn", "_fork")
        for unused in ("", "_find_unused_parameters_false", "_find_unused_parameters_true")
    ),
)


class Lightning(Settings):
    """Further arguments of Lightning's Trainer, with its own defaults."""

    gradient_clip_val: Annotated[float, Field(ge=0, le=1e9)] | None
    """Largest norm, or value, of the gradients; null for no clipping."""

    gradient_clip_algorithm: Literal["norm", "value", None]
    """What is clipped: null and ``norm`` the norm over all gradients, ``value`` each value."""

    accumulate_grad_batches: Count | None
    """Batches per step of the optimiser; null for 1."""

    max_time: Annotated[str, Field(pattern=r"^\d\d:\d\d:\d\d:\d\d$"), Means("text as DD:HH:MM:SS")] | None
    """Time after which a training ends; null for none."""

    deterministic: bool | Literal["warn", None]
    """Whether torch must avoid operations whose result varies from run to run."""

    benchmark: bool | None
    """Whether cuDNN measures which algorithm is fastest; null for true."""

    detect_anomaly: bool | None
    """Whether torch finds the operation that makes a gradient NaN, which is slow."""

    profiler: Literal["simple", "advanced", "pytorch", None]
    """Whether the time of each part is measured, and written to the run's folder."""


class Trainer(Settings):
    """How a run trains, tests, logs and saves."""

    optimizer: Part
    """The optimiser; an option of the group trainer/optimizer."""

    scheduler: Part
    """The schedule of the learning rate; an option of the group trainer/scheduler."""

    epochs: Count
    """Epochs of the training."""

    ramp_epochs: Count
    """Epochs of the ramp of the selection."""

    batch_size: Count
    """Samples per batch on each process."""

    workers: Annotated[int, Field(ge=0, le=4096)]
    """Loader processes per process; 0 reads in the training process."""

    limit_batches: Count | None
    """Batches per epoch at most; null for all."""

    test: Literal["last", "best", None]
    """Which checkpoint is tested after the training; null for none."""

    test_only: bool
    """Whether ``trainer.checkpoint`` is tested and nothing is trained."""

    checkpoint: PathText | None
    """Checkpoint that ``trainer.test_only`` tests."""

    predictions: Literal["none", "png", "tif"]
    """Format of files with the classes that a test predicts; ``none`` for no files."""

    decoder_rates: Annotated[str, OneOf(RATES)]
    """How the learning rate changes from the deepest block of the decoder to the head."""

    decoder_rate_factor: Gamma
    """Factor of the rate from block to block."""

    resume: Annotated[Literal["auto"] | PathText | None, Means("auto, a path, or null")]
    """Whether a run resumes: ``auto`` in its own folder, null never; or a checkpoint to resume from."""

    monitor: Text
    """Metric that decides which checkpoint is the best."""

    checkpoint_steps: Count | None
    """Optimiser steps between checkpoints within an epoch; null for none."""

    checkpoint_every: Count
    """Epochs between checkpoints that are kept."""

    panels_every: Count
    """Epochs between pictures of predictions."""

    panel_samples: Annotated[int, Field(ge=1, le=1000)]
    """Patches per picture."""

    check_finite_every: Count
    """Steps between two checks that the network is finite, on an accelerator."""

    sync_batchnorm: bool
    """Whether batch norm is over the samples of all processes, on GPUs."""

    progress_bar: bool
    """Whether the progress of an epoch is shown."""

    lightning: Lightning
    """Further arguments of Lightning's Trainer; null leaves its default."""

    wandb: Literal["auto", "online", "offline", "disabled"]
    """Weights & Biases; ``auto`` is what WANDB_MODE says, else online with an API key, else offline."""

    wandb_project: Text
    """Project on W&B."""

    wandb_entity: Text | None
    """User or team; null for that of the API key."""

    wandb_group: Text | None
    """Group on W&B; ``auto`` is the name of the sweep, null for none."""

    wandb_tags: list[Text]
    """Tags on W&B, beside the chosen options."""

    wandb_job_type: Text
    """Kind of run on W&B."""

    wandb_init_timeout: Seconds
    """Seconds that the W&B server has to answer before the run continues offline."""

    wandb_finish_timeout: Seconds
    """Seconds for the last uploads to W&B."""

    accelerator: Literal["cpu", "gpu", "cuda"]
    """Hardware that trains the network."""

    devices: Annotated[
        Count | Literal[-1] | Annotated[list[CountOrZero], Field(min_length=1)],
        Means("a whole number of at least 1, -1 for all GPUs, or a list of their numbers"),
    ]
    """Devices per node, one process each."""

    num_nodes: Annotated[int, Field(ge=1, le=100_000)]
    """Number of nodes."""

    precision: Annotated[str, OneOf(PRECISIONS)]
    """Precision of weights and activations."""

    strategy: Annotated[str, OneOf(STRATEGIES)]
    """How processes train together; ``auto`` is ddp where there are several."""


class Adam(Settings):
    """Arguments of `torch.optim.Adam`; those without a value in the YAML are added by ``+``."""

    lr: Rate
    """Learning rate."""

    weight_decay: Share
    """Factor of the L2 penalty."""

    fused: bool | None
    """Whether all operations are done in one pass over the weights."""

    betas: Annotated[
        list[Annotated[float, Field(ge=0, lt=1)]],
        Field(min_length=2, max_length=2),
        Means("a list of two numbers in [0, 1)"),
    ] = OPTIONAL
    """Decay of the running means of the gradient and of its square."""

    eps: Annotated[float, Field(gt=0, le=1)] = OPTIONAL
    """Added to the denominator."""

    amsgrad: bool = OPTIONAL
    """Whether the largest running mean of the squared gradient is used."""

    decoupled_weight_decay: bool = OPTIONAL
    """Whether the weight decay is that of AdamW."""


class SGD(Settings):
    """Arguments of `torch.optim.SGD`; those without a value in the YAML are added by ``+``."""

    lr: Rate
    """Learning rate."""

    momentum: Annotated[float, Field(ge=0, lt=1)]
    """Share of the previous step that is kept."""

    weight_decay: Share
    """Factor of the L2 penalty."""

    nesterov: bool = OPTIONAL
    """Whether the momentum is that of Nesterov."""

    dampening: Share = OPTIONAL
    """Dampening of the momentum."""


class Cosine(Settings):
    """Arguments of `cromss.trainer.optim.cosine`."""

    epochs: Count
    """Epochs until the lowest rate."""

    lowest: Rate
    """Lowest rate; at most the initial one."""


class Exponential(Settings):
    """Arguments of `cromss.trainer.optim.exponential`."""

    gamma: Gamma
    """Factor of the rate per epoch."""


class Plateau(Settings):
    """Arguments of `cromss.trainer.optim.plateau`."""

    factor: Annotated[float, Field(gt=0, lt=1)]
    """Factor of the rate when the metric has stopped improving."""

    patience: CountOrZero
    """Epochs without improvement before that."""

    threshold: Annotated[float, Field(ge=0, lt=1)]
    """Smallest relative improvement that counts."""

    monitor: Text
    """Metric to watch."""


class Step(Settings):
    """Arguments of `cromss.trainer.optim.step`."""

    every: Count
    """Epochs between two steps."""

    gamma: Gamma
    """Factor of the rate per step."""


class Constant(Settings):
    """Arguments of `cromss.trainer.optim.constant`: none."""
