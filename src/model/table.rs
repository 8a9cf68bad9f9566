//! The map in which services, servers and clusters are kept.

use foldhash::fast::RandomState;
use indexmap::IndexMap;

/// A map that keeps the order in which its keys were added. Equality ignores the order.
///
/// The hash is a quick one, not one that resists chosen keys: whoever can choose the addresses of a director owns it.
pub type Table<K, V> = IndexMap<K, V, RandomState>;
