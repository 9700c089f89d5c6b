"""Compares runs with the paper's numbers and with each other: `cromss report`."""
