//! Writes the commands that make the users and roles of a fleet in etcd.

use std::fmt::{self, Write};

use super::keys::CONTENT;
use crate::escape::word;

/// The folders in which each director has one key, with its name.
const OWN: [&str; 3] = ["slots", "results", "reports"];

/// The commands of `etcdctl` for a shell, one a line, that let each of these directors read all keys below the prefix and write its own three:
/// `slots/NAME`, `results/NAME` and `reports/NAME`; where it says so, `head`, too. The operator may write all of them.
///
/// Users have no password: they are known by the name (CN) of their certificates. A role is named after what it may write, so that several fleets can be
/// in one etcd. What is there already stays, and `etcdctl` says so.
pub fn fleet_roles(prefix: &str, directors: &[(&str, bool)], operator: &str) -> String {
    let mut script = String::from(
        "# Each of these users is the name (CN) in a certificate. Run this as a user with the role root: ETCDCTL_ENDPOINTS, ETCDCTL_CACERT,\n\
         # ETCDCTL_CERT and ETCDCTL_KEY say so. What exists already is named by etcdctl, and stays.\n",
    );
    // Writing to a string does not fail.
    let _ = commands(&mut script, prefix, directors, operator);
    script.push_str(
        "# Once for this etcd, so that roles count, and with --client-cert-auth on all members:\n\
         #   etcdctl user add root --no-password; etcdctl user grant-role root root; etcdctl auth enable\n",
    );
    script
}

fn commands(script: &mut String, prefix: &str, directors: &[(&str, bool)], operator: &str) -> fmt::Result {
    let all = word(&format!("{prefix}/")).into_owned();
    // Beside the prefix and not below it: who follows the fleet does not read the files of all.
    let files = word(&format!("{prefix}{CONTENT}/")).into_owned();
    let role = word(prefix);
    writeln!(script, "etcdctl role add {role}")?;
    writeln!(script, "etcdctl role grant-permission {role} readwrite --prefix=true {all}")?;
    writeln!(script, "etcdctl role grant-permission {role} readwrite --prefix=true {files}")?;
    user(script, operator, prefix)?;
    for (name, may_write_head) in directors {
        let named = format!("{prefix}/{name}");
        let role = word(&named);
        writeln!(script, "etcdctl role add {role}")?;
        writeln!(script, "etcdctl role grant-permission {role} read --prefix=true {all}")?;
        writeln!(script, "etcdctl role grant-permission {role} read --prefix=true {files}")?;
        for folder in OWN {
            let key = format!("{prefix}/{folder}/{name}");
            writeln!(script, "etcdctl role grant-permission {role} write {}", word(&key))?;
        }
        if *may_write_head {
            let head = format!("{prefix}/head");
            writeln!(script, "etcdctl role grant-permission {role} write {}", word(&head))?;
        }
        user(script, name, &named)?;
    }
    Ok(())
}

fn user(script: &mut String, name: &str, role: &str) -> fmt::Result {
    let name = word(name);
    writeln!(script, "etcdctl user add {name} --no-password")?;
    writeln!(script, "etcdctl user grant-role {name} {}", word(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_director_reads_all_and_writes_its_own_and_the_first_canary_the_head() {
        let script = fleet_roles("/lbd/prod", &[("lb1", true), ("lb2", false)], "operator");
        let commands: Vec<&str> = script.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            commands.join("\n"),
            "\
etcdctl role add /lbd/prod
etcdctl role grant-permission /lbd/prod readwrite --prefix=true /lbd/prod/
etcdctl role grant-permission /lbd/prod readwrite --prefix=true /lbd/prod.files/
etcdctl user add operator --no-password
etcdctl user grant-role operator /lbd/prod
etcdctl role add /lbd/prod/lb1
etcdctl role grant-permission /lbd/prod/lb1 read --prefix=true /lbd/prod/
etcdctl role grant-permission /lbd/prod/lb1 read --prefix=true /lbd/prod.files/
etcdctl role grant-permission /lbd/prod/lb1 write /lbd/prod/slots/lb1
etcdctl role grant-permission /lbd/prod/lb1 write /lbd/prod/results/lb1
etcdctl role grant-permission /lbd/prod/lb1 write /lbd/prod/reports/lb1
etcdctl role grant-permission /lbd/prod/lb1 write /lbd/prod/head
etcdctl user add lb1 --no-password
etcdctl user grant-role lb1 /lbd/prod/lb1
etcdctl role add /lbd/prod/lb2
etcdctl role grant-permission /lbd/prod/lb2 read --prefix=true /lbd/prod/
etcdctl role grant-permission /lbd/prod/lb2 read --prefix=true /lbd/prod.files/
etcdctl role grant-permission /lbd/prod/lb2 write /lbd/prod/slots/lb2
etcdctl role grant-permission /lbd/prod/lb2 write /lbd/prod/results/lb2
etcdctl role grant-permission /lbd/prod/lb2 write /lbd/prod/reports/lb2
etcdctl user add lb2 --no-password
etcdctl user grant-role lb2 /lbd/prod/lb2"
        );
    }

    #[test]
    fn a_name_is_one_word_for_a_shell() {
        let script = fleet_roles("/my fleet", &[("lb1; reboot", false)], "o'brien");
        assert!(script.contains("\netcdctl user add 'lb1; reboot' --no-password\n"), "{script}");
        assert!(script.contains("\netcdctl role add '/my fleet/lb1; reboot'\n"), "{script}");
        assert!(!script.contains("\netcdctl user add o'brien"), "{script}");
    }
}
