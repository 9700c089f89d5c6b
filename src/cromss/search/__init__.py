"""Searches for settings: Optuna proposes, runs answer, and a study on disk remembers."""
