//! Who is in the room, and with which limits.

use quorate_core::client::{ClientConfig, ClientLimits, ClientTiming};
use quorate_core::{
    BootEpoch, ClientKey, Durability, Duration, GroupId, Incarnation, Life, Limits, MemberConfig,
    MemberId, RecoveryEpoch, Timing,
};

use super::post::Place;
use crate::line::Line;

/// Who is in the room, and with which limits.
#[derive(Clone, Debug)]
pub(crate) struct RoomOptions {
    /// Members.
    pub(crate) members: usize,
    /// Clients, each with its session.
    pub(crate) sessions: usize,
    /// Unanswered messages of all clients together.
    pub(crate) window: usize,
    /// Bytes of each message.
    pub(crate) payload: usize,
    /// Stream bytes of one datagram.
    pub(crate) slice_bytes: u64,
    /// Stream bytes of one send, at most.
    pub(crate) run_bytes: u64,
    /// The window of the log of a member, at least; more where the messages in flight need it.
    pub(crate) log_window_bytes: u64,
    /// The rings of a session, at least; more where its messages in flight need it.
    pub(crate) session_window_bytes: u64,
    /// The buffer that stands for the page cache.
    pub(crate) page_cache_bytes: usize,
    /// How long a round takes, for runs that are to be the same each time; else the clock tells.
    pub(crate) round_ns: Option<u64>,
}

/// More sessions than this have small windows.
const FEW_SESSIONS: usize = 64;

/// The rings of a session.
pub(crate) const SESSION_WINDOW_BYTES: u64 = 128 << 10;
/// The buffer that stands for the page cache.
pub(crate) const PAGE_CACHE_BYTES: usize = 64 << 10;

impl RoomOptions {
    /// One session with a window of `window` messages of `payload` bytes, three members, and
    /// datagrams of the size that members send by default.
    pub(crate) fn new(window: usize, payload: usize) -> Self {
        let limits = Limits::default();
        Self {
            members: 3,
            sessions: 1,
            window,
            payload,
            slice_bytes: u64::from(limits.slice_bytes),
            run_bytes: limits.run_bytes_max,
            log_window_bytes: limits.window_bytes,
            session_window_bytes: SESSION_WINDOW_BYTES,
            page_cache_bytes: PAGE_CACHE_BYTES,
            round_ns: None,
        }
    }

    /// Messages of one session that are not answered, at most.
    fn session_window(&self) -> usize {
        self.window.div_ceil(self.sessions)
    }

    /// Bytes of the largest frame, and then some.
    const fn frame_bytes(&self) -> u64 {
        self.message_bytes_max() + 128
    }

    /// The ring of one session's ingress, and of its egress.
    fn session_ring_bytes(&self) -> u64 {
        let window = self.frame_bytes() * (self.session_window() as u64 + 1).max(4);
        let least = if self.sessions > FEW_SESSIONS { 0 } else { self.session_window_bytes };
        window.max(least).next_power_of_two()
    }

    /// The window of the log: twice what is in flight, since half of it may be uncommitted.
    fn log_window_bytes(&self) -> u64 {
        let window = 2 * self.frame_bytes() * (self.window as u64 + 1);
        window.max(self.log_window_bytes).next_power_of_two()
    }

    /// Adds the conditions to a line.
    pub(crate) fn add_to(&self, line: Line) -> Line {
        line.with("members", self.members)
            .with("sessions", self.sessions)
            .with("payload", self.payload)
            .with("window", self.window)
            .with("slice_bytes", self.slice_bytes)
            .with("run_bytes", self.run_bytes)
            .with("log_window_bytes", self.log_window_bytes())
            .with("session_window_bytes", self.session_ring_bytes())
            .with("page_cache_bytes", self.page_cache_bytes)
            .with("durable", false)
            .with("loss", 0)
    }

    const fn message_bytes_max(&self) -> u64 {
        if self.payload < 64 { 64 } else { self.payload as u64 }
    }

    /// The life of the member at `index`.
    pub(super) const fn life(index: usize) -> Life {
        Life { member: id(index), incarnation: Incarnation(1), boot_epoch: BootEpoch(1) }
    }

    /// The configuration of the member at `index`.
    pub(super) fn member_config(&self, index: usize) -> MemberConfig {
        let voters =
            (0..self.members).map(|voter| (id(voter), Place::Member(voter as u32).endpoint()));
        let defaults = Limits::default();
        let log = self.log_window_bytes();
        MemberConfig {
            group: GROUP,
            recovery_epoch: RecoveryEpoch(0),
            durability: Durability::default(),
            member: id(index),
            voters: voters.collect(),
            joins: false,
            seed: 7 + index as u64,
            timing: Timing { session_timeout: Duration::from_millis(60_000), ..Timing::default() },
            limits: Limits {
                message_bytes_max: self.message_bytes_max() as u32,
                reply_bytes_max: 64,
                slice_bytes: self.slice_bytes as u32,
                run_bytes_max: self.run_bytes,
                sessions_max: self.sessions.max(defaults.sessions_max),
                session_window_bytes: self.session_ring_bytes(),
                in_flight_max: self.in_flight_max(),
                window_bytes: log,
                uncommitted_bytes_max: log / 2,
                unapplied_bytes_max: log / 2,
                ..defaults
            },
        }
    }

    fn in_flight_max(&self) -> usize {
        if self.sessions > FEW_SESSIONS {
            self.session_window().max(4)
        } else {
            self.window.max(256)
        }
    }

    /// The configuration of the client at `index`.
    pub(super) fn client_config(&self, index: usize) -> ClientConfig {
        let members =
            (0..self.members).map(|member| (id(member), Place::Member(member as u32).endpoint()));
        let timing = ClientTiming::default();
        // A crowd that says every 50 ms that it is there would be a load of its own.
        let crowded = self.sessions > FEW_SESSIONS;
        ClientConfig {
            group: GROUP,
            recovery_epoch: RecoveryEpoch(0),
            key: ClientKey(1_000 + index as u64),
            members: members.collect(),
            seed: 100 + index as u64,
            timing: ClientTiming {
                keepalive_interval: if crowded {
                    Duration::from_millis(2_000)
                } else {
                    timing.keepalive_interval
                },
                server_timeout: if crowded {
                    Duration::from_millis(10_000)
                } else {
                    timing.server_timeout
                },
                ..timing
            },
            limits: ClientLimits {
                message_bytes_max: self.message_bytes_max() as u32,
                session_window_bytes: self.session_ring_bytes(),
                in_flight_max: self.in_flight_max(),
                slice_bytes: self.slice_bytes as u32,
                run_bytes_max: self.run_bytes,
                ..ClientLimits::default()
            },
        }
    }
}

/// The group of all rooms.
const GROUP: GroupId = GroupId(77);

const fn id(index: usize) -> MemberId {
    MemberId(index as u16 + 1)
}
