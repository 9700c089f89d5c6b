"""Searches for settings: Optuna proposes them, runs return scores, and a study on disk stores both."""
