//! What the guards refuse and what they let through, case by case.

mod random;

use super::*;
use crate::model::{
    Forwarding, MaxDelete, Policy, Prune, RealServer, SchedulerFlags, SchedulerName, Scheduling, ServerKey,
    Servers, State, Thresholds, VirtualService,
};

fn key(url: &str) -> ServiceKey {
    url.parse().unwrap()
}

fn service(weights: &[u32]) -> VirtualService {
    let scheduling = Scheduling {
        scheduler: SchedulerName::new("rr").unwrap(),
        flags: SchedulerFlags::default(),
        persistence: None,
        engine: None,
        one_packet: false,
    };
    let server = |(number, weight): (usize, &u32)| {
        let key = ServerKey { address: [192, 168, 8, number as u8].into(), port: 80 };
        let thresholds = Thresholds::default();
        (key, RealServer { weight: *weight, forwarding: Forwarding::Nat, thresholds })
    };
    VirtualService::new(scheduling, weights.iter().enumerate().map(server).collect::<Servers>())
}

/// A file: each cluster by its name, its listeners, and the weights of its servers.
fn file(clusters: &[(&str, &str, &[u32])]) -> Desired {
    let mut desired = Desired::default();
    let mut names = Table::default();
    let mut services = Services::default();
    for (name, listeners, weights) in clusters {
        for url in listeners.split_whitespace() {
            services.insert(key(url), service(weights));
            names.insert(key(url), (*name).into());
        }
    }
    desired.state = State { services, ..State::default() };
    desired.clusters = names.into();
    desired
}

/// Services by a number each, in a cluster each, with one server each.
fn numbered(numbers: &[u8]) -> Desired {
    let clusters: Vec<(String, String)> =
        numbers.iter().map(|number| (format!("c{number}"), format!("tcp://10.0.0.{number}:80"))).collect();
    let clusters: Vec<(&str, &str, &[u32])> =
        clusters.iter().map(|(name, url)| (name.as_str(), url.as_str(), &[1][..])).collect();
    file(&clusters)
}

/// What there was before.
#[derive(Default)]
struct Past {
    verified: Option<Desired>,
    verified_services: Vec<ServiceKey>,
    owned: Table<ServiceKey, CompactString>,
    live: Services,
    spared: Spared,
}

impl Past {
    /// A file that was verified and is in the kernel.
    fn of(verified: Desired) -> Self {
        Self {
            verified_services: verified.state.services.keys().copied().collect(),
            owned: (*verified.clusters).clone(),
            live: verified.state.services.clone(),
            verified: Some(verified),
            spared: Spared::default(),
        }
    }

    /// The same after a reboot: the kernel is empty, and nothing is owned.
    fn rebooted(mut self) -> Self {
        self.owned = Table::default();
        self.live = Services::default();
        self
    }

    fn with_unlisted(mut self, urls: &[&str]) -> Self {
        self.live.extend(urls.iter().map(|url| (key(url), service(&[1]))));
        self
    }

    fn guard_refusal(&self, desired: &Desired) -> Option<GuardRefusal> {
        let mut managed = self.live.clone();
        let is_own = |service: &ServiceKey| {
            desired.state.services.contains_key(service)
                || match desired.policy.prune {
                    Prune::Owned => self.owned.contains_key(service),
                    Prune::All => true,
                    Prune::Never => false,
                }
        };
        let foreign = managed.extract_if(.., |service, _| !is_own(service)).collect();
        let before = Before {
            verified: self.verified.as_ref(),
            verified_services: &self.verified_services,
            owned: &self.owned,
            managed: &managed,
            foreign: &foreign,
            spared: &self.spared,
        };
        check(&before, desired)
    }

    fn text(&self, desired: &Desired) -> String {
        self.guard_refusal(desired).map(|guard_refusal| guard_refusal.to_string()).unwrap_or_default()
    }
}

