//! Finds users and their groups in `/etc/passwd` and `/etc/group`, without the C library, which loads modules of its own version for that.

use std::path::Path;

use super::regular::read_regular;

/// The longest file of users that is read: some hosts have a hundred thousand.
const LARGEST: u64 = 16 << 20;

/// The user that is "none of these" for the kernel, where no file names it.
const OVERFLOW: u32 = 65_534;

/// A user of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name
    pub name: String,
    /// Its number
    pub id: u32,
    /// The number of its primary group
    pub group: u32,
    /// The numbers of the other groups that it is in
    pub others: Vec<u32>,
}

impl User {
    /// The first of these users that there is; `nobody` with the kernel's own number where there is none of them.
    pub fn first_of(names: &[&str]) -> Self {
        let (users, groups) = (text("/etc/passwd"), text("/etc/group"));
        let found = names.iter().find_map(|name| Self::find(name, &users, &groups));
        let nobody = || Self { name: "nobody".to_owned(), id: OVERFLOW, group: OVERFLOW, others: Vec::new() };
        found.unwrap_or_else(nobody)
    }

    /// The user of this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::find(name, &text("/etc/passwd"), &text("/etc/group"))
    }

    fn find(name: &str, users: &str, groups: &str) -> Option<Self> {
        // NAME:PASSWORD:ID:GROUP:…
        let (id, group) = users.lines().find_map(|line| {
            let mut fields = line.strip_prefix(name)?.strip_prefix(':')?.split(':').skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })?;
        // NAME:PASSWORD:ID:MEMBER,…
        let others = groups.lines().filter_map(|line| {
            let mut fields = line.split(':').skip(2);
            let number: u32 = fields.next()?.parse().ok()?;
            let is_in = fields.next()?.split(',').any(|member| member == name);
            (is_in && number != group).then_some(number)
        });
        Some(Self { name: name.to_owned(), id, group, others: others.collect() })
    }
}

/// The number of the group of this name, if there is one.
pub fn group(name: &str) -> Option<u32> {
    group_in(name, &text("/etc/group"))
}

fn group_in(name: &str, groups: &str) -> Option<u32> {
    // NAME:PASSWORD:ID:MEMBER,…
    groups
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.split(':').nth(1)?.parse().ok())
}

/// The text of a file of the system; none where it cannot be read.
fn text(path: &str) -> String {
    let bytes = read_regular(Path::new(path), LARGEST).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_with_its_groups() {
        let users = "root:x:0:0:root:/root:/bin/bash\nlbd-checker:x:7:7::/:/bin/sh\nbroken:x\n\n\
                     lbd-check:x:998:997:a:/:/usr/sbin/nologin\n";
        let groups = "root:x:0:\nlbd:x:999:other,lbd-check\nbad:x:y:lbd-check\nssl:x:110:lbd-checker\nlbd-check:x:997:lbd,lbd-check\n";
        let user = User { name: "lbd-check".into(), id: 998, group: 997, others: vec![999] };
        assert_eq!(User::find("lbd-check", users, groups), Some(user));
        assert_eq!([User::find("lbd", users, groups), User::find("broken", users, groups)], [None, None]);
        assert_eq!(
            [group_in("lbd", groups), group_in("lb", groups), group_in("bad", groups)],
            [Some(999), None, None]
        );
        assert_eq!(User::named("root").map(|user| (user.id, user.group)), Some((0, 0)));
        assert_eq!(User::named("no-such-user-of-this-host"), None);
        let nobody = User::first_of(&["no-such-user-of-this-host"]);
        assert_eq!((nobody.name.as_str(), nobody.id), ("nobody", OVERFLOW));
    }
}
