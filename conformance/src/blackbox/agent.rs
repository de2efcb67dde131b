//! The process that holds a host: its namespaces, and a tunnel device whose packets it relays.

use core::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::Arc;
use std::thread;

/// The name of the device, in a namespace of its own.
pub(super) const TUNNEL: &str = "tun0";
/// The largest packet of a tunnel.
pub(super) const PACKET_BYTES_MAX: usize = 1_500;

/// Makes a tunnel device with this address in the namespace that the process is in, and relays
/// between it and standard input, a socket of datagrams, until that ends.
///
/// # Errors
/// The device cannot be made, as text.
pub fn relay(address: Ipv4Addr) -> Result<(), String> {
    let mut configuration = tun::Configuration::default();
    configuration
        .tun_name(TUNNEL)
        .address(address)
        .netmask((255, 255, 255, 0))
        .mtu(PACKET_BYTES_MAX as u16)
        .up();
    let device = tun::create(&configuration)
        .map_err(|error| format!("cannot make a tunnel device: {error}"))?;
    // A process of this host may want to reach its own address.
    let _ = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let switch = UnixDatagram::from(input.map_err(|error| format!("no standard input: {error}"))?);
    let (device, switch) = (Arc::new(device), Arc::new(switch));
    // The first word says that the host is there. The system has packets of its own for a device
    // that comes up: they may pass only behind it.
    switch.send(b"up").map_err(|error| format!("cannot reach the switch: {error}"))?;
    let (to_switch, from_device) = (Arc::clone(&switch), Arc::clone(&device));
    thread::spawn(move || {
        let mut packet = [0; PACKET_BYTES_MAX + 4];
        while let Ok(length) = from_device.recv(&mut packet) {
            // What the switch does not take in time is lost, as on any network.
            if to_switch.send(&packet[..length]).is_err() {
                return;
            }
        }
    });
    let mut packet = [0; PACKET_BYTES_MAX + 4];
    while let Ok(length) = switch.recv(&mut packet) {
        if length == 0 {
            break;
        }
        // A device that is going down takes nothing any more.
        let _ = device.send(&packet[..length]);
    }
    Ok(())
}
