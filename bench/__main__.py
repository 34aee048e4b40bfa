"""What it costs: medians of several runs, as a table and in build/bench.json. Exits 1 when a goal is missed.

`python -m bench deploy backup` measures these alone and writes no file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the tests' sshd

from bench.backup import backups  # noqa: E402
from bench.deploy import deployments  # noqa: E402
from bench.health import black_hole, slow_probe, status  # noqa: E402
from bench.own import own_time  # noqa: E402
from bench.result import SCALE, TIMES, Result  # noqa: E402
from bench.rollback import rollbacks  # noqa: E402
from bench.start import help_page  # noqa: E402
from bench.step import journaled_step  # noqa: E402

OUT = ROOT / "build" / "bench.json"
ROWS: dict[str, Callable[[], list[Result]]] = {
    "start": lambda: [help_page()],
    "step": journaled_step,
    "health": lambda: [slow_probe(), black_hole(), status()],
    "deploy": deployments,
    "own": own_time,
    "backup": backups,
    "rollback": rollbacks,
}


def main(names: list[str]) -> int:
    """Measure everything, or what was named, and print it."""
    if unknown := set(names) - set(ROWS):
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(ROWS)}", file=sys.stderr)
        return 2
    results = [result for name in names or ROWS for result in ROWS[name]()]
    print(table(results))
    print(f"\nmedians of {TIMES} runs unless said otherwise" + (f"; scaled to {SCALE:g}" if SCALE != 1 else ""))
    if not names and SCALE == 1:
        OUT.parent.mkdir(exist_ok=True)
        OUT.write_text(json.dumps([result.row() for result in results], indent=2) + "\n")
        print(f"written to {OUT.relative_to(ROOT)}")
    return 0 if all(result.reached for result in results) else 1


def table(results: list[Result]) -> str:
    """One line each: what, against what, ratio, goal."""
    wide, wider = (max(len(getattr(result, key)) for result in results) for key in ("what", "against"))
    lines = [f"  {'what':<{wide}}  {'median':>9}  {'against':<{wider}}  ratio   goal"]
    for result in results:
        sign = "✓" if result.reached else "✗"
        lines.append(
            f"{sign} {result.what:<{wide}}  {result.median_s * 1000:6.0f} ms  {result.against:<{wider}}  "
            f"{result.ratio:5.2f}  ≤ {result.goal:g}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
