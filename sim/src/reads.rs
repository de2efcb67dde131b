//! Reads of clients: at all levels, at any time, of the ledger's registers.

use quorate_core::client::{ClientEvent, ReadError};
use quorate_core::{Duration, Position, ReadAnswer, ReadLevel};

use crate::dice::ALWAYS;
use crate::ledger::REGISTERS;
use crate::observers::Observed;
use crate::report::Mark;
use crate::swarm::MILLI;
use crate::world::World;

/// The read that a client begins next, until it is taken, and those that are not over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    next: Option<(ReadLevel, u64)>,
    under_way: Vec<(u64, ReadLevel)>,
}

impl World {
    /// Now and then a client reads, whatever else it does.
    pub(crate) fn client_reads(&mut self, client: usize) {
        let dice = &mut self.dice.reads;
        if self.calm || !dice.chance(self.swarm.reads) {
            return;
        }
        let level = match dice.below(8) {
            0..3 => ReadLevel::Linearizable,
            3 | 4 => ReadLevel::Lease,
            5 | 6 => ReadLevel::Session { least: Position::ZERO },
            _ => ReadLevel::Stale { bound: Duration(dice.between(100, 3_000) * MILLI) },
        };
        let register = dice.below(REGISTERS);
        self.clients[client].reading.next = Some((level, register));
        self.step_client(client, ClientEvent::Read { level, payload: &[register as u8] });
    }

    /// A client has begun to read.
    pub(crate) fn read_begins(&mut self, client: usize, number: u64) {
        let host = &mut self.clients[client];
        let Some((level, register)) = host.reading.next.take() else { return };
        host.reading.under_way.push((number, level));
        let key = host.key;
        let asked = Observed::ReadAsked { key, number, level, register };
        self.watch.show(&self.nodes, self.now, 0, asked);
    }

    /// A client is told what came of a read.
    pub(crate) fn read_ends(
        &mut self,
        client: usize,
        number: u64,
        outcome: Result<ReadAnswer, ReadError>,
    ) {
        let host = &mut self.clients[client];
        let Some(at) = host.reading.under_way.iter().position(|(known, _)| *known == number) else {
            let text = format!("client {} is told of a read that is over or none", host.number);
            return self.found("L2", text);
        };
        let (_, level) = host.reading.under_way.swap_remove(at);
        let key = host.key;
        // One that was refused has changed nothing, so nothing follows.
        if let Ok(answer) = outcome {
            self.tally.saw(match level {
                ReadLevel::Linearizable => Mark::ReadLinearizable,
                ReadLevel::Lease => Mark::ReadByLease,
                ReadLevel::Session { .. } => Mark::ReadOfSession,
                ReadLevel::Stale { .. } => Mark::ReadStale,
            });
            let read = Observed::Read { key, number, answer: &answer };
            self.watch.show(&self.nodes, self.now, 0, read);
        }
    }
}

/// How often a client reads when it might submit, in millionths; never in some worlds.
pub(crate) const RATES: [u32; 4] = [0, ALWAYS / 8, ALWAYS / 2, ALWAYS];
