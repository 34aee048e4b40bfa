"""What it costs: medians of five in one run, as a table and in build/bench.json. Exits 1 when a goal is missed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the tests' sshd

from bench.health import black_hole, slow_probe  # noqa: E402
from bench.result import Result  # noqa: E402
from bench.start import help_page  # noqa: E402
from bench.step import journaled_step  # noqa: E402

OUT = ROOT / "build" / "bench.json"


def main() -> int:
    """Measure everything, print it, keep it."""
    results = [help_page(), *journaled_step(), slow_probe(), black_hole()]
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([result.row() for result in results], indent=2) + "\n")
    print(table(results))
    print(f"\nmedians of five; written to {OUT.relative_to(ROOT)}")
    return 0 if all(result.reached for result in results) else 1


def table(results: list[Result]) -> str:
    """One line each: what, against what, ratio, goal."""
    wide = max(len(result.what) for result in results)
    lines = [f"  {'what':<{wide}}  {'median':>9}  {'against':<27}  ratio   goal"]
    for result in results:
        sign = "✓" if result.reached else "✗"
        lines.append(
            f"{sign} {result.what:<{wide}}  {result.median_s * 1000:6.0f} ms  {result.against:<27}  "
            f"{result.ratio:5.2f}  ≤ {result.goal:g}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
