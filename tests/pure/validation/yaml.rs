//! What is no YAML, or not the YAML that lbd takes.

use super::{check, listen, server, whole};

#[test]
fn the_top_of_a_file() {
    check(whole, &[
        ("", &["1:1 the file is empty | at least `version: 1` and `clusters: []`"]),
        ("null\n", &["1:1 the file is empty | at least `version: 1` and `clusters: []`"]),
        ("# nothing\n", &["1:1 the file is empty | at least `version: 1` and `clusters: []`"]),
        ("text\n", &["1:1 the file cannot be text | a mapping with at least `version` and `clusters`"]),
        ("5\n", &["1:1 the file cannot be a number | a mapping with at least `version` and `clusters`"]),
        ("[]\n", &["1:1 the file cannot be a list | a mapping with at least `version` and `clusters`"]),
        ("clusters: []\n", &["1:1 `version` is missing | `version: 1`"]),
        ("version: 2\nclusters: []\n", &["1:10 `version` cannot be `2` | 1"]),
        ("version: \"1\"\nclusters: []\n", &["1:10 `version` cannot be text | 1 | 1"]),
        ("version:\nclusters: []\n", &["1:1 `version` is empty | 1"]),
        ("version: 1\n", &["1:1 `clusters` is missing | `clusters`, a list; `[]` for none"]),
        ("version: 1\nclusters:\n", &["2:1 `clusters` is empty | a list; `[]` for none"]),
        ("version: 1\nclusters: ~\n", &["2:1 `clusters` is empty | a list; `[]` for none"]),
        ("version: 1\nclusters: {}\n", &["2:11 `clusters` cannot be a mapping | a list"]),
        ("version: 1\nclusters: []\n---\n", &["3:1 a second document begins here | one document"]),
        ("version: 1\nclusters: []\n---\nversion: 1\nclusters: []\n", &["3:1 a second document begins here | one document"]),
        ("version: 1\nclusters: []\nclusters: []\n", &["3:1 duplicate key `clusters`; first on line 2"]),
        ("version: 1\ncluster: []\n", &["2:1 unknown key `cluster` | <top keys> | clusters"]),
        ("version: 1\nclusters: []\nfoo: 1\n", &["3:1 unknown key `foo` | <top keys>"]),
        ("&x version: 1\nclusters: []\n<<: {}\n", &["3:1 merge keys (`<<`) are not supported | the keys themselves, or an alias (`*name`) for a whole value"]),
        ("version: 1\nclusters: []\n[a]: b\n", &["3:1 a list or mapping cannot be a key | text"]),
        ("version: 1\nclusters: !list []\n", &["2:11 the tag `!list` is not supported | the value without a tag"]),
    ]);
}

#[test]
fn what_is_no_yaml() {
    check(whole, &[
        ("version: 1\nclusters:\n\t- name: web\n", &["3:1 a tab cannot indent a line in YAML | spaces"]),
        ("\tversion: 1\nclusters: []\n", &["1:1 a tab cannot indent a line in YAML | spaces"]),
        ("version: 1\nclusters: [\n", &["2:11 the file ends inside brackets or braces | `]` or `}`"]),
        ("version: 1\nclusters: [{ name: web\n", &["2:22 the file ends inside a mapping in braces | `}`"]),
        ("version:1\nclusters: []\n", &["1:8 a space is missing after the `:` | `key: value` with a space | version: 1"]),
        ("version: 1: 2\n", &["1:11 unexpected `:` | <one key on a line>"]),
        ("version: \"1\nclusters: []\n", &["1:10 this quoted text is not closed | a closing quote"]),
        ("version: 1\nname: 'it's'\n", &["2:11 unexpected text after the closing quote | nothing else"]),
        ("version: 1\nclusters: @\n", &["2:11 no value begins with this character | a value, or text in quotes"]),
        ("version: 1\nclusters: *none\n", &["2:11 this alias has no anchor | `&name` at an earlier value"]),
        ("version: 1\nclusters: &a [*a]\n", &["2:15 this alias refers to a value that contains it"]),
        ("version: 1\nclusters:\n  - name: web\n   listen: x\n", &["4:4 a line in a list is not indented as its entries | `- ` where the other entries have it"]),
        ("version: 1\nname: \"\\q\"\n", &[r#"2:7 unknown escape sequence in double quotes | `\\` for a backslash, or text in single quotes"#]),
        ("version: 1\nname: \u{7}\n", &["1:1 `clusters` is missing | `clusters`, a list; `[]` for none", "2:1 unknown key `name` | <top keys>"]),
        ("version: 1\nclusters: []\n# \u{7}\n", &["3:3 the file contains a control character"]),
        ("version: 1\nclusters: []\n  - name: web\n", &["3:3 a key is missing here | `key: value`, indented as the other keys"]),
        ("version: 1\nclusters:\n  - name: web\n  servers: []\n", &["4:3 a line in a list is not indented as its entries | `- ` where the other entries have it"]),
        ("%YAML\n---\nversion: 1\n", &["1:1 this is not YAML: while scanning a YAML directive, did not find expected version number"]),
    ]);
}

#[test]
fn an_address_in_brackets_without_quotes() {
    check(server, &[
        ("[fd00::1]", &[r#"7:9 `[fd00::1]` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::1]""#]),
        ("[fd00::1]:8080", &[r#"7:9 `[fd00::1]:8080` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::1]:8080""#]),
        ("{ address: [fd00::1] }", &[r#"7:20 `[fd00::1]` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::1]""#]),
        ("{ address: [fd00::1]:80 }", &[r#"7:20 `[fd00::1]:80` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::1]:80""#]),
        ("{ address: [fd00::1]:80, weight: 3 }", &[r#"7:20 `[fd00::1]:80` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::1]:80""#]),
    ]);
}

#[test]
fn a_listener_in_brackets_without_quotes() {
    check(listen, &[
        ("[fd00::13]:80", &[r#"4:13 `[fd00::13]:80` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::13]:80""#]),
        ("[[fd00::13]:80]", &[r#"4:14 `[fd00::13]:80` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::13]:80""#]),
        ("[tcp://[fd00::13]:80]", &[r#"4:14 `tcp://[fd00::13]:80` without quotes is a list in YAML, not an address | the address in quotes | "tcp://[fd00::13]:80""#]),
        ("[::1]", &[r#"4:13 `[::1]` without quotes is a list in YAML, not an address | the address in quotes | "[::1]""#]),
    ]);
}
