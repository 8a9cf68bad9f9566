//! `lbd export`: writes the live state, or the configuration of another program, as a desired file.

mod convert;
mod marks;
mod names;

use std::io::Write;

use self::convert::text;
use super::tried::tried;
use super::{CommandError, Console, DONE, ERROR, inputs, overrides};
use crate::cli::{Arguments, Export, ExportOutput};
use crate::config;
use crate::host::{self, HostScope, Manager, Roots};
use crate::ipvsadm;
use crate::kernel::{ReadScope, sysctl};
use crate::model::{State, Sysctls, untracked};
use crate::target::{Clock, ServerOf};

pub(super) fn run(
    arguments: &Arguments,
    options: &Export,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    if let Some(path) = &options.from {
        return convert::run(path, options, console);
    }
    let mut state = live(arguments, options, console)?;
    let found = match &options.marks {
        Some(path) => marks::of_file(path, &state, console)?,
        None => marks::of_host(&state, console),
    };
    state.marks.extend(found.marks);
    for finding in found.findings {
        console.note(finding);
    }
    warn_of_managers(console);
    console.progress.set_task("writing the table as a file");
    let unexpressed = match options.output {
        ExportOutput::Yaml | ExportOutput::Json => {
            let rendered = config::render(&state);
            console.out.write_all(text(&rendered, options.output)?.as_bytes())?;
            rendered.unexpressed()
        }
        ExportOutput::Ipvsadm => {
            console.out.write_all(ipvsadm::save(&state).as_bytes())?;
            ipvsadm::unsaved(&state)
        }
    };
    for what in &unexpressed {
        console.warn(what);
    }
    Ok(if unexpressed.is_empty() { DONE } else { ERROR })
}

/// Warns where another program has taken servers out of the table, which the file would not have then.
fn warn_of_managers(console: &mut Console<'_>) {
    console.progress.set_task("checking the host");
    let scope = HostScope { managers: true, ..HostScope::default() };
    for manager in host::look(scope, Sysctls::default(), &Roots::default()).managers {
        let (who, file) = match manager {
            Manager::Keepalived { process, file, unread: _ } => {
                (format!("keepalived (process {process})"), file.display().to_string())
            }
            Manager::Ldirectord { process } => {
                (format!("ldirectord (process {process})"), "/etc/ha.d/ldirectord.cf".to_owned())
            }
            Manager::KubeProxy { .. } | Manager::IpvsadmAtBoot { .. } => continue,
        };
        console.warn(format_args!(
            "{who} runs: servers that it has taken out of the table are missing here, and its health checks, too; `lbd export --from {file}` converts its configuration"
        ));
    }
}

/// Makes the live state what the file would say: without what has left it and only keeps its connections, without a fallback, and with the
/// weights of the file under overrides and verdicts.
fn without_conditions(
    arguments: &Arguments,
    state: &mut State,
    console: &mut Console<'_>,
) -> Result<(), CommandError> {
    let store = inputs::store(arguments)?;
    let conditions = store.load_conditions(Clock::now());
    take_out(state, conditions.drains.iter().map(|(server, _)| *server));
    if let Some(reason) = &conditions.unreadable {
        console.warn(format_args!("{reason}; the weights that it has set are written as they are"));
    }
    let has_none =
        conditions.overrides.is_empty() && conditions.health.is_empty() && conditions.trial.is_none();
    // Then only the fallback of a service could be in the table beyond the file.
    let has_fallback =
        || store.load_verified().is_ok_and(|text| text.is_some_and(|text| text.contains("fallback")));
    if has_none && !has_fallback() {
        return Ok(());
    }
    let Some((_, mut file)) = inputs::last_verified(&store, &console.progress)? else { return Ok(()) };
    if let Some(trial) = &conditions.trial {
        let (_, tried) = tried(trial)?;
        // What a trial takes away is quiesced until it ends.
        let has = |(service, server): &ServerOf| {
            tried.state.services.get(service).is_some_and(|service| service.servers.contains_key(server))
        };
        let all = file
            .state
            .services
            .iter()
            .flat_map(|(key, service)| service.servers.keys().map(|server| (*key, *server)));
        take_out(state, all.filter(|server| !has(server)));
        file = tried;
    }
    overrides::without(&mut state.services, &file, &conditions);
    Ok(())
}

