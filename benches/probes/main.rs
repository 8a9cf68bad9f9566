//! The servers that `tests/bench/checks` has checked, the probes that it hands to the checker, and a bare loop to compare it with.
//!
//! ```text
//! probes serve PORT                         answers HTTP requests on all addresses, until it is ended
//! probes file tcp|http N INTERVAL PORT      a desired file with checks of N servers, from 127.1.0.1 on
//! probes write DIR FILE                     writes its probes into the directory of a daemon, and prints how many there are
//! probes measure DIR PID RATE SECONDS       what a checker that runs costs over that time, at so many probes a second, and what it says
//! probes edit DIR FILE TIMES                the time from a verdict to the edit in the kernel, in the place of a checker
//! probes bare tcp|http N INTERVAL PORT SECONDS   probes the same servers without any of the rest: the processor's time per probe
//! ```
//!
//! INTERVAL is in seconds. Times of the processor are those of the kernel's account of the process: it includes the kernel's work for the
//! client's half of each connection, and on a loopback interface parts of the server's.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a measuring tool, and no part of the product
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // that stops at the first surprise

mod bare;
mod checker;
mod edit;
mod file;
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
        ["file", kind, count, interval, port] => {
            print!("{}", file::text(kind, count.parse()?, interval, port.parse()?));
        }
        ["write", directory, file] => println!("{}", checker::write(directory, file)?),
        ["measure", directory, process, rate, seconds] => {
            println!("{}", checker::measure(directory, process, rate.parse()?, seconds.parse()?)?);
        }
        ["edit", directory, file, times] => println!("{}", edit::run(directory, file, times.parse()?)?),
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
