//! A codec of text: each datagram is a line that can be read, and read back.
//!
//! ```text
//! member 2.1.1: canvass term=0 round=1 key=0@0
//! member 1.1.1: data stream=log epoch=1 at=0 live=96/0 bytes=P~~~%a3...
//! ```

use quorate_core::frame::Level;
use quorate_core::message::{ConnectOutcome, EpochRange, HistoryLines, Live, NakRanges};
use quorate_core::{
    BootEpoch, Chain, ClientKey, Duration, Endpoint, Incarnation, Life, LogTime, MemberId, Message,
    Position, PositionRange, ReadAnswer, ReadLevel, ReadOutcome, ReadRefusal, RecoveryEpoch,
    Sender, SessionId, SnapshotPoint, Stream, Term, TermLine, VoteKey,
};

/// Who says what: a datagram as it is before it is text, and after.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Control(Message),
    Data { stream: Stream, epoch: u64, at: Position, live: Option<Live>, bytes: Vec<u8> },
}

pub(crate) fn write(sender: Sender, content: &Content) -> String {
    let sender = match sender {
        Sender::Member { member, incarnation, boot_epoch } => {
            format!("member {}", Life { member, incarnation, boot_epoch }.write())
        }
        Sender::Client { key } => format!("client {:x}", key.0),
    };
    let content = match content {
        Content::Control(message) => write_message(message),
        Content::Data { stream, epoch, at, live, bytes } => {
            let live = live.map_or(String::from("none"), |Live { newest, commit }| {
                format!("{newest}/{commit}")
            });
            let (stream, bytes) = (stream.write(), write_bytes(bytes));
            format!("data stream={stream} epoch={epoch} at={at} live={live} bytes={bytes}")
        }
    };
    format!("{sender}: {content}")
}

/// Reads a line; `None` if it is none of ours. Whoever sends text over a real network adds a
/// checksum and the group's tag, as `quorate-codecs` has them.
pub(crate) fn read(line: &str) -> Option<(Sender, Content)> {
    let (sender, content) = line.split_once(": ")?;
    let sender = match sender.split_once(' ')? {
        ("member", life) => {
            let Life { member, incarnation, boot_epoch } = Life::read(life)?;
            Sender::Member { member, incarnation, boot_epoch }
        }
        ("client", key) => Sender::Client { key: ClientKey(u64::from_str_radix(key, 16).ok()?) },
        _ => return None,
    };
    let mut words = content.split(' ');
    let Some("data") = words.next() else {
        return Some((sender, Content::Control(read_message(content)?)));
    };
    let (stream, epoch) = (field(&mut words, "stream")?, field(&mut words, "epoch")?);
    let at = field(&mut words, "at")?;
    let live = match words.next()?.strip_prefix("live=")? {
        "none" => None,
        positions => {
            let (newest, commit) = positions.split_once('/')?;
            Some(Live { newest: Position::read(newest)?, commit: Position::read(commit)? })
        }
    };
    let bytes = read_bytes(words.next()?.strip_prefix("bytes=")?)?;
    Some((sender, Content::Data { stream, epoch, at, live, bytes }))
}

