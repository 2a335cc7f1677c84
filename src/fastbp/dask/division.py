"""Which partitions make up a shard, and which worker holds it."""


def divide(sizes, places, workers):
    """Divide partitions among workers, as evenly as whole partitions allow, and leave them where they lie.

    A worker keeps partitions that lie with it until it has its share of the rows. All others go to the worker with the
    fewest rows; those that lie nowhere yet are divided in their order, so that each worker gets neighbours.

    Parameters
    ----------
    sizes : list of int
        Rows of each partition; all 1 where they are not known.
    places : list of (str or None)
        The worker that holds each partition in memory; None if none does.
    workers : list of str

    Returns
    -------
    list of list of int
        The numbers of the partitions of each shard, in order. The shards are in the order of their first partitions, so
        that they do not depend on the addresses of the workers. At most as many as workers, none of them empty.
    """
    if not any(place in workers for place in places):
        return in_order(sizes, len(workers))
    share = sum(sizes) / len(workers)
    parts, rows = {worker: [] for worker in workers}, dict.fromkeys(workers, 0)
    moved = []
    for number, (size, place) in enumerate(zip(sizes, places, strict=True)):
        if place in rows and rows[place] + size / 2 <= share:
            parts[place].append(number)
            rows[place] += size
        else:
            moved.append(number)
    order = sorted(workers, key=lambda worker: parts[worker] or [len(sizes)])
    for number in moved:
        worker = min(order, key=rows.get)  # the first one of equals
        parts[worker].append(number)
        rows[worker] += sizes[number]
    return sorted(sorted(shard) for shard in parts.values() if shard)


def in_order(sizes, n_shards):
    """Divide partitions in their order into shards of about equal rows; no shard is empty."""
    total, seen, shards = max(sum(sizes), 1), 0, [[] for _ in range(n_shards)]
    for number, size in enumerate(sizes):
        middle = seen + size / 2
        shards[min(int(middle * n_shards / total), n_shards - 1)].append(number)
        seen += size
    return [shard for shard in shards if shard]


def homes(shards, places, workers):
    """The worker of each shard: the one that holds most of its partitions, and no worker twice as long as there are
    others.

    Parameters
    ----------
    shards : list of list of int
    places : list of (str or None)
        As for `divide`.
    workers : list of str

    Returns
    -------
    list of str
    """
    chosen, free = [None] * len(shards), list(workers)
    for pass_of_holders in (True, False):
        for index, shard in enumerate(shards):
            if chosen[index] is None:
                free = free or list(workers)
                held = {worker: sum(places[number] == worker for number in shard) for worker in free}
                best = max(free, key=held.get)
                if held[best] or not pass_of_holders:
                    chosen[index] = best
                    free.remove(best)
    return chosen


def moved_homes(before, workers):
    """The workers of shards when some workers may be gone.

    Parameters
    ----------
    before : list of str
        The worker of each shard.
    workers : list of str
        Those that there are.

    Returns
    -------
    list of str
        As before, where that worker is still there; else the one with the fewest shards.
    """
    loads = {worker: 0 for worker in workers}
    for worker in before:
        if worker in loads:
            loads[worker] += 1
    after = []
    for worker in before:
        if worker not in loads:
            worker = min(loads, key=loads.get)
            loads[worker] += 1
        after.append(worker)
    return after
