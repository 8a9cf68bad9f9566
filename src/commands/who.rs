//! Finds out who types a command: the login user, also behind `sudo`.

use std::fs;

use rustix::process::getuid;

use crate::files::read_regular;

/// The user database; other sources of users (LDAP) are not asked, and their users are shown by number.
const USERS: &str = "/etc/passwd";
/// The most that is read of it, in bytes.
const LONGEST: u64 = 4 << 20;
/// What the kernel gives for a process that no login has started.
const NOBODY: u32 = u32::MAX;

/// The name of the login user, or of the user of this process where nobody has logged in (a timer, a container).
pub fn who() -> String {
    let login = fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse().ok());
    let user = login.filter(|user| *user != NOBODY).unwrap_or_else(|| getuid().as_raw());
    let users = read_regular(USERS.as_ref(), LONGEST).unwrap_or_default();
    name(&String::from_utf8_lossy(&users), user).unwrap_or_else(|| format!("uid {user}"))
}

/// The name of a user in the user database.
fn name(users: &str, user: u32) -> Option<String> {
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    };
    users.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_name_in_the_user_database() {
        let users = "root:x:0:0:root:/root:/bin/bash\n+::::::\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        let name = |user| name(users, user);
        assert_eq!([name(0), name(1000), name(7)], [Some("root".into()), Some("alice".into()), None]);
        assert!(!who().is_empty());
    }
}
