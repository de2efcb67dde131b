//! Bodies about clients that a shim hosts.

use std::collections::BTreeMap;

use quorate_core::client::{
    ClientConfig, ClientCounters, ClientError, ClientLimits, ClientTiming, Reject, Tried,
    TriedOutcome,
};
use quorate_core::{ClientKey, GroupId, Instant, MemberId, Position, RecoveryEpoch, SessionId};
use serde::{Deserialize, Serialize};

use super::body::{Number, endpoint, hex, numbers};
use super::raw::Reader;

numbers!(ClientTimingBody of ClientTiming {
    connect_retry, tries_per_member, server_timeout, keepalive_interval, newest_first,
    give_up_after, nak_delay, nak_retry, repair_linger,
});
numbers!(ClientLimitsBody of ClientLimits {
    message_bytes_max, session_window_bytes, in_flight_max, slice_bytes, run_bytes_max,
    coverage_ranges_max,
});
numbers!(#[serde(default)] ClientCountersBody of ClientCounters {
    naks_sent, reconnects, redirects_followed, repairs_sent, datagrams_ignored, duplicates,
    protocol_errors,
});

/// JSON of a `C` that opens a client: what it begins with.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct OpenBody {
    /// The time on the client's clock.
    pub(super) now: u64,
    group: u64,
    recovery_epoch: u32,
    key: u64,
    /// Each member's endpoint, as 36 hexadecimal digits.
    members: BTreeMap<u16, String>,
    seed: u64,
    timing: ClientTimingBody,
    limits: ClientLimitsBody,
}

impl OpenBody {
    pub(super) fn new(now: Instant, config: &ClientConfig) -> Self {
        let ClientConfig { group, recovery_epoch, key, members, seed, timing, limits } = config;
        Self {
            now: now.0,
            group: group.0,
            recovery_epoch: recovery_epoch.0,
            key: key.0,
            members: members.iter().map(|(id, endpoint)| (id.0, hex(endpoint))).collect(),
            seed: *seed,
            timing: ClientTimingBody::from(timing),
            limits: ClientLimitsBody::from(limits),
        }
    }

    /// What the client is constructed with; `None` if a number does not fit.
    pub(super) fn config(&self) -> Option<ClientConfig> {
        let member = |(id, text): (&u16, &String)| Some((MemberId(*id), endpoint(text)?));
        Some(ClientConfig {
            group: GroupId(self.group),
            recovery_epoch: RecoveryEpoch(self.recovery_epoch),
            key: ClientKey(self.key),
            members: self.members.iter().map(member).collect::<Option<_>>()?,
            seed: self.seed,
            timing: self.timing.to()?,
            limits: self.limits.to()?,
        })
    }
}

/// What a suite wants of a client: body of `C`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum ClientRequest<'a> {
    /// Begin it; JSON. Answered by `k`.
    Open(&'a [u8]),
    /// Submit this message, under this number of the suite's.
    Submit(u64, &'a [u8]),
    /// The application is done.
    Close,
}

impl<'a> ClientRequest<'a> {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Open(json) => [&b"o"[..], json].concat(),
            Self::Submit(number, message) => [&b"m"[..], &number.to_le_bytes(), message].concat(),
            Self::Close => b"q".to_vec(),
        }
    }

    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut fields = Reader::new(body);
        Some(match fields.u8()? {
            b'o' => Self::Open(fields.rest()),
            b'm' => Self::Submit(fields.u64()?, fields.rest()),
            b'q' if fields.rest().is_empty() => Self::Close,
            _ => return None,
        })
    }
}

