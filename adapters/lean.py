"""Compiled kernels from the cache without what only a compiler needs: half the memory, and a third of the time.

Where numba loads a kernel from its cache it also loads all declarations it could compile others with, keeps the
kernel's code in LLVM's own form, ten times its size, to inline it into others, and lists every name in it, one call
into LLVM each, to know which it may ask for. Here the first two wait until something is compiled, which after the
first start is never; and the names that are asked for are those that the kernel was kept under.

And a kernel that is in the cache is loaded when it is first called from Python: most are only called by others, which
carry a copy of them. What is not in the cache is compiled at import as ever, so that nobody waits for it later.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
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
    library: Any = codegen.JITCodeLibrary
    if hasattr(library, "is_lean"):
        return True
    llvm = import_module("llvmlite.binding")  # numba brings it
    linking_module = library._get_module_for_linking
    pointer_to_function = library.get_pointer_to_function

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
        made._finalize_final_module()
        made.bitcode = bitcode
        return made

    def module_for_linking(self: Any) -> Any:
        if self._shared_module is None and hasattr(self, "bitcode"):
            self._shared_module = llvm.parse_bitcode(self.bitcode)
        return linking_module(self)

    def get_pointer_to_function(self: Any, name: str) -> Any:
        if hasattr(self, "bitcode"):  # of a kernel from the cache: its entry, and the one for Python
            return self._codegen._engine.get_function_address(name)
        return pointer_to_function(self, name)

    cache.load_overload = load_overload
    library._unserialize = classmethod(unserialize)
    library._get_module_for_linking = module_for_linking
    library.is_lean = True
    library.get_pointer_to_function = get_pointer_to_function
    _wait(dispatcher.Dispatcher, caching.FunctionCache)
    return True


def _wait(kernel: Any, kept: Any) -> None:
    """Let kernels that are `kept` in the cache wait until they are called, or compiled into others.

    `_waiting` of a kernel: its signatures while it waits, and an empty tuple from then on.
    """
    compile_now, forbid = kernel.compile, kernel.disable_compile
    for_call, for_kernel = kernel._compile_for_args, kernel.get_call_template

    def may_wait(self: Any, sig: Any) -> bool:
        if not isinstance(self._cache, kept) or isinstance(self.__dict__.get("_waiting"), tuple):
            return False
        return self._cache._index_key(sig, self.targetctx.codegen()) in self._cache._cache_file._load_index()

    def compile_later(self: Any, sig: Any) -> Any:
        if not may_wait(self, sig):
            wake(self)
            return compile_now(self, sig)
        self.__dict__.setdefault("_waiting", []).append(sig)
        return None

    def forbid_later(self: Any, val: bool = True) -> None:
        if not self.__dict__.get("_waiting"):
            forbid(self, val)

    def wake(self: Any) -> bool:
        waiting = self.__dict__.get("_waiting", ())
        self._waiting = ()
        for sig in waiting:
            compile_now(self, sig)
        return bool(waiting)

    def when_called(self: Any, *args: Any, **kws: Any) -> Any:
        if not wake(self):
            return for_call(self, *args, **kws)
        forbid(self)
        return self  # to be called again, now that it can

    def when_compiled(self: Any, args: Any, kws: Any) -> Any:
        if wake(self):
            forbid(self)
        return for_kernel(self, args, kws)

    kernel.compile, kernel.disable_compile = compile_later, forbid_later
    kernel._compile_for_args, kernel.get_call_template = when_called, when_compiled


class _Waiting(MetaPathFinder):
    """Stands in the way of one import of numba."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "numba":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader)
        return spec


class _Then(Loader):
    """Loads as the other does, and then installs."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        install()


def install_with_numba() -> None:
    """As `install`, but when numba is imported, which a command that needs no kernel never does."""
    if "numba" not in sys.modules and not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())
