"""Reads what Peerlight made of cases, makes the same by scipy and says whether both agree."""

import json
import sys

import numpy
from scipy import stats


def p_value(days, shift):
    """The exact two-sided signed-rank test of the days against a shift."""
    return stats.wilcoxon(days - shift, method="exact").pvalue


def check_shift(case):
    days = numpy.array(case["days"])
    sums = numpy.add.outer(days, days) / 2
    means = sums[numpy.triu_indices(len(days))]
    assert abs(numpy.median(means) - case["value"]) < 1e-9, ("value", case)
    # An interval is the shifts that its test does not reject: so close to a bound nothing else changes.
    near = 1e-7
    missed = 1 - case["confidence"]
    assert missed <= 0.05, ("confidence", case)
    for bound, outwards in ((case["low"], -near), (case["high"], near)):
        outside, inside = p_value(days, bound + outwards), p_value(days, bound - outwards)
        assert abs(outside - missed) < 1e-9 and outside <= 0.05 < inside, ("bound", case, outside, inside)


def wilson(hits, of):
    return stats.binomtest(hits, of).proportion_ci(0.95, method="wilson")


def check_loss(case):
    (hits, of), (other_hits, other_of) = case["one"], case["other"]
    one, other = hits / of, other_hits / other_of
    ones, others = wilson(hits, of), wilson(other_hits, other_of)
    difference = one - other
    low = difference - numpy.hypot(one - ones.low, others.high - other)
    high = difference + numpy.hypot(ones.high - one, other - others.low)
    # Shares are rounded to a millionth.
    found = (case["value"], case["low"], case["high"])
    assert numpy.allclose(found, (difference, low, high), rtol=0, atol=5e-6), ("loss", case, low, high)


cases = json.load(sys.stdin)
for shift in cases["shifts"]:
    check_shift(shift)
for loss in cases["losses"]:
    check_loss(loss)
print(f"{len(cases['shifts'])} shifts, {len(cases['losses'])} losses agree")
