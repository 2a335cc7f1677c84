"""What the displays share: matplotlib, imported when it is needed, colours, and checks of arguments."""

from sklearn.utils.validation import check_is_fitted

#: Okabe and Ito (2008), Color Universal Design: distinguishable with any kind of colour vision.
BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#666666"

#: With fewer epochs than this, each has a marker: a line of one point would be invisible.
FEW_EPOCHS = 30


def require_pyplot(what, instead=""):
    """Import matplotlib.pyplot; every display calls this first.

    Parameters
    ----------
    what : str
        Name of the display, for the message.
    instead : str
        Alternatives without matplotlib, for the message.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        With the command that installs it.
    """
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError(
            f"{what} draws with matplotlib, which cannot be imported: `python3 -m pip install 'fastbp[plot]'` installs "
            f"it{instead}"
        ) from error
    return matplotlib.pyplot


def axes_of(ax, what, size):
    """The given axes, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib Axes or None
    what : str
        Name of the display, for the message.
    size : tuple of float
        Of the new figure, in inches.

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    pyplot = require_pyplot(what)
    return pyplot.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def legend_above(ax, handles):
    """Draw the legend above the axes, where it covers no curve.

    Parameters
    ----------
    ax : matplotlib Axes
    handles : list of Artist
        What it names; three in a row.
    """
    ax.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=3,
        frameon=False,
        fontsize="small",
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def inches_of(ax):
    """Width and height of axes in inches, after the layout of their figure.

    Parameters
    ----------
    ax : matplotlib Axes

    Returns
    -------
    width, height : float
    """
    if ax.figure.get_layout_engine() is not None:
        ax.figure.draw_without_rendering()
    box = ax.get_window_extent()
    return box.width / ax.figure.dpi, box.height / ax.figure.dpi


def whole_epochs(ax, epochs):
    """Ticks of the x axis at whole numbers only.

    Parameters
    ----------
    ax : matplotlib Axes
    epochs : ndarray of shape (k,)
    """
    if len(epochs) == 1:
        ax.set_xlim(epochs[0] - 1, epochs[0] + 1)
    ax.xaxis.get_major_locator().set_params(integer=True)


def shortened(text, length):
    """The text, with an ellipsis in its middle if it is longer than `length` characters.

    Parameters
    ----------
    text : object
    length : int

    Returns
    -------
    str
    """
    text = str(text)
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 3
    return f"{text[:head]}…{text[head + 1 - length :]}"


def fitted(estimator, what):
    """The estimator, if it is a fitted multi-layer perceptron.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    what : str
        Name of the function, for the message.

    Returns
    -------
    estimator

    Raises
    ------
    TypeError, NotFittedError
    """
    if not hasattr(estimator, "hidden_layer_sizes"):
        raise TypeError(
            f"{what} needs an MLPClassifier or MLPRegressor, got {type(estimator).__name__}. Of a pipeline, give the "
            "last step."
        )
    check_is_fitted(estimator, "coefs_")
    return estimator


def checked_names(name, names, n):
    """The names as a list of str, or None.

    Parameters
    ----------
    name : str
        The argument's name.
    names : sequence of str, or None
    n : int
        The number of names needed.

    Returns
    -------
    list of str or None
    """
    if names is None:
        return None
    names = [str(one) for one in names]
    if len(names) != n:
        raise ValueError(f"{name} must be {n} names to fit the network, got {len(names)}")
    return names
