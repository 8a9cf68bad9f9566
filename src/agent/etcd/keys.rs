//! Puts the prefix of the fleet before keys, and takes it away.

/// The prefix of a fleet.
#[derive(Debug, Clone)]
pub(super) struct Keys(String);

impl Keys {
    /// `prefix` is as in the settings, without a slash at its end.
    pub(super) fn new(prefix: &str) -> Self {
        Self(format!("{prefix}/"))
    }

    /// The key in etcd.
    pub(super) fn whole(&self, key: &str) -> Vec<u8> {
        format!("{}{key}", self.0).into_bytes()
    }

    /// The key of the fleet. Only keys with the prefix are ever read.
    pub(super) fn short(&self, key: &[u8]) -> String {
        String::from_utf8_lossy(key.strip_prefix(self.0.as_bytes()).unwrap_or(key)).into_owned()
    }
}

/// The first key behind all those that begin with `start`, as etcd takes the end of a range.
pub(super) fn end_of(start: &[u8]) -> Vec<u8> {
    let mut end = start.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // None: up to the last key.
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_ends_with_a_slash() {
        let keys = Keys::new("/lbd/prod");
        assert_eq!(keys.whole("slots/lb1"), b"/lbd/prod/slots/lb1");
        assert_eq!(keys.short(b"/lbd/prod/slots/lb1"), "slots/lb1");
        assert_eq!(keys.short(b"/lbd/prod/\xff"), "\u{fffd}");
    }

    #[test]
    fn the_end_of_a_range_is_behind_all_that_begins_with_its_start() {
        assert_eq!(end_of(b"/lbd/"), b"/lbd0");
        assert_eq!(end_of(b"a\xff\xff"), b"b");
        assert_eq!(end_of(b"\xff"), [0]);
    }
}
