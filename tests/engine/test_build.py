"""Nodes: bound against their signatures together, then built innermost first."""

import pickle

import pytest

from word2mask.engine.build import Bind, Built, build, check, suggest
from word2mask.errors import UserError


class Leaf:
    def __init__(self, size: int, name: str = "leaf"):
        self.size = size
        self.name = name

    @classmethod
    def from_folder(cls, folder: str) -> "Leaf":
        if folder == "nowhere":
            raise FileNotFoundError("nowhere/config.json")
        return cls(len(folder), folder)


class Tree:
    def __init__(self, leaves: list[Leaf], num_frames: int = 5):
        if num_frames < 1:
            raise ValueError("num_frames must be positive")
        self.leaves = leaves
        self.num_frames = num_frames


def total(numbers, factor: int = 1):
    return factor * sum(numbers)


def test_innermost_first_with_classmethods_and_lists():
    node = dict(type=Tree, leaves=[dict(type=Leaf, size=3), dict(type=Leaf.from_folder, folder="abc")])
    tree = build(node)
    assert [(leaf.size, leaf.name) for leaf in tree.leaves] == [(3, "leaf"), (3, "abc")]
    assert node["leaves"][0] == dict(type=Leaf, size=3)


def test_all_errors_are_reported_before_anything_is_built():
    built = []

    def noisy():
        built.append(1)

    node = dict(type=Tree, leaves=[dict(type=Leaf), dict(type=noisy), dict(type="Leaf")], num_frame=3)
    with pytest.raises(UserError) as caught:
        build(node, path="config.model")
    assert str(caught.value).splitlines() == [
        "config.model.num_frame: Tree takes no 'num_frame', did you mean num_frames?",
        "config.model.leaves.0: Leaf needs 'size'",
        "config.model.leaves.2.type: 'Leaf' is not a class or function; import it and name it without quotes",
    ]
    assert built == []


def test_built_refers_to_what_exists():
    context = {"model": build(dict(type=Tree, leaves=[]))}
    assert build(dict(type=Leaf, size=dict(type=Built, path="model.num_frames")), context).size == 5
    with pytest.raises(UserError, match=r"config.size: Tree has no 'frames' \(path 'model.frames'\)"):
        build(dict(type=Leaf, size=dict(type=Built, path="model.frames")), context)
    with pytest.raises(UserError, match="starts with 'data', but only model is built at this point"):
        build(dict(type=Built, path="data.x"), context)


def test_bind_fills_in_arguments_and_pickles():
    bound = pickle.loads(pickle.dumps(build(dict(type=Bind, function=total, factor=3))))
    assert bound([1, 2]) == 9
    assert check(dict(type=Bind, function=total, facto=3)) == [
        "config.facto: total takes no 'facto', did you mean factor?"
    ]


def test_errors_of_constructors_name_the_node():
    with pytest.raises(UserError, match="config.leaves.0: Leaf.from_folder could not find a file: nowhere/config.json"):
        build(dict(type=Tree, leaves=[dict(type=Leaf.from_folder, folder="nowhere")]))
    with pytest.raises(UserError, match="config: Tree refused its arguments: num_frames must be positive"):
        build(dict(type=Tree, leaves=[], num_frames=0))


def test_suggestions():
    assert suggest("num_frame", ["num_frames", "size"]) == ", did you mean num_frames?"
    assert suggest("zzz", ["num_frames", "size"]) == "; known: num_frames, size"
