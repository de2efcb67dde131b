//! What a datagram says, under the names of the schema.

use quorate_core::frame::Level;
use quorate_core::message::{ConnectOutcome, EpochRange, Incoming, Message, Sender, Stream};
use quorate_core::{ReadLevel, ReadOutcome, ReadRefusal, TermLine, VoteKey};
use serde_json::{Value, json};

use super::hex;

fn level_of(level: Level) -> Value {
    match level {
        Level::Durable => json!("Durable"),
        Level::Volatile => json!("Volatile"),
        Level::Unknown(code) => number(code),
    }
}

fn number(value: impl Into<u64>) -> Value {
    json!(value.into().to_string())
}

/// The header's fields that say who sent a datagram.
pub(super) fn header_of(sender: Sender) -> Value {
    match sender {
        Sender::Member { member, incarnation, boot_epoch } => json!({
            "senderKind": "Member", "sender": number(member.0),
            "incarnation": number(incarnation.0), "bootEpoch": number(boot_epoch.0),
        }),
        Sender::Client { key } => json!({
            "senderKind": "Client", "sender": number(key.0),
            "incarnation": "0", "bootEpoch": "0",
        }),
    }
}

/// The name of the template, and the fields of the block and the groups.
pub(super) fn fields_of(content: &Incoming<'_>) -> (&'static str, Value) {
    match content {
        Incoming::Control(message) => control(message),
        Incoming::Data { stream: Stream::Log, epoch, position, live, .. } => {
            let newest = live.map(|live| live.newest.0.to_string());
            let commit = live.map(|live| live.commit.0.to_string());
            (
                "LogData",
                json!({
                    "term": number(*epoch), "position": number(position.0),
                    "newest": newest, "commit": commit,
                }),
            )
        }
        Incoming::Data { stream, epoch, position, .. } => (
            "SessionData",
            json!({
                "connection": number(*epoch), "position": number(position.0),
                "stream": stream_of(*stream),
            }),
        ),
    }
}

fn control(message: &Message) -> (&'static str, Value) {
    match message {
        Message::Canvass { term, round, key } => (
            "Canvass",
            json!({ "term": number(term.0), "round": number(*round), "key": vote_key(*key) }),
        ),
        Message::CanvassReply { term, round, granted, key } => (
            "CanvassReply",
            json!({
                "term": number(term.0), "round": number(*round), "key": vote_key(*key),
                "granted": boolean(*granted),
            }),
        ),
        Message::RequestVote { term, key } => {
            ("RequestVote", json!({ "term": number(term.0), "key": vote_key(*key) }))
        }
        Message::RequestSuccession { term, key, predecessor } => (
            "RequestSuccession",
            json!({
                "term": number(term.0), "key": vote_key(*key),
                "predecessor": number(predecessor.0),
            }),
        ),
        Message::Ballot { term, candidate, granted, key } => (
            "Ballot",
            json!({
                "term": number(term.0), "key": vote_key(*key), "candidate": number(candidate.0),
                "granted": boolean(*granted),
            }),
        ),
        other => leadership(other),
    }
}

fn leadership(message: &Message) -> (&'static str, Value) {
    match message {
        Message::Heartbeat { term, round, newest, commit, chain_at, chain } => (
            "Heartbeat",
            json!({
                "term": number(term.0), "round": number(*round), "newest": number(newest.0),
                "commit": number(commit.0), "chainAt": number(chain_at.0), "chain": number(chain.0),
            }),
        ),
        Message::Abdicate { term } => ("Abdicate", json!({ "term": number(term.0) })),
        Message::Campaign { term, round } => {
            ("Campaign", json!({ "term": number(term.0), "round": number(*round) }))
        }
        Message::HistoryRequest { term, commit } => {
            ("HistoryRequest", json!({ "term": number(term.0), "commit": number(commit.0) }))
        }
        Message::History { term, above, part, parts, checksum, lines } => (
            "History",
            json!({
                "term": number(term.0), "above": number(above.0), "checksum": number(*checksum),
                "part": number(*part), "parts": number(*parts),
                "lines": lines.iter().map(line).collect::<Vec<_>>(),
            }),
        ),
        Message::Acknowledge { term, sequence, round, durable, received, limit, commit } => (
            "Acknowledge",
            json!({
                "term": number(term.0), "sequence": number(*sequence), "round": number(*round),
                "durable": number(durable.0), "received": number(received.0),
                "limit": number(limit.0), "commit": number(commit.0),
            }),
        ),
        Message::Application { term, sequence, received, limit } => (
            "Application",
            json!({
                "term": number(term.0), "sequence": number(*sequence),
                "received": number(received.0), "limit": number(limit.0),
            }),
        ),
        other => levels(other),
    }
}

