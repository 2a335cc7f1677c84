"""Numbers, labels and code as C text.

Code is written once for both types of numbers: in a template, ``real`` stands for float or double, functions of math.h
and literals such as 1.0 are those of this type, literals such as 1.0d are double in any case, and ``@name`` is a name
of the model. `adapted` brings it into the type and the names of a file.
"""

import re

import numpy as np

#: Columns of a line of numbers
WIDTH = 116
#: Functions of math.h that templates may call
FUNCTIONS = ("cos", "erfc", "exp", "expm1", "fabs", "floor", "hypot", "log", "log1p", "pow", "sqrt", "tanh")
#: Parts of a template that depend on the type or on the names
PARTS = re.compile(
    rf"(?P<comment>/\*.*?\*/)|(?P<type>\breal\b)|(?P<function>\b(?:{'|'.join(FUNCTIONS)})(?=\())|@(?P<name>\w+)"
    r"|(?P<literal>(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?=d\b)|(?<![\w.])\d+\.\d+(?:e[+-]?\d+)?(?![\w.]))d?",
    re.ASCII | re.DOTALL,
)
#: NumPy's name of a dtype -> the type in C
TYPES = {"float32": "float", "float64": "double"}
#: Longest string literal that a C99 compiler must take (ISO/IEC 9899:1999, 5.2.4.1)
LONGEST_STRING = 4095

#: Words that cannot be the name of anything in C99 or C++
KEYWORDS = re.findall(
    r"\w+",
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class compl
    concept const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype default delete
    do double dynamic_cast else enum explicit export extern false float for friend goto if inline int long main mutable
    namespace new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast
    requires restrict return short signed sizeof static static_assert static_cast struct switch template this
    thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor
    xor_eq
    """,
)


def checked_prefix(prefix):
    """The beginning of all names of a file; ValueError unless it can be a name in C and C++."""
    if not isinstance(prefix, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,30}", prefix) or prefix in KEYWORDS:
        raise ValueError(
            "prefix must be a name in C and C++, of at most 31 letters, digits and underscores, that begins with a "
            f"letter, such as 'model'; got {prefix!r}"
        )
    return prefix


def adapted(template, real, name):
    """C code for a type of numbers and for the names of a file.

    Parameters
    ----------
    template : str
    real : {"float", "double"}
    name : callable
        From a name in the template to that in the file.

    Returns
    -------
    str
    """
    suffix = "f" if real == "float" else ""

    def replacement(match):
        if match["comment"]:
            return match[0]
        if match["type"]:
            return real
        if match["name"]:
            return name(match["name"])
        if match["function"]:
            return match["function"] + suffix
        return match["literal"] + ("" if match[0].endswith("d") else suffix)

    return PARTS.sub(replacement, template)


def double(value):
    """A number as a double literal in templates."""
    return f"{literal(np.float64(value))}d"


def literal(value):
    """A finite number as C text: the shortest decimal number that is read as exactly this one.

    Hexadecimal numbers would be exact too, but C++ before C++17 does not know them, and nobody can read them.

    Parameters
    ----------
    value : numpy.float32 or numpy.float64

    Returns
    -------
    str
        With the suffix f for float32.
    """
    text = str(value)
    suffix = "f" if value.dtype == np.float32 else ""
    return f"{text if '.' in text or 'e' in text else text + '.0'}{suffix}"


def array(c_type, name, items, *, storage="static const"):
    """The definition of an array.

    Parameters
    ----------
    c_type, name : str
    items : list of str
    storage : str
        In front of the type.

    Returns
    -------
    str
    """
    lines, length = [[]], 0
    for item in items:
        if length + len(item) + 2 > WIDTH and lines[-1]:
            lines.append([])
            length = 0
        lines[-1].append(item)
        length += len(item) + 2
    text = ",\n    ".join(", ".join(line) for line in lines)
    return f"{storage} {c_type} {name}[{len(items)}] = {{\n    {text}\n}};\n"


def numbers(values):
    """The numbers of an array of float32, float64 or integers as C text, in C order: a list of str."""
    flat = np.asarray(values).ravel()
    if flat.dtype.kind == "f":
        if not np.isfinite(flat).all():
            raise ValueError(f"a number that is to be written is {flat[~np.isfinite(flat)][0]}, and not finite")
        return [literal(value) for value in flat]
    return [str(int(value)) for value in flat]


def string(text):
    """A string literal in UTF-8.

    Parameters
    ----------
    text : str or bytes

    Returns
    -------
    str
        With octal escapes for all but printable ASCII, and for question marks, three of which could be a trigraph.

    Raises
    ------
    ValueError
        For a null character, which would end the string, and for more bytes than a literal may have.
    """
    data = text.encode("utf-8") if isinstance(text, str) else bytes(text)
    if 0 in data or len(data) > LONGEST_STRING:
        reason = "a null character" if 0 in data else f"{len(data):,} bytes, more than {LONGEST_STRING:,}"
        raise ValueError(f"text for C must not have {reason}; got {text!r:.80}: give it a short name before fit")
    plain = {byte: chr(byte) for byte in range(32, 127) if chr(byte) not in '"\\?'}
    return '"' + "".join(plain.get(byte, f"\\{byte:03o}") for byte in data) + '"'


def in_comment(text):
    """Text that ends no comment, begins none and fits on a line: ASCII, with escapes."""
    escaped = str(text).encode("unicode_escape").decode("ascii")
    escaped = escaped.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")
    return escaped if len(escaped) <= 60 else f"{escaped[:57]}..."
