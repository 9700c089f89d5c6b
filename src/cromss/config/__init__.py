"""The settings of the programs: their types and ranges, checks of a whole config, and the command line."""

from cromss.config.check import check
from cromss.config.errors import UserError
from cromss.config.overrides import check_given_once, suggest_keys

__all__ = ["UserError", "check", "check_given_once", "suggest_keys"]