fn with(mut desired: Desired, change: impl FnOnce(&mut Policy)) -> Desired {
    change(&mut desired.policy);
    desired
}

const WEB: &str = "tcp://10.0.0.1:80";

#[test]
fn a_file_without_clusters_is_refused_and_the_word_of_the_operator_lets_it_through() {
    for past in [Past::of(numbered(&[1, 2])), Past::of(numbered(&[1, 2])).rebooted()] {
        assert_eq!(
            past.text(&numbered(&[])),
            "the file has no clusters, and 2 virtual services would be deleted: tcp://10.0.0.1:80 (c1), \
             tcp://10.0.0.2:80 (c2); if that is meant, run `lbd apply --allow-empty`, or write `policy: { allow_empty: \
             true }` in the file"
        );
        assert_eq!(past.guard_refusal(&with(numbered(&[]), |policy| policy.allow_empty = true)), None);
    }
    assert_eq!(Past::default().guard_refusal(&numbered(&[])), None);
}

#[test]
fn more_deletions_than_the_limit_are_refused_in_each_boot_and_without_the_record() {
    let lost = || Past { owned: Table::default(), ..Past::of(numbered(&[1, 2, 3, 4])) };
    // Of a last verified file that cannot be read the record still has the services.
    let unread = || Past { verified: None, ..Past::of(numbered(&[1, 2, 3, 4])) };
    let all = numbered(&[1, 2, 3, 4]);
    for past in [Past::of(all.clone()), Past::of(all).rebooted(), lost(), unread(), unread().rebooted()] {
        let text = past.text(&numbered(&[4]));
        assert!(text.starts_with("3 of 4 virtual services would be deleted (tcp://10.0.0.1:80"), "{text}");
        assert!(
            text.ends_with(
                "and `policy.max_delete` is 50%; if that is meant, run `lbd apply --allow-deletes`, or raise \
                 `policy.max_delete` in the file"
            ),
            "{text}"
        );
        assert_eq!(past.guard_refusal(&numbered(&[3, 4])), None);
        for limit in [MaxDelete::Percent(75), MaxDelete::Percent(100), MaxDelete::Count(3)] {
            assert_eq!(past.guard_refusal(&with(numbered(&[4]), |policy| policy.max_delete = limit)), None);
        }
        let two = with(numbered(&[4]), |policy| policy.max_delete = MaxDelete::Count(2));
        assert!(past.guard_refusal(&two).is_some());
    }
}

#[test]
fn what_stays_in_the_kernel_since_nothing_is_pruned_is_not_lost() {
    let past = Past::of(numbered(&[1, 2, 3]));
    assert_eq!(past.guard_refusal(&with(numbered(&[1]), |policy| policy.prune = Prune::Never)), None);
    // After a reboot it does not come back.
    let past = past.rebooted();
    assert!(past.guard_refusal(&with(numbered(&[1]), |policy| policy.prune = Prune::Never)).is_some());
}

