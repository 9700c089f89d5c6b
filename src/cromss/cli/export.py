"""`cromss export`: writes an encoder as a file for other programs."""

from cromss.weights.export import main

__all__ = ["main"]
