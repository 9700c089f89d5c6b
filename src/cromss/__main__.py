"""`python -m cromss`, the same as `cromss`."""

from cromss.cli.__main__ import main

if __name__ == "__main__":
    main()
