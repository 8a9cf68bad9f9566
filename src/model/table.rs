//! A table that keeps the order of its entries, and has hashes only where it is long: mostly, a service has a few servers.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::iter::FusedIterator;
use std::mem;
use std::sync::OnceLock;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Up to so many entries are searched one by one, which is quicker than a hash, and takes no room.
const SHORT: usize = 16;

/// Keys with their values, in the order in which the keys came. Equality ignores the order.
#[derive(Clone)]
pub struct Table<K, V> {
    entries: Vec<(K, V)>,
    /// Where they are, in a long table whose keys somebody has looked for
    index: OnceLock<Box<Index>>,
}

/// The places of entries, to be found by their keys. The hashes are quick: whoever can choose the addresses of a director
/// owns it.
#[derive(Clone, Default)]
struct Index {
    places: HashTable<u32>,
    hasher: RandomState,
}

impl Index {
    fn of<K: Hash + Eq, V>(entries: &[(K, V)], capacity: usize) -> Box<Self> {
        let mut index = Self { places: HashTable::with_capacity(capacity), hasher: RandomState::default() };
        for (place, (key, _)) in entries.iter().enumerate() {
            index.find_or_add(key, entries, place);
        }
        Box::new(index)
    }

    fn find<K: Hash + Eq, V>(&self, key: &K, entries: &[(K, V)]) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        self.places.find(hash, |place| is_at(entries, *place, key)).map(|place| *place as usize)
    }

    /// The place of a key; where it has none, it is to get `new`.
    fn find_or_add<K: Hash + Eq, V>(&mut self, key: &K, entries: &[(K, V)], new: usize) -> Option<usize> {
        let Self { places, hasher } = self;
        let hash_at = |place: &u32| entries.get(*place as usize).map_or(0, |(key, _)| hasher.hash_one(key));
        match places.entry(hasher.hash_one(key), |place| is_at(entries, *place, key), hash_at) {
            Entry::Occupied(place) => Some(*place.get() as usize),
            Entry::Vacant(place) => {
                place.insert(new as u32);
                None
            }
        }
    }
}

fn is_at<K: Eq, V>(entries: &[(K, V)], place: u32, key: &K) -> bool {
    entries.get(place as usize).is_some_and(|(there, _)| there == key)
}

impl<K: Hash + Eq, V> Table<K, V> {
    /// An empty table with room for so many entries.
    pub fn with_capacity(entries: usize) -> Self {
        let mut table = Self::default();
        table.reserve(entries);
        table
    }

    /// A table of entries that have a key each: see [`Table::is_distinct`].
    pub fn of(entries: Vec<(K, V)>) -> Self {
        Self { entries, index: OnceLock::new() }
    }

    /// Whether no two entries have one key.
    pub fn is_distinct(&self) -> bool {
        match self.index() {
            Some(index) => index.places.len() == self.entries.len(),
            None => self.keys().enumerate().all(|(place, key)| self.place_of(key) == Some(place)),
        }
    }

    /// Makes room for so many entries more.
    pub fn reserve(&mut self, entries: usize) {
        self.entries.reserve(entries);
        let of = self.entries.len() + entries;
        if of > SHORT && self.index.get().is_none() {
            self.index = Index::of(&self.entries, of).into();
        }
    }

    /// The index of a table that is or was long. It is made when it is needed first: who goes through a table in its
    /// order needs none.
    fn index(&self) -> Option<&Index> {
        if self.entries.len() > SHORT {
            return Some(self.index.get_or_init(|| Index::of(&self.entries, self.entries.len())));
        }
        self.index.get().map(Box::as_ref)
    }

    /// The place of a key in the order.
    pub fn place_of(&self, key: &K) -> Option<usize> {
        match self.index() {
            None => self.entries.iter().position(|(there, _)| there == key),
            Some(index) => index.find(key, &self.entries),
        }
    }

    /// Whether there is an entry under a key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.place_of(key).is_some()
    }

    /// The value under a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(self.place_of(key)?).map(|(_, value)| value)
    }

    /// The value under a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.place_of(key)?;
        self.entries.get_mut(place).map(|(_, value)| value)
    }

    /// Puts a value under a key, and gives the one that was there, whose place it takes.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (place, value) = self.insert_new(key, value).err()?;
        self.entries.get_mut(place).map(|(_, there)| mem::replace(there, value))
    }

    /// Puts a value under a key that has none.
    ///
    /// # Errors
    /// The place of the key, where it has one, and the value.
    pub fn insert_new(&mut self, key: K, value: V) -> Result<(), (usize, V)> {
        let new = self.entries.len();
        if new >= SHORT && self.index.get().is_none() {
            self.index = Index::of(&self.entries, new + SHORT).into();
        }
        let place = match self.index.get_mut() {
            None => self.place_of(&key),
            Some(index) => index.find_or_add(&key, &self.entries, new),
        };
        if let Some(place) = place {
            return Err((place, value));
        }
        self.entries.push((key, value));
        Ok(())
    }

    /// Takes an entry out, and gives its value. Those behind it come forward: dear in a long table.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (_, value) = self.entries.remove(self.place_of(key)?);
        self.find_again();
        Some(value)
    }

    /// Keeps the entries that shall be kept.
    pub fn retain(&mut self, keep: impl FnMut(&K, &V) -> bool) {
        self.split_off(keep);
    }

    /// Takes out the entries that shall not be kept. Both stay in their order.
    pub fn split_off(&mut self, mut keep: impl FnMut(&K, &V) -> bool) -> Self {
        let out: Self = self.entries.extract_if(.., |(key, value)| !keep(key, value)).collect();
        if !out.is_empty() {
            self.find_again();
        }
        out
    }

    /// After entries have moved.
    fn find_again(&mut self) {
        self.index = OnceLock::new();
    }
}

