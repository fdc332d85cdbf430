"""Files of a machine that does not share the launcher's disk, brought to it.

They are logs, rows and events, and more is added at their end. So each is read from
where it was left off, and added to its like. A log that was emptied since, because it
was too long, is read from its start.
"""

from pathlib import Path
from typing import NamedTuple

# A message of Ray's may be larger, but other messages wait behind it.
_CHUNK_BYTES = 1_000_000
# Rows are brought whole, so that a reader never meets half of one.
_ROWS = ".csv"
_LOG = ".log"
_OLDER = ".1"


class Piece(NamedTuple):
    """What was added to a file.

    Attributes:
      path: of the file, under the run directory.
      start: the bytes of it that came before.
      data: what was added.
    """

    path: str
    start: int
    data: bytes


def read_added(root: Path, known: dict[str, int]) -> list[Piece]:
    """Returns what was added to the files under a directory.

    Args:
      root: the directory.
      known: how many bytes of each file were read before; those of the pieces that are
        returned are not yet among them.
    """
    pieces = []
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if not path.is_file() or path.is_symlink() or path.suffix == _OLDER:
            continue
        start, size = known.get(name, 0), path.stat().st_size
        if start > size:
            # A killed node's half row was cut off, or the log was emptied.
            start = 0 if path.suffix == _LOG else size
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(_CHUNK_BYTES)
        if path.suffix == _ROWS:
            data = data[: data.rfind(b"\n") + 1]
        if data or name not in known:
            pieces.append(Piece(name, start, data))
    return pieces


def add_pieces(root: Path, pieces: list[Piece], known: dict[str, int]) -> None:
    """Adds pieces to the files under a directory, and notes how much is there.

    A file that is there already, of a life of the node on another machine, goes on;
    its rows have one header.

    Args:
      root: the run directory.
      pieces: as `read_added` gave them, for `known`.
      known: how many bytes of each file were read; it is brought up to date.
    """
    for piece in pieces:
        path = root / piece.path
        path.parent.mkdir(parents=True, exist_ok=True)
        data = piece.data
        goes_on = piece.start == 0 and path.exists() and path.stat().st_size > 0
        if goes_on and path.suffix == _ROWS:
            data = data.partition(b"\n")[2]
        with path.open("ab") as file:
            file.write(data)
        known[piece.path] = piece.start + len(piece.data)
