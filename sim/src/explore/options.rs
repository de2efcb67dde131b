//! How far an exploration goes.

/// The bounds of an exploration: all that may happen within them is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Terms that may begin. What would begin another one is not followed.
    pub terms: u64,
    /// Sessions that clients open: entries of the log besides those that open terms.
    pub entries: u8,
    /// Power failures, of any members, between events or in the middle of one.
    pub crashes: u8,
    /// Datagrams that arrive once more, or behind one that was sent later on their way.
    pub late: u8,
    /// Datagrams that are lost; `None` for any number.
    pub losses: Option<u8>,
    /// `None`: datagrams arrive in any order that keeps that of each way, and everything else
    /// happens between any two of them. Else what is on its way arrives before anything but a fault
    /// happens, way by way; and so often ways are held up, from any moment on, until nothing else
    /// is to happen.
    pub holds: Option<u8>,
    /// Times that a member's clock goes on by an election time-out, or by so much that it takes its
    /// leader for lost.
    pub timeouts: u8,
    /// Times that another timer of a member comes due: heartbeats, repeated requests.
    pub ticks: u8,
    /// Voters that an operator makes an observer.
    pub changes: u8,
    /// Whether each operation of a disk takes its time; else it is done before the next datagram,
    /// if the power does not fail first.
    pub slow_disks: bool,
    /// States at most; an exploration that meets more is not complete.
    pub states_max: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            terms: 2,
            entries: 1,
            crashes: 1,
            late: 0,
            losses: Some(0),
            holds: None,
            timeouts: 3,
            ticks: 1,
            changes: 0,
            slow_disks: false,
            states_max: 200_000_000,
        }
    }
}

impl Bounds {
    /// What is left to happen at the beginning.
    pub(super) fn left(&self) -> Left {
        Left {
            entries: self.entries,
            crashes: self.crashes,
            late: self.late,
            losses: self.losses.unwrap_or(u8::MAX),
            timeouts: self.timeouts,
            ticks: self.ticks,
            changes: self.changes,
            touched: 0,
            holds: self.holds.unwrap_or(0),
            held: 0,
        }
    }
}

/// What may happen yet, and which members were touched by anything: they are interchangeable until
/// then.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Left {
    pub(super) entries: u8,
    pub(super) crashes: u8,
    pub(super) late: u8,
    pub(super) losses: u8,
    pub(super) timeouts: u8,
    pub(super) ticks: u8,
    pub(super) changes: u8,
    pub(super) touched: u8,
    pub(super) holds: u8,
    /// The ways that are held up, a bit for each.
    pub(super) held: u8,
}

impl Left {
    pub(super) const fn bytes(self) -> [u8; 10] {
        [
            self.entries,
            self.crashes,
            self.late,
            self.losses,
            self.timeouts,
            self.ticks,
            self.changes,
            self.touched,
            self.holds,
            self.held,
        ]
    }

    /// Takes `count` losses, where they are counted; `None` when there are not so many.
    pub(super) fn lose(mut self, count: usize, bounds: &Bounds) -> Option<Self> {
        if bounds.losses.is_some() {
            self.losses = self.losses.checked_sub(u8::try_from(count).ok()?)?;
        }
        Some(self)
    }
}
