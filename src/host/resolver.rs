//! Looks up hosts and ports by the system's resolver, through `getent`: a static program cannot load the C library's own modules.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::program::{ProgramError, output_of};
use crate::error_chain::ErrorChain;

/// The IPv4 addresses of a host, in the order of the resolver.
///
/// # Errors
/// Where there is none, or it cannot be asked: why.
pub fn addresses_of(name: &str) -> Result<Vec<Ipv4Addr>, String> {
    found("ahostsv4", name)
}

/// The addresses of a host in both families, in the order of the resolver, which puts those first that this host can reach.
///
/// # Errors
/// Where there is none, or it cannot be asked: why.
pub fn all_addresses_of(name: &str) -> Result<Vec<IpAddr>, String> {
    found("ahosts", name)
}

fn found<A: FromStr + PartialEq>(database: &str, name: &str) -> Result<Vec<A>, String> {
    let found = look_up(database, name, "the system's resolver knows no such host")?;
    let mut addresses: Vec<A> = Vec::new();
    // One line for each type of socket.
    for address in found.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// The port that goes by a name for a protocol such as `tcp`.
///
/// # Errors
/// Where there is none, or it cannot be asked: why.
pub fn port_of(name: &str, protocol: &str) -> Result<u16, String> {
    let found = look_up("services", &format!("{name}/{protocol}"), "by the system's resolver")?;
    let port = found.split_whitespace().nth(1).and_then(|place| place.split('/').next());
    port.and_then(|port| port.parse().ok()).ok_or_else(|| "by the system's resolver".to_owned())
}

fn look_up(database: &str, name: &str, unknown: &str) -> Result<String, String> {
    // What begins with a dash would be an option.
    if name.is_empty() || name.starts_with('-') {
        return Err(unknown.to_owned());
    }
    output_of("getent", &[database, name]).map_err(|error| match error {
        // Exit status 2: the name is not known.
        ProgramError::Failed { message: None, .. } => unknown.to_owned(),
        error @ (ProgramError::NotInstalled | ProgramError::Run(_) | ProgramError::Failed { .. }) => {
            format!("getent: {}", ErrorChain(&error))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_knows_is_found_and_the_rest_is_named() {
        assert_eq!(addresses_of("localhost"), Ok(vec![Ipv4Addr::LOCALHOST]));
        assert_eq!(all_addresses_of("127.0.0.1"), Ok(vec![IpAddr::from([127, 0, 0, 1])]));
        assert_eq!(all_addresses_of("::1"), Ok(vec![IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])]));
        assert_eq!(addresses_of("-s"), Err("the system's resolver knows no such host".to_owned()));
        assert_eq!(port_of("no-such-port", "tcp"), Err("by the system's resolver".to_owned()));
    }
}
