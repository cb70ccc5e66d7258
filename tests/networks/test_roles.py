"""Roles by module type, by a network's own word, and of networks inside networks."""

from torch import nn

from genwright.networks.roles import Role, default_roles, parameter_roles


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.body = nn.Conv2d(8, 8, 3)

    def parameter_roles(self):
        return default_roles(self) | {"first.weight": Role("embedding")}


def test_roles_by_type_and_by_declaration():
    words = nn.Embedding(5, 4)
    tied = nn.Linear(4, 5)
    tied.weight = words.weight
    network = nn.ModuleDict({"words": words, "reader": Reader(), "norm": nn.GroupNorm(2, 8), "head": tied})
    assert {name: role.kind for name, role in parameter_roles(network).items()} == {
        "words.weight": "embedding",
        "reader.first.weight": "embedding",
        "reader.first.bias": "rest",
        "reader.body.weight": "matrix",
        "reader.body.bias": "rest",
        "norm.weight": "rest",
        "norm.bias": "rest",
        "head.bias": "rest",
    }
