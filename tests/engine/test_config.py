"""Config files: inheritance, overrides, and the mistakes that mmengine accepts in silence."""

import collections

import pytest
from torch.optim import SGD

from word2mask.engine.config import check_settings, config_text, load_config, missing_paths, parse_value
from word2mask.engine.config_source import check_imports
from word2mask.errors import UserError

BASE = """
from collections import OrderedDict
model = dict(type=OrderedDict, size=3, inner=dict(a=1, b=2))
schedule = dict(max_iters=10, warmup_ratio=0.1)
"""
CHILD = """
from mmengine.config import read_base
from collections import Counter, OrderedDict
from torch.optim import SGD
with read_base():
    from .base import *
_rate = 0.5
model.update(dict(inner=dict(b=3)))
data = dict(dataset=dict(type=Counter), collate=Counter, batch_size=2)
optimizer = dict(type=SGD, lr=_rate)
"""


@pytest.fixture
def files(tmp_path):
    def write(child=CHILD, base=BASE):
        (tmp_path / "base.py").write_text(base)
        (tmp_path / "child.py").write_text(child)
        return tmp_path / "child.py"

    return write


def test_a_child_merges_and_keeps_real_classes(files):
    config = load_config(files())
    assert config == {
        "model": {"type": collections.OrderedDict, "size": 3, "inner": {"a": 1, "b": 3}},
        "schedule": {"max_iters": 10, "warmup_ratio": 0.1},
        "data": {"dataset": {"type": collections.Counter}, "collate": collections.Counter, "batch_size": 2},
        "optimizer": {"type": SGD, "lr": 0.5},
    }
    assert check_settings(config).precision == "fp32"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            CHILD + "model = dict(type=OrderedDict)",
            r"line 11: model = … replaces the inherited dict .* use model.update",
        ),
        (
            CHILD + "import math\nx = math.sqrt(2)",
            r"line 12: calls math.sqrt\(...\); a config holds literals and classes",
        ),
        (CHILD.replace(".base", ".bass"), r"line 6: base .*bass.py does not exist"),
        ("model = dict(", r"line 1: '\(' was never closed"),
        ("model = dict(size=1)\nmodel.update(dict(size=nonsense))", "NameError: name 'nonsense' is not defined"),
        ("from collections import Nonsense\nmodel = dict(type=Nonsense)", r"model.type: .*can't be imported"),
    ],
)
def test_mistakes_in_a_file_are_named(files, source, message):
    with pytest.raises(UserError, match=message):
        load_config(files(source))


def test_replacing_on_purpose(files):
    config = load_config(files(CHILD + "model = dict(_delete_=True, type=OrderedDict)"))
    assert config["model"] == {"type": collections.OrderedDict}


def test_classmethods_called_build_are_the_classes_own(files):
    """mmengine's lazy objects have a ``build`` of their own, which would be taken instead."""
    source = "from word2mask.evaluation.refcoco import RefCOCO\nmodel = dict(type=RefCOCO.build, root='x', split='val')"
    from word2mask.evaluation.refcoco import RefCOCO

    assert load_config(files(source))["model"]["type"] == RefCOCO.build


def test_missing_file_suggests_its_neighbour(files):
    with pytest.raises(UserError, match=r"chlid.py does not exist, did you mean child.py\?"):
        load_config(files().with_name("chlid.py"))


def test_overrides(files):
    overrides = [
        "data.batch_size=8",
        "optimizer.momentum=0.9",
        "precision=bf16",
        "model.inner.a=None",
        "log.interval=1",
    ]
    config = load_config(files(), overrides)
    assert config["data"]["batch_size"] == 8
    assert config["optimizer"] == {"type": SGD, "lr": 0.5, "momentum": 0.9}
    assert (config["precision"], config["model"]["inner"]["a"], config["log"]) == ("bf16", None, {"interval": 1})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.batchsize=2", "unknown key 'batchsize', did you mean batch_size?"),
        ("optimizer.momentun=0.9", "unknown key 'momentun', did you mean momentum?"),
        ("shedule.max_iters=1", "unknown key 'shedule', did you mean schedule?"),
        ("schedule=3", "schedule is a section; set one of its values (max_iters, warmup_ratio)"),
        ("schedule.max_iters.x=3", "schedule.max_iters is 10, it has no 'x' inside"),
        ("schedule.max_iters", "expected KEY=VALUE"),
    ],
)
def test_wrong_overrides_are_refused(files, override, message):
    with pytest.raises(UserError) as caught:
        load_config(files(), [override])
    assert message in str(caught.value)


