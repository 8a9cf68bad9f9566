//! Server addresses that look like an address and a port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{Advice, Finding};

/// Names the addresses of the file whose last group looks like a port; such a server gets packets at another address than
/// was meant.
pub fn port_like(addresses: &[IpAddr]) -> Vec<Advice> {
    let example = addresses.iter().find_map(|address| Some((address, with_port(*address)?)));
    let Some((address, meant)) = example else { return Vec::new() };
    let advice = format!(
        "write the address in brackets: `\"{meant}\"`, or `\"[{address}]\"` if all of it is the address"
    );
    let cause = "looks like an address and a port, and is an address alone";
    let finding = Arc::new(Finding { code: "address-with-port", cause: cause.into(), advice: advice.into() });
    addresses.iter().map(|address| Advice::of(address, &finding)).collect()
}

/// What was probably meant.
fn with_port(address: IpAddr) -> Option<SocketAddr> {
    let text = address.to_string();
    let (address, port) = text.rsplit_once(':')?;
    Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::grouped;

    #[test]
    fn addresses_that_look_like_one_with_a_port_are_one_warning() {
        let addresses = ["fd00::2:8080", "fd00::3:8080"].map(|address| address.parse().unwrap());
        assert_eq!(
            grouped(&port_like(&addresses)),
            [
                "fd00::2:8080, fd00::3:8080: looks like an address and a port, and is an address alone; write the address in \
                 brackets: `\"[fd00::2]:8080\"`, or `\"[fd00::2:8080]\"` if all of it is the address"
            ]
        );
        assert_eq!(port_like(&[]), []);
    }
}
