"""Percentile bootstrap intervals of means, for the scripts beside it."""

import statistics


def interval(values, draw):
    """The 95 % interval of the mean from 10,000 resamples, drawn by a `random.Random`."""
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(10_000))
    return means[250], means[9_749]
