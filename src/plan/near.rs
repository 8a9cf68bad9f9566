//! Finds entries of one table in another that has mostly the same order.

use std::hash::Hash;

use crate::model::Table;

/// The value of a key in a table. `near` is the place of the last key that was found: mostly both tables have the same
/// order, or one has the reverse, and the next key is beside it.
pub(super) fn find<'a, K: Hash + Eq, V>(
    table: &'a Table<K, V>,
    near: &mut Option<usize>,
    key: &K,
) -> Option<&'a V> {
    let is_key = |place: &usize| table.get_index(*place).is_some_and(|(there, _)| there == key);
    let neighbours = near.map_or([0, 0], |place| [place + 1, place.wrapping_sub(1)]);
    let place = neighbours.into_iter().find(is_key).or_else(|| table.get_index_of(key))?;
    *near = Some(place);
    table.get_index(place).map(|(_, value)| value)
}
