"""CromSS: cross-modal sample selection for pretraining on noisy labels (Liu et al., IEEE TGRS 2025)."""