fn levels(message: &Message) -> (&'static str, Value) {
    match message {
        Message::Holding { term, sequence, round, held, durable, received, limit, commit } => (
            "Holding",
            json!({
                "term": number(term.0), "sequence": number(*sequence), "round": number(*round),
                "held": number(held.0), "durable": number(durable.0),
                "received": number(received.0), "limit": number(limit.0),
                "commit": number(commit.0),
            }),
        ),
        Message::Impaired { term, sequence, round, received, limit } => (
            "Impaired",
            json!({
                "term": number(term.0), "sequence": number(*sequence), "round": number(*round),
                "received": number(received.0), "limit": number(limit.0),
            }),
        ),
        Message::Registered { term, boot_epoch, newest } => (
            "Registered",
            json!({
                "term": number(term.0), "bootEpoch": number(boot_epoch.0),
                "newest": number(newest.0),
            }),
        ),
        Message::Removed { term, position, incarnation } => (
            "Removed",
            json!({
                "term": number(term.0), "position": number(position.0),
                "incarnation": number(u64::from(incarnation.0)),
            }),
        ),
        Message::LevelGrant { term, round, candidate, line, key, level, impaired } => (
            "LevelGrant",
            json!({
                "term": number(term.0), "round": number(*round), "line": number(line.0),
                "key": vote_key(*key), "candidate": number(candidate.0),
                "level": level_of(*level), "impaired": boolean(*impaired),
            }),
        ),
        other => repair_or_snapshot(other),
    }
}

fn repair_or_snapshot(message: &Message) -> (&'static str, Value) {
    match message {
        Message::Nak { stream, ranges } => (
            "Nak",
            json!({
                "stream": stream_of(*stream), "ranges": ranges.iter().map(range).collect::<Vec<_>>(),
            }),
        ),
        Message::Unavailable { stream, range: asked, oldest } => {
            let mut fields = range(asked);
            fields["stream"] = stream_of(*stream);
            fields["oldest"] = number(oldest.0);
            ("Unavailable", fields)
        }
        Message::SnapshotRequest { term, above } => {
            ("SnapshotRequest", json!({ "term": number(term.0), "above": number(above.0) }))
        }
        Message::SnapshotDigest { term, position, layout, digest, vouches, asks } => (
            "SnapshotDigest",
            json!({
                "term": number(term.0), "position": number(position.0),
                "digest": number(*digest), "layout": number(u64::from(*layout)),
                "vouches": boolean(*vouches), "asks": boolean(*asks),
            }),
        ),
        Message::SnapshotOffer { term, point, core_bytes, service_bytes, digest } => (
            "SnapshotOffer",
            json!({
                "term": number(term.0), "position": number(point.position.0),
                "pointTerm": number(point.term.0), "chain": number(point.chain.0),
                "time": number(point.time.0), "coreBytes": number(*core_bytes),
                "serviceBytes": number(*service_bytes), "digest": number(*digest),
            }),
        ),
        other => session(other),
    }
}

fn session(message: &Message) -> (&'static str, Value) {
    match message {
        Message::Connect { connection, session, ingress_start, unanswered } => (
            "Connect",
            json!({
                "connection": number(*connection), "session": number(session.0),
                "ingressStart": number(ingress_start.0), "unanswered": number(*unanswered),
            }),
        ),
        Message::ConnectReply { connection, outcome } => {
            ("ConnectReply", connect_reply(*connection, *outcome))
        }
        Message::StreamStatus { stream, epoch, consumed, limit } => (
            "StreamStatus",
            json!({
                "stream": stream_of(*stream), "epoch": number(*epoch),
                "consumed": number(consumed.0), "limit": number(limit.0),
            }),
        ),
        Message::StreamNewest { stream, epoch, newest } => (
            "StreamNewest",
            json!({
                "stream": stream_of(*stream), "epoch": number(*epoch), "newest": number(newest.0),
            }),
        ),
        Message::Close { connection, session } => {
            ("Close", json!({ "connection": number(*connection), "session": number(session.0) }))
        }
        Message::Closed { connection, session } => {
            ("Closed", json!({ "connection": number(*connection), "session": number(session.0) }))
        }
        other => sync_or_read(other),
    }
}

