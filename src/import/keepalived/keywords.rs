//! The words that keepalived knows in each block, and what is behind them.

/// A kind of block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// The top of the file
    Root,
    Global,
    VirtualServer,
    RealServer,
    /// `TCP_CHECK`, `PING_CHECK`: what all checkers have
    Connection,
    Http,
    Url,
    Misc,
    Dns,
    Udp,
    Smtp,
    SmtpHost,
    FileCheck,
    Bfd,
    Ssl,
}

/// What a word begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line
    Line,
    /// A block of words that are known
    Block(Level),
    /// A block of any lines
    Values,
    /// A block that is none of a load balancer's, and whose it is
    Foreign(&'static str),
    /// Nothing: keepalived does not know the word here
    Unknown,
}

/// What a word begins in a block.
pub(super) fn kind(level: Level, word: &str) -> Kind {
    match level {
        Level::Root => root(word),
        // Which words there are changes from one release to the next.
        Level::Global if word == "notification_email" => Kind::Values,
        Level::Global => Kind::Line,
        Level::VirtualServer => virtual_server(word),
        Level::RealServer => real_server(word),
        Level::Connection => connection(word),
        Level::SmtpHost => connection(word),
        Level::Ssl => line_if(matches!(word, "password" | "ca" | "certificate" | "key")),
        Level::FileCheck => line_if(matches!(word, "track_file" | "weight")),
        Level::Bfd => line_if(matches!(word, "name" | "alpha")),
        Level::Misc if matches!(word, "misc_path" | "misc_timeout" | "misc_dynamic" | "user") => Kind::Line,
        Level::Misc => line_if(is_common(word)),
        Level::Dns if matches!(word, "type" | "name") => Kind::Line,
        Level::Udp
            if matches!(word, "payload" | "require_reply" | "min_reply_length" | "max_reply_length") =>
        {
            Kind::Line
        }
        Level::Smtp if word == "helo_name" => Kind::Line,
        Level::Smtp if word == "host" => Kind::Block(Level::SmtpHost),
        Level::Http if word == "url" => Kind::Block(Level::Url),
        Level::Http
            if matches!(
                word,
                // The last is known to 2.3 and later.
                "nb_get_retry"
                    | "virtualhost"
                    | "http_protocol"
                    | "enable_sni"
                    | "fast_recovery"
                    | "tls_compliant"
            ) =>
        {
            Kind::Line
        }
        Level::Dns | Level::Udp | Level::Smtp | Level::Http => connection(word),
        Level::Url => line_if(matches!(
            word,
            "path"
                | "digest"
                | "status_code"
                | "virtualhost"
                | "regex"
                | "regex_no_match"
                | "regex_options"
                | "regex_min_offset"
                | "regex_max_offset"
                | "regex_stack"
        )),
    }
}

/// Whether a block at the top of the file has nothing to do with load balancing.
pub(super) fn is_foreign(word: &str) -> bool {
    matches!(root(word), Kind::Foreign(_))
}

fn line_if(is_known: bool) -> Kind {
    if is_known { Kind::Line } else { Kind::Unknown }
}

fn root(word: &str) -> Kind {
    match word {
        "global_defs" => Kind::Block(Level::Global),
        "virtual_server" => Kind::Block(Level::VirtualServer),
        "virtual_server_group" => Kind::Values,
        "SSL" => Kind::Block(Level::Ssl),
        "vrrp_script" | "vrrp_track_process" | "vrrp_track_file" | "track_file" => {
            Kind::Foreign("scripts and what they watch")
        }
        "bfd_instance" => Kind::Foreign("BFD"),
        "vrrp_instance"
        | "vrrp_sync_group"
        | "garp_group"
        | "static_track_group"
        | "track_group"
        | "static_ipaddress"
        | "static_routes"
        | "static_rules"
        | "interface_up_down_delays"
        | "linkbeat_interfaces"
        | "vrrp_track_bfd" => Kind::Foreign("VRRP and addresses"),
        "net_namespace"
        | "net_namespace_ipvs"
        | "namespace_with_ipsets"
        | "instance"
        | "use_pid_dir"
        | "linkbeat_use_polling"
        | "child_wait_time"
        | "config_copy_directory"
        | "include_check"
        | "random_seed"
        | "reload_time_file"
        | "reload_repeat"
        | "nftables" => Kind::Line,
        _ => Kind::Unknown,
    }
}

fn virtual_server(word: &str) -> Kind {
    match word {
        "real_server" => Kind::Block(Level::RealServer),
        "ip_family"
        | "retry"
        | "delay_before_retry"
        | "warmup"
        | "connect_timeout"
        | "delay_loop"
        | "inhibit_on_failure"
        | "lb_algo"
        | "lvs_sched"
        | "hashed"
        | "ops"
        | "flag-1"
        | "flag-2"
        | "flag-3"
        | "sh-port"
        | "sh-fallback"
        | "mh-port"
        | "mh-fallback"
        | "lb_kind"
        | "lvs_method"
        | "persistence_engine"
        | "persistence_timeout"
        | "persistence_granularity"
        | "protocol"
        | "ha_suspend"
        | "smtp_alert"
        | "virtualhost"
        | "snmp_name"
        | "alpha"
        | "omega"
        | "quorum_up"
        | "quorum_down"
        | "quorum"
        | "hysteresis"
        | "weight"
        | "sorry_server"
        | "sorry_server_inhibit"
        | "sorry_server_lvs_method" => Kind::Line,
        _ => Kind::Unknown,
    }
}

fn real_server(word: &str) -> Kind {
    match word {
        "weight" | "lvs_method" | "uthreshold" | "lthreshold" | "inhibit_on_failure" | "notify_up"
        | "notify_down" | "alpha" | "retry" | "delay_before_retry" | "warmup" | "connect_timeout"
        | "delay_loop" | "smtp_alert" | "virtualhost" | "snmp_name" => Kind::Line,
        "TCP_CHECK" | "PING_CHECK" => Kind::Block(Level::Connection),
        "HTTP_GET" | "SSL_GET" => Kind::Block(Level::Http),
        "MISC_CHECK" => Kind::Block(Level::Misc),
        "DNS_CHECK" => Kind::Block(Level::Dns),
        "UDP_CHECK" => Kind::Block(Level::Udp),
        "SMTP_CHECK" => Kind::Block(Level::Smtp),
        "FILE_CHECK" => Kind::Block(Level::FileCheck),
        "BFD_CHECK" => Kind::Block(Level::Bfd),
        _ => Kind::Unknown,
    }
}

fn connection(word: &str) -> Kind {
    let is_of_connection = matches!(
        word,
        "connect_ip" | "connect_port" | "bindto" | "bind_port" | "bind_if" | "connect_timeout" | "fwmark"
    );
    line_if(is_of_connection || is_common(word))
}

/// What all checkers have.
fn is_common(word: &str) -> bool {
    matches!(word, "retry" | "delay_before_retry" | "warmup" | "delay_loop" | "alpha" | "log_all_failures")
}
