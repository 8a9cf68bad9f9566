//! Closed lists of values: each value with the one name that the file, the reports and the commands have for it.

/// A value of a closed list.
pub trait Named: Copy + PartialEq + 'static {
    /// What the list is for: the type's own documentation.
    const ABOUT: &'static str;
    /// The values that a desired file can ask for, in the order in which they are listed to people.
    const ALL: &'static [Self];

    /// The value's name; `None` for what only a kernel can have.
    fn name(self) -> Option<&'static str>;

    /// What the value means: its own documentation. Empty for what has no name.
    fn about(self) -> &'static str;

    /// The value with this name.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.name() == Some(name))
    }
}

/// Defines a closed list, its names and how it prints itself. What follows `else` is what a kernel may have beside the list:
/// a number, and how that is shown.
macro_rules! named {
    (
        $(#[doc = $about:literal])+
        pub enum $type:ident { $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+ }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type { $($(#[doc = $doc])+ $variant,)+ }

        impl $type {
            /// The value's name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl $crate::model::Named for $type {
            const ABOUT: &'static str = concat!($($about),+);
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn name(self) -> Option<&'static str> {
                Some(self.as_str())
            }

            fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
    (
        $(#[doc = $about:literal])+
        pub enum $type:ident { $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+ }
        $(#[doc = $beside:literal])+
        else $other:ident($number:ty) = $shown:literal
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type { $($(#[doc = $doc])+ $variant,)+ $(#[doc = $beside])+ $other($number), }

        impl $crate::model::Named for $type {
            const ABOUT: &'static str = concat!($($about),+);
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn name(self) -> Option<&'static str> {
                match self { $(Self::$variant => Some($name),)+ Self::$other(_) => None }
            }

            fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ Self::$other(_) => "" }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($name),)+
                    Self::$other(number) => write!(f, $shown, number),
                }
            }
        }
    };
}
pub(crate) use named;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Checksum, ForwardingMethod, Protocol, Prune, SchedulerFlag, SyncRole, TunnelKind};

    fn check<T: Named + std::fmt::Debug + std::fmt::Display>(expected: &[&str]) {
        let names: Vec<&str> = T::ALL.iter().filter_map(|value| value.name()).collect();
        assert_eq!(names, expected);
        for value in T::ALL {
            assert_eq!(T::from_name(&value.to_string()), Some(*value));
            assert!(!value.about().is_empty(), "{value}");
        }
        assert_eq!(T::from_name(""), None);
    }

    #[test]
    fn every_value_of_a_list_is_found_by_the_name_that_it_prints() {
        check::<Prune>(&["owned", "all", "never"]);
        check::<SyncRole>(&["master", "backup"]);
        check::<Protocol>(&["tcp", "udp", "sctp"]);
        check::<ForwardingMethod>(&["nat", "dr", "tun", "fullnat"]);
        check::<TunnelKind>(&["ipip", "gue", "gre"]);
        check::<Checksum>(&["none", "csum", "remcsum"]);
        check::<SchedulerFlag>(&[
            "sh-fallback",
            "sh-port",
            "mh-fallback",
            "mh-port",
            "flag-1",
            "flag-2",
            "flag-3",
        ]);
    }

    #[test]
    fn what_only_a_kernel_can_have_prints_its_number_and_has_no_name() {
        assert_eq!(Protocol::Other(6).to_string(), "protocol-6");
        assert_eq!(TunnelKind::Other(9).to_string(), "type-9");
        assert_eq!(Checksum::Other(16).to_string(), "flags-0x10");
        assert_eq!((TunnelKind::Other(9).name(), TunnelKind::from_name("type-9")), (None, None));
    }
}
