//! A client of a member on a desk: the core's own, with nothing between the two.

use std::collections::VecDeque;

use quorate_core::client::{Client, ClientAction, ClientActions, ClientConfig, ClientEvent};
use quorate_core::client::{ClientLimits, ClientTiming};
use quorate_core::message::Incoming;
use quorate_core::{
    Action, ClientKey, Destination, Endpoint, Event, Limits, Member, Message, Position,
    PositionRange, Sender, Source, Stream,
};
use quorate_sim::Place;

use crate::case::Failure;
use crate::desk::{Desk, member_sender, place};
use crate::stage::GROUP;

/// A client that knows one member, who is on a desk.
pub(crate) struct DeskClient {
    client: Client,
    key: ClientKey,
    member: u16,
    /// Messages that it took.
    pub(crate) accepted: u64,
    /// Messages that were answered.
    pub(crate) answered: u64,
}

/// A datagram on its way, with bytes of its own.
enum Parcel {
    Control(Message),
    Data { stream: Stream, epoch: u64, position: Position, bytes: Vec<u8> },
}

impl Parcel {
    fn content(&self) -> Incoming<'_> {
        match self {
            Self::Control(message) => Incoming::Control(message.clone()),
            Self::Data { stream, epoch, position, bytes } => Incoming::Data {
                stream: *stream,
                epoch: *epoch,
                position: *position,
                live: None,
                slice: bytes,
            },
        }
    }
}

impl DeskClient {
    /// A client of the member on `desk`, which keeps to the same limits.
    ///
    /// # Errors
    /// The limits are refused.
    pub(crate) fn new(desk: &Desk, limits: &Limits) -> Result<Self, Failure> {
        let (key, id) = (ClientKey(77), desk.view().life.member);
        let config = ClientConfig {
            group: GROUP,
            recovery_epoch: quorate_core::RecoveryEpoch(0),
            key,
            members: [(id, place(id.0))].into_iter().collect(),
            seed: 3,
            timing: ClientTiming::default(),
            limits: ClientLimits {
                message_bytes_max: limits.message_bytes_max,
                session_window_bytes: limits.session_window_bytes,
                in_flight_max: limits.in_flight_max,
                slice_bytes: limits.slice_bytes,
                run_bytes_max: limits.run_bytes_max,
                coverage_ranges_max: limits.coverage_ranges_max,
            },
        };
        let refused = |error| Failure::Harness(format!("the client's limits: {error}"));
        let client = Client::new(config, desk.now).map_err(refused)?;
        Ok(Self { client, key, member: id.0, accepted: 0, answered: 0 })
    }

    /// Submits a message; whether the client takes it.
    pub(crate) fn submit(&mut self, desk: &mut Desk, payload: &[u8]) -> bool {
        let before = self.accepted;
        self.step(desk, ClientEvent::Submit { payload });
        self.accepted > before
    }

    /// The client's timers are served, and the two talk until neither has more to say.
    pub(crate) fn wake(&mut self, desk: &mut Desk) {
        self.step(desk, ClientEvent::Timer);
    }

    /// What the member did reaches the client, and the two talk until neither has more to say.
    pub(crate) fn hear(&mut self, desk: &mut Desk, actions: &[Action]) {
        let parcels = self.addressed(&desk.member, actions);
        let mut out = VecDeque::new();
        for parcel in parcels {
            out.extend(self.take_in(desk, &parcel));
        }
        self.talk(desk, out);
    }

    fn step(&mut self, desk: &mut Desk, event: ClientEvent<'_>) {
        let out = self.perform(desk, event);
        self.talk(desk, out.into());
    }

    fn talk(&mut self, desk: &mut Desk, mut out: VecDeque<Parcel>) {
        while let Some(parcel) = out.pop_front() {
            let (sender, source) = (Sender::Client { key: self.key }, endpoint());
            let received = Event::Received { sender, source, content: parcel.content() };
            let mut back = Vec::new();
            for event in [received, Event::Flush] {
                desk.step(event);
                back.append(&mut self.addressed(&desk.member, &desk.actions));
            }
            for parcel in back {
                out.extend(self.take_in(desk, &parcel));
            }
        }
    }

    fn take_in(&mut self, desk: &Desk, parcel: &Parcel) -> Vec<Parcel> {
        let (sender, source) = (member_sender(self.member, desk.life()), place(self.member));
        self.perform(desk, ClientEvent::Received { sender, source, content: parcel.content() })
    }

    fn perform(&mut self, desk: &Desk, event: ClientEvent<'_>) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        for event in [event, ClientEvent::Flush] {
            let mut actions = ClientActions::new();
            self.client.step(desk.now, event, &mut actions);
            for action in actions.drain() {
                match action {
                    ClientAction::Send { message, .. } => parcels.push(Parcel::Control(message)),
                    ClientAction::SendData { stream, epoch, range, .. } => {
                        let (first, second) = self.client.bytes(stream, range);
                        parcels.push(data(stream, epoch, range, first, second));
                    }
                    ClientAction::Accepted { .. } => self.accepted += 1,
                    ClientAction::Reply { .. } => self.answered += 1,
                    _ => {}
                }
            }
        }
        parcels
    }

    /// What of the member's actions goes to this client.
    fn addressed(&self, member: &Member, actions: &[Action]) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        for action in actions {
            match action {
                Action::Send { to: Destination::Client(_), message } => {
                    parcels.push(Parcel::Control(message.clone()));
                }
                Action::SendData { stream, epoch, range, source: Source::Member, .. }
                    if *stream == Stream::Egress(self.key) =>
                {
                    let (first, second) = member.bytes(*stream, *range);
                    parcels.push(data(*stream, *epoch, *range, first, second));
                }
                _ => {}
            }
        }
        parcels
    }
}

fn data(stream: Stream, epoch: u64, range: PositionRange, first: &[u8], second: &[u8]) -> Parcel {
    Parcel::Data { stream, epoch, position: range.start, bytes: [first, second].concat() }
}

/// Where the client is.
fn endpoint() -> Endpoint {
    Place::Client(1).endpoint()
}

/// An acknowledgement of a member in `term`: the `sequence`th of its life.
pub(crate) const fn acknowledge(
    term: quorate_core::Term,
    sequence: u64,
    held: Position,
    limit: Position,
) -> Message {
    Message::Acknowledge {
        term,
        sequence,
        round: sequence,
        durable: held,
        received: held,
        limit,
        commit: Position::ZERO,
    }
}