// The commonest first edit: one cluster, `:80` becomes `:8080`, and was refused as a deletion of everything.
#[test]
fn a_cluster_that_listens_elsewhere_has_moved_and_a_cluster_with_another_name_has_not_gone() {
    let strict = |desired| with(desired, |policy| policy.max_delete = MaxDelete::Percent(0));
    for (from, to) in [
        (WEB, "tcp://10.0.0.1:8080"),
        (WEB, "tcp://[fd00::1]:80"),
        ("tcp://[fd00::1]:80 udp://[fd00::1]:80", "fwmark://1 fwmark6://1"),
        ("fwmark://10", WEB),
        ("fwmark://10 fwmark6://10", "fwmark://11 fwmark6://11 tcp://10.0.0.1:80"),
    ] {
        let past = || Past::of(file(&[("web", from, &[1, 1])]));
        let moved = strict(file(&[("web", to, &[1, 1])]));
        let renamed = strict(file(&[("shop", from, &[1, 1])]));
        for past in [past(), past().rebooted()] {
            assert_eq!(
                (past.guard_refusal(&moved), past.guard_refusal(&renamed)),
                (None, None),
                "{from} -> {to}"
            );
        }
    }
    // Two of three listeners go, one comes: the surplus is one.
    let past = Past::of(file(&[("web", "tcp://10.0.0.1:1 tcp://10.0.0.1:2 tcp://10.0.0.1:3", &[1])]));
    let text = past.text(&strict(file(&[("web", "tcp://10.0.0.1:3 tcp://10.0.0.1:4", &[1])])));
    assert!(
        text.starts_with("1 of 3 virtual services would be deleted (tcp://10.0.0.1:2 (web)), and"),
        "{text}"
    );
    // What a cluster listens on that another one had is not new.
    let past = Past::of(file(&[("a", "tcp://10.0.0.1:1", &[1]), ("b", "tcp://10.0.0.1:2", &[1])]));
    assert!(past.guard_refusal(&strict(file(&[("a", "tcp://10.0.0.1:2", &[1])]))).is_some());
    // A pass that was cut off had added the new service already.
    let mut past = Past::of(file(&[("web", WEB, &[1])]));
    let moved = strict(file(&[("web", "tcp://10.0.0.1:8080", &[1])]));
    past.owned.extend([(key("tcp://10.0.0.1:8080"), "web".into())]);
    past.live.extend(moved.state.services.iter().map(|(service, of)| (*service, of.clone())));
    assert_eq!(past.guard_refusal(&moved), None);
    // Where only the record is left, it knows the clusters.
    past.verified = None;
    assert_eq!(past.guard_refusal(&moved), None);
}

#[test]
fn unlisted_services_that_are_too_many_are_spared_and_nothing_else_is_refused() {
    let all = |desired| with(desired, |policy| policy.prune = Prune::All);
    let three = ["tcp://10.9.9.1:80", "tcp://10.9.9.2:80", "tcp://10.9.9.3:80"];
    let spared = three.map(key).to_vec();
    let past = Past::of(numbered(&[1, 2])).with_unlisted(&three);
    let guard_refusal = past.guard_refusal(&all(numbered(&[1]))).unwrap();
    assert_eq!(guard_refusal.spared, Spared { services: spared.clone(), of: 5 });
    assert_eq!(
        guard_refusal.to_string(),
        "`prune: all` would delete 4 of 5 virtual services, 3 of which never were in the file (tcp://10.9.9.1:80, \
         tcp://10.9.9.2:80, tcp://10.9.9.3:80), and `policy.max_delete` is 50%; if that is meant, run `lbd apply \
         --allow-deletes`, or raise `policy.max_delete` in the file"
    );
    assert_eq!(past.guard_refusal(&numbered(&[1])), None, "they are left alone unless all is pruned");
    // Where what lbd owns is too much by itself, nothing is done.
    let past = Past::of(numbered(&[1, 2, 3])).with_unlisted(&three);
    let guard_refusal = past.guard_refusal(&all(numbered(&[1]))).unwrap();
    assert_eq!((guard_refusal.is_partial(), guard_refusal.violations.len()), (false, 1));
    assert!(
        guard_refusal
            .to_string()
            .starts_with("5 of 6 virtual services would be deleted (tcp://10.0.0.2:80 (c2), ")
    );
    // One beside many is cleaned away.
    let past = Past::of(numbered(&[1, 2])).with_unlisted(&three[..1]);
    assert_eq!(past.guard_refusal(&all(numbered(&[1, 2]))), None);
}