/// Letters and digits stay, zeros are `~`, and anything else is `%` with two digits.
fn write_bytes(bytes: &[u8]) -> String {
    let write = |&byte: &u8| match byte {
        0 => String::from("~"),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    bytes.iter().map(write).collect()
}

fn read_bytes(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some(letter) = rest.chars().next() {
        let (byte, length) = match letter {
            '~' => (0, 1),
            '%' => (u8::from_str_radix(rest.get(1..3)?, 16).ok()?, 3),
            letter => (u8::try_from(letter).ok()?, letter.len_utf8()),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    Some(bytes)
}

fn field<'a, T: Word>(words: &mut impl Iterator<Item = &'a str>, name: &str) -> Option<T> {
    let (found, value) = words.next()?.split_once('=')?;
    if found == name { T::read(value) } else { None }
}

/// All messages, each with its fields; it is all that writing and reading has to know.
macro_rules! messages {
    ($($name:literal $variant:ident { $($field:ident)* })*) => {
        fn write_message(message: &Message) -> String {
            match message {
                $(Message::$variant { $($field),* } => {
                    let fields: &[String] =
                        &[$(format!(" {}={}", stringify!($field), $field.write())),*];
                    format!("{}{}", $name, fields.concat())
                })*
            }
        }

        fn read_message(text: &str) -> Option<Message> {
            let mut words = text.split(' ');
            Some(match words.next()? {
                $($name => Message::$variant {
                    $($field: field(&mut words, stringify!($field))?),*
                },)*
                _ => return None,
            })
        }
    };
}

messages! {
    "canvass" Canvass { term round key }
    "canvass-reply" CanvassReply { term round granted key }
    "request-vote" RequestVote { term key }
    "request-succession" RequestSuccession { term key predecessor }
    "ballot" Ballot { term candidate granted key }
    "heartbeat" Heartbeat { term round newest commit chain_at chain }
    "abdicate" Abdicate { term }
    "campaign" Campaign { term round }
    "history-request" HistoryRequest { term commit }
    "history" History { term above part parts checksum lines }
    "acknowledge" Acknowledge { term sequence round durable received limit commit }
    "application" Application { term sequence received limit }
    "holding" Holding { term sequence round held durable received limit commit }
    "impaired" Impaired { term sequence round received limit }
    "registered" Registered { term boot_epoch newest }
    "removed" Removed { term position incarnation }
    "level-grant" LevelGrant { term round candidate line key level impaired }
    "nak" Nak { stream ranges }
    "unavailable" Unavailable { stream range oldest }
    "snapshot-request" SnapshotRequest { term above }
    "snapshot-offer" SnapshotOffer { term point core_bytes service_bytes digest }
    "connect" Connect { connection session ingress_start unanswered }
    "connect-reply" ConnectReply { connection outcome }
    "stream-status" StreamStatus { stream epoch consumed limit }
    "stream-newest" StreamNewest { stream epoch newest }
    "sync-request" SyncRequest { epoch }
    "sync-reply" SyncReply { epoch safe }
    "read-request" ReadRequest { number level payload }
    "read-reply" ReadReply { number outcome }
    "read-index-request" ReadIndexRequest { number }
    "read-index-reply" ReadIndexReply { number index }
    "close" Close { connection session }
    "closed" Closed { connection session }
}

/// A value as a word without spaces.
trait Word: Sized {
    fn write(&self) -> String;
    fn read(word: &str) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty)*) => {
        $(impl Word for $number {
            fn write(&self) -> String {
                self.to_string()
            }
            fn read(word: &str) -> Option<Self> {
                word.parse().ok()
            }
        })*
    };
}

macro_rules! wrapped {
    ($($wrapped:ident)*) => {
        $(impl Word for $wrapped {
            fn write(&self) -> String {
                self.0.write()
            }
            fn read(word: &str) -> Option<Self> {
                Word::read(word).map($wrapped)
            }
        })*
    };
}

/// Values joined by one sign, read back in the same order.
macro_rules! joined {
    ($($joined:ident { $first:ident $($field:ident)* } by $sign:literal)*) => {
        $(impl Word for $joined {
            fn write(&self) -> String {
                [self.$first.write(), $(self.$field.write()),*].join($sign)
            }
            fn read(word: &str) -> Option<Self> {
                let mut words = word.split($sign);
                let read = Self {
                    $first: Word::read(words.next()?)?,
                    $($field: Word::read(words.next()?)?),*
                };
                words.next().is_none().then_some(read)
            }
        })*
    };
}

numbers! { bool u16 u32 u64 }
wrapped! { BootEpoch Chain Incarnation LogTime MemberId Position RecoveryEpoch SessionId Term }

joined! {
    EpochRange { epoch range } by ":"
    Life { member incarnation boot_epoch } by "."
    PositionRange { start end } by "-"
    SnapshotPoint { position term chain time } by ":"
    TermLine { recovery_epoch term base leader chain } by ":"
    VoteKey { term position } by "@"
}

/// Lists, with commas between the entries.
macro_rules! lists {
    ($($list:ident)*) => {
        $(impl Word for $list {
            fn write(&self) -> String {
                self.iter().map(Word::write).collect::<Vec<_>>().join(",")
            }
            fn read(word: &str) -> Option<Self> {
                word.split(',').filter(|entry| !entry.is_empty()).map(Word::read).collect()
            }
        })*
    };
}

lists! { HistoryLines NakRanges }

impl Word for Level {
    fn write(&self) -> String {
        match self {
            Self::Durable => String::from("durable"),
            Self::Volatile => String::from("volatile"),
            Self::Unknown(code) => format!("level-{code}"),
        }
    }
    fn read(word: &str) -> Option<Self> {
        match word {
            "durable" => Some(Self::Durable),
            "volatile" => Some(Self::Volatile),
            _ => word.strip_prefix("level-")?.parse().ok().map(Self::Unknown),
        }
    }
}

impl Word for Stream {
    fn write(&self) -> String {
        match self {
            Self::Log => String::from("log"),
            Self::Ingress(ClientKey(key)) => format!("ingress/{key:x}"),
            Self::Egress(ClientKey(key)) => format!("egress/{key:x}"),
            Self::Snapshot => String::from("snapshot"),
        }
    }
    fn read(word: &str) -> Option<Self> {
        let (kind, key) = word.split_once('/').unwrap_or((word, "0"));
        let key = ClientKey(u64::from_str_radix(key, 16).ok()?);
        match kind {
            "log" => Some(Self::Log),
            "ingress" => Some(Self::Ingress(key)),
            "egress" => Some(Self::Egress(key)),
            "snapshot" => Some(Self::Snapshot),
            _ => None,
        }
    }
}

