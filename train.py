"""Pretrain a segmentation encoder on noisy labels: `python train.py --help`."""

from cromss.cli import main

if __name__ == "__main__":
    main()
