"""CromSS: cross-modal sample selection for pretraining on noisy labels (Liu et al., IEEE TGRS 2025)."""

__version__ = "0.2.0"
