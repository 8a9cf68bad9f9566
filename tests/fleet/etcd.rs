//! Reads, writes under conditions, watches and keeps a lease in a real etcd.

use std::time::Duration;

use lbd::agent::etcd::{Condition, Entry, Etcd, EtcdError, LeaseState, Range, Write};
use lbd::error_chain::ErrorChain;

use crate::server::{Server, fleet, free_ports};

fn put(key: &str, value: impl Into<Vec<u8>>) -> Write {
    Write::Put { key: key.to_owned(), value: value.into(), is_leased: false }
}

async fn write(etcd: &mut Etcd, writes: &[Write]) {
    assert!(etcd.transact(&[], writes).await.unwrap());
}

fn found(range: &Range) -> Vec<(&str, &[u8])> {
    range.entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_slice())).collect()
}

#[tokio::test]
async fn a_range_is_read_in_pages_and_however_large_its_values_are() {
    let server = Server::start();
    let mut etcd = server.fleet("/lbd/prod");
    let mut expected: Vec<(String, Vec<u8>)> =
        (0..2500).map(|number| (format!("reports/{number:04}"), format!("{number}").into_bytes())).collect();
    // Four of them are more than an answer may have.
    expected.extend((0..5).map(|number| (format!("slots/{number}"), vec![number; 1_400_000])));
    let puts: Vec<Write> = expected.iter().map(|(key, value)| put(key, value.as_slice())).collect();
    let (small, large) = puts.split_at(2500);
    for some in small.chunks(100).chain(large.chunks(1)) {
        write(&mut etcd, some).await;
    }
    write(&mut server.fleet("/lbd/production"), &[put("slots/other", "other")]).await;

    let range = etcd.range("").await.unwrap();
    let entries: Vec<(String, Vec<u8>)> =
        range.entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
    assert!(entries == expected, "{} keys", entries.len());
    assert_eq!(range.revision, 1 + 25 + 5 + 1);
    assert_eq!(etcd.range("slots/").await.unwrap().entries.len(), 5);
    let one = Entry {
        key: "reports/0007".to_owned(),
        value: b"7".to_vec(),
        created: 2,
        modified: 2,
        has_lease: false,
    };
    assert_eq!(etcd.get("reports/0007").await.unwrap(), Some(one));
    assert_eq!(etcd.get("reports/000").await.unwrap(), None);
    assert_eq!(etcd.range("plans/").await.unwrap().entries, []);
}

#[tokio::test]
async fn writes_are_done_where_all_conditions_apply_and_none_where_one_does_not() {
    let server = Server::start();
    let mut etcd = server.fleet("/lbd/prod");
    write(&mut etcd, &[put("head", "r1"), put("results/lb1", "verified")]).await;
    let Range { revision, .. } = etcd.range("").await.unwrap();
    let absent = |key: &str| Condition::Absent(key.to_owned());
    let modified = |key: &str, revision| Condition::ModifiedAt { key: key.to_owned(), revision };
    let nothing_new = |folder: &str, since| Condition::NothingNewIn { folder: folder.to_owned(), since };
    for (condition, applies) in [
        (absent("slots/lb1"), true),
        (absent("head"), false),
        (modified("head", revision), true),
        (modified("head", revision - 1), false),
        (modified("slots/lb1", 0), true),
        (nothing_new("slots/", revision), true),
        (nothing_new("slots/", 0), true),
        (nothing_new("results/", revision), true),
        (nothing_new("results/", revision - 1), false),
    ] {
        let done = etcd.transact(std::slice::from_ref(&condition), &[put("tried", "tried")]).await.unwrap();
        assert_eq!(done, applies, "{condition:?}");
        let mixed = [absent("slots/lb9"), condition.clone()];
        assert_eq!(etcd.transact(&mixed, &[put("tried", "again")]).await.unwrap(), applies, "{condition:?}");
    }

    // Two directors have read the same, and each takes a slot.
    let head = revision;
    let Range { revision, .. } = etcd.range("").await.unwrap();
    let conditions = [nothing_new("slots/", revision), modified("head", head)];
    assert!(etcd.transact(&conditions, &[put("slots/lb1", "r1")]).await.unwrap());
    assert!(!etcd.transact(&conditions, &[put("slots/lb2", "r1")]).await.unwrap());
    let end =
        [put("results/lb1", "r1"), Write::Delete("slots/lb1".to_owned()), Write::Delete("none".to_owned())];
    assert!(etcd.transact(&[modified("slots/lb1", revision + 1)], &end).await.unwrap());
    let range = etcd.range("").await.unwrap();
    let expected: [(&str, &[u8]); 3] = [("head", b"r1"), ("results/lb1", b"r1"), ("tried", b"again")];
    assert_eq!(found(&range), expected);
    // The slot is free, and since then nothing is new.
    assert!(
        etcd.transact(&[nothing_new("slots/", range.revision)], &[put("slots/lb2", "r1")]).await.unwrap()
    );
}

