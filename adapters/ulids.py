"""Our ids as ULIDs (128 bits, 26 letters), both ways without loss, so that they stay the same after a restart. Pure.

5:17               ->  the time 0, then epoch (32 bits) and counter (48 bits)
8c1f0a52d3b94e67   ->  when it was raised (48 bits, milliseconds), 16 bits of 0, then the id (64 bits)
"""

from __future__ import annotations

from fusion.schema import Invalid

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's
_COUNTER_BITS, _EPOCH_BITS, _ID_BITS = 48, 32, 64


def ulid(number: int) -> str:
    """128 bits as 26 letters."""
    return "".join(_LETTERS[number >> shift & 31] for shift in range(125, -1, -5))


def of_ulid(text: str) -> int:
    """The 128 bits. Raises Invalid: `malformed`."""
    try:
        number = 0
        for letter in text.upper():
            number = number << 5 | _LETTERS.index(letter)
    except ValueError:
        raise Invalid("malformed", f"{text[:30]!r} is no ULID") from None
    if len(text) != 26 or number >> 128:
        raise Invalid("malformed", f"{text[:30]!r} is no ULID")
    return number


def object_id(track: str) -> str:
    """Of a track "epoch:counter". Raises Invalid: `malformed`."""
    epoch, _, counter = track.partition(":")
    if not (epoch.isdecimal() and counter.isdecimal()) or int(epoch) >> _EPOCH_BITS or int(counter) >> _COUNTER_BITS:
        raise Invalid("malformed", f"{track[:30]!r} is no track")
    return ulid(int(epoch) << _COUNTER_BITS | int(counter))


def track_of(object_ulid: str) -> str:
    """The track that `object_id` was made of. Raises Invalid: `malformed`."""
    number = of_ulid(object_ulid)
    return f"{number >> _COUNTER_BITS}:{number & (1 << _COUNTER_BITS) - 1}"


def alert_id(name: str, raised_us: int) -> str:
    """Of an alert of ours, 16 hex digits. Raises Invalid: `malformed`."""
    try:
        number = int(name, 16)
    except ValueError:
        number = -1
    if len(name) != 16 or number < 0:
        raise Invalid("malformed", f"{name[:30]!r} is no alert")
    return ulid((raised_us // 1_000) << 80 | number)


def alert_of(alert_ulid: str) -> str:
    """The alert that `alert_id` was made of. Raises Invalid: `malformed`."""
    return f"{of_ulid(alert_ulid) & (1 << _ID_BITS) - 1:016x}"