/// What a client says: body of `c`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum ClientResult<'a> {
    /// The submit of this number was taken, as the message of that sequence.
    Accepted(u64, u64),
    /// The submit of this number was not taken, definitely; JSON says why.
    Refused(u64, &'a [u8]),
    /// The message of this sequence was applied, definitely: its position, and the reply.
    Replied(u64, Position, &'a [u8]),
    /// A leader serves the client in this session.
    Served(SessionId),
    /// Nobody serves it any more; it looks for a leader.
    Unserved,
    /// It has ended; JSON says how, and which messages have an indefinite outcome.
    Ended(&'a [u8]),
}

impl<'a> ClientResult<'a> {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (kind, words, rest): (u8, &[u64], &[u8]) = match self {
            Self::Accepted(number, sequence) => (b'a', &[*number, *sequence], &[]),
            Self::Refused(number, json) => (b'e', &[*number], json),
            Self::Replied(sequence, position, reply) => (b'o', &[*sequence, position.0], reply),
            Self::Served(session) => (b's', &[session.0], &[]),
            Self::Unserved => (b'u', &[], &[]),
            Self::Ended(json) => (b'x', &[], json),
        };
        let words = words.iter().flat_map(|word| word.to_le_bytes());
        [kind].into_iter().chain(words).chain(rest.iter().copied()).collect()
    }

    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut fields = Reader::new(body);
        let kind = fields.u8()?;
        Some(match kind {
            b'a' => Self::Accepted(fields.u64()?, fields.u64()?),
            b'e' => Self::Refused(fields.u64()?, fields.rest()),
            b'o' => Self::Replied(fields.u64()?, Position(fields.u64()?), fields.rest()),
            b's' => Self::Served(SessionId(fields.u64()?)),
            b'u' => Self::Unserved,
            b'x' => Self::Ended(fields.rest()),
            _ => return None,
        })
    }
}

/// Why a submit was not taken: JSON of a `c` of kind `e`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct RefusedBody {
    code: String,
    bytes: u64,
    limit: u64,
}

impl RefusedBody {
    pub(super) fn from(reject: &Reject) -> Self {
        let code = |code: &str| Self { code: code.into(), ..Self::default() };
        match reject {
            Reject::BackPressure => code("back_pressure"),
            Reject::TooLarge { bytes, limit } => {
                Self { bytes: *bytes, limit: *limit, ..code("too_large") }
            }
            _ => code("closed"),
        }
    }

    pub(super) fn to(&self) -> Option<Reject> {
        let Self { code, bytes, limit } = self;
        Some(match code.as_str() {
            "back_pressure" => Reject::BackPressure,
            "too_large" => Reject::TooLarge { bytes: *bytes, limit: *limit },
            "closed" => Reject::Closed,
            _ => return None,
        })
    }
}

/// How a client ended: JSON of a `c` of kind `x`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct EndedBody {
    /// Why, unless its application closed it.
    error: Option<String>,
    /// The first message whose outcome nobody knows, if there is one.
    pub(super) indefinite_from: Option<u64>,
    limit: u64,
    key: u64,
    session: u64,
    tried: Vec<TriedBody>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct TriedBody {
    member: u16,
    times: u32,
    outcome: String,
}

const TRIED: [(TriedOutcome, &str); 6] = [
    (TriedOutcome::Silent, "silent"),
    (TriedOutcome::Redirected, "redirected"),
    (TriedOutcome::NotReady, "not_ready"),
    (TriedOutcome::NoQuorum, "no_quorum"),
    (TriedOutcome::SessionsExhausted, "sessions_exhausted"),
    (TriedOutcome::Lost, "lost"),
];

impl EndedBody {
    pub(super) fn from(ended: &Result<(), ClientError>, indefinite_from: Option<u64>) -> Self {
        let begun = Self { indefinite_from, ..Self::default() };
        let Err(error) = ended else { return begun };
        let named = |name: &str| Self { error: Some(name.into()), ..begun.clone() };
        match error {
            ClientError::NotServed { tried } => {
                let tried = tried.iter().map(TriedBody::from).collect();
                Self { tried, ..named("not_served") }
            }
            ClientError::NoQuorum { tried } => {
                let tried = tried.iter().map(TriedBody::from).collect();
                Self { tried, ..named("no_quorum") }
            }
            ClientError::MessageTooLarge { limit, .. } => {
                Self { limit: *limit, ..named("message_too_large") }
            }
            ClientError::KeyInUse { key, session } => {
                Self { key: key.0, session: session.0, ..named("key_in_use") }
            }
            ClientError::SessionLost { session, .. } => {
                Self { session: session.0, ..named("session_lost") }
            }
            other => named(&other.to_string()),
        }
    }

