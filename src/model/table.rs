//! The map in which services, servers and clusters are kept.

use std::hash::Hash;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

/// A map that keeps the order in which its keys were added. Equality ignores the order.
///
/// The hash is a quick one, not one that resists chosen keys: whoever can choose the addresses of a director owns it.
pub type Table<K, V> = IndexMap<K, V, RandomState>;

/// What a table has for a key that has this place in another one: mostly it has the same place here, and then nothing is hashed.
pub fn get_near<'a, K: Eq + Hash, V>(table: &'a Table<K, V>, place: usize, key: &K) -> Option<&'a V> {
    match table.get_index(place) {
        Some((found, value)) if found == key => Some(value),
        Some(_) | None => table.get(key),
    }
}
