//! The service of the suite: a running hash of everything, registers and a queue that histories are
//! checked on, and timers.

use core::hash::Hasher;
use std::collections::{BTreeMap, VecDeque};

use quorate_core::hash::{StateHasher, mix};
use quorate_core::{Duration, LogTime, Position};
use quorate_driver::Context;

/// What a message asks the service to do; anything that is not one of these is just recorded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    /// Replaces a register; the reply is its former value.
    Write {
        /// Which register.
        key: u64,
        /// Its new value.
        value: u64,
    },
    /// The reply is the register's value.
    Read {
        /// Which register.
        key: u64,
    },
    /// Adds to a register; the reply is its former value.
    Add {
        /// Which register.
        key: u64,
        /// What to add.
        value: u64,
    },
    /// Puts a value behind the others in the queue; the reply is how many are in it now, or 0 if
    /// there is no room.
    Put {
        /// The value, not 0.
        value: u64,
    },
    /// Takes the first value out of the queue; the reply is that, or 0 if there is none.
    Take,
    /// Puts an element into the set; the reply is what was in it before, a bit for each element.
    Include {
        /// The element, below 64.
        element: u64,
    },
    /// Moves money from one account of the bank to another, unless there is too little; the reply
    /// is the balances of all accounts before, 16 bits for each, account 0 in the lowest.
    Move {
        /// From which account, below [`ACCOUNTS`].
        from: u64,
        /// To which.
        to: u64,
        /// How much.
        amount: u16,
    },
    /// Schedules a timer.
    Schedule {
        /// The timer's number.
        timer: u64,
        /// Nanoseconds of cluster time from now on.
        delay: u64,
    },
    /// Forgets a timer.
    Cancel {
        /// The timer's number.
        timer: u64,
    },
}

impl Command {
    /// The message.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let (tag, one, two) = match self {
            Self::Write { key, value } => (b'w', key, value),
            Self::Read { key } => (b'r', key, 0),
            Self::Add { key, value } => (b'a', key, value),
            Self::Put { value } => (b'p', value, 0),
            Self::Take => (b't', 0, 0),
            Self::Include { element } => (b'i', element, 0),
            Self::Move { from, to, amount } => (b'm', from << 8 | to, u64::from(amount)),
            Self::Schedule { timer, delay } => (b's', timer, delay),
            Self::Cancel { timer } => (b'c', timer, 0),
        };
        [&[tag], &one.to_le_bytes()[..], &two.to_le_bytes()].concat()
    }

    /// The timer that a message schedules when it is applied at `time`, or cancels (`None`).
    pub(super) fn timer(bytes: &[u8], time: LogTime) -> Option<(u64, Option<LogTime>)> {
        match Self::parse(bytes)? {
            Self::Schedule { timer, delay } => {
                Some((timer, Some(LogTime(time.0.saturating_add(delay)))))
            }
            Self::Cancel { timer } => Some((timer, None)),
            _ => None,
        }
    }

    /// What the value of a reply to it says, in words.
    #[must_use]
    pub fn answer(self, value: u64) -> String {
        let listed = |numbers: &mut dyn Iterator<Item = u64>| {
            let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
            numbers.join(", ")
        };
        match self {
            Self::Include { .. } if value == 0 => "the set was empty".to_owned(),
            Self::Include { .. } => {
                let mut held = (0..64).filter(|element| value >> element & 1 == 1);
                format!("in the set were {}", listed(&mut held))
            }
            Self::Move { .. } => {
                let balances = Bank::unpacked(value).0;
                format!("the accounts had {}", listed(&mut balances.into_iter().map(u64::from)))
            }
            _ => value.to_string(),
        }
    }

    /// What a message asks for, if that is one of these.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (&tag, words) = bytes.split_first()?;
        let (one, two) = words.split_at_checked(8)?;
        let one = u64::from_le_bytes(one.try_into().ok()?);
        let two = u64::from_le_bytes(two.try_into().ok()?);
        Some(match tag {
            b'w' => Self::Write { key: one, value: two },
            b'r' => Self::Read { key: one },
            b'a' => Self::Add { key: one, value: two },
            b'p' => Self::Put { value: one },
            b't' => Self::Take,
            b'i' => Self::Include { element: one },
            b'm' => Self::Move { from: one >> 8, to: one & 0xff, amount: two as u16 },
            b's' => Self::Schedule { timer: one, delay: two },
            b'c' => Self::Cancel { timer: one },
            _ => return None,
        })
    }
}

