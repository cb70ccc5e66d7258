"""Mean, median and the like, of a list of numbers."""

from numbers_of import gcd


def mean(values):
    if not values:
        return 0.0
    return sum(values) / len(values)


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return mean(ordered[middle - 1 : middle + 1])


def spread(values):
    centre = mean(values)
    return mean([(value - centre) ** 2 for value in values]) ** 0.5


def ratio(a, b):
    shared = gcd(a, b)
    return a // shared, b // shared
