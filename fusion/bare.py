"""How kernels that allocate nothing are compiled: `@njit(..., **BARE)`.

numba counts references to every array and every slice of one that it passes on, each time with an atomic operation;
with dozens of arrays a call that took a tenth of a tick. Where nothing is allocated nothing has to be counted. numba
refuses to compile what does allocate (`NRT required but not enabled`); its own tests use this option, its documentation
does not name it, hence one home for it.
"""

from __future__ import annotations

from typing import Any

BARE: dict[str, Any] = {"_nrt": False}