#[tokio::test]
async fn a_watch_sees_each_change_since_the_reading_and_keeps_what_was_read_up_to_date() {
    let server = Server::start();
    let mut etcd = server.fleet("/lbd/prod");
    let mut other = server.fleet("/lbd/prod");
    write(&mut other, &[put("head", "r1"), put("slots/lb1", "r1"), put("slots/lb2", "r1")]).await;
    let mut range = etcd.range("").await.unwrap();
    write(&mut other, &[put("head", "r2"), Write::Delete("slots/lb1".to_owned())]).await;
    let mut woken = etcd.watch(range.revision).await.unwrap();
    let mut changes = etcd.watch(range.revision).await.unwrap();
    woken.next().await.unwrap();
    changes.follow(&mut range).await.unwrap();
    assert_eq!(range, etcd.range("").await.unwrap());

    write(&mut server.fleet("/lbd/production"), &[put("head", "other")]).await;
    write(&mut other, &[put("results/lb1", "verified"), put("slots/lb9", "r2"), put("head", "r3")]).await;
    changes.follow(&mut range).await.unwrap();
    assert_eq!(range, etcd.range("").await.unwrap());
    woken.next().await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(200), woken.next()).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[tokio::test]
async fn what_etcd_has_forgotten_is_to_be_read_anew() {
    let server = Server::start();
    let mut etcd = server.fleet("/lbd/prod");
    for number in 0..3 {
        write(&mut etcd, &[put("head", format!("r{number}"))]).await;
    }
    server.etcdctl(&["compact", "4"]);
    // etcd makes the watch first, and ends it then.
    let error = etcd.watch(1).await.unwrap().next().await.unwrap_err();
    assert!(matches!(error, EtcdError::Compacted(_)), "{error}");
    assert_eq!(found(&etcd.range("").await.unwrap()), [("head", "r2".as_bytes())]);
    etcd.watch(4).await.unwrap();
}

#[tokio::test]
async fn a_report_goes_with_its_lease_and_a_lost_lease_is_noticed() {
    let server = Server::start();
    let mut etcd = server.fleet("/lbd/prod");
    let report = [Write::Put { key: "reports/lb1".to_owned(), value: b"one".to_vec(), is_leased: true }];
    assert!(etcd.transact(&[], &report).await.unwrap());
    assert_eq!(etcd.keep_lease().await.unwrap(), LeaseState::Kept);
    assert_eq!(etcd.keep_lease().await.unwrap(), LeaseState::Kept);
    assert!(etcd.get("reports/lb1").await.unwrap().unwrap().has_lease);

    let lost = |server: &Server| {
        let listed = server.etcdctl(&["lease", "list"]);
        server.etcdctl(&["lease", "revoke", listed.lines().last().unwrap()]);
    };
    lost(&server);
    assert_eq!(etcd.get("reports/lb1").await.unwrap(), None);
    assert_eq!(etcd.keep_lease().await.unwrap(), LeaseState::New);
    assert!(etcd.transact(&[], &report).await.unwrap());
    lost(&server);
    let error = etcd.transact(&[], &report).await.unwrap_err();
    assert!(matches!(error, EtcdError::LeaseLost), "{error}");
    assert!(etcd.transact(&[], &report).await.unwrap());
    etcd.end_lease().await.unwrap();
    assert_eq!(etcd.get("reports/lb1").await.unwrap(), None);
    etcd.end_lease().await.unwrap();
}

#[tokio::test]
async fn errors_say_what_was_wanted_and_what_to_do() {
    let server = Server::start();
    let mut etcd = server.fleet("/lbd/prod");
    let error = etcd.transact(&[], &[put("files/a", vec![0; 1_600_000])]).await.unwrap_err();
    assert!(matches!(error, EtcdError::TooLarge(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "write files/a in etcd: too large for etcd; use git as the source of large files"
    );
    let [closed] = free_ports();
    let closed = format!("http://127.0.0.1:{closed}");
    let error = fleet(&[&closed], "/lbd/prod").range("").await.unwrap_err();
    assert_eq!(
        ErrorChain(&error).to_string(),
        format!("no member of etcd can be used: {closed}: Connection refused (os error 111)")
    );

    // A full one still answers those who read.
    let full = Server::with_options(&["--quota-backend-bytes", "2000000"]);
    let mut etcd = full.fleet("/lbd/prod");
    assert_eq!(etcd.problems().await.unwrap(), [""; 0]);
    // It counts what it has written to its disk, which is a moment later.
    let value = vec![0; 1_400_000];
    let error = loop {
        match etcd.transact(&[], &[put("files/a", value.as_slice())]).await {
            Ok(is_done) => assert!(is_done),
            Err(error) => break error,
        }
    };
    let full = "etcd has no space left (alarm NOSPACE), so that only reading is possible: compact and defragment its members or raise \
                --quota-backend-bytes, then `etcdctl alarm disarm`";
    assert_eq!(error.to_string(), format!("write files/a in etcd: {full}"));
    assert_eq!(etcd.problems().await.unwrap(), [full]);

    // Whichever member it begins with, the one that answers is found.
    for _ in 0..4 {
        let mut etcd = fleet(&[&closed, &server.address()], "/lbd/prod");
        assert_eq!(etcd.range("").await.unwrap().entries, []);
        assert_eq!(etcd.member(), server.address());
    }
}
