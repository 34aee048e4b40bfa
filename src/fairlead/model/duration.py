from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds as people say them, in two units at most: `0.35 s`, `4.2 s`, `12 min 3 s`, `1 h 5 min`, `2 days 3 h`."""
    if seconds <= 0:
        return "0 s"
    if seconds < 1:
        return f"{seconds:.2f} s" if seconds >= 0.005 else "under 0.01 s"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _two(minutes, "min", rest, "s")
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return _two(hours, "h", minutes, "min")
    return _two(hours // 24, "days", hours % 24, "h")


def _two(large: int, its: str, small: int, other: str) -> str:
    return f"{large} {its} {small} {other}" if small else f"{large} {its}"