#[test]
fn a_file_without_clusters_that_is_the_whole_table_spares_what_never_was_in_it() {
    let empty = with(numbered(&[]), |policy| policy.prune = Prune::All);
    let past = Past::default().with_unlisted(&["tcp://10.9.9.2:80", "tcp://10.9.9.1:80"]);
    let guard_refusal = past.guard_refusal(&empty).unwrap();
    assert_eq!(guard_refusal.spared.services, ["tcp://10.9.9.1:80", "tcp://10.9.9.2:80"].map(key));
    assert_eq!(
        guard_refusal.to_string(),
        "the file has no clusters, and `prune: all` would delete 2 virtual services that never were in the file: \
         tcp://10.9.9.1:80, tcp://10.9.9.2:80; if that is meant, run `lbd apply --allow-empty`, or write `policy: { \
         allow_empty: true }` in the file"
    );
    assert_eq!(past.guard_refusal(&with(empty.clone(), |policy| policy.allow_empty = true)), None);
    let past = Past::of(numbered(&[1])).with_unlisted(&["tcp://10.9.9.1:80"]);
    let guard_refusal = past.guard_refusal(&empty).unwrap();
    assert_eq!(
        (guard_refusal.is_partial(), guard_refusal.to_string().contains("2 virtual services")),
        (false, true)
    );
}

// What lbd added in the same pass made the share of the others so small that they were deleted in the next.
#[test]
fn what_was_spared_stays_spared_when_the_table_has_grown() {
    let three = ["tcp://10.9.9.1:80", "tcp://10.9.9.2:80", "tcp://10.9.9.3:80"];
    let desired = with(numbered(&[1, 2, 3, 4]), |policy| policy.prune = Prune::All);
    let first = Past::default().with_unlisted(&three).guard_refusal(&desired).unwrap();
    let mut next = Past::of(desired.clone()).with_unlisted(&three);
    next.spared = first.spared.clone();
    assert_eq!(next.guard_refusal(&desired), Some(first), "and the message is the same");
    assert_eq!(
        next.guard_refusal(&with(desired.clone(), |policy| policy.max_delete = MaxDelete::Percent(100))),
        None
    );
    // Those that come later, when the others are gone, are drift.
    let mut later = Past::of(desired.clone()).with_unlisted(&["tcp://10.9.9.4:80"]);
    later.spared = next.spared;
    assert_eq!(later.guard_refusal(&desired), None);
}

#[test]
fn servers_that_leave_services_that_stay_count_against_a_share() {
    let past = Past::of(file(&[
        ("web", "tcp://10.0.0.1:80 tcp://10.0.0.1:81", &[1; 4]),
        ("dns", "udp://10.0.0.1:53", &[1; 2]),
    ]));
    let fewer = |web: usize| file(&[("web", "tcp://10.0.0.1:80 tcp://10.0.0.1:81", &vec![1; web])]);
    let fewer = |web: usize| {
        let mut desired = fewer(web);
        desired.policy.max_delete = MaxDelete::Percent(50);
        desired
    };
    // Half of the servers, not more.
    assert_eq!(past.guard_refusal(&fewer(2)), None);
    assert_eq!(
        past.text(&fewer(1)),
        "6 of 10 real servers would be deleted from virtual services that stay (3 of tcp://10.0.0.1:80 (web), 3 of \
         tcp://10.0.0.1:81 (web)), and `policy.max_delete` is 50%; if that is meant, run `lbd apply --allow-deletes`, or \
         raise `policy.max_delete` in the file"
    );
    // After a reboot, too, and for a cluster that moves meanwhile. A number is about services.
    assert!(Past::of(past.verified.clone().unwrap()).rebooted().guard_refusal(&fewer(1)).is_some());
    let moved = file(&[("web", "tcp://10.0.0.1:8080 tcp://10.0.0.1:8081", &[1])]);
    assert!(past.text(&moved).starts_with("6 of 10 real servers"), "{}", past.text(&moved));
    assert_eq!(past.guard_refusal(&with(fewer(1), |policy| policy.max_delete = MaxDelete::Count(1))), None);
    // Servers of a service that goes count with the service.
    let past = Past::of(file(&[("a", "tcp://10.0.0.1:80", &[1; 9]), ("b", "tcp://10.0.0.2:80", &[1])]));
    assert_eq!(past.guard_refusal(&file(&[("b", "tcp://10.0.0.2:80", &[1])])), None);
}

