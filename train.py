"""Pretrain a segmentation encoder on noisy labels, fine-tune it, test it: the same as `cromss train`."""

from cromss.cli.train import main

if __name__ == "__main__":
    main()
