"""Numbers of a message that must read back to the same bits: what the journal holds is where things come from again.

Times keep their microseconds and an angle as many decimals of a degree as its radians need; where they are short, so is
the text.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

import msgspec

from adapters.wire import finite, parse_time, rfc3339_exact
from fusion.schema import Invalid

_PI = Decimal("3.14159265358979323846264338327950288419716939937510")
_DIGITS = 40  # of the arithmetic; a float64 needs 17
_FEW_DECIMALS, _MOST_DECIMALS = 6, 24  # 6: 0.1 m; 24 hold any float64 above 1e-8 rad exactly


def degrees(radians_: float) -> msgspec.Raw | None:
    """As a JSON number, the shortest decimal degrees, of at least 0.1 m, that read back to exactly these radians.

    None (absent) for NaN. A decimal, because a float could not hold it exactly.
    """
    if finite(radians_) is None:
        return None
    with localcontext() as context:
        context.prec = _DIGITS
        exact = Decimal(radians_) * 180 / _PI
        for decimals in range(_FEW_DECIMALS, _MOST_DECIMALS):
            short = round(exact, decimals)
            if radians(short) == radians_:
                exact = short.normalize() + 0
                break
    return msgspec.Raw(f"{exact:f}".encode())


def radians(degrees_: Decimal | None) -> float:
    """The radians of decimal degrees; NaN where there are none.

    Raises:
        Invalid: `out-of-range`: no angle.
    """
    if degrees_ is None:
        return float("nan")
    if not (degrees_.is_finite() and -360 <= degrees_ <= 360):
        raise Invalid("out-of-range", "an angle")
    with localcontext() as context:
        context.prec = _DIGITS
        return float(degrees_ * _PI / 180)


def time(us: int) -> str | None:
    """RFC 3339 with its microseconds; None (absent) for -1."""
    return rfc3339_exact(us) if us >= 0 else None


def us(text: str) -> int:
    """Microseconds UTC; -1 for "". Raises Invalid (`bad-time`)."""
    return parse_time(text) if text else -1
