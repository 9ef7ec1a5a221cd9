"""What keeps a simulation, an exercise or a replay from passing for real, in the words of every outlet."""

from __future__ import annotations

MARKS = ("SIMULATED.", "EXERCISE.", "REPLAY.")
_BEFORE_NAMES = ("SIM ", "EXERCISE ", "REPLAY ")


def marks(simulated: bool, mode: str, replayed: bool) -> tuple[str, ...]:
    """The first words of what is said of it; none for the real sky of now."""
    return _chosen(MARKS, simulated, mode, replayed)


def prefix(simulated: bool, mode: str, replayed: bool) -> str:
    """What stands before its name on a map, where there is room for one word."""
    return next(iter(_chosen(_BEFORE_NAMES, simulated, mode, replayed)), "")


def _chosen(words: tuple[str, ...], simulated: bool, mode: str, replayed: bool) -> tuple[str, ...]:
    return tuple(word for word, so in zip(words, (simulated, mode == "exercise", replayed), strict=True) if so)
