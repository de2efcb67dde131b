//! What the loopback interface carries: one sender, one receiver, datagrams as members send them.

use core::error::Error;
use core::net::{Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io;
use std::thread;
use std::time::Instant as Clock;

use quorate_core::Endpoint;
use quorate_driver::{DatagramPort, UdpPort, endpoint_of};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes of a datagram with a whole slice of the log.
const DATAGRAM_BYTES: usize = 1_296;
/// Those of the log in it.
pub(super) const SLICE_BYTES: u64 = 1_216;
/// Datagrams that members hand to the system at once.
pub(super) const RUN_DATAGRAMS: usize = 46;
/// How long a receiver waits before it looks at the clock.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// Bytes that a receiver has room for: a coalesced run of datagrams.
const BUFFER_BYTES: usize = (1 << 16) + 1;

/// How many bytes of slices a receiver gets in a second while a sender sends what it can, so many
/// datagrams a call.
///
/// # Errors
/// What a socket says.
pub(super) fn slice_bytes_per_s(run: usize, span: Duration) -> Result<f64, Box<dyn Error>> {
    let open = || UdpPort::open(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None);
    let (mut near, mut far) = (open()?, open()?);
    let to = endpoint_of(far.address()?);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&mut near, to, run, &done));
        let received = receive(&mut far, span);
        done.store(true, Ordering::Relaxed);
        sender.join().map_err(|_| io::Error::other("the sender panicked"))??;
        Ok(received? as f64 * SLICE_BYTES as f64 / span.as_secs_f64())
    })
}

/// Sends until it is done.
fn send(port: &mut UdpPort, to: Endpoint, run: usize, done: &AtomicBool) -> io::Result<()> {
    let bytes = vec![0x5a; run * DATAGRAM_BYTES];
    while !done.load(Ordering::Relaxed) {
        if port.send(to, &bytes, DATAGRAM_BYTES)? < run {
            thread::yield_now();
        }
    }
    Ok(())
}

/// Datagrams that are received within `span`.
fn receive(port: &mut UdpPort, span: Duration) -> io::Result<u64> {
    let (mut buffer, mut count) = (vec![0; BUFFER_BYTES], 0);
    let begin = Clock::now();
    while begin.elapsed() < span {
        match port.receive(&mut buffer)? {
            Some(received) => count += received.datagrams(&buffer).len() as u64,
            None => {
                poll(&mut [PollFd::new(port, PollFlags::IN)], Some(&WAIT))?;
            }
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_get_through_one_by_one_and_in_runs() {
        for run in [1, RUN_DATAGRAMS] {
            let rate = slice_bytes_per_s(run, Duration::from_millis(50)).unwrap();
            assert!(rate > SLICE_BYTES as f64, "{run}: {rate}");
        }
    }
}
