"""``python -m tf2`` is the command ``tf2``."""

from tf2.cli.main import main

if __name__ == "__main__":
    main()