    /// `None` if nobody knows the error.
    pub(super) fn to(&self, first_unanswered: u64) -> Option<Result<(), ClientError>> {
        let Some(error) = &self.error else { return Some(Ok(())) };
        let unanswered = first_unanswered;
        let session = SessionId(self.session);
        Some(Err(match error.as_str() {
            "not_served" => {
                let tried = self.tried.iter().map(TriedBody::to).collect::<Option<_>>()?;
                ClientError::NotServed { tried }
            }
            "no_quorum" => {
                let tried = self.tried.iter().map(TriedBody::to).collect::<Option<_>>()?;
                ClientError::NoQuorum { tried }
            }
            "message_too_large" => ClientError::MessageTooLarge { limit: self.limit, unanswered },
            "key_in_use" => ClientError::KeyInUse { key: ClientKey(self.key), session },
            "session_lost" => ClientError::SessionLost { session, unanswered },
            _ => return None,
        }))
    }
}

impl TriedBody {
    fn from(tried: &Tried) -> Self {
        let known = TRIED.iter().find(|(outcome, _)| *outcome == tried.outcome);
        let outcome = known.map_or("silent", |(_, name)| name).to_owned();
        Self { member: tried.member.0, times: tried.times, outcome }
    }

    fn to(&self) -> Option<Tried> {
        let (outcome, _) = TRIED.iter().find(|(_, name)| *name == self.outcome)?;
        Some(Tried { member: MemberId(self.member), times: self.times, outcome: *outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_sim::{Dice, Place};

    #[test]
    fn bodies_come_back_as_they_were_written() {
        let config = ClientConfig {
            group: GroupId(7),
            recovery_epoch: RecoveryEpoch(1),
            key: ClientKey(u64::MAX),
            members: [(MemberId(3), Place::Member(MemberId(3)).endpoint())].into(),
            seed: 9,
            timing: ClientTiming::default(),
            limits: ClientLimits::default(),
        };
        let json = serde_json::to_vec(&OpenBody::new(Instant(5), &config)).unwrap();
        let back: OpenBody = serde_json::from_slice(&json).unwrap();
        assert_eq!(format!("{:?}", back.config().unwrap()), format!("{config:?}"));
        for request in
            [ClientRequest::Open(b"{}"), ClientRequest::Submit(8, b"hi"), ClientRequest::Close]
        {
            assert_eq!(ClientRequest::parse(&request.to_bytes()), Some(request));
        }
        for result in [
            ClientResult::Accepted(1, 2),
            ClientResult::Refused(3, b"{}"),
            ClientResult::Replied(4, Position(64), b"reply"),
            ClientResult::Served(SessionId(5)),
            ClientResult::Unserved,
            ClientResult::Ended(b"{}"),
        ] {
            assert_eq!(ClientResult::parse(&result.to_bytes()), Some(result));
        }
    }

    #[test]
    fn ends_and_refusals_come_back_with_their_reasons() {
        for reject in
            [Reject::BackPressure, Reject::Closed, Reject::TooLarge { bytes: 9, limit: 8 }]
        {
            assert_eq!(RefusedBody::from(&reject).to(), Some(reject));
        }
        let each = |(outcome, _)| Tried { member: MemberId(2), times: 3, outcome };
        let (key, session, unanswered) = (ClientKey(4), SessionId(5), 6);
        for ended in [
            Ok(()),
            Err(ClientError::NotServed { tried: TRIED.map(each).to_vec() }),
            Err(ClientError::NoQuorum { tried: TRIED.map(each).to_vec() }),
            Err(ClientError::MessageTooLarge { limit: 7, unanswered }),
            Err(ClientError::KeyInUse { key, session }),
            Err(ClientError::SessionLost { session, unanswered }),
        ] {
            let json = serde_json::to_vec(&EndedBody::from(&ended, Some(6))).unwrap();
            let back: EndedBody = serde_json::from_slice(&json).unwrap();
            assert_eq!((back.to(6), back.indefinite_from), (Some(ended), Some(6)));
        }
        let unknown = EndedBody { error: Some("bored".into()), ..EndedBody::default() };
        assert_eq!(unknown.to(1), None);
        assert_eq!(RefusedBody::default().to(), None);
    }

    #[test]
    fn no_body_makes_it_panic() {
        let mut dice = Dice::new(1, "client bodies");
        for _ in 0..3_000 {
            let length = dice.below(30) as usize;
            let mut body: Vec<u8> = (0..length).map(|_| dice.bits() as u8).collect();
            if let Some(first) = body.first_mut() {
                *first = dice.pick(b"omqaesux");
            }
            let _ = ClientRequest::parse(&body);
            let _ = ClientResult::parse(&body);
        }
        assert_eq!(ClientRequest::parse(b"q and more"), None);
    }
}
