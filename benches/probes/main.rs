//! The servers that `tests/bench/checks` has checked, the probes that it hands to the checker, and a bare loop to compare it with.
//!
//! ```text
//! probes serve PORT                         answers HTTP requests on all addresses, until it is ended
//! probes write DIR tcp|http N INTERVAL PORT   writes the probes of N servers at 127.x.y.z as the daemon does
//! probes bare tcp|http N INTERVAL PORT SECONDS   probes the same servers without any of the rest: prints the processor's time per probe
//! probes checker PID N INTERVAL SECONDS     prints the same of a checker that runs, over that time
//! ```
//!
//! INTERVAL is in seconds. Times of the processor are those of the kernel's account of the process: it includes the kernel's work for the
//! client's half of each connection, and on a loopback interface parts of the server's.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a measuring tool, and no part of the product
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // that stops at the first surprise

mod bare;
mod serve;

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The target of this number: 127.1.0.1 and on, all of which are local.
fn target(number: u32, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x7f01_0001 + number)), port)
}

/// The request that every HTTP probe sends, but for the name of the host.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: server\r\nuser-agent: lbd\r\nconnection: close\r\n\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", port] => serve::serve(port.parse()?)?,
        ["bare", kind, count, interval, port, seconds] => {
            let (interval, seconds): (f64, u64) = (interval.parse()?, seconds.parse()?);
            let load = bare::Load {
                is_http: *kind == "http",
                count: count.parse()?,
                interval: Duration::from_secs_f64(interval),
                port: port.parse()?,
            };
            println!("{}", bare::run(load, Duration::from_secs(seconds))?);
        }
        _ => return Err("see the first lines of benches/probes/main.rs".into()),
    }
    Ok(())
}
