"""How long a memory card lasts at the rate at which the spool writes to it. Pure."""

from __future__ import annotations

AMPLIFICATION = 3  # times what it is given a card writes: it erases larger blocks than it is sent. Makers do not say; this is a guess
SETTLED_s = 60.0  # before that, starting up is most of what was written
DAY_s, YEAR_days = 86_400, 365.25


def day_bytes(written_bytes: int, over_s: float) -> int:
    """In a day, at the rate of the last `over_s` seconds; 0: nobody knows (yet)."""
    return round(written_bytes * DAY_s / over_s) if over_s >= SETTLED_s else 0


def years(day: int, card_bytes: int, cycles: int) -> float:
    """That a card of so many bytes lasts, each of which can be written `cycles` times, at `day` bytes a day."""
    return card_bytes * cycles / (day * AMPLIFICATION) / YEAR_days


def sentence(day: int, card_bytes: int, cycles: int) -> str:
    """For status, with what is assumed; "" where nobody knows."""
    if not day:
        return ""
    assumed = f"a card of {card_bytes / 1e9:.3g} GB and {cycles} cycles, if it writes {AMPLIFICATION} times what it is given"
    return f"the spool writes {_size(day)} a day, which takes {_duration(years(day, card_bytes, cycles))} to wear out {assumed}"


def _size(count: int) -> str:
    return f"{count / 1e9:.{1 if count < 9.95e9 else 0}f} GB" if count >= 0.995e9 else f"{count / 1e6:.0f} MB"


def _duration(of_years: float) -> str:
    if of_years > 100:
        return "more than 100 years"
    return f"about {of_years:.0f} years" if of_years >= 1.5 else f"about {max(1, round(12 * of_years))} months"
