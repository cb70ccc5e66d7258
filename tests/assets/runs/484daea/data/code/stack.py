"""A stack, and what it is good for."""


class Stack:
    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)

    def pop(self):
        return self.items.pop()

    def __len__(self):
        return len(self.items)


def balanced(text):
    pairs = {")": "(", "]": "[", "}": "{"}
    stack = Stack()
    for sign in text:
        if sign in pairs.values():
            stack.push(sign)
        elif sign in pairs and (not len(stack) or stack.pop() != pairs[sign]):
            return False
    return not len(stack)
