//! The members of a configuration, and their addresses.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::BTreeMap;

use quorate_core::MemberId;
use toml::Value;

use super::section::Section;

/// The members that could be read.
#[derive(Debug)]
pub(super) struct Members {
    /// Where they are reached.
    pub(super) addresses: BTreeMap<MemberId, SocketAddr>,
    /// Whether these are all that the file means.
    pub(super) complete: bool,
}

pub(super) fn read_members(file: &mut Section<'_>) -> Members {
    let mut members = Members { addresses: BTreeMap::new(), complete: false };
    let Some(list) = read_list(file) else { return members };
    members.complete = true;
    for entry in list {
        let Some((id, address)) = read_member(file, entry) else {
            members.complete = false;
            continue;
        };
        let taken = members.addresses.values().any(|other| *other == address);
        if taken || members.addresses.insert(id, address).is_some() {
            let reason = "has the id or the address of another member";
            file.problem("members", Some(entry), reason, "give each member its own");
        }
    }
    members
}

const EXAMPLE: &str = "a list such as [{ id = 1, address = \"192.0.2.1:9001\" }]";

fn read_list<'a>(file: &mut Section<'a>) -> Option<&'a Vec<Value>> {
    let value = file.required("members", EXAMPLE)?;
    let list = value.as_array();
    if list.is_none() {
        file.problem("members", Some(value), "is not a list", &format!("write {EXAMPLE}"));
    }
    list
}

fn read_member(file: &mut Section<'_>, entry: &Value) -> Option<(MemberId, SocketAddr)> {
    let Value::Table(table) = entry else {
        file.problem("members", Some(entry), "is not a member", &format!("write {EXAMPLE}"));
        return None;
    };
    let mut member = file.entry("members", table);
    let id = member
        .required("id", "the member's number, such as 1")
        .and_then(|value| member.number("id", value, 1, u64::from(u16::MAX)));
    let address = member
        .required("address", "where it is reached, such as \"192.0.2.1:9001\"")
        .and_then(|value| read_reachable(&mut member, value));
    member.finish();
    Some((MemberId(u16::try_from(id?).ok()?), address?))
}

/// An address that a datagram can be sent to, to arrive at one member.
fn read_reachable(member: &mut Section<'_>, value: &Value) -> Option<SocketAddr> {
    let address = read_address(member, "address", value)?;
    let ip = address.ip().to_canonical();
    let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let reason = if ip.is_unspecified() {
        "is every address of a machine, not one that others can send to"
    } else if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        "is the address of many"
    } else if link_local {
        "is link-local, which needs a scope that is not kept"
    } else if address.port() == 0 {
        "has no port"
    } else {
        return Some(address);
    };
    let fix = "write the address and port at which the other members reach it";
    member.problem("address", Some(value), reason, fix);
    None
}

/// A socket sends to addresses of its own family only.
pub(super) fn check_families(
    file: &mut Section<'_>,
    bind: SocketAddr,
    members: &BTreeMap<MemberId, SocketAddr>,
) {
    for (id, address) in members {
        if address.ip().to_canonical().is_ipv4() != bind.is_ipv4() {
            let reason = format!("of member {id} is of another family than `bind = \"{bind}\"`");
            let value = Value::String(address.to_string());
            let fix = "use IPv4 for all addresses, or IPv6 for all";
            file.problem("members.address", Some(&value), &reason, fix);
        }
    }
}

pub(super) fn read_address(
    section: &mut Section<'_>,
    key: &str,
    value: &Value,
) -> Option<SocketAddr> {
    let address = value.as_str().and_then(|text| text.parse().ok());
    if address.is_none() {
        let reason = "is not an IP address and a port";
        section.problem(
            key,
            Some(value),
            reason,
            "write it like \"192.0.2.1:9001\" or \"[::1]:9001\"",
        );
    }
    address
}
