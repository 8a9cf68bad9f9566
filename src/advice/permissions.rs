//! A desired file that others may write: whoever writes it decides what the load balancer does.

use std::path::Path;

use super::Advice;
use crate::escape;
use crate::host::{self, Writable};

/// The warnings about the desired file itself, for who does not look at the rest of the host: `restore`, `status`, the daemon.
/// It looks at up to a few files and directories, and at nothing else.
pub fn of_file(file: &Path) -> Vec<Advice> {
    let mut advice = Vec::new();
    writable(&host::writable(file), &mut advice);
    advice
}

/// Names what others may write, and how to mend it.
pub(super) fn writable(found: &[Writable], advice: &mut Vec<Advice>) {
    advice.extend(found.iter().map(|Writable { path, is_directory, owner, mode, is_foreign }| {
        let what = if *is_directory { "replace the desired file in it" } else { "change the desired file" };
        let cause = format!(
            "users other than root can {what}, and so change what this director does (owner {owner}, mode {mode:04o})"
        );
        // What is sticky is meant to be written by everybody.
        let way_out = if *is_directory && mode & 0o1000 != 0 {
            "move the file to a directory that only root may write, such as /etc/lbd".to_owned()
        } else {
            let path = path.to_string_lossy();
            let path = escape::word(&path);
            let owner = if *is_foreign { format!("chown root: {path}; ") } else { String::new() };
            format!("`{owner}chmod go-w {path}`")
        };
        Advice::new("file-writable", path.display().to_string(), cause, way_out)
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::grouped;
    use crate::advice::stage::{advised, desired};
    use crate::host::Host;

    #[test]
    fn each_place_is_named_with_what_to_type() {
        let writable = |path: &str, is_directory, owner, mode| Writable {
            path: path.into(),
            is_directory,
            owner,
            mode,
            is_foreign: owner != 0,
        };
        let writable = vec![
            writable("/etc/lbd", true, 0, 0o775),
            writable("/srv/my files/lbd.yaml", false, 1000, 0o644),
            writable("/tmp", true, 0, 0o1777),
        ];
        let advice = advised(&desired(""), &Host { writable, ..Host::default() });
        assert_eq!(
            grouped(&advice),
            [
                "/etc/lbd: users other than root can replace the desired file in it, and so change what this director does (owner 0, \
                 mode 0775); `chmod go-w /etc/lbd`",
                "/srv/my files/lbd.yaml: users other than root can change the desired file, and so change what this director does \
                 (owner 1000, mode 0644); `chown root: '/srv/my files/lbd.yaml'; chmod go-w '/srv/my files/lbd.yaml'`",
                "/tmp: users other than root can replace the desired file in it, and so change what this director does (owner 0, mode \
                 1777); move the file to a directory that only root may write, such as /etc/lbd",
            ]
        );
        assert!(advice.iter().all(|one| one.finding.code == "file-writable"));
    }
}
