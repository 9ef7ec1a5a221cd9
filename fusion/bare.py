"""How kernels that allocate nothing are compiled: with `**BARE` among the options of their decorator.

numba counts references to every array and every slice of one that it passes on, each time with an atomic operation;
with dozens of arrays a call that took a tenth of a tick. Where nothing is allocated nothing has to be counted. numba
refuses to compile what does allocate (`NRT required but not enabled`); its own tests use this option, its documentation
does not name it, hence one home for it.

Arithmetic on places within an array begins with `assert 0 <= place < FAR`: Python counts a negative index from the end,
so numba tests every one for that, and a compiler that knows that none is leaves three instructions an access out.
"""

from __future__ import annotations

from typing import Any

BARE: dict[str, Any] = {"_nrt": False}
FAR = 1 << 40  # beyond any index, and so small that no sum of a few overflows
