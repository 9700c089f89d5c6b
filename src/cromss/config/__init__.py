"""The settings of the programs: what they may be, checks of a whole config, and the words of a command line."""

from cromss.config.check import check
from cromss.config.errors import UserError
from cromss.config.overrides import check_given_once, suggest_keys

__all__ = ["UserError", "check", "check_given_once", "suggest_keys"]
