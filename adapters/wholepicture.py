"""When all parts of a whole picture are here, and what they name: for whoever holds what the service publishes.

There are two of these, and one cannot be the other's home. An outlet (`adapters/outlets/held.py`) holds tracks as they
are checked and typed, completed by their own topics, so that any format can be written of them, and what an alert went
through. The page (`adapters/ui/sky.py`) holds half as many fields of each as the row of an array that a browser is
sent, every retained thing beside them as it was published, trails, and who was lost: 2,000 tracks ten times a second
are not made into objects for a browser that makes none of them. What they have in common is in this file.
"""

from __future__ import annotations

from collections.abc import Iterable


class WholePicture:
    """The parts of the newest whole picture, as far as they have come. Of an older one nothing is kept."""

    def __init__(self) -> None:
        self._which: tuple[int, str] = (-1, "")
        self._parts: set[int] = set()
        self._named: dict[str, None] = {}

    def take(self, seq: int, time: str, part: int, parts: int, names: Iterable[str]) -> dict[str, None] | None:
        """Add a part; once all `parts` are here, the tracks that they name, else None.

        `time` tells the pictures of two runs of a service apart, which both begin to count `seq` at nothing.
        """
        if (seq, time) != self._which:
            self._which, self._parts, self._named = (seq, time), set(), {}
        self._parts.add(part)
        self._named.update(dict.fromkeys(names))
        return self._named if len(self._parts) == parts else None
