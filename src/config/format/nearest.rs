//! Finds the valid word nearest to an unknown one.

/// The longest text that is compared: what is longer is no mistyped word.
const LONGEST: usize = 40;

/// What other tools call the same thing.
const SYNONYMS: [(&str, &str); 32] = [
    ("masq", "nat"),
    ("masquerade", "nat"),
    ("masquerading", "nat"),
    ("direct", "dr"),
    ("droute", "dr"),
    ("gate", "dr"),
    ("gateway", "dr"),
    ("gatewaying", "dr"),
    ("route", "dr"),
    ("ipip", "tun"),
    ("http", "tcp"),
    ("https", "tcp"),
    ("slave", "backup"),
    ("none", "never"),
    ("lb-algo", "scheduler"),
    ("lvs-sched", "scheduler"),
    ("algorithm", "scheduler"),
    ("lb-kind", "forward"),
    ("lvs-method", "forward"),
    ("method", "forward"),
    ("virtual-server", "listen"),
    ("real-servers", "servers"),
    ("backends", "servers"),
    ("ip", "address"),
    ("sorry-server", "fallback"),
    ("quorum", "min_serving"),
    ("delay-loop", "interval"),
    ("connect-timeout", "timeout"),
    ("retry", "fall"),
    ("url", "path"),
    ("uri", "path"),
    ("icmp", "ping"),
];

/// The candidate nearest to a word, where one is near: at most a third of the letters differ, or one begins the other.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase().replace('_', "-");
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(same) = candidates.iter().find(|candidate| candidate.eq_ignore_ascii_case(&word)) {
        return Some(same);
    }
    let synonym = SYNONYMS.iter().find(|(other, ours)| *other == word && candidates.contains(ours));
    if let Some((_, ours)) = synonym {
        return Some(ours);
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let plain = candidate.to_lowercase().replace('_', "-");
        let begins =
            word.len().min(plain.len()) >= 3 && (word.starts_with(&plain) || plain.starts_with(&word));
        let distance = strsim::osa_distance(&word, &plain);
        let near = distance <= (plain.chars().count() / 3).max(1) && distance < plain.chars().count();
        let rank = if near {
            distance
        } else if begins {
            LONGEST + distance
        } else {
            continue;
        };
        if best.is_none_or(|(least, _)| rank < least) {
            best = Some((rank, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let keys = ["name", "listen", "scheduler", "scheduler_flags", "persistence", "servers", "weight"];
        for (word, expected) in [
            ("weigth", Some("weight")),
            ("scheduller", Some("scheduler")),
            ("Scheduler", Some("scheduler")),
            ("scheduler-flags", Some("scheduler_flags")),
            ("persist", Some("persistence")),
            ("server", Some("servers")),
            ("virtual_address", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
        let methods = ["nat", "dr", "tun", "fullnat"];
        for (word, expected) in [
            ("tunnel", Some("tun")),
            ("NAT", Some("nat")),
            ("rd", Some("dr")),
            ("x", None),
            ("masq", Some("nat")),
            ("gate", Some("dr")),
        ] {
            assert_eq!(nearest(word, methods), expected, "{word}");
        }
        assert_eq!(nearest("HTTP", ["tcp", "http", "https"]), Some("http"));
        assert_eq!(nearest("wr", ["rr", "wrr", "lc", "wlc"]), Some("rr"));
        assert_eq!(nearest("wwrr", ["rr", "wrr", "lc", "wlc"]), Some("wrr"));
    }
}
