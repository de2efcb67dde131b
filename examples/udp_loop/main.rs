//! Three members and a client over UDP sockets and files, without any runtime.
//!
//! `member.rs` is a whole host: a loop, and the performing of actions. `disk.rs` is what it keeps.
//! `client.rs` is the other side. Here they are started, watched, stopped, and started once more on
//! the same files: the second day begins with what the first one wrote.
#![expect(clippy::std_instead_of_core, reason = "whoever reads this has `std`")]
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

mod client;
mod disk;
mod member;

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::{env, fs, process, thread};

use quorate_core::{Endpoint, GroupId, GroupTag, MemberId, RecoveryEpoch};

const GROUP: GroupId = GroupId(0x5eed);
const TAG: GroupTag = GroupTag::new(GROUP, RecoveryEpoch(0));
const MEMBERS: u16 = 3;
const DAYS: [&[&str]; 2] = [&["ink", "paper", "a lamp"], &["more ink", "a chair"]];

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    run().map(drop)
}

/// Runs the days one after the other; returns what every member has applied in the end.
pub(crate) fn run() -> Outcome<Vec<String>> {
    let folder = env::temp_dir().join(format!("quorate-udp-loop-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let days = (1..).zip(DAYS).map(|(day, orders)| {
        println!("Day {day}");
        run_day(&folder, orders)
    });
    let applied = days.last().unwrap_or_else(|| Ok(Vec::new()));
    fs::remove_dir_all(&folder)?;
    applied
}

/// Starts the members on their files, places orders, and stops the members when all have applied
/// all of them.
fn run_day(folder: &Path, orders: &[&str]) -> Outcome<Vec<String>> {
    let sockets = (0..=MEMBERS).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut sockets = sockets.collect::<Result<Vec<_>, _>>()?.into_iter();
    let client = sockets.next().ok_or("no socket")?;
    let members: Vec<_> = (1..=MEMBERS).map(MemberId).zip(sockets).collect();
    let mut places = BTreeMap::new();
    for (id, socket) in &members {
        places.insert(*id, endpoint(socket.local_addr()?));
    }

    let stop = AtomicBool::new(false);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let hosts = members.into_iter().map(|(id, socket)| {
            let (file, places, tell, stop) =
                (folder.join(id.to_string()), &places, tell.clone(), &stop);
            scope.spawn(move || {
                let end = member::run(id, socket, &file, places, &tell, stop);
                // One that fails ends the others too, so that nobody waits for ever.
                stop.fetch_or(end.is_err(), Ordering::Relaxed);
                end
            })
        });
        let hosts: Vec<_> = hosts.collect();
        drop(tell);
        let ordered = client::run(&client, &places, orders);
        if ordered.is_ok() {
            await_all(&told, orders);
        }
        stop.store(true, Ordering::Relaxed);

        let ends = hosts.into_iter().map(|host| host.join().map_err(|_| "a member panicked")?);
        let applied = ends.collect::<Outcome<Vec<_>>>()?;
        ordered?;
        assert!(applied.windows(2).all(|pair| pair[0] == pair[1]), "{applied:#?}");
        println!("  all {MEMBERS} members applied the same {} orders", applied[0].len());
        Ok(applied.into_iter().next().unwrap_or_default())
    })
}

/// Waits until each member has told that it applied the last of `orders`.
fn await_all(told: &mpsc::Receiver<(MemberId, String)>, orders: &[&str]) {
    let Some(last) = orders.last() else { return };
    let mut done = BTreeMap::new();
    while done.len() < usize::from(MEMBERS) {
        // A member that fails drops its end; once all have, nothing is awaited any more.
        let Ok((id, order)) = told.recv() else { return };
        if order == *last {
            done.insert(id, order);
        }
    }
}

/// The core stores and compares addresses in one form: IPv6 (IPv4 mapped), then the port.
fn endpoint(address: SocketAddr) -> Endpoint {
    let mut bytes = [0; 18];
    let ip = match address {
        SocketAddr::V4(address) => address.ip().to_ipv6_mapped(),
        SocketAddr::V6(address) => *address.ip(),
    };
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    Endpoint(bytes)
}

fn address(Endpoint(bytes): Endpoint) -> SocketAddr {
    let (mut ip, mut port) = ([0; 16], [0; 2]);
    ip.copy_from_slice(&bytes[..16]);
    port.copy_from_slice(&bytes[16..]);
    SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), u16::from_be_bytes(port))
}
