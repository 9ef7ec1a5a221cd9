"""Compiled kernels from the cache without what only a compiler needs: a quarter less memory, and a third of the time.

Where numba loads a kernel from its cache it also loads all declarations it could compile others with, keeps the
kernel's code in LLVM's own form, ten times its size, to inline it into others, and lists every name in it, one call
into LLVM each, to know which it may ask for. Here the first two wait until something is compiled, which after the
first start is never; and the names that are asked for are those that the kernel was kept under.
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
    from numba.core import caching, codegen
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
    return True


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
