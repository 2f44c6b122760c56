"""``python -m streamer``: the same as the installed command."""

from streamer.cli import main

if __name__ == "__main__":
    main()
