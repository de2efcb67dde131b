//! A service with 32 MiB of state, which goes on while a snapshot of it is written.
//!
//! `bank.rs` is the service. Here three members of it, on threads of this process, take a snapshot
//! while payments are made all the time. Then all of them stop, and start again with the snapshot:
//! only what came behind it is applied once more.
#![expect(clippy::std_instead_of_core, reason = "whoever reads this has `std`")]
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

mod bank;

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use quorate_core::client::{ClientConfig, ClientLimits, ClientTiming};
use quorate_core::{ClientKey, GroupId, MemberId, Position, RecoveryEpoch};
use quorate_driver::{Configuration, Service, TakeSnapshotError, endpoint_of};
use quorate_runtime_mio::{
    ClientHandle, ClientOptions, MemberHandle, MemberOptions, ThreadOptions, spawn_client,
    spawn_member,
};

use bank::{ACCOUNTS, Bank, payment};

const MEMBERS: u16 = 3;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the example found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Payments that were made before, and while, the snapshot was written.
    pub(crate) before: u64,
    pub(crate) meanwhile: u64,
    /// Payments that a member applied again at its start, at most.
    pub(crate) again: u64,
}

fn main() -> Outcome<()> {
    let Found { before, meanwhile, again } = run()?;
    println!("Of {} payments a start behind it applied {again} again.", before + meanwhile);
    Ok(())
}

pub(crate) fn run() -> Outcome<Found> {
    let folder = env::temp_dir().join(format!("quorate-large-state-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let found = two_days(&folder);
    fs::remove_dir_all(&folder)?;
    found
}

fn two_days(folder: &Path) -> Outcome<Found> {
    let sockets = (0..MEMBERS).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
    let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
    let (members, client) = start(folder, &sockets)?;
    let before = 500;
    (0..before).try_for_each(|number| pay(&client, number).map(drop))?;

    let position = take_snapshot(&members)?;
    let (begun, mut longest, mut number) = (Instant::now(), Duration::ZERO, before);
    while !is_stored(&members, position)? {
        longest = longest.max(pay(&client, number)?);
        number += 1;
    }
    let meanwhile = number - before;
    println!(
        "The snapshot at {position} took {:?}; meanwhile {meanwhile} payments",
        begun.elapsed()
    );
    println!("were made. None of them took longer than {longest:?}.");
    client.blocking_close()?;
    members.into_iter().try_for_each(MemberHandle::blocking_shutdown)?;

    let (members, client) = start(folder, &sockets)?;
    pay(&client, number)?;
    let applied = until_level(&members)?;
    let again = applied.into_iter().max().unwrap_or(0) - 1;
    client.blocking_close()?;
    members.into_iter().try_for_each(MemberHandle::blocking_shutdown)?;
    Ok(Found { before, meanwhile, again })
}

/// Starts the members on their directories, and a client.
fn start(folder: &Path, sockets: &[UdpSocket]) -> Outcome<(Vec<MemberHandle<Bank>>, ClientHandle)> {
    let mut addresses = BTreeMap::new();
    for (id, socket) in (1..).zip(sockets) {
        addresses.insert(MemberId(id), socket.local_addr()?);
    }
    let list = addresses.iter().map(|(id, at)| format!("{{ id = {id}, address = \"{at}\" }}"));
    let list = list.collect::<Vec<_>>().join(", ");
    let mut members = Vec::new();
    for (id, socket) in addresses.keys().zip(sockets) {
        let data = folder.join(id.to_string());
        let mut options = MemberOptions::new(Configuration::parse(&format!(
            "group = 7\nmember = {id}\nmembers = [{list}]\ndata = {data:?}\n\
             security = \"checksum-only\"\n"
        ))?);
        options.bootstrap = true;
        options.socket = Some(socket.try_clone()?);
        members.push(spawn_member(options, Bank::default(), ThreadOptions::default())?);
    }
    let config = ClientConfig {
        group: GroupId(7),
        recovery_epoch: RecoveryEpoch(0),
        key: ClientKey(0),
        members: addresses.iter().map(|(id, at)| (*id, endpoint_of(*at))).collect(),
        seed: 0,
        timing: ClientTiming::default(),
        limits: ClientLimits::default(),
    };
    let bind = Some((Ipv4Addr::LOCALHOST, 0).into());
    let options = ClientOptions { config, bind, faults: None };
    Ok((members, spawn_client(options, ThreadOptions::default())?))
}

/// Pays into an account of its own for each number, far from the last; how long that took.
fn pay(client: &ClientHandle, number: u64) -> Outcome<Duration> {
    let (account, begun) = (number * 1_000_003 % ACCOUNTS, Instant::now());
    let reply = client.blocking_submit(payment(account, number))?;
    assert_eq!(reply.payload[..], number.to_le_bytes());
    Ok(begun.elapsed())
}

/// Has the leader, whoever that is, mark a snapshot for all.
fn take_snapshot(members: &[MemberHandle<Bank>]) -> Outcome<Position> {
    loop {
        for member in members {
            match member.blocking_take_snapshot() {
                Err(TakeSnapshotError::Refused(_)) => {}
                other => return Ok(other?),
            }
        }
    }
}

/// Whether all members have stored the snapshot at `position`.
fn is_stored(members: &[MemberHandle<Bank>], position: Position) -> Outcome<bool> {
    for member in members {
        if member.blocking_status()?.view.snapshot < position {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Waits until all members stand at one position, with one state; returns how many payments each
/// has applied in this life.
fn until_level(members: &[MemberHandle<Bank>]) -> Outcome<Vec<u64>> {
    loop {
        let seen = members.iter().map(|member| {
            member.blocking_inspect(|bank, status| {
                let place = (status.view.applied, status.view.commit, bank.digest());
                (place, status.counters.messages_applied)
            })
        });
        let seen = seen.collect::<Result<Vec<_>, _>>()?;
        let (applied, commit, _) = seen[0].0;
        if applied == commit && seen.iter().all(|(place, _)| *place == seen[0].0) {
            return Ok(seen.into_iter().map(|(_, count)| count).collect());
        }
    }
}
