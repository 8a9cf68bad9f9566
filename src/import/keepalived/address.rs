//! Reads addresses, ports and marks as keepalived does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::numbers::unsigned;

/// An address; what is behind `-` or `/` is ignored. Names are none.
pub(super) fn without_range(text: &str) -> Option<IpAddr> {
    let end = text.find('-').or_else(|| text.find('/')).unwrap_or(text.len());
    let text = text.get(..end)?;
    if text.contains(':') {
        text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    } else {
        text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    }
}

/// An address and a port, 0 where there is none; or why keepalived refuses them.
pub(super) fn endpoint(address: Option<&str>, port: Option<&str>) -> Result<(IpAddr, u16), String> {
    let address = address.ok_or("the address is missing")?;
    let ip = without_range(address)
        .ok_or_else(|| format!("`{address}` is not an IP address, and keepalived looks up no names"))?;
    let port = match port.filter(|port| !port.chars().all(|digit| digit == '0')) {
        None => 0,
        Some(text) => unsigned(text, 1, u16::MAX.into(), false)
            .and_then(|read| u16::try_from(read.value).ok())
            .ok_or_else(|| format!("`{text}` is not a port, and keepalived looks up no names"))?,
    };
    Ok((ip, port))
}

/// A firewall mark.
pub(super) fn mark(text: Option<&str>) -> Result<u32, String> {
    let text = text.ok_or("the mark is missing")?;
    let read =
        unsigned(text, 0, u32::MAX, false).ok_or_else(|| format!("`{text}` is not a firewall mark"))?;
    match read.value {
        0 => Err(format!(
            "keepalived reads `{text}` as mark 0, and takes that for the address 0.0.0.0; write the mark as a decimal number"
        )),
        mark => Ok(mark),
    }
}
