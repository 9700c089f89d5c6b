"""`python -m cromss.predict`, the same as `cromss predict`."""

from cromss.cli.predict import main

if __name__ == "__main__":
    main()
