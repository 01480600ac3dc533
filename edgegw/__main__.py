"""`python -m edgegw` is `edgegw`."""

from edgegw.cli import main

if __name__ == "__main__":
    main()
