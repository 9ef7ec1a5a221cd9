"""Compiled kernels from the cache without what only a compiler needs: a quarter less memory for a process that runs.

Where numba loads a kernel from its cache it also loads all declarations it could compile others with, and keeps the
kernel's code in LLVM's own form, ten times its size, to inline it into others. Here both wait until something is
compiled, which after the first start is never.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

KNOWN = (0, 68)  # the numba whose inside this knows; with another one nothing is changed, and memory is what it costs


def install() -> bool:
    """Change how numba loads kernels in this process; call it before kernels are imported. False: not this numba."""
    import numba
    from numba.core import caching, codegen
    from numba.core.runtime.nrt import rtsys

    if numba.version_info.short != KNOWN:
        return False
    cache: Any = caching.Cache
    library: Any = codegen.CPUCodeLibrary
    llvm = import_module("llvmlite.binding")  # numba brings it
    linking_module = library._get_module_for_linking

    def load_overload(self: Any, sig: Any, target: Any) -> Any:
        rtsys.initialize(target)  # symbols that cached code calls; the rest comes with the first compilation
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target)

    def unserialize(cls: Any, generator: Any, state: tuple[str, str, Any]) -> Any:
        name, kind, (code, bitcode) = state
        assert kind == "object", "the cache keeps machine code"
        made = generator.create_library(name)
        assert isinstance(made, cls)
        made.enable_object_caching()
        made._set_compiled_object(code)
        module = llvm.parse_bitcode(bitcode)
        made._finalize_final_module()
        generator._engine._load_defined_symbols(module)
        module.close()
        made.bitcode = bitcode
        return made

    def module_for_linking(self: Any) -> Any:
        if self._shared_module is None and hasattr(self, "bitcode"):
            self._shared_module = llvm.parse_bitcode(self.bitcode)
        return linking_module(self)

    cache.load_overload = load_overload
    library._unserialize = classmethod(unserialize)
    library._get_module_for_linking = module_for_linking
    return True
