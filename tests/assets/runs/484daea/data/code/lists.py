"""What is done with lists again and again."""


def chunks(items, size):
    if size < 1:
        raise ValueError("size must be at least 1")
    return [items[i : i + size] for i in range(0, len(items), size)]


def flatten(items):
    found = []
    for item in items:
        if isinstance(item, list):
            found += flatten(item)
        else:
            found.append(item)
    return found


def unique(items):
    seen = []
    for item in items:
        if item not in seen:
            seen.append(item)
    return seen


def rotate(items, steps):
    if not items:
        return []
    steps %= len(items)
    return items[steps:] + items[:steps]
