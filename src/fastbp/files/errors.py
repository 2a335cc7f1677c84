"""What can be wrong with a model file, and with what is to be saved."""


class ModelFileError(ValueError):
    """A file is no model file of fastbp, is damaged, or was written by a newer version.

    Parameters
    ----------
    path : str
        Of the file.
    reason : str
        What is wrong.
    """

    def __init__(self, path, reason):
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self):
        return f"{self.path}: {self.reason}"


class Unsavable(TypeError):
    """A value that a model file cannot hold.

    Parameters
    ----------
    place : str
        Where it is: a parameter, or an attribute, perhaps with a path in it.
    value : object
    """

    def __init__(self, place, value):
        super().__init__(place, value)
        self.place, self.value = place, value

    def __str__(self):
        return f"{self.place} is {shortened(self.value)}"


def shortened(value, length=100):
    """The `repr` of a value, or its beginning."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}..."