fn sync_or_read(message: &Message) -> (&'static str, Value) {
    match message {
        Message::SyncRequest { epoch } => ("SyncRequest", json!({ "epoch": number(*epoch) })),
        Message::SyncReply { epoch, safe } => {
            ("SyncReply", json!({ "epoch": number(*epoch), "safe": number(safe.0) }))
        }
        Message::ReadRequest { number: read, level, payload } => {
            let (name, least, bound) = match *level {
                ReadLevel::Linearizable => ("Linearizable", 0, 0),
                ReadLevel::Lease => ("Lease", 0, 0),
                ReadLevel::Session { least } => ("Session", least.0, 0),
                ReadLevel::Stale { bound } => ("Stale", 0, bound.0),
            };
            let fields = json!({
                "number": number(*read),
                "level": name,
                "least": number(least),
                "bound": number(bound),
                "payload": bytes_of(payload),
            });
            ("ReadRequest", fields)
        }
        Message::ReadReply { number: read, outcome } => ("ReadReply", read_reply(*read, outcome)),
        Message::ReadIndexRequest { number: read } => {
            ("ReadIndexRequest", json!({ "number": number(*read) }))
        }
        Message::ReadIndexReply { number: read, index } => {
            ("ReadIndexReply", json!({ "number": number(*read), "index": number(index.0) }))
        }
        other => unreachable!("{other:?} is no message of sessions"),
    }
}

/// A group of bytes.
fn bytes_of(payload: &[u8]) -> Value {
    payload.iter().map(|byte| json!({ "byte": number(*byte) })).collect()
}

/// What the result does not have is zero.
fn read_reply(read: u64, outcome: &ReadOutcome) -> Value {
    let (name, applied, value) = match outcome {
        Ok(answer) => ("Answer", answer.applied.0, answer.age.0),
        Err(ReadRefusal::Busy) => ("Busy", 0, 0),
        Err(ReadRefusal::TooLong { limit }) => ("TooLong", 0, *limit),
        Err(ReadRefusal::Unconfirmed) => ("Unconfirmed", 0, 0),
        Err(ReadRefusal::Behind { applied }) => ("Behind", applied.0, 0),
        Err(ReadRefusal::TooOld { age }) => ("TooOld", 0, age.0),
        Err(ReadRefusal::Unsupported) => ("Unsupported", 0, 0),
        Err(ReadRefusal::Failed) => ("Failed", 0, 0),
        Err(ReadRefusal::Stopping) => ("Stopping", 0, 0),
    };
    let payload = outcome.as_ref().map_or(&[][..], |answer| &answer.payload);
    json!({
        "number": number(read),
        "result": name,
        "applied": number(applied),
        "value": number(value),
        "payload": bytes_of(payload),
    })
}

/// What the outcome does not have is zero.
fn connect_reply(connection: u64, outcome: ConnectOutcome) -> Value {
    let mut fields = json!({
        "connection": number(connection), "session": "0", "term": "0", "limit": "0",
        "retryAfter": "0", "endpoint": hex(&[0; 18]), "leader": "0",
    });
    let name = match outcome {
        ConnectOutcome::Open { session, leader, term, limit } => {
            fields["session"] = number(session.0);
            fields["leader"] = number(leader.0);
            fields["term"] = number(term.0);
            fields["limit"] = number(limit.0);
            "Open"
        }
        ConnectOutcome::Redirect { leader, term, endpoint } => {
            fields["leader"] = number(leader.0);
            fields["term"] = number(term.0);
            fields["endpoint"] = json!(hex(&endpoint.0));
            "Redirect"
        }
        ConnectOutcome::RetryAfter { nanos } => {
            fields["retryAfter"] = number(nanos);
            "RetryAfter"
        }
        ConnectOutcome::NoQuorum { nanos } => {
            fields["retryAfter"] = number(nanos);
            "NoQuorum"
        }
        ConnectOutcome::SessionsExhausted => "SessionsExhausted",
        ConnectOutcome::MessageTooLarge { limit } => {
            fields["limit"] = number(limit);
            "MessageTooLarge"
        }
        ConnectOutcome::SessionLost { session } => {
            fields["session"] = number(session.0);
            "SessionLost"
        }
    };
    fields["outcome"] = json!(name);
    fields
}

fn vote_key(key: VoteKey) -> Value {
    json!({ "term": number(key.term.0), "position": number(key.position.0) })
}

fn boolean(value: bool) -> Value {
    json!(if value { "Yes" } else { "No" })
}

fn stream_of(stream: Stream) -> Value {
    let (client, kind) = match stream {
        Stream::Log => (0, "Log"),
        Stream::Snapshot => (0, "Snapshot"),
        Stream::Ingress(client) => (client.0, "Ingress"),
        Stream::Egress(client) => (client.0, "Egress"),
    };
    json!({ "client": number(client), "kind": kind })
}

fn range(range: &EpochRange) -> Value {
    json!({
        "epoch": number(range.epoch), "start": number(range.range.start.0),
        "end": number(range.range.end.0),
    })
}

fn line(line: &TermLine) -> Value {
    json!({
        "term": number(line.term.0), "base": number(line.base.0), "chain": number(line.chain.0),
        "bootEpoch": number(line.leader.boot_epoch.0),
        "incarnation": number(line.leader.incarnation.0),
        "recoveryEpoch": number(line.recovery_epoch.0), "member": number(line.leader.member.0),
    })
}
