"""`python -m cromss.prepare`, the same as `cromss prepare`."""

from cromss.cli.__main__ import main

if __name__ == "__main__":
    main("prepare")
