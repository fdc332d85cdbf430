"""What a node says in its log, that is to say on its standard output."""


def say(line: str) -> None:
    """Prints a line at once; where the disk is full it is lost, and no more."""
    try:
        print(line, flush=True)
    except OSError:
        return
