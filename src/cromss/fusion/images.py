"""What every fusion asks of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor


def wanted_bands(bands: Mapping[str, int], modalities: Sequence[str]) -> dict[str, int]:
    """The entries of the given modalities, in their order.

    Raises:
        ValueError: A modality without bands.
    """
    if missing := [modality for modality in modalities if not bands.get(modality)]:
        raise ValueError(
            f"this fusion sees {' and '.join(modalities)}, but the dataset has bands of "
            f"{', '.join(bands) or 'nothing'}: {', '.join(missing)} is missing; choose fusion=single with a modality "
            "that is there, or a dataset with both"
        )
    return {modality: bands[modality] for modality in modalities}


def check_images(images: Mapping[str, Tensor], bands: Mapping[str, int], multiple: int) -> None:
    """Compares shapes only, so nothing waits for the device.

    Raises:
        ValueError: A modality is missing, has another number of bands than the network, another size than the other
            modality, or a side that is no multiple of `multiple`.
    """
    if missing := [modality for modality in bands if modality not in images]:
        raise ValueError(f"the network sees {', '.join(bands)}, the batch lacks {', '.join(missing)}")
    sizes = {tuple(images[modality].shape[-2:]) for modality in bands}
    if len(sizes) > 1:
        raise ValueError(f"the modalities of a batch must have one size, not {' and '.join(map(str, sizes))}")
    for modality, number in bands.items():
        found, height, width = images[modality].shape[-3:]
        if found != number:
            raise ValueError(f"the network was built for {number} bands of {modality}, the images have {found}")
        if height % multiple or width % multiple:
            nearest = max(multiple, min(height, width) // multiple * multiple)
            raise ValueError(
                f"images are {height} x {width} px and this decoder needs multiples of {multiple}: crop to "
                f"{nearest} (dataset.crop={nearest}), or choose decoder=unet, which takes any size"
            )