impl core::fmt::Display for Command {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Write { key, value } => write!(f, "write {value} to register {key}"),
            Self::Read { key } => write!(f, "read register {key}"),
            Self::Add { key, value } => write!(f, "add {value} to register {key}"),
            Self::Put { value } => write!(f, "put {value} into the queue"),
            Self::Take => f.write_str("take from the queue"),
            Self::Include { element } => write!(f, "put {element} into the set"),
            Self::Move { from, to, amount } => {
                write!(f, "move {amount} from account {from} to {to}")
            }
            Self::Schedule { timer, delay } => write!(f, "schedule timer {timer} in {delay} ns"),
            Self::Cancel { timer } => write!(f, "cancel timer {timer}"),
        }
    }
}

/// Accounts of the bank.
pub const ACCOUNTS: usize = 4;
/// What each account has at first.
pub const FIRST_BALANCE: u16 = 100;

/// What the service replies to every message: 24 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LedgerReply {
    /// How many messages were applied before, this one included.
    pub applied: u64,
    /// The running hash behind it.
    pub running: u64,
    /// The former value of the register, if the message named one, or what queue, set or bank
    /// answer.
    pub value: u64,
}

impl LedgerReply {
    /// The reply in these bytes, if they are one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let words: [u8; 24] = bytes.try_into().ok()?;
        let word = |index: usize| {
            words[index * 8..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
        };
        Some(Self { applied: word(0), running: word(1), value: word(2) })
    }
}

/// What the service gets wrong on every member alike, for loops that get something wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServiceMistake {
    /// Now and then an element does not come into the set.
    ForgetsElements,
    /// Now and then there is less money than before.
    LosesMoney,
}

/// The state of the suite's service on one member.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    applied: u64,
    running: u64,
    registers: BTreeMap<u64, u64>,
    queue: VecDeque<u64>,
    /// A bit for each element.
    set: u64,
    bank: Bank,
    mistake: Option<ServiceMistake>,
    /// What it has come to that is not in the log; its snapshots alone tell.
    pub(super) deviation: Option<u64>,
    fired: BTreeMap<u64, (Position, LogTime)>,
}

/// The balances of all accounts.
#[derive(Clone, Copy, Debug)]
struct Bank([u16; ACCOUNTS]);

impl Default for Bank {
    fn default() -> Self {
        Self([FIRST_BALANCE; ACCOUNTS])
    }
}

impl Bank {
    fn packed(self) -> u64 {
        self.0.iter().rev().fold(0, |packed, balance| packed << 16 | u64::from(*balance))
    }

    fn unpacked(packed: u64) -> Self {
        Self(core::array::from_fn(|account| (packed >> (16 * account)) as u16))
    }

    /// Moves the amount if it is there and both accounts are; all that the accounts had before.
    fn transfer(&mut self, from: u64, to: u64, amount: u16) -> u64 {
        let before = self.packed();
        let (from, to) = (from as usize, to as usize);
        if from.max(to) < ACCOUNTS && self.0[from] >= amount {
            self.0[from] -= amount;
            // What all have together is far below the most that fits.
            self.0[to] = self.0[to].saturating_add(amount);
        }
        before
    }
}

/// Registers that the service keeps, at most; a further one replaces the smallest key.
const REGISTERS_MAX: usize = 4_096;
/// Values that the queue holds, at most; a further one is refused.
const QUEUED_MAX: usize = 4_096;

impl Ledger {
    pub(super) const fn err(&mut self, mistake: ServiceMistake) {
        self.mistake = Some(mistake);
    }

