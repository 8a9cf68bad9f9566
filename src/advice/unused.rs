//! Names the checks that the file defines and that no cluster and no server has.

use std::sync::Arc;

use super::{Advice, Finding};
use crate::model::Desired;

/// Checks under `checks` that nothing names: servers that were to have one are not checked.
pub fn unused_checks(desired: &Desired) -> Vec<Advice> {
    let finding = Arc::new(Finding {
        code: "unused-check",
        cause: "nothing is checked by it: no cluster, no server and no default names it".into(),
        advice: "write `check: NAME` where it is meant, or take it out".into(),
    });
    desired.unused_checks.iter().map(|name| Advice::of(format_args!("checks.{name}"), &finding)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    #[test]
    fn a_check_counts_as_used_wherever_it_is_named() {
        let text = "version: 1\nchecks: { a: { type: tcp }, b: { type: tcp }, c: { type: tcp }, d: { type: tcp }, e: { type: ping } }\n\
                    defaults: { check: a }\n\
                    clusters:\n  - { name: web, listen: tcp://10.0.0.1:80, check: [b], servers: [{ address: 192.168.8.1, check: c }] }\n";
        let file = load(&Source::new("x", text)).unwrap();
        let messages: Vec<String> = unused_checks(&file).iter().map(Advice::message).collect();
        let says = |name: &str| {
            format!("checks.{name}: nothing is checked by it: no cluster, no server and no default names it")
        };
        assert_eq!(messages, [says("d"), says("e")]);
    }
}
