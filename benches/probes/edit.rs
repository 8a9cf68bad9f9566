//! Measures the time from a verdict to the edit in the kernel, in the place of a checker.

use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use lbd::config::{self, Source};
use lbd::health::{Failure, Finding, Probes, RunDirs, SharedFiles, Verdict, Verdicts};
use lbd::kernel::Kernel;
use lbd::kernel::director::Director;
use lbd::model::{ServerKey, ServiceKey};
use lbd::target::Clock;

/// How long an edit may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fails one server after the other, each in another service, and lets it pass again: milliseconds until its weight is 0, sorted, as
/// `median N max N`. The probes have to be in the directory of a daemon that has brought the file about.
pub(crate) fn run(directory: &str, file: &str, times: usize) -> Result<String, Box<dyn Error>> {
    let shared = SharedFiles::new(&RunDirs::new(Path::new(directory)), None)?;
    let desired = config::load(&Source::new(file, std::fs::read_to_string(file)?))
        .map_err(|error| error.to_string())?;
    let probes = Probes::of(&desired);
    let hash = probes.hash();
    let say = |findings: Vec<_>| {
        let verdicts = Verdicts {
            probes: hash.clone(),
            at: Clock::now().since_boot,
            findings: findings.into_iter().collect(),
            ..Verdicts::default()
        };
        shared.save_verdicts(&verdicts)
    };
    let mut kernel = Director::connect()?;
    let mut milliseconds = Vec::new();
    let services: Vec<(&ServiceKey, &ServerKey)> = desired
        .state
        .services
        .iter()
        .filter_map(|(key, service)| Some((key, service.servers.keys().next()?)))
        .collect();
    let step = (services.len() / times).max(1);
    for &(service, server) in services.iter().step_by(step).take(times) {
        say(Vec::new())?;
        wait(&mut kernel, *service, *server, false)?;
        // The pass of the verdicts before is over, and its 100 ms.
        thread::sleep(Duration::from_secs(1));
        let target = std::net::SocketAddr::new(server.address, server.port);
        let probe = probes.iter().map(|(probe, _)| probe).find(|probe| probe.target == target);
        let now = Clock::now();
        let failure = Failure {
            detail: "for the benchmark".into(),
            since: SystemTime::now().into(),
            since_boot: now.since_boot,
            failed: 3,
            fall: 3,
        };
        let finding = Finding { verdict: Verdict::Failing(failure), flapping: false, weight: None };
        let began = Instant::now();
        say(vec![(probe.ok_or("no probe of that server")?, finding)])?;
        milliseconds
            .push(wait(&mut kernel, *service, *server, true)?.duration_since(began).as_secs_f64() * 1e3);
    }
    milliseconds.sort_by(f64::total_cmp);
    let median = milliseconds.get(milliseconds.len() / 2).ok_or("nothing was measured")?;
    Ok(format!("median {median:.1} max {:.1}", milliseconds.last().unwrap_or(median)))
}

/// Waits until a server is out of service, or in it.
fn wait(
    kernel: &mut Director,
    service: ServiceKey,
    server: ServerKey,
    out: bool,
) -> Result<Instant, Box<dyn Error>> {
    let began = Instant::now();
    loop {
        let live = kernel.read_services(&[service])?.state;
        let weight = live
            .services
            .get(&service)
            .and_then(|service| service.servers.get(&server))
            .map(|server| server.weight);
        if weight.is_some_and(|weight| (weight == 0) == out) {
            return Ok(Instant::now());
        }
        // The kernel of the lab has one processor, which the daemon needs: a look takes half a millisecond of it.
        thread::sleep(Duration::from_millis(4));
        if began.elapsed() > PATIENCE {
            return Err(format!("{server} of {service} has weight {weight:?} after {PATIENCE:?}").into());
        }
    }
}
