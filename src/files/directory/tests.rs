//! What others may have put into a directory is neither followed, nor waited for, nor believed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;

use super::*;

const LIMIT: u64 = 1 << 20;

fn directory() -> (tempfile::TempDir, Directory) {
    let root = tempfile::tempdir().unwrap();
    let directory = Directory::new(root.path());
    (root, directory)
}

fn message(error: FileError, root: &tempfile::TempDir) -> String {
    error.to_string().replace(&*root.path().to_string_lossy(), "DIR")
}

#[test]
fn a_file_is_read_as_it_was_written_and_one_that_is_not_there_is_none() {
    let (root, directory) = directory();
    assert_eq!(directory.read("a", LIMIT).unwrap(), None);
    directory.replace("a", |file| file.write_all(b"one")).unwrap();
    directory.replace("a", |file| file.write_all(b"two")).unwrap();
    assert_eq!(directory.read("a", LIMIT).unwrap().as_deref(), Some(&b"two"[..]));
    let names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a"]);
    directory.remove("a").unwrap();
    directory.remove("a").unwrap();
    assert_eq!(directory.read("a", LIMIT).unwrap(), None);
    let nowhere = Directory::new(&root.path().join("no/where"));
    assert_eq!(nowhere.read("a", LIMIT).unwrap(), None);
    nowhere.remove("a").unwrap();
}

// As user lbd, `ln -s /etc/shadow lock` made root's `lbd restore` truncate /etc/shadow; a FIFO as state.json stopped root's
// commands, and /dev/zero filled the memory.
#[test]
fn what_is_no_plain_file_is_named_and_neither_followed_nor_waited_for() {
    let (root, directory) = directory();
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let at = |name: &str| root.path().join(name);
    symlink(&victim, at("link")).unwrap();
    symlink(outside.path().join("nologin"), at("dangling")).unwrap();
    symlink("/dev/zero", at("zero")).unwrap();
    fs::hard_link(&victim, at("hard")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    for (name, what) in [
        ("link", "is a symbolic link, not a regular file; remove it"),
        ("dangling", "is a symbolic link, not a regular file; remove it"),
        ("zero", "is a symbolic link, not a regular file; remove it"),
        ("hard", "has more than one hard link, so that other users can change it; remove it"),
        ("directory", "is a directory, not a regular file; remove it"),
        ("socket", "is a socket, not a regular file; remove it"),
        ("pipe", "is a pipe, not a regular file; remove it"),
    ] {
        let expected = format!("DIR/{name}: {what}");
        assert_eq!(message(directory.read(name, LIMIT).unwrap_err(), &root), expected);
        assert_eq!(message(directory.open_lock(name).unwrap_err(), &root), expected);
    }
    // To be written, a name is taken away from what it leads to.
    for name in ["link", "dangling", "zero", "hard", "socket", "pipe"] {
        directory.replace(name, |file| file.write_all(b"ours")).unwrap();
        assert_eq!(directory.read(name, LIMIT).unwrap().as_deref(), Some(&b"ours"[..]), "{name}");
    }
    assert!(directory.replace("directory", |file| file.write_all(b"ours")).is_err());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!outside.path().join("nologin").exists());
}

#[test]
fn the_way_to_a_new_file_is_no_trap_either() {
    let (root, directory) = directory();
    let victim = root.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, root.path().join("a.new")).unwrap();
    directory.replace("a", |file| file.write_all(b"ours")).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), "ours");
}

#[test]
fn what_is_longer_than_the_limit_is_not_read() {
    let (root, directory) = directory();
    fs::write(root.path().join("a"), vec![b'a'; LIMIT as usize + 1]).unwrap();
    let error = directory.read("a", LIMIT).unwrap_err();
    assert_eq!(message(error, &root), "DIR/a: is larger than the limit of 1 MiB; remove it");
    assert_eq!(directory.read("a", LIMIT + 1).unwrap().map(|bytes| bytes.len()), Some(LIMIT as usize + 1));
}

// Root ran `lbd apply` with umask 027, and the daemon could not read its own record any more. Only root can show it.
#[test]
fn owner_group_and_mode_are_the_directorys_whoever_writes_and_a_strangers_file_is_not_believed() {
    let (root, directory) = directory();
    let is_root = geteuid().is_root();
    if is_root {
        chown(root.path(), Some(12), Some(34)).unwrap();
    }
    let facts = |name: &str| {
        let metadata = fs::metadata(root.path().join(name)).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    };
    let (user, group, _) = facts("");
    directory.replace("a", |file| file.write_all(b"a")).unwrap();
    directory.open_lock("lock").unwrap();
    directory.make("made").unwrap();
    assert_eq!(facts("a"), (user, group, 0o644));
    assert_eq!((facts("lock"), facts("made")), ((user, group, 0o600), (user, group, 0o600)));
    // What an older lbd left.
    for (name, mode) in [("a", 0o600), ("lock", 0o644)] {
        let path = root.path().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        if is_root {
            chown(&path, Some(0), Some(0)).unwrap();
        }
    }
    directory.mend("a");
    directory.open_lock("lock").unwrap();
    assert_eq!((facts("a"), facts("lock")), ((user, group, 0o644), (user, group, 0o600)));
    if is_root {
        chown(root.path().join("a"), Some(56), None).unwrap();
        let error = directory.read("a", LIMIT).unwrap_err();
        assert_eq!(
            message(error, &root),
            "DIR/a: belongs to user 56, not to root or the owner of its directory; remove it, or change its owner"
        );
    }
}

#[test]
fn a_directory_that_is_made_is_for_its_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let directory = Directory::new(&root.path().join("var/lbd"));
    directory.replace("a", |file| file.write_all(b"a")).unwrap();
    let mode = fs::metadata(root.path().join("var/lbd")).unwrap().mode() & 0o7777;
    assert_eq!(mode, 0o700);
}

// User lbd, to whom the outer one belongs, may put anything into the place of the inner one.
#[test]
fn a_directory_inside_is_made_with_the_owner_of_the_outer_one_and_is_no_link() {
    let (root, outer) = directory();
    let inner = outer.inside("history");
    assert_eq!(inner.read("a", LIMIT).unwrap(), None);
    assert_eq!(inner.names(9).unwrap(), Vec::<String>::new());
    inner.replace("a", |file| file.write_all(b"one")).unwrap();
    assert_eq!(inner.read("a", LIMIT).unwrap().as_deref(), Some(&b"one"[..]));
    let path = root.path().join("history");
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode, inner.names(9).unwrap(), inner.names(0).unwrap().len()),
        (0o700, vec!["a".to_owned()], 0)
    );
    fs::remove_dir_all(&path).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), &path).unwrap();
    let error = message(inner.replace("a", |file| file.write_all(b"one")).unwrap_err(), &root);
    assert_eq!(error, "DIR/history: is not a directory; remove it");
    assert!(inner.read("a", LIMIT).is_err() && inner.names(9).is_err());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn what_is_appended_comes_behind_what_is_there() {
    let (root, directory) = directory();
    for text in ["one\n", "two\n"] {
        directory.open_to_append("log").unwrap().write_all(text.as_bytes()).unwrap();
    }
    assert_eq!(fs::read_to_string(root.path().join("log")).unwrap(), "one\ntwo\n");
    fs::remove_file(root.path().join("log")).unwrap();
    symlink("elsewhere", root.path().join("log")).unwrap();
    assert!(directory.open_to_append("log").is_err());
}
