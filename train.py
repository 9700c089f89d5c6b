"""Pretrain a segmentation encoder on noisy labels, fine-tune it, test it: the same as `cromss train`."""

from cromss.cli.__main__ import main

if __name__ == "__main__":
    main("train")