impl Word for Endpoint {
    fn write(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
    fn read(word: &str) -> Option<Self> {
        let mut bytes = [0; 18];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(word.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// Bytes behind a sign, for there may be none.
impl Word for Vec<u8> {
    fn write(&self) -> String {
        let bytes: String = self.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("#{bytes}")
    }
    fn read(word: &str) -> Option<Self> {
        let digits = word.strip_prefix('#')?;
        let each = (0..digits.len()).step_by(2);
        each.map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
    }
}

impl Word for ReadLevel {
    fn write(&self) -> String {
        match self {
            Self::Linearizable => String::from("linearizable"),
            Self::Lease => String::from("lease"),
            Self::Session { least } => format!("session/{least}"),
            Self::Stale { bound } => format!("stale/{}", bound.0),
        }
    }
    fn read(word: &str) -> Option<Self> {
        let words: Vec<_> = word.split('/').collect();
        Some(match words[..] {
            ["linearizable"] => Self::Linearizable,
            ["lease"] => Self::Lease,
            ["session", least] => Self::Session { least: Word::read(least)? },
            ["stale", bound] => Self::Stale { bound: Duration(Word::read(bound)?) },
            _ => return None,
        })
    }
}

impl Word for ReadOutcome {
    fn write(&self) -> String {
        match self {
            Ok(answer) => {
                let ReadAnswer { applied, age, payload } = answer;
                format!("answer/{applied}/{}/{}", age.0, payload.write())
            }
            Err(ReadRefusal::Busy) => String::from("busy"),
            Err(ReadRefusal::TooLong { limit }) => format!("too-long/{limit}"),
            Err(ReadRefusal::Unconfirmed) => String::from("unconfirmed"),
            Err(ReadRefusal::Behind { applied }) => format!("behind/{applied}"),
            Err(ReadRefusal::TooOld { age }) => format!("too-old/{}", age.0),
            Err(ReadRefusal::Unsupported) => String::from("unsupported"),
            Err(ReadRefusal::Failed) => String::from("failed"),
            Err(ReadRefusal::Stopping) => String::from("stopping"),
        }
    }
    fn read(word: &str) -> Option<Self> {
        let words: Vec<_> = word.split('/').collect();
        Some(Err(match words[..] {
            ["answer", applied, age, payload] => {
                let (applied, age) = (Word::read(applied)?, Duration(Word::read(age)?));
                return Some(Ok(ReadAnswer { applied, age, payload: Word::read(payload)? }));
            }
            ["busy"] => ReadRefusal::Busy,
            ["too-long", limit] => ReadRefusal::TooLong { limit: Word::read(limit)? },
            ["unconfirmed"] => ReadRefusal::Unconfirmed,
            ["behind", applied] => ReadRefusal::Behind { applied: Word::read(applied)? },
            ["too-old", age] => ReadRefusal::TooOld { age: Duration(Word::read(age)?) },
            ["unsupported"] => ReadRefusal::Unsupported,
            ["failed"] => ReadRefusal::Failed,
            ["stopping"] => ReadRefusal::Stopping,
            _ => return None,
        }))
    }
}

impl Word for ConnectOutcome {
    fn write(&self) -> String {
        match self {
            Self::Open { session, leader, term, limit } => {
                format!("open/{}/{leader}/{}/{limit}", session.0, term.0)
            }
            Self::Redirect { leader, term, endpoint } => {
                format!("redirect/{leader}/{}/{}", term.0, endpoint.write())
            }
            Self::RetryAfter { nanos } => format!("retry-after/{nanos}"),
            Self::NoQuorum { nanos } => format!("no-quorum/{nanos}"),
            Self::SessionsExhausted => String::from("sessions-exhausted"),
            Self::MessageTooLarge { limit } => format!("message-too-large/{limit}"),
            Self::SessionLost { session } => format!("session-lost/{}", session.0),
        }
    }
    fn read(word: &str) -> Option<Self> {
        let words: Vec<_> = word.split('/').collect();
        Some(match words[..] {
            ["open", session, leader, term, limit] => Self::Open {
                session: Word::read(session)?,
                leader: Word::read(leader)?,
                term: Word::read(term)?,
                limit: Word::read(limit)?,
            },
            ["redirect", leader, term, endpoint] => Self::Redirect {
                leader: Word::read(leader)?,
                term: Word::read(term)?,
                endpoint: Word::read(endpoint)?,
            },
            ["retry-after", nanos] => Self::RetryAfter { nanos: Word::read(nanos)? },
            ["no-quorum", nanos] => Self::NoQuorum { nanos: Word::read(nanos)? },
            ["sessions-exhausted"] => Self::SessionsExhausted,
            ["message-too-large", limit] => Self::MessageTooLarge { limit: Word::read(limit)? },
            ["session-lost", session] => Self::SessionLost { session: Word::read(session)? },
            _ => return None,
        })
    }
}