impl<K, V> Table<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry at a place of the order.
    pub fn at(&self, place: usize) -> Option<(&K, &V)> {
        self.entries.get(place).map(|(key, value)| (key, value))
    }

    /// The entries in their order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter(self.entries.iter())
    }

    /// The entries in their order, their values to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> + ExactSizeIterator {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The keys in their order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.entries.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The values in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.entries.iter_mut().map(|(_, value)| value)
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new(), index: OnceLock::new() }
    }
}

impl<K: Hash + Eq, V: PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        let is_there = |(place, (key, value))| {
            // Mostly both have one order.
            other.at(place) == Some((key, value)) || other.get(key) == Some(value)
        };
        self.len() == other.len() && self.iter().enumerate().all(is_there)
    }
}

impl<K: Hash + Eq, V: Eq> Eq for Table<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Hash + Eq, V> Extend<(K, V)> for Table<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Hash + Eq, V> FromIterator<(K, V)> for Table<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut table = Self::with_capacity(entries.size_hint().0);
        table.extend(entries);
        table
    }
}

impl<K, V> IntoIterator for Table<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a Table<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The entries of a table in their order.
pub struct Iter<'a, K, V>(std::slice::Iter<'a, (K, V)>);

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|(key, value)| (key, value))
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}

impl<K, V> FusedIterator for Iter<'_, K, V> {}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What can be done to a table.
    #[derive(Debug, Clone)]
    enum Deed {
        Insert(u8, u32),
        Remove(u8),
        Retain(u8),
        SplitOff(u8),
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let deed = prop_oneof![
            20 => any::<(u8, u32)>().prop_map(|(key, value)| Deed::Insert(key % 40, value)),
            5 => any::<u8>().prop_map(|key| Deed::Remove(key % 40)),
            1 => (2..9_u8).prop_map(Deed::Retain),
            1 => (2..9_u8).prop_map(Deed::SplitOff),
        ];
        prop::collection::vec(deed, 0..200)
    }

    proptest! {
        /// The simplest table that there is has the same answers, while it is short and when it is long.
        #[test]
        fn a_table_is_a_list_of_entries(deeds in deeds(), capacity in 0..40_usize, first in 0..40_u8, look in any::<bool>()) {
            let mut list: Vec<(u8, u32)> = (0..first).map(|key| (key, 7)).collect();
            let mut table = if first == 0 { Table::with_capacity(capacity) } else { Table::of(list.clone()) };
            for deed in deeds {
                match deed {
                    Deed::Insert(key, value) => {
                        let there = list.iter_mut().find(|(there, _)| *there == key);
                        let before = there.map(|(_, there)| mem::replace(there, value));
                        if before.is_none() {
                            list.push((key, value));
                        }
                        prop_assert_eq!(table.insert(key, value), before);
                    }
                    Deed::Remove(key) => {
                        let place = list.iter().position(|(there, _)| *there == key);
                        let removed = place.map(|place| list.remove(place).1);
                        prop_assert_eq!(table.remove(&key), removed);
                    }
                    Deed::Retain(by) => {
                        list.retain(|(key, _)| key % by != 0);
                        table.retain(|key, _| key % by != 0);
                    }
                    Deed::SplitOff(by) => {
                        let (kept, out): (Vec<_>, Vec<_>) = list.into_iter().partition(|(key, _)| key % by != 0);
                        list = kept;
                        let off = table.split_off(|key, _| key % by != 0);
                        prop_assert_eq!(off.into_iter().collect::<Vec<_>>(), out);
                    }
                }
                prop_assert_eq!(table.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>(), list.clone());
                for key in if look { 0..40 } else { 0..0 } {
                    let place = list.iter().position(|(there, _)| *there == key);
                    prop_assert_eq!(table.place_of(&key), place);
                    prop_assert_eq!(table.get(&key).copied(), place.map(|place| list[place].1));
                }
                let mut turned: Vec<(u8, u32)> = list.iter().rev().copied().collect();
                prop_assert_eq!(&table, &turned.iter().copied().collect());
                if let Some((_, value)) = turned.first_mut() {
                    *value ^= 1;
                    prop_assert_ne!(&table, &turned.into_iter().collect());
                }
            }
        }
    }
}
