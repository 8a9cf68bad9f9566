//! The limits of single values, each defined once: for the schema, for what `resolve` refuses, and for the messages.

use std::ops::RangeInclusive;

use crate::model::{Family, SyncRole};

/// How long the name of a cluster is at most, in bytes.
pub(in crate::config) const NAME_LENGTH: usize = 255;

/// A firewall mark. 0 is a packet without a mark.
pub(in crate::config) const MARK: RangeInclusive<u32> = 1..=u32::MAX;

/// Seconds of persistence. In the kernel, a longer time wraps around to a short one.
pub(in crate::config) const PERSISTENCE: RangeInclusive<u32> = 1..=4_294_967;

/// Seconds of a connection timeout. The kernel refuses more than INT_MAX/HZ seconds; 0 would leave the old value without an
/// error.
pub(in crate::config) const TIMEOUT: RangeInclusive<u32> = 1..=2_147_483;

/// Seconds between two checks of the live state.
pub(in crate::config) const RESYNC: RangeInclusive<u32> = 1..=86_400;

/// Seconds that a server drains.
pub(in crate::config) const DRAIN: RangeInclusive<u32> = 0..=30 * 86_400;

/// Milliseconds of the intervals and time-outs of checks.
pub(in crate::config) const CHECK_TIME: RangeInclusive<u64> = 100..=86_400_000;

/// Seconds until a failing server is deleted.
pub(in crate::config) const RESET_AFTER: RangeInclusive<u32> = 1..=86_400;

/// Seconds of a slow start.
pub(in crate::config) const SLOW_START: RangeInclusive<u32> = 1..=3_600;

/// The least weight that a slow start can raise in steps.
pub(in crate::config) const SLOW_START_WEIGHT: u32 = 10;

/// The status codes of HTTP.
pub(in crate::config) const STATUS: RangeInclusive<u16> = 100..=599;

/// How long any text of a check is at most, in bytes.
pub(in crate::config) const CHECK_TEXT: usize = 4_096;

/// How many headers, status ranges and arguments a check has at most.
pub(in crate::config) const CHECK_ENTRIES: usize = 64;

/// How many checks a server has at most.
pub(in crate::config) const MOST_CHECKS: usize = 16;

/// Seconds of any duration that is not 0: the longest of them all.
pub(in crate::config) const DURATION: RangeInclusive<u32> = PERSISTENCE;

/// The share of services that a change may delete, in percent.
pub(in crate::config) const MOST_PERCENT: u8 = 100;

/// How many real servers all virtual services may have together: each listener of a cluster has all its servers, so that a
/// short file can describe more than fits into any memory.
pub(in crate::config) const MOST_SERVERS: usize = 1_000_000;

/// The longest sync message in bytes: what fits a UDP packet of IPv4.
pub(in crate::config) const LONGEST_SYNC_MESSAGE: u32 = 65_507;

/// Bytes of a sync message. The kernel changes a length outside these limits without an error, and the table would never be
/// in sync.
pub(in crate::config) fn sync_message(role: SyncRole, group: Family) -> RangeInclusive<u32> {
    let least = match role {
        SyncRole::Master => 1,
        SyncRole::Backup => 1_024,
    };
    let most = match group {
        Family::V4 => LONGEST_SYNC_MESSAGE,
        // The header of IPv6 is 20 bytes longer.
        Family::V6 => LONGEST_SYNC_MESSAGE - 20,
    };
    least..=most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::format::schema::schema;

    // The descriptions of the schema are comments of the types, which cannot quote a constant.
    #[test]
    fn the_descriptions_of_the_schema_state_these_limits() {
        let schema = schema();
        let backup = sync_message(SyncRole::Backup, Family::V4);
        for stated in [
            format!("{} to {} seconds. Default: not persistent", PERSISTENCE.start(), PERSISTENCE.end()),
            format!("(`ipvsadm --set`): {} to {} seconds each", TIMEOUT.start(), TIMEOUT.end()),
            format!("from {} to {}, decimal or", MARK.start(), MARK.end()),
            format!("at least {} for a backup", backup.start()),
        ] {
            assert!(schema.contains(&stated), "{stated}");
        }
        assert!(*DRAIN.end() == 30 * 24 * 60 * 60 && schema.contains("At most 30 days."));
        assert!(RESYNC == (1..=24 * 60 * 60) && schema.contains("1 second to 1 day"));
    }
}
