"""The version in a pickle; `versions.py`."""

import copy
import pickle
import warnings

import pytest

from fastbp import VersionWarning, __version__
from fastbp.versions import note_version, warn_if_other_version


def test_the_same_version_is_silent():
    state = {"a": 1}
    noted = note_version(state)
    assert state == {"a": 1}
    assert noted == {"a": 1, "_fastbp_version": __version__}
    assert warn_if_other_version(noted, "Network") == {"a": 1}
    assert "_fastbp_version" in noted


@pytest.mark.fault(36)
@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"a": 1, "_fastbp_version": "0.0.7"}, "0.0.7"),
        ({"a": 1}, "unknown"),
        ({"a": 1, "_fastbp_version": [3]}, "unknown"),
    ],
    ids=["other", "none", "no string"],
)
def test_another_version_warns_and_names_both(state, told):
    with pytest.warns(VersionWarning) as caught:
        assert warn_if_other_version(state, "Network") == {"a": 1}
    message = str(caught[0].message)
    for word in ("Network", told, __version__):
        assert word in message


def test_the_warning_survives_transport():
    # warnings of workers are pickled on their way to the parent
    warning = VersionWarning("Network", "0.0.7")
    for other in (pickle.loads(pickle.dumps(warning)), copy.copy(warning)):
        assert str(other) == str(warning)
        assert other.pickled_with == "0.0.7"


def test_it_can_be_filtered():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionWarning)
        warn_if_other_version({}, "Network")
