"""Small facts about whole numbers."""


def gcd(a, b):
    while b:
        a, b = b, a % b
    return abs(a)


def lcm(a, b):
    if not a or not b:
        return 0
    return abs(a * b) // gcd(a, b)


def is_prime(n):
    if n < 2:
        return False
    for d in range(2, int(n**0.5) + 1):
        if n % d == 0:
            return False
    return True


def digits(n, base=10):
    found = []
    n = abs(n)
    while n:
        n, last = divmod(n, base)
        found.append(last)
    return found[::-1] or [0]
