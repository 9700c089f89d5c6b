"""`python -m cromss.report`, the same as `cromss report`."""

from cromss.cli.__main__ import main

if __name__ == "__main__":
    main("report")
