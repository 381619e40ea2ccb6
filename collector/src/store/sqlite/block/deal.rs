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
        return ends.into_iter().skip(1).chain((places > 0).then_some(items.len())).collect();
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

/// Puts items in the order of the keys of their rows, which have numbers below `rows`, and of their starts. `spare` is of use
/// only for its memory.
pub(super) fn sort<T: Copy, K: Ord>(
    (items, spare): (&mut Vec<T>, &mut Vec<T>),
    (rows, key): (usize, impl Fn(u32) -> K),
    row: impl Fn(&T) -> u32,
    start: impl Fn(&T) -> i64,
) {
    let ranks = ranks(rows, key);
    let ranks_of: Vec<u32> = items.iter().map(|item| ranks[row(item) as usize]).collect();
    deal(items, spare, &ranks_of, ranks.len());
    for of_row in items.chunk_by_mut(|one, next| row(one) == row(next)) {
        // Stable, and mostly so already: batches come in the order in which they were measured.
        of_row.sort_by_key(&start);
    }
}

/// Numbers parts, which come in long runs, in their order. Returns the parts, and for each item the number of its part.
pub(super) fn number<P: Ord + Copy>(parts_of: &[P]) -> (Vec<P>, Vec<u32>) {
    let runs = parts_of.chunk_by(|one, next| one == next);
    let parts: Vec<P> =
        runs.clone().map(|run| run[0]).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    let mut numbers = Vec::with_capacity(parts_of.len());
    for run in runs {
        let number = u32::try_from(parts.partition_point(|part| *part < run[0])).unwrap_or(u32::MAX);
        numbers.extend(std::iter::repeat_n(number, run.len()));
    }
    (parts, numbers)
}

/// For each of the keys by its number, its place in their order.
fn ranks<K: Ord>(keys: usize, key: impl Fn(u32) -> K) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(keys).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by_key(|number| key(*number));
    let mut ranks = vec![0; order.len()];
    for (rank, number) in (0..).zip(order) {
        ranks[number as usize] = rank;
    }
    ranks
}
