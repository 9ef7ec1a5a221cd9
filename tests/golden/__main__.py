"""Write the golden run anew: `python -m tests.golden`, then read the diff."""

from adapters.log import prepare_numerics

prepare_numerics()

from tests import golden  # noqa: E402

if __name__ == "__main__":
    golden.FILE.write_text(golden.render(), encoding="utf-8")
    print(f"wrote {golden.FILE}")
