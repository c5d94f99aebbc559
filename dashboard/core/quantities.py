"""Numbers as people read them: credits, prices, spans of time, sizes. Always with the unit."""

from decimal import ROUND_HALF_EVEN, Decimal

from common import money

MINUS = "\N{MINUS SIGN}"
THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
SPANS = ((60, 1, "s"), (3_600, 60, "min"), (172_800, 3_600, "h"))
SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def credit_parts(micro: int) -> tuple[str, str, str]:
    """Micro-credits as sign, the part down to cents, and the four digits that follow."""
    whole, rest = divmod(abs(micro), 1_000_000)
    return MINUS if micro < 0 else "", f"{whole:,}.{rest // 10_000:02d}", f"{rest % 10_000:04d}"


def price(micro: int) -> str:
    """Micro-credits with two decimals, or as many as it takes to lose nothing."""
    return money.shortest_credits(micro)


def span(seconds: float) -> tuple[int, str]:
    """A span of time as a whole number and its unit: s, min, h or d. The sign is dropped."""
    size = abs(int(seconds))
    for limit, unit, name in SPANS:
        if size < limit:
            return size // unit, name
    return size // 86_400, "d"


def duration(milliseconds: int) -> str:
    """Milliseconds as a person would say them: 85 ms, 1.25 s, 3 min 05 s, 2 h 10 min."""
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    seconds = milliseconds // 1_000
    if seconds < 60:
        return f"{Decimal(milliseconds).scaleb(-3).quantize(Decimal('0.01'), ROUND_HALF_EVEN)} s"
    if seconds < 3_600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3_600} h {seconds % 3_600 // 60:02d} min"


def size(count: int) -> str:
    """Bytes with a binary unit."""
    if count < 1024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, len(SIZES) - 1)
    return f"{Decimal(count) / 1024**power:.1f} {SIZES[power]}"


def percent_of_micro(micro: int) -> str:
    """A share in millionths as percent with one decimal."""
    return f"{Decimal(micro).scaleb(-4):.1f}"


def units(milli: int) -> str:
    """Thousandths as units, without needless zeros."""
    return f"{Decimal(milli).scaleb(-3).normalize():,f}"


def short_digest(text: str) -> str:
    """The first twelve letters of what follows the last colon."""
    return text.rpartition(":")[2][:12]


def fingerprint(public_key: str) -> str:
    """A public key by groups of four of its first sixteen letters, as people compare them aloud."""
    letters = public_key.rpartition(":")[2][:16]
    return " ".join(letters[at : at + 4] for at in range(0, len(letters), 4))
