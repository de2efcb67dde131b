//! The network between the hosts: each packet goes by the cuts and rules of the script.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use quorate_core::GroupTag;
use quorate_sim::{Place, Scheduler};

use super::agent::PACKET_BYTES_MAX;
use super::onlooker::Onlooker;
use super::packet::{Packet, with_payload};
use super::standstill::Meter;
use crate::stage::{Passing, Wire};

/// What a rule wants; the switch has a thread of its own.
type Filter = Box<dyn FnMut(&Passing<'_>) -> bool + Send>;

/// What the switch knows and does, shared with the script.
pub(super) struct Shared {
    pub(super) wire: Wire<Filter>,
    /// How many datagrams of each kind were sent.
    pub(super) seen: BTreeMap<&'static str, u64>,
    /// Who looks at all that is sent, as it was sent.
    pub(super) onlooker: Onlooker,
    /// Packets that the switch could not hand over in time: its own fault, which fails a case.
    pub(super) overrun: u64,
    stopped: bool,
}

/// A switch with its thread.
pub(super) struct Switch {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
    begun: Instant,
}

/// Packets under way, at most; more are lost, and counted.
const UNDER_WAY_MAX: usize = 65_536;
/// How long the switch waits for a packet before it looks for what is due.
const LOOK_INTERVAL: Duration = Duration::from_micros(200);

impl Switch {
    /// Starts a switch between these hosts.
    pub(super) fn start(
        seed: u64,
        tag: GroupTag,
        hosts: BTreeMap<Ipv4Addr, (Place, UnixDatagram)>,
        meter: Meter,
    ) -> std::io::Result<Self> {
        for (_, socket) in hosts.values() {
            socket.set_nonblocking(true)?;
        }
        let is_member = |(place, _): &&(Place, UnixDatagram)| matches!(place, Place::Member(_));
        let members = hosts.values().filter(is_member).count();
        let shared = Arc::new(Mutex::new(Shared {
            wire: Wire::new(seed, (0, 0)),
            seen: BTreeMap::new(),
            onlooker: Onlooker::new(members),
            overrun: 0,
            stopped: false,
        }));
        let begun = Instant::now();
        let mut work = Work {
            shared: Arc::clone(&shared),
            hosts,
            tag,
            begun,
            under_way: Scheduler::default(),
            waiting: BTreeMap::new(),
            meter,
        };
        let thread = thread::Builder::new().name("switch".into()).spawn(move || work.run())?;
        Ok(Self { shared, thread: Some(thread), begun })
    }

    /// What the switch shares with the script.
    pub(super) fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    /// Nanoseconds since the switch began.
    pub(super) fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared().stopped = true;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has told so already.
            let _ = thread.join();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Work {
    shared: Arc<Mutex<Shared>>,
    hosts: BTreeMap<Ipv4Addr, (Place, UnixDatagram)>,
    tag: GroupTag,
    begun: Instant,
    under_way: Scheduler<(Ipv4Addr, Vec<u8>)>,
    /// What is due, and waits until its host takes it: a system's queue holds ten datagrams or so.
    waiting: BTreeMap<Ipv4Addr, VecDeque<Vec<u8>>>,
    meter: Meter,
}

impl Work {
    fn run(&mut self) {
        let mut buffer = [0; PACKET_BYTES_MAX + 4];
        let mut looked = Instant::now();
        loop {
            self.meter.note(looked.elapsed());
            looked = Instant::now();
            if lock(&self.shared).stopped {
                return;
            }
            let mut taken = 0;
            let addresses: Vec<Ipv4Addr> = self.hosts.keys().copied().collect();
            for address in addresses {
                while let Some((_, socket)) = self.hosts.get(&address)
                    && let Ok(length) = socket.recv(&mut buffer)
                {
                    taken += 1;
                    self.pass(&buffer[..length]);
                }
            }
            self.deliver();
            if taken == 0 {
                thread::sleep(LOOK_INTERVAL);
            }
        }
    }

    fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    fn pass(&mut self, bytes: &[u8]) {
        let Some(packet) = Packet::parse(bytes) else { return };
        let place = |address| self.hosts.get(&address).map(|(place, _)| *place);
        let (Some(from), Some(to)) = (place(packet.from), place(packet.to)) else { return };
        let now = self.now();
        let passing = Passing::new(now, (from, to), self.tag, packet.payload);
        let mut shared = lock(&self.shared);
        *shared.seen.entry(passing.kind()).or_default() += 1;
        shared.onlooker.look(&passing);
        let passed = shared.wire.pass(&passing);
        let waiting: usize = self.waiting.values().map(VecDeque::len).sum();
        if self.under_way.len() + waiting >= UNDER_WAY_MAX {
            shared.overrun += 1;
            return;
        }
        drop(shared);
        let changed = passed.bytes.map(|payload| with_payload(bytes, &payload));
        let bytes = changed.as_deref().unwrap_or(bytes);
        for at in passed.arrivals {
            self.under_way.push(at, (packet.to, bytes.to_vec()));
        }
    }

    fn deliver(&mut self) {
        let now = self.now();
        while let Some((_, (to, bytes))) = self.under_way.pop_by(now) {
            self.waiting.entry(to).or_default().push_back(bytes);
        }
        for (to, waiting) in &mut self.waiting {
            let Some((_, socket)) = self.hosts.get(to) else { continue };
            while let Some(bytes) = waiting.front() {
                match socket.send(bytes) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    sent => lock(&self.shared).overrun += u64::from(sent.is_err()),
                }
                waiting.pop_front();
            }
        }
    }
}