/// Takes servers out, and with the last one of a service the service, its marks and what of its packets is not tracked.
fn take_out(state: &mut State, servers: impl Iterator<Item = ServerOf>) {
    for (key, server) in servers {
        let Some(service) = state.services.get_mut(&key) else { continue };
        if service.servers_mut().shift_remove(&server).is_some() && service.servers.is_empty() {
            state.services.shift_remove(&key);
            let mut packets = untracked::packets(&key, &state.marks);
            packets.retain(|packets| state.untracked.contains(packets));
            // Mostly there are none.
            if !packets.is_empty() {
                for other in state.services.keys() {
                    let of_other = untracked::packets(other, &state.marks);
                    packets.retain(|packets| !of_other.contains(packets));
                }
            }
            state.untracked.retain(|untracked| !packets.contains(untracked));
            let uses = |mark: u32| state.services.keys().any(|service| service.mark() == Some(mark));
            state.marks.retain(|rules| key.mark() != Some(rules.mark) || uses(rules.mark));
        }
    }
}

fn live(arguments: &Arguments, options: &Export, console: &mut Console<'_>) -> Result<State, CommandError> {
    // Without lbd's own table in nftables, applying the export would remove it.
    let question = ReadScope { filter: true, ..ReadScope::default() };
    let mut state = inputs::live(&question, &console.progress)?.state;
    if !options.as_is {
        without_conditions(arguments, &mut state, console)?;
    }
    for name in &options.sysctl {
        let value =
            sysctl::read(name).map_err(|cause| CommandError::Setting { name: name.clone(), cause })?;
        state.sysctls.insert(name.clone(), value);
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};
    use crate::model::{Health, MinServing, OnFailure, ServiceHealth};
    use crate::target::Conditions;

    #[test]
    fn a_fallback_is_no_part_of_the_file() {
        let text = "version: 1\nclusters: [{ name: web, listen: tcp://10.0.0.1:80, servers: [{ address: 192.168.8.1, weight: 0 }] }]\n";
        let mut file = load(&Source::new("x", text)).unwrap();
        let key = *file.state.services.keys().next().unwrap();
        let fallback =
            ("192.168.8.99:80".parse().unwrap(), *file.state.services[&key].servers.values().next().unwrap());
        let health = ServiceHealth {
            checks: [].into(),
            servers: Default::default(),
            on_failure: OnFailure::Quiesce,
            reset_after: None,
            min_serving: MinServing::DEFAULT,
            fallback: Some(fallback),
            slow_start: None,
        };
        file.health = Health { services: [(key, health)].into_iter().collect() }.into();
        let mut live = file.state.services.clone();
        live.get_mut(&key).unwrap().servers_mut().insert(fallback.0, fallback.1);
        overrides::without(&mut live, &file, &Conditions::default());
        assert_eq!(live, file.state.services);
    }

    // An export ended with 2 while a cluster with `untracked: true` drained.
    #[test]
    fn with_its_last_server_a_service_goes_and_its_packets_are_tracked() {
        let state = |clusters: &str| {
            let text = format!(
                "version: 1\nmarks:\n  - {{ mark: 7, match: [{{ protocol: tcp, address: 10.0.0.7, ports: [80] }}] }}\nclusters:\n\
                 - {{ name: kept, listen: 'tcp://10.0.0.1:80', untracked: true, servers: [192.168.8.1] }}\n{clusters}"
            );
            load(&Source::new("x", text)).unwrap().state
        };
        let mut live = state(
            "- { name: left, listen: 'tcp://10.0.0.2:80', untracked: true, servers: [192.168.8.1] }\n\
             - { name: marked, listen: 'fwmark://7', untracked: true, servers: [192.168.8.1] }\n",
        );
        let left = [("tcp://10.0.0.2:80", "192.168.8.1:80"), ("fwmark://7", "192.168.8.1:0")];
        let left = left.map(|(service, server)| (service.parse().unwrap(), server.parse().unwrap()));
        take_out(&mut live, left.into_iter());
        let kept = state("");
        assert_eq!((live.services, live.untracked), (kept.services, kept.untracked));
        assert!(live.marks.is_empty());
    }
}
