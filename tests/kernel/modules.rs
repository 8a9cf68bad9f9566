//! Schedulers that this kernel does not have: named before anything is refused.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use crate::lab::Netns;

// `validate --host` said "valid", and `apply` failed.
#[test]
fn a_scheduler_without_a_module_is_a_warning_of_the_host_and_others_are_none() {
    let net = Netns::new();
    net.sh("ip address add 10.0.0.13/32 dev lo");
    let cluster = |name: &str, scheduler: &str| {
        format!(
            "  - {{ name: {name}, listen: 'tcp://10.0.0.13:80', scheduler: {scheduler}, drain: 0, servers: [192.168.8.14] }}\n"
        )
    };
    let missing = "warning: tcp://10.0.0.13:80: the kernel refuses it, since its scheduler nosuch is the module ip_vs_nosuch, which \
                   this kernel does not have; install the kernel package that has it (on Ubuntu linux-modules-extra, on Debian \
                   linux-image-amd64 in place of a cloud kernel), or take another scheduler\n";
    for (scheduler, warning) in [("module:nosuch", missing), ("sed", ""), ("mh", "")] {
        net.write("desired.yaml", &format!("version: 1\nclusters:\n{}", cluster("web", scheduler)));
        for command in [&["validate", "--host", "--verbose"][..], &["diff", "--verbose"]] {
            let output = net.lbd(&[&["-f", "desired.yaml"], command].concat());
            assert_eq!(output.stderr, warning, "{scheduler} {command:?} {output:?}");
        }
    }
}
