import sys
from types import ModuleType

import pytest

from coldstart.errors import InvalidInputError, MissingExtraError
from coldstart.training.tracking import tracking


class Place:
    """Stands in for a writer or a run: remembers what it got and whether it was closed."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs, self.got, self.opened, self.closed = args, kwargs, [], 0, 0

    def __enter__(self):
        self.opened += 1
        return self

    def __exit__(self, *error):
        self.closed += 1

    def add_scalar(self, name, value, epoch):
        assert not self.closed
        self.got.append((name, value, epoch))

    def log(self, numbers, step):
        assert not self.closed
        self.got += [(name, value, step) for name, value in numbers.items()]


@pytest.fixture
def places(monkeypatch):
    """The places that were made, by the name of the tracker; the packages are not installed."""
    made = {"tensorboard": [], "wandb": []}

    def make(name):
        def init(*args, **kwargs):
            made[name].append(Place(*args, **kwargs))
            return made[name][-1]

        return init

    board, wandb = ModuleType("torch.utils.tensorboard"), ModuleType("wandb")
    board.SummaryWriter, wandb.init = make("tensorboard"), make("wandb")
    monkeypatch.setitem(sys.modules, "tensorboard", ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    return made


def test_without_a_tracker_nothing_happens(places, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with tracking(None, "Training") as track:
        assert track({"loss": 0.5}, 1) is None
    assert places == {"tensorboard": [], "wandb": []}
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_function_is_called_with_numbers_and_epoch():
    got = []
    with tracking(lambda numbers, epoch: got.append((numbers, epoch)), "Training") as track:
        track({"loss": 0.5}, 1)
        track({"loss": 0.25, "measured": 0.75}, 2)
    assert got == [({"loss": 0.5}, 1), ({"loss": 0.25, "measured": 0.75}, 2)]


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb"])
def test_numbers_are_tracked_by_name_and_epoch_and_the_tracker_is_closed(places, tracker):
    with tracking(tracker, "Training") as track:
        track({"loss": 0.5}, 1)
        track({"loss": 0.25, "measured": 0.75}, 2)
        (place,) = places[tracker]
        assert (place.opened, place.closed) == (1, 0)
    assert place.got == [("loss", 0.5, 1), ("loss", 0.25, 2), ("measured", 0.75, 2)]
    assert (place.opened, place.closed) == (1, 1)


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb"])
def test_the_run_has_the_given_name(places, tracker):
    with tracking(tracker, "Second stage"):
        pass
    (place,) = places[tracker]
    assert [*place.args, *place.kwargs.values()] == ["Second stage"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("tracker", ["tensorboard", "wandb"])
def test_the_tracker_is_closed_when_training_fails_or_is_killed(places, tracker, error):
    def train():
        with tracking(tracker, "Training") as track:
            track({"loss": 0.5}, 1)
            raise error

    with pytest.raises(error):
        train()
    (place,) = places[tracker]
    assert place.got == [("loss", 0.5, 1)]
    assert (place.opened, place.closed) == (1, 1)


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb"])
def test_a_package_that_is_absent_is_named_with_the_extra_that_brings_it(monkeypatch, tracker):
    monkeypatch.setitem(sys.modules, tracker, None)
    message = rf'tracker="{tracker}" needs the package `{tracker}`.*coldstart-rec\[track\]'
    with pytest.raises(MissingExtraError, match=message), tracking(tracker, "Training"):
        pytest.fail("training began")


@pytest.mark.parametrize("tracker", ["excel", "", 3, ["wandb"]])
def test_what_is_no_tracker_is_refused_before_training(places, tracker):
    with pytest.raises(InvalidInputError, match="`tracker` must be .* or a function; got "), tracking(tracker, "x"):
        pytest.fail("training began")
    assert places == {"tensorboard": [], "wandb": []}
