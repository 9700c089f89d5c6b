"""Writes an encoder as a safetensors file that other programs read."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save

from cromss.dataset.own_statistics import PUBLISHED
from cromss.io.atomic import write_file
from cromss.io.user_paths import check_new_file
from cromss.weights.bands import source_bands
from cromss.weights.diagnose import resnet_name
from cromss.weights.find import find
from cromss.weights.part import first_convolution, plain, shapes
from cromss.weights.weights_file import EXPORTED, FORMAT, UNKNOWN, open_weights


def export(
    checkpoint: str, out: Path, modality: str, origin: str, sha256: str | None, overwrite: bool
) -> dict[str, str]:
    """Writes one encoder of a file of weights, by the names that torchvision and timm give its parts.

    Args:
        checkpoint: File or address, see `cromss.weights.fetch.fetch`.
        out: The safetensors file to write; it appears when it is complete.
        modality: Whose encoder: ``"s1"``, ``"s2"`` or ``"common"``.
        origin: A key of `cromss.weights.origins.ORIGINS`.
        sha256: Checksum that the checkpoint must have; None takes any.
        overwrite: Replaces an existing file.

    Returns:
        The metadata that were written: ``encoder``, ``modality``, ``bands`` (their number), ``band_names`` (JSON, in
        the order of the input's channels), ``normalisation`` (what the encoder takes, see `cromss.dataset.bands`),
        ``statistics`` (by whose mean and standard deviation, see `cromss.dataset.own_statistics`) and
        ``source``; ``"unknown"`` or ``null`` for what the file does not mention.

    Raises:
        ValueError: The checkpoint cannot be read or holds no such encoder, or `out` exists or is the checkpoint.
        OSError: `out` cannot be written.
    """
    check_new_file(out, overwrite)
    file = open_weights(checkpoint, sha256, cache=None)
    if file.path is not None and out.exists() and out.samefile(file.path):
        raise ValueError(f"out={out} is the checkpoint itself, which would be lost: choose another out=…")
    found = find(file, origin)
    _, names = found.parts_for(modality, modality)
    _, tensors = plain(found.part(names.encoder))
    first = first_convolution(tensors)
    if first is None:
        raise ValueError(f"{found} holds no image encoder: it has no convolution")
    channels = tensors[first].shape[1]
    trained_with = file.network.encoder or resnet_name(shapes(tensors))
    metadata = {
        EXPORTED: FORMAT,
        "encoder": (trained_with or UNKNOWN).removeprefix("tu-"),
        "modality": modality,
        "bands": str(channels),
        "band_names": json.dumps(source_bands(file, origin, modality, channels)),
        # All published checkpoints of cromss see quantised images.
        "normalisation": file.network.normalisation or ("quantise" if origin == "cromss" else UNKNOWN),
        "statistics": file.network.statistics or (PUBLISHED if origin == "cromss" else UNKNOWN),
        "source": f"{Path(file.name).name} sha256={file.sha256}",
    }
    # Tensors may share memory or be stored in another order, which safetensors refuses.
    content = save({name: value.contiguous().clone() for name, value in tensors.items()}, metadata)
    write_file(out, content)
    return metadata
