//! Which keys of OpenPGP count, with a real gpg.

use super::*;

#[tokio::test]
async fn a_key_of_openpgp_counts_where_it_is_in_the_keyring_and_was_not_revoked() {
    let repository = Repository::new();
    let people = repository.path("people");
    fs::create_dir_all(&people).unwrap();
    fs::set_permissions(&people, fs::Permissions::from_mode(0o700)).unwrap();
    let gpg = |arguments: &[&str]| {
        repository.run(
            "gpg",
            &[&["--batch", "--quiet", "--pinentry-mode=loopback", "--passphrase="], arguments].concat(),
        )
    };
    let commit = |key: &str, text: &str| {
        fs::write(repository.path("work/site.yaml"), text).unwrap();
        repository.git(&["add", "-A"]);
        let signing = format!("user.signingKey={key}@example");
        repository.git(&["-c", &signing, "commit", "--quiet", "--gpg-sign", "--message=change"]);
        repository.git(&["rev-parse", "HEAD"])
    };
    for key in ["alice@example", "mallory@example"] {
        gpg(&["--quick-generate-key", key, "ed25519", "sign", "never"]);
    }
    let keyring = repository.path("keyring.gpg");
    let export = |key: &str| {
        let _ = fs::remove_file(&keyring);
        gpg(&["--output", keyring.to_str().unwrap(), "--export", key]);
    };
    export("alice@example");
    let signers = Some(Signers::OpenPgp(keyring.clone()));
    let settings = GitSettings { signers, ..repository.settings(Verify::Every) };
    let mut git = repository.source(settings);
    let first = commit("alice", "1");
    assert_eq!(newest(&mut git, None).await, first);
    let second = commit("mallory", "2");
    let not_listed =
        format!("refused: commit {second} is signed by a key that is not in {}", keyring.display());
    assert_eq!(newest(&mut git, Some(&first)).await, not_listed);
    // The keyring has another key now.
    export("mallory@example");
    assert_eq!(newest(&mut git, Some(&first)).await, second);
    fs::write(&keyring, "no keys").unwrap();
    let none = newest(&mut git, Some(&first)).await;
    assert!(none.starts_with(&format!("unreachable: {}: gpg: ", keyring.display())), "{none}");
    // gpg makes the revocation with the key, and a colon that keeps it from being used by mistake.
    let revocations =
        fs::read_dir(people.join("openpgp-revocs.d")).unwrap().map(|entry| entry.unwrap().path());
    for path in revocations {
        let revocation = fs::read_to_string(&path).unwrap().replace("\n:---", "\n---");
        fs::write(&path, revocation).unwrap();
        gpg(&["--import", path.to_str().unwrap()]);
    }
    export("mallory@example");
    let revoked = format!("refused: commit {second} is signed by a key that was revoked");
    assert_eq!(newest(&mut git, Some(&first)).await, revoked);
    repository.run("gpgconf", &["--kill", "gpg-agent"]);
}
