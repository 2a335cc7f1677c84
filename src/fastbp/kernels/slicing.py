"""How much work is done at once, and how often Python may deliver signals."""

#: Floating-point operations between two checks for signals: a tenth of a second on a slow core.
FLOPS_BETWEEN_CHECKS = 200_000_000.0


def units_between_checks(flops):
    """How many units of work, steps or slices of `flops` operations each, are done between two checks for signals."""
    return int(max(1.0, FLOPS_BETWEEN_CHECKS / flops))
