"""Compiled kernels from the cache without what only a compiler needs: half the memory for a process that runs.

Where numba loads a kernel from its cache it also loads all declarations it could compile others with, and keeps the
kernel's code in LLVM's own form, ten times its size, to inline it into others. Here both wait until something is
compiled, which after the first start is never. And a kernel is loaded when it is first called from Python: most are
only called by others, which carry a copy of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

KNOWN = (0, 68)  # the numba whose inside this knows; with another one nothing is changed, and memory is what it costs


def install() -> bool:
    """Change how numba loads kernels in this process; call it before kernels are imported. False: not this numba."""
    import numba
    from numba.core import caching, codegen, dispatcher
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
    _wait(dispatcher.Dispatcher, caching.NullCache)
    return True


def _wait(kernel: Any, no_cache: Any) -> None:
    """Let kernels with a cache and explicit signatures wait until they are called, or compiled into others.

    `_waiting` of a kernel: signatures while it waits, and an empty tuple from then on.
    """
    compile_now, forbid = kernel.compile, kernel.disable_compile
    for_call, for_kernel = kernel._compile_for_args, kernel.get_call_template

    def compile_later(self: Any, sig: Any) -> Any:
        waiting = self.__dict__.setdefault("_waiting", () if isinstance(self._cache, no_cache) else [])
        if isinstance(waiting, tuple):
            return compile_now(self, sig)
        waiting.append(sig)
        return None

    def forbid_later(self: Any, val: bool = True) -> None:
        if not self.__dict__.get("_waiting"):
            forbid(self, val)

    def wake(self: Any) -> bool:
        waiting = self.__dict__.get("_waiting", ())
        self._waiting = ()
        for sig in waiting:
            compile_now(self, sig)
        if waiting:
            forbid(self)
        return bool(waiting)

    def when_called(self: Any, *args: Any, **kws: Any) -> Any:
        return self if wake(self) else for_call(self, *args, **kws)  # itself: to be called again, now that it can

    def when_compiled(self: Any, args: Any, kws: Any) -> Any:
        wake(self)
        return for_kernel(self, args, kws)

    kernel.compile, kernel.disable_compile = compile_later, forbid_later
    kernel._compile_for_args, kernel.get_call_template = when_called, when_compiled