    pub(super) fn note(&mut self, position: Position, time: LogTime, whom: u64, bytes: &[u8]) {
        let mut hasher = StateHasher::default();
        for word in [self.running, position.0, time.0, whom] {
            hasher.write_u64(word);
        }
        hasher.write(bytes);
        self.running = hasher.finish();
    }

    pub(super) fn message(
        &mut self,
        context: &mut Context<'_>,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) {
        self.note(context.position(), context.time(), context.session().0, payload);
        self.applied += 1;
        let value = match Command::parse(payload) {
            Some(Command::Write { key, value }) => self.replace(key, |_| value),
            Some(Command::Add { key, value }) => self.replace(key, |old| old.wrapping_add(value)),
            Some(Command::Read { key }) => self.registers.get(&key).copied().unwrap_or(0),
            Some(Command::Put { value }) => self.put(value),
            Some(Command::Take) => self.queue.pop_front().unwrap_or(0),
            Some(Command::Include { element }) => {
                let bit =
                    u32::try_from(element).ok().and_then(|element| 1_u64.checked_shl(element));
                let mut after = self.set | bit.unwrap_or(0);
                if self.mistake == Some(ServiceMistake::ForgetsElements)
                    && self.applied.is_multiple_of(5)
                {
                    after = self.set;
                }
                core::mem::replace(&mut self.set, after)
            }
            Some(Command::Move { from, to, amount }) => {
                let before = self.bank.transfer(from, to, amount);
                if self.mistake == Some(ServiceMistake::LosesMoney)
                    && self.applied.is_multiple_of(5)
                {
                    self.bank.0[0] = self.bank.0[0].saturating_sub(1);
                }
                before
            }
            Some(Command::Schedule { timer, delay }) => {
                context.schedule_timer(timer, Duration(delay));
                0
            }
            Some(Command::Cancel { timer }) => {
                context.cancel_timer(timer);
                0
            }
            None => 0,
        };
        for word in [self.applied, self.running, value] {
            reply.extend_from_slice(&word.to_le_bytes());
        }
    }

    pub(super) fn timer(&mut self, context: &Context<'_>, timer: u64) {
        self.note(context.position(), context.time(), timer, &[3]);
        self.fired.insert(timer, (context.position(), context.time()));
    }

    pub(super) fn digest(&self) -> u64 {
        mix(self.running, self.applied)
    }

    pub(super) fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let queued = self.queue.len() as u64;
        for word in [self.applied, self.running, self.set, self.bank.packed(), queued] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        self.queue.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        for (key, value) in &self.registers {
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        quorate_sim::join_deviation(bytes, self.deviation)
    }

    pub(super) fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (bytes, deviation) = quorate_sim::split_deviation(bytes);
        let words: Vec<u64> =
            bytes.as_chunks().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
        let foreign = || format!("{} bytes are no snapshot of the suite's service", bytes.len());
        let [applied, running, set, bank, queued, rest @ ..] = words.as_slice() else {
            return Err(foreign());
        };
        let (queue, registers) = rest.split_at_checked(*queued as usize).ok_or_else(foreign)?;
        let registers = registers.as_chunks().0.iter().map(|[key, value]| (*key, *value));
        *self = Self {
            applied: *applied,
            running: *running,
            registers: registers.collect(),
            queue: queue.iter().copied().collect(),
            set: *set,
            bank: Bank::unpacked(*bank),
            mistake: self.mistake,
            deviation,
            fired: BTreeMap::new(),
        };
        Ok(())
    }

    fn put(&mut self, value: u64) -> u64 {
        if self.queue.len() >= QUEUED_MAX {
            return 0;
        }
        self.queue.push_back(value);
        self.queue.len() as u64
    }

    fn replace(&mut self, key: u64, change: impl FnOnce(u64) -> u64) -> u64 {
        let old = self.registers.get(&key).copied().unwrap_or(0);
        if self.registers.len() >= REGISTERS_MAX && !self.registers.contains_key(&key) {
            self.registers.pop_first();
        }
        self.registers.insert(key, change(old));
        old
    }
}
