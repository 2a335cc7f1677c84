"""The states of NumPy's generators, to JSON and back.

NumPy takes a state as it is, and some of its numbers are indices into arrays: they are checked here.
"""

import numpy as np

from fastbp.files.errors import Unsavable

UINT32, UINT64, UINT128 = 2**32, 2**64, 2**128
#: Numbers of a state that most bit generators have: a half of the last 64 bits that was not used yet
HALF = {"has_uint32": 2, "uinteger": UINT32}
#: name -> (numbers of the inner state, numbers of the outer one). A number is described by what it is below, an array
#: by (dtype, length).
SCHEMAS = {
    "MT19937": ({"key": ("uint32", 624), "pos": 625}, {}),
    "PCG64": ({"state": UINT128, "inc": UINT128}, HALF),
    "PCG64DXSM": ({"state": UINT128, "inc": UINT128}, HALF),
    "Philox": ({"counter": ("uint64", 4), "key": ("uint64", 2)}, {"buffer": ("uint64", 4), "buffer_pos": 5, **HALF}),
    "SFC64": ({"state": ("uint64", 4)}, HALF),
}
#: name -> class
BIT_GENERATORS = {name: getattr(np.random, name) for name in SCHEMAS}


def is_index(value, limit):
    """Whether a value is an int from 0 up to below `limit`."""
    return type(value) is int and 0 <= value < limit


def encoded_bit_generator(encoder, generator, place):
    """The state of a bit generator of NumPy.

    Parameters
    ----------
    encoder : Encoder
    generator : BitGenerator
    place : str

    Returns
    -------
    dict
    """
    name = type(generator).__name__
    if BIT_GENERATORS.get(name) is not type(generator):
        raise Unsavable(place, generator)
    state = generator.state
    inner, outer = SCHEMAS[name]
    parts = {"name": name, "state": encoded_numbers(encoder, state["state"], inner, place)}
    return parts | encoded_numbers(encoder, state, outer, place)


def encoded_numbers(encoder, state, schema, place):
    """The numbers of a state, arrays as tensors."""
    return {
        name: encoder.tensor(np.asarray(state[name]), f"{place}.{name}")
        if isinstance(kind, tuple)
        else int(state[name])
        for name, kind in schema.items()
    }


def decoded_bit_generator(decoder, content, place, seed=0):
    """The bit generator that `encoded_bit_generator` described.

    Parameters
    ----------
    decoder : Decoder
    content : dict
    place : str
    seed : int or SeedSequence
        What it was seeded with: its state is another one.

    Returns
    -------
    BitGenerator
    """
    name = content.get("name") if isinstance(content, dict) else None
    if not isinstance(name, str) or name not in SCHEMAS:
        raise ValueError(f"{place} is no state of a bit generator of NumPy")
    inner, outer = SCHEMAS[name]
    parts = decoder.parts(content, ("name", "state", *outer), (), place)
    state = {"bit_generator": name, "state": decoded_numbers(decoder, parts["state"], inner, place)}
    generator = BIT_GENERATORS[name](seed)
    generator.state = state | decoded_numbers(decoder, {key: parts[key] for key in outer}, outer, place)
    return generator


def decoded_numbers(decoder, content, schema, place):
    """The numbers of a state, checked."""
    found = dict(decoder.parts(content, tuple(schema), (), place))
    for name, kind in schema.items():
        if isinstance(kind, tuple):
            found[name] = decoder.tensor(found[name], place)
            if found[name].dtype != kind[0] or found[name].shape != kind[1:]:
                raise ValueError(f"{place}.{name} must be {kind[1]} numbers of {kind[0]}")
        elif not is_index(found[name], kind):
            raise ValueError(f"{place}.{name} must be an integer >= 0 and < {kind}, got {found[name]!r}")
    return found


def encoded_random_state(encoder, random_state, place):
    """A `numpy.random.RandomState`, with the normal variate that it keeps.

    Parameters
    ----------
    encoder : Encoder
    random_state : RandomState
    place : str

    Returns
    -------
    dict
    """
    state = random_state.get_state(legacy=False)
    return {
        "bit_generator": encoded_bit_generator(encoder, random_state._bit_generator, place),
        "has_gauss": int(state["has_gauss"]),
        "gauss": encoder.encode(float(state["gauss"]), place),
    }


def decoded_random_state(decoder, content, place):
    """The RandomState that `encoded_random_state` described.

    Parameters
    ----------
    decoder : Decoder
    content : dict
    place : str

    Returns
    -------
    RandomState
    """
    parts = decoder.parts(content, ("bit_generator", "has_gauss", "gauss"), (), place)
    gauss = decoder.decode(parts["gauss"], place)
    if not is_index(parts["has_gauss"], 2) or type(gauss) not in (int, float):
        raise ValueError(f"{place} is no state of a RandomState")
    random_state = np.random.RandomState(decoded_bit_generator(decoder, parts["bit_generator"], place))
    state = random_state.get_state(legacy=False)
    random_state.set_state(state | {"has_gauss": parts["has_gauss"], "gauss": float(gauss)})
    return random_state


def encoded_generator(encoder, generator, place):
    """A `numpy.random.Generator`, with the seed sequence from which it spawns others.

    Parameters
    ----------
    encoder : Encoder
    generator : Generator
    place : str

    Returns
    -------
    dict
    """
    bit_generator = generator.bit_generator
    sequence = bit_generator.seed_seq
    if type(sequence) is not np.random.SeedSequence or sequence.pool_size != 4:
        raise Unsavable(place, sequence)
    return {
        "bit_generator": encoded_bit_generator(encoder, bit_generator, place),
        "entropy": encoder.encode(sequence.entropy, place),
        "spawn_key": [int(key) for key in sequence.spawn_key],
        "n_children_spawned": int(sequence.n_children_spawned),
    }


def decoded_generator(decoder, content, place):
    """The Generator that `encoded_generator` described.

    Parameters
    ----------
    decoder : Decoder
    content : dict
    place : str

    Returns
    -------
    Generator
    """
    parts = decoder.parts(content, ("bit_generator", "entropy", "spawn_key", "n_children_spawned"), (), place)
    spawn_key, n_spawned = parts["spawn_key"], parts["n_children_spawned"]
    is_key = isinstance(spawn_key, list) and all(is_index(key, UINT32) for key in spawn_key)
    if not is_key or not is_index(n_spawned, UINT32):
        raise ValueError(f"{place} is no state of a Generator")
    entropy = decoder.decode(parts["entropy"], place)
    sequence = np.random.SeedSequence(entropy, spawn_key=tuple(spawn_key), n_children_spawned=n_spawned)
    return np.random.Generator(decoded_bit_generator(decoder, parts["bit_generator"], place, sequence))