def test_values_of_overrides():
    given = ["1e-3", "(0.9, 0.95)", "true", "None", "pretrained/x", "'3'", "[1, 2]"]
    assert [parse_value(text) for text in given] == [1e-3, (0.9, 0.95), True, None, "pretrained/x", "3", [1, 2]]


def test_all_errors_of_a_config_come_together(files):
    config = load_config(files())
    del config["schedule"]
    config["precison"] = "fp32"
    config["data"]["batch_size"] = 0
    config["optimizer"]["lrr"] = 1
    with pytest.raises(UserError) as caught:
        check_settings(config, "child.py")
    assert str(caught.value).splitlines() == [
        "child.py: unknown setting 'precison', did you mean precision?",
        "child.py: 'schedule' is missing",
        "child.py.data.batch_size: expected a whole number from 1 up, got 0",
        "child.py.optimizer.lrr: SGD takes no 'lrr', did you mean lr?",
    ]


def test_paths_that_are_not_there():
    config = {"model": {"folder": "pretrained/none", "name": "a/b"}, "data": [{"root": "/"}]}
    config["cache_features"] = {"folder": "work_dirs/not_made_yet"}
    assert missing_paths(config) == ["model.folder: pretrained/none"]


def test_imports_are_checked_as_plain_python(files):
    path = files("from collections import Ordereddict\nfrom nowhere.at.all import X\n")
    assert check_imports(path) == [
        f"config {path}, line 1: collections has no 'Ordereddict', did you mean OrderedDict?",
        f"config {path}, line 2: No module named 'nowhere'",
    ]


def test_text_of_a_config_names_classes(files):
    text = config_text(check_settings(load_config(files())))
    assert "optimizer.type = torch.optim.sgd.SGD\noptimizer.lr = 0.5\n" in text


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"max_iters": 10, "epochs": 1}, "expected either max_iters or epochs, got both"),
        ({"warmup_ratio": 0.1}, "expected either max_iters or epochs, got neither"),
        ({"max_iters": None, "epochs": 0}, "schedule.epochs: expected a number above 0, got 0"),
    ],
)
def test_a_run_is_as_long_as_steps_or_epochs_say(files, schedule, message):
    config = load_config(files())
    config["schedule"] = {"max_iters": None, "epochs": 0.5}
    assert check_settings(config).schedule["epochs"] == 0.5
    config["schedule"] = schedule
    with pytest.raises(UserError, match=message):
        check_settings(config)


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ({"by": ["tasks"]}, r"log.by: expected a list of 'task' and 'source', got \['tasks'\]"),
        ({"by": "task"}, "log.by: expected a list of 'task' and 'source', got 'task'"),
        ({"peak_tflops": 0}, "log.peak_tflops: expected TFLOP/s above 0, or None, got 0"),
        ({"wandb": True}, "log.wandb: expected the arguments of wandb.init, .* got True"),
        ({"pictures": [0, -1]}, r"log.pictures: expected how many, or a list of indices from 0 up, got \[0, -1\]"),
        ({"pictures": True}, "log.pictures: expected how many, or a list of indices from 0 up, got True"),
        ({"flops_interval": -1}, "log.flops_interval: expected a whole number from 0 up, got -1"),
        ({"tensorbord": True}, "log.tensorbord: unknown setting, did you mean tensorboard"),
    ],
)
def test_mistakes_in_what_is_logged_are_named(files, log, message):
    config = load_config(files())
    config["log"] = {
        "by": [],
        "peak_tflops": 312.0,
        "wandb": {"project": "words"},
        "pictures": [3],
        "flops_interval": 0,
    }
    check_settings(config)
    config["log"] = log
    with pytest.raises(UserError, match=message):
        check_settings(config)
