"""Which positions were passed on: a server that is asked every second tells most of them more than once."""

from __future__ import annotations

MOST_PASSED = 32_768
AGAIN_US = 500_000  # a place that did not change within it is the same message: its age is told to 0.1 s, or rounded


class Passed:
    """The newest position of each aircraft that was passed on; past `MOST_PASSED` the older half is forgotten."""

    def __init__(self) -> None:
        self._at: dict[str, tuple[float, float, int]] = {}

    def __len__(self) -> int:
        return len(self._at)

    def is_new(self, name: str, lat_deg: float, lon_deg: float, t_us: int) -> bool:
        """False for what was passed on before, or is older than that; a new one is noted."""
        before = self._at.pop(name, None)
        if before is not None:
            again = before[:2] == (lat_deg, lon_deg) and t_us - before[2] < AGAIN_US
            if again or t_us <= before[2]:
                self._at[name] = before
                return False
        if len(self._at) >= MOST_PASSED:
            for old in list(self._at)[: MOST_PASSED // 2]:
                del self._at[old]
        self._at[name] = (lat_deg, lon_deg, t_us)
        return True
