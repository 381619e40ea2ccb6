//! Dealing: a stable sort by small numbers, in time that grows with what is dealt alone.

/// Deals items out to so many places, each to its own, in the order in which they are. Returns where each place ends. `spare`
/// is of use only for its memory.
pub(super) fn deal<T: Copy>(
    items: &mut Vec<T>,
    spare: &mut Vec<T>,
    places_of: &[u32],
    places: usize,
) -> Vec<usize> {
    let mut ends = vec![0; places];
    for place in places_of {
        ends[*place as usize] += 1;
    }
    let mut begin = 0;
    for end in &mut ends {
        begin += std::mem::replace(end, begin);
    }
    if places_of.is_sorted() {
        // Begins are where those before end.
        ends.rotate_left(1);
        if let Some(last) = ends.last_mut() {
            *last = items.len();
        }
        return ends;
    }
    let mut order = vec![0; places_of.len()];
    for (at, place) in (0_u32..).zip(places_of) {
        let end = &mut ends[*place as usize];
        order[*end] = at;
        *end += 1;
    }
    spare.clear();
    spare.extend(order.into_iter().map(|at| items[at as usize]));
    std::mem::swap(items, spare);
    ends
}

/// Numbers parts, which come in long runs, in their order: in the place of each item's part stands its number, and what is
/// returned says which part a number means.
pub(super) fn number(parts_of: &mut [u32]) -> Vec<u32> {
    let runs = parts_of.chunk_by(|one, next| one == next).map(|run| run[0]);
    let parts: Vec<u32> = runs.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    parts_of.chunk_by_mut(|one, next| one == next).for_each(|run| {
        let place = parts.partition_point(|part| *part < run[0]);
        run.fill(u32::try_from(place).unwrap_or(u32::MAX));
    });
    parts
}

/// For each of the keys by its number, its place in their order.
pub(super) fn ranks<K: Ord>(keys: usize, key: impl Fn(u32) -> K) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(keys).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by_key(|number| key(*number));
    let mut ranks = vec![0; order.len()];
    for (rank, number) in (0..).zip(order) {
        ranks[number as usize] = rank;
    }
    ranks
}
