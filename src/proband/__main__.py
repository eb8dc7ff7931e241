"""``python -m proband``: the command line, for ``torchrun -m proband train``."""

from proband.cli.main import main

if __name__ == "__main__":
    main()
