"""`python -m cromss.predict`, the same as `cromss predict`."""

from cromss.cli.__main__ import main

if __name__ == "__main__":
    main("predict")