#[test]
fn servers_that_were_never_in_the_file_do_not_count() {
    let desired = file(&[("web", WEB, &[1])]);
    let mut past = Past::of(desired.clone());
    past.live.insert(key(WEB), service(&[1; 9]));
    assert_eq!(past.guard_refusal(&desired), None);
}

#[test]
fn the_last_usable_server_of_a_service_needs_the_operators_word() {
    let says = "1 virtual service would lose the last server with a weight above 0: tcp://10.0.0.1:80 (web); if that is \
                meant, run `lbd apply --allow-empty`, or write `allow_empty: true` in the cluster in the file";
    let past = || Past::of(file(&[("web", WEB, &[1, 1]), ("dns", "udp://10.0.0.1:53", &[1])]));
    let to = |weights: &[u32]| file(&[("web", WEB, weights), ("dns", "udp://10.0.0.1:53", &[1])]);
    // Of the kernel, too, where the last verified state is not known.
    let adopted = Past { live: past().live, ..Past::default() };
    for past in [past(), past().rebooted(), adopted] {
        for weights in [&[][..], &[0], &[0, 0], &[0, 0, 0]] {
            assert_eq!(past.text(&to(weights)), says, "{weights:?}");
            assert_eq!(past.guard_refusal(&with(to(weights), |policy| policy.allow_empty = true)), None);
            let mut allowed = to(weights);
            allowed.allow_empty.insert(key(WEB));
            assert_eq!(past.guard_refusal(&allowed), None);
        }
        for weights in [&[0, 1][..], &[1, 0], &[5, 0], &[1]] {
            assert_eq!(past.guard_refusal(&to(weights)), None, "{weights:?}");
        }
    }
    // A service that comes without, or had none, is as the file says; so is one that another program gave a server.
    assert_eq!(Past::default().guard_refusal(&to(&[])), None);
    let mut none = Past::of(to(&[0]));
    assert_eq!(none.guard_refusal(&to(&[])), None);
    none.live.insert(key(WEB), service(&[1]));
    assert_eq!((none.guard_refusal(&to(&[0])), none.guard_refusal(&to(&[0, 0]))), (None, None));
    // A move does not hide it.
    let moved = file(&[("web", "tcp://10.0.0.1:81", &[0]), ("dns", "udp://10.0.0.1:53", &[1])]);
    assert!(past().text(&moved).starts_with("1 virtual service would lose the last server"));
}

#[test]
fn an_objection_names_all_that_is_too_much_and_one_way_out() {
    let past = Past::of(file(&[
        ("a", "tcp://10.0.0.1:80", &[1; 8]),
        ("b", "tcp://10.0.0.2:80", &[1]),
        ("c", "tcp://10.0.0.3:80 tcp://10.0.0.4:80 tcp://10.0.0.5:80 tcp://10.0.0.6:80", &[1]),
    ]));
    let text = past.text(&file(&[("a", "tcp://10.0.0.1:80", &[1]), ("b", "tcp://10.0.0.2:80", &[0])]));
    assert_eq!(
        text,
        "4 of 6 virtual services would be deleted (tcp://10.0.0.3:80 (c), tcp://10.0.0.4:80 (c), tcp://10.0.0.5:80 (c) and 1 \
         more), and `policy.max_delete` is 50%; 7 of 13 real servers would be deleted from virtual services that stay (7 of \
         tcp://10.0.0.1:80 (a)), and `policy.max_delete` is 50%; 1 virtual service would lose the last server with a weight \
         above 0: tcp://10.0.0.2:80 (b); if that is meant, run `lbd apply --allow-deletes --allow-empty`, or raise \
         `policy.max_delete` and write `allow_empty: true` in the cluster in the file"
    );
}
