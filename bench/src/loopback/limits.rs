//! What the machine allows: round trips of datagrams, and syncs with three writers at once.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::thread;
use std::time::Instant as Clock;

use rustix::thread::{CpuSet, sched_setaffinity};

use super::MEMBERS;
use crate::measure::median;

/// Round trips of one measurement.
const ROUND_TRIPS: usize = 2_000;
/// Bytes of a datagram.
const DATAGRAM_BYTES: usize = 184;
/// Syncs of each writer.
const SYNCS: usize = 150;
/// Bytes that are written before each sync.
const SYNCED_BYTES: usize = 4_096;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// How two threads wait for each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Waiting {
    /// In the kernel, on whichever processors it puts them.
    Blocked,
    /// In the kernel, on two processors.
    BlockedApart,
    /// Looking again and again.
    Spinning,
}

/// The median round trip of a datagram between two threads over loopback, in microseconds.
///
/// # Errors
/// What a socket says, or the kernel of the wish for a processor.
pub(super) fn round_trip_us(waiting: Waiting) -> io::Result<f64> {
    let spins = waiting == Waiting::Spinning;
    let settle = |processor| match waiting {
        Waiting::Blocked => Ok(()),
        Waiting::BlockedApart | Waiting::Spinning => stay_on(processor),
    };
    let bind = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(spins)?;
        socket.set_read_timeout((!spins).then_some(PATIENCE))?;
        io::Result::Ok(socket)
    };
    let (near, far) = (bind()?, bind()?);
    near.connect(far.local_addr()?)?;
    far.connect(near.local_addr()?)?;
    thread::scope(|scope| {
        let echo = scope.spawn(move || -> io::Result<()> {
            settle(0)?;
            let mut buffer = [0; 2_048];
            for _ in 0..ROUND_TRIPS {
                let length = receive(&far, &mut buffer)?;
                far.send(&buffer[..length])?;
            }
            Ok(())
        });
        let near = scope.spawn(move || -> io::Result<Vec<f64>> {
            settle(1)?;
            let mut buffer = [0; 2_048];
            let mut micros = Vec::with_capacity(ROUND_TRIPS);
            for _ in 0..ROUND_TRIPS {
                let begin = Clock::now();
                near.send(&[0x5a; DATAGRAM_BYTES])?;
                receive(&near, &mut buffer)?;
                micros.push(begin.elapsed().as_nanos() as f64 / 1_000.0);
            }
            Ok(micros)
        });
        let micros = near.join().map_err(|_| io::Error::other("the caller panicked"))??;
        echo.join().map_err(|_| io::Error::other("the echo panicked"))??;
        Ok(median(micros))
    })
}

/// Keeps this thread on one processor, if there are two to choose from.
fn stay_on(processor: usize) -> io::Result<()> {
    if thread::available_parallelism()?.get() < 2 {
        return Ok(());
    }
    let mut processors = CpuSet::new();
    processors.set(processor);
    Ok(sched_setaffinity(None, &processors)?)
}

/// Receives, looking again and again if the socket never waits.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    let begin = Clock::now();
    loop {
        match socket.recv(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && begin.elapsed() < PATIENCE => {
                core::hint::spin_loop();
            }
            received => return received,
        }
    }
}

/// The median time that a write of 4 KiB and its sync take, in microseconds, while as many writers
/// as there are members do the same in `folder`, each in a file of its own that is large enough.
///
/// # Errors
/// What a file says.
pub(super) fn sync_us(folder: &Path) -> io::Result<f64> {
    let writers: Vec<_> = (0..MEMBERS)
        .map(|_| {
            let file = tempfile::tempfile_in(folder);
            thread::spawn(move || write_and_sync(&mut file?))
        })
        .collect();
    let mut all = Vec::new();
    for writer in writers {
        all.extend(writer.join().map_err(|_| io::Error::other("a writer panicked"))??);
    }
    Ok(median(all))
}

fn write_and_sync(file: &mut File) -> io::Result<Vec<f64>> {
    file.write_all(&vec![0; SYNCS * SYNCED_BYTES])?;
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let mut micros = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begin = Clock::now();
        file.write_all(&[0x5a; SYNCED_BYTES])?;
        file.sync_data()?;
        micros.push(begin.elapsed().as_nanos() as f64 / 1_000.0);
    }
    Ok(micros)
}
