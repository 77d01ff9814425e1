import inspect
import pickle

import pytest

from coldstart import errors
from coldstart.errors import (
    ArgumentError,
    ColdstartError,
    ColdstartWarning,
    InvalidInputError,
    MissingExtraError,
    NotFittedError,
    SavedFolderError,
    TrainingError,
    UnknownIdError,
    WeightsNotFoundError,
)

BUILT_IN = [
    (InvalidInputError, ValueError),
    (ArgumentError, ValueError),
    (ArgumentError, TypeError),
    (UnknownIdError, KeyError),
    (NotFittedError, ValueError),
    (NotFittedError, AttributeError),
    (MissingExtraError, ImportError),
    (WeightsNotFoundError, OSError),
    (SavedFolderError, ValueError),
    (TrainingError, ArithmeticError),
]
EVERY = sorted({error for error, _ in BUILT_IN}, key=lambda error: error.__name__)


@pytest.mark.parametrize(("error", "older"), BUILT_IN)
def test_an_older_handler_catches_the_error(error, older):
    with pytest.raises(older, match="what to do"):
        raise error("what to do")


@pytest.mark.parametrize("error", EVERY)
def test_one_handler_catches_every_error(error):
    with pytest.raises(ColdstartError):
        raise error("message")


@pytest.mark.parametrize("error", EVERY)
def test_the_text_of_an_error_is_its_message(error):
    assert str(error("`k` must be\n'small'")) == "`k` must be\n'small'"


@pytest.mark.parametrize("error", EVERY)
def test_errors_travel_between_processes(error):
    back = pickle.loads(pickle.dumps(error("message")))
    assert (type(back), str(back)) == (error, "message")


def test_an_unknown_id_without_a_message_is_empty_text():
    assert str(UnknownIdError()) == ""
    assert str(UnknownIdError(42)) == "42"


def test_no_error_is_left_out_of_these_tests():
    public = {error for _, error in inspect.getmembers(errors, inspect.isclass)}
    assert public == {*EVERY, ColdstartError, ColdstartWarning}


def test_the_warning_is_shown_by_default():
    assert issubclass(ColdstartWarning, UserWarning)
    assert not issubclass(ColdstartWarning, ColdstartError)
