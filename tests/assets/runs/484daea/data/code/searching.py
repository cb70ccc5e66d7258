"""Finding a place in a sorted list, and sorting one."""


def bisect(items, wanted):
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def contains(items, wanted):
    place = bisect(items, wanted)
    return place < len(items) and items[place] == wanted


def insertion_sort(items):
    made = []
    for item in items:
        made.insert(bisect(made, item), item)
    return made


def merge(left, right):
    made = []
    while left and right:
        side = left if left[0] <= right[0] else right
        made.append(side.pop(0))
    return made + left + right
