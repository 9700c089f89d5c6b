"""The settings of the programs: their types and ranges, checks of a whole config, and the command line."""

from cromss.config.check import check
from cromss.config.mistakes import UserError

__all__ = ["UserError", "check"]
