//! Connects to many servers at fixed times, as a checker does, and does nothing else: what there is to compare a checker with.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::{sleep_until, timeout};

use crate::{REQUEST, target};

/// What is probed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// With an HTTP request, or the connection only
    pub(crate) is_http: bool,
    /// How many servers
    pub(crate) count: u32,
    /// How often each
    pub(crate) interval: Duration,
    /// Their port
    pub(crate) port: u16,
}

/// Probes for so long; gives `probes N failed N cpu_us_per_probe N`.
pub(crate) fn run(load: Load, length: Duration) -> io::Result<String> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let failed = Rc::new(Cell::new(0_u64));
    let mut probes = 0_u64;
    let began = Instant::now();
    let before = used();
    LocalSet::new().block_on(&runtime, async {
        let start = tokio::time::Instant::now();
        let gap = load.interval / load.count;
        while began.elapsed() < length {
            // All that are due by now: timers are of a millisecond.
            let due = u64::try_from(start.elapsed().as_nanos() / gap.as_nanos().max(1)).unwrap();
            while probes < due {
                let number = u32::try_from(probes % u64::from(load.count)).unwrap();
                let failed = Rc::clone(&failed);
                tokio::task::spawn_local(async move {
                    let result = timeout(Duration::from_secs(2), probe(load, number)).await;
                    if !matches!(result, Ok(Ok(()))) {
                        failed.set(failed.get() + 1);
                    }
                });
                probes += 1;
            }
            sleep_until(tokio::time::Instant::now() + Duration::from_millis(1)).await;
        }
        // What is still in flight.
        tokio::time::sleep(Duration::from_millis(100)).await;
    });
    let per_probe = (used() - before).as_secs_f64() * 1e6 / probes as f64;
    Ok(format!("probes {probes} failed {} cpu_us_per_probe {per_probe:.1}", failed.get()))
}

async fn probe(load: Load, number: u32) -> io::Result<()> {
    let mut connection = TcpStream::connect(target(number, load.port)).await?;
    connection.set_zero_linger()?;
    if load.is_http {
        connection.write_all(REQUEST).await?;
        let mut answer = [0; 512];
        let length = connection.read(&mut answer).await?;
        if !answer[..length].starts_with(b"HTTP/1.1 200") {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

/// The processor's time that this process has used.
fn used() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    [usage.user_time(), usage.system_time()]
        .map(|time| {
            Duration::from_secs(time.tv_sec().try_into().unwrap())
                + Duration::from_micros(time.tv_usec().try_into().unwrap())
        })
        .iter()
        .sum()
}
