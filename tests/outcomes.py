"""What comes of a call, for tests that compare two ways to the same result."""

import warnings


def outcome(function):
    """The value, or the class and text of the error, of a call, and the classes and texts of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = function()
        except Exception as error:
            found = type(error), str(error)
    return found, [(w.category, str(w.message)) for w in caught]
