"""Runs beside the paper's numbers: `python -m cromss.report`."""
