//! Two decoders on the same bytes.

use quorate_codecs::{DecodeError, HEADER_BYTES, decode};
use quorate_core::frame::Body;
use quorate_core::hash::mix;
use quorate_core::message::Incoming;
use quorate_core::{LogTime, SessionId};
use quorate_sim::Dice;
use serde_json::{Value as Json, json};

use super::SCHEMA;
use super::frames::{bodies, framed};
use crate::case::{Failure, Verdict, check};
use crate::golden::{VECTOR_TAG, seal, vectors};
use crate::sbe::{self, Refusal, Schema, Second, Value, drawn_message, drawn_schema};
use crate::trial::Trial;
use crate::vectors::{hex, said};

/// Where the SBE header of a frame begins.
const FRAME_BODY: usize = 8;
/// Where the SBE header of a datagram begins.
const DATAGRAM_BODY: usize = HEADER_BYTES - 8;
/// Kinds of frames have ids below this.
const DATAGRAM_TEMPLATE_MIN: u16 = 16;
/// The newest version of a drawn schema.
const NEWEST: u64 = 3;

pub(super) fn cv_24(trial: &mut Trial<'_>) -> Verdict {
    let schema = Schema::parse(SCHEMA).map_err(Failure::Harness)?;
    frames_agree(&schema)?;
    let mut dice = Dice::new(trial.seed(), "mutations");
    for vector in vectors() {
        let known = datagram_agrees(&schema, &vector.bytes)?;
        check(known, || format!("{} is refused", vector.name))?;
        for _ in 0..trial.times(20, 100, 300) {
            let mut bytes = mutated(&vector.bytes, DATAGRAM_BODY, &mut dice);
            seal(&mut bytes);
            let taken = datagram_agrees(&schema, &bytes)?;
            trial.count(if taken { "own_taken" } else { "own_refused" }, 1);
        }
    }
    let Some(mut second) = Second::start() else {
        let what = "there is no python3 for the second decoder; the generated code was compared";
        return Err(Failure::NotApplicable(what.into()));
    };
    for round in 0..trial.times(30, 150, 400) {
        schemas_agree(trial, mix(trial.seed(), round), &mut second)?;
    }
    Ok(())
}

/// One to three bytes are changed behind `from`, or some are taken away or added.
fn mutated(bytes: &[u8], from: usize, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let within = (bytes.len() - from) as u64;
    match dice.below(6) {
        0 => bytes.truncate(from + dice.below(within) as usize),
        1 => bytes.extend((0..dice.between(1, 9)).map(|_| dice.bits() as u8)),
        _ => {
            for _ in 0..dice.between(1, 3) {
                let at = from + dice.below(within) as usize;
                let drawn = dice.bits() as u8;
                bytes[at] = dice.pick(&[drawn, 0, 1, 0xff, bytes[at] ^ 1]);
            }
        }
    }
    bytes
}

/// Whether the generated code takes a datagram; fails if the schema alone says something else.
fn datagram_agrees(schema: &Schema, bytes: &[u8]) -> Result<bool, Failure> {
    let general = sbe::decode(schema, bytes.get(DATAGRAM_BODY..).unwrap_or_default());
    let told = || format!("{}, of which the schema says {general:?}", hex(bytes));
    let (sender, content) = match decode(bytes, VECTOR_TAG) {
        Ok(taken) => taken,
        Err(DecodeError::Template) => {
            // Frames are of the same schema, and no datagrams.
            let template = u16::from_le_bytes([bytes[DATAGRAM_BODY + 2], bytes[DATAGRAM_BODY + 3]]);
            let is_frame = template < DATAGRAM_TEMPLATE_MIN;
            check(is_frame || general == Err(Refusal::Template), || {
                format!("the generated code does not know {}", told())
            })?;
            return Ok(false);
        }
        Err(
            error @ (DecodeError::Truncated
            | DecodeError::Block
            | DecodeError::Group
            | DecodeError::Schema),
        ) => {
            check(general.is_err(), || format!("the generated code: {error}: {}", told()))?;
            return Ok(false);
        }
        // Values that have a meaning here which no schema expresses.
        Err(_) => return Ok(false),
    };
    let expected = said(sender, &content);
    let general =
        general.as_ref().map_err(|_| Failure::broken(format!("the schema refuses {}", told())))?;
    let rest = bytes.get(bytes.len() - general.rest..).unwrap_or_default();
    let mut found = json!({
        "template": general.name, "header": header_of(schema, bytes),
        "fields": plain(&general.says).json(),
    });
    if let Incoming::Data { .. } = content {
        found["slice"] = json!(hex(rest));
    }
    leave_out_ignored(&mut found, &expected);
    check(found == expected, || {
        format!("the generated code reads {expected}, and the schema says {found}: {}", hex(bytes))
    })?;
    Ok(true)
}

/// Who sent a datagram, by the schema of its header.
fn header_of(schema: &Schema, bytes: &[u8]) -> Json {
    let read = sbe::record(schema, "datagramHeader", bytes);
    let mut says = read.map_or(Json::Null, |(says, _)| says.json());
    if let Some(fields) = says.as_object_mut() {
        let said = ["senderKind", "sender", "incarnation", "bootEpoch"];
        fields.retain(|name, _| said.contains(&name.as_str()));
    }
    says
}

/// The same with octets as vectors tell them, and without what is reserved.
fn plain(value: &Value) -> Value {
    match value {
        Value::List(values) => {
            let octets = values.iter().map(|value| match value {
                Value::Integer(octet) => u8::try_from(*octet).ok(),
                _ => None,
            });
            match octets.collect::<Option<Vec<u8>>>() {
                Some(octets) if !octets.is_empty() => Value::Text(hex(&octets)),
                _ => Value::List(values.iter().map(plain).collect()),
            }
        }
        Value::Record(members) => {
            let said = members.iter().filter(|(name, _)| name != "reserved");
            Value::Record(said.map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        other => other.clone(),
    }
}

/// The fields of a connect's reply that its outcome does not have, one of two positions without the
/// other, and the client of the log are ignored by who reads them.
fn leave_out_ignored(found: &mut Json, expected: &Json) {
    let kind = expected["template"].as_str().unwrap_or_default().to_owned();
    let fields = &expected["fields"];
    let says = &mut found["fields"];
    if kind == "ReadRequest" || kind == "ReadReply" {
        // What the level, or the result, does not have.
        for (name, value) in fields.as_object().into_iter().flatten() {
            if name != "number" && (value == "0" || *value == json!([])) {
                says[name] = value.clone();
            }
        }
    }
    if kind == "ConnectReply" {
        for (name, value) in fields.as_object().into_iter().flatten() {
            let none = value == "0" || value.as_str().is_some_and(|text| text.len() == 36);
            if none && name != "connection" {
                says[name] = value.clone();
            }
        }
    }
    if kind == "LogData" && fields["newest"].is_null() {
        (says["newest"], says["commit"]) = (Json::Null, Json::Null);
    }
    if fields["stream"]["kind"] == "Log" || fields["stream"]["kind"] == "Snapshot" {
        says["stream"]["client"] = json!("0");
    }
    let from_client = expected["header"]["senderKind"] == "Client";
    if from_client {
        found["header"]["incarnation"] = json!("0");
        found["header"]["bootEpoch"] = json!("0");
    }
}

fn frames_agree(schema: &Schema) -> Verdict {
    for (body, payload) in bodies() {
        let bytes = framed(&body, payload);
        let found = sbe::decode(schema, &bytes[FRAME_BODY..]);
        let found = found.map_err(|error| Failure::broken(format!("{body:?}: {error}")))?;
        let (name, expected) = frame_says(&body);
        check(found.name == name && found.says.json() == expected, || {
            format!("{body:?} says {}: {}", found.name, found.says.json())
        })?;
        let rest = &bytes[bytes.len() - found.rest..];
        check(rest.starts_with(payload), || format!("the payload of {body:?} lies elsewhere"))?;
    }
    Ok(())
}

/// What a frame's body says, under the names of the schema.
fn frame_says(body: &Body) -> (&'static str, Json) {
    let text = |number: u64| number.to_string();
    match body {
        Body::TermOpen(open) => (
            "TermOpen",
            json!({
                "term": text(open.term.0), "previousTerm": text(open.previous_term.0),
                "chain": text(open.chain.0), "time": text(open.time.0),
                "bootEpoch": text(open.leader.boot_epoch.0),
                "incarnation": open.leader.incarnation.0.to_string(),
                "member": open.leader.member.0.to_string(),
                "logVersion": open.log_version.to_string(),
                "recoveryEpoch": open.recovery_epoch.0.to_string(),
                "level": format!("{:?}", open.level),
            }),
        ),
        Body::SessionOpen { time, client } => {
            ("SessionOpen", json!({ "time": text(time.0), "client": text(client.0) }))
        }
        Body::SessionClose { session, time, reason } => (
            "SessionClose",
            json!({
                "session": text(session.0), "time": text(time.0), "reason": format!("{reason:?}"),
            }),
        ),
        Body::Message { session, sequence, time } => {
            ("Message", message_says(*session, *sequence, *time))
        }
        Body::SafeMessage { session, sequence, time } => {
            ("SafeMessage", message_says(*session, *sequence, *time))
        }
        Body::Timer { time, timer, deadline } => (
            "Timer",
            json!({ "time": text(time.0), "timer": text(*timer), "deadline": text(deadline.0) }),
        ),
        Body::SnapshotMark { time, cause } => {
            ("SnapshotMark", json!({ "time": text(time.0), "cause": format!("{cause:?}") }))
        }
        Body::Readmission { time, life } => (
            "Readmission",
            json!({
                "time": text(time.0), "bootEpoch": text(life.boot_epoch.0),
                "incarnation": text(life.incarnation.0.into()), "member": text(life.member.0.into()),
            }),
        ),
        Body::Membership { time, phase } => {
            ("Membership", json!({ "time": text(time.0), "phase": format!("{phase:?}") }))
        }
        Body::Reply { session, sequence, position } => (
            "Reply",
            json!({
                "session": text(session.0), "sequence": text(*sequence),
                "position": text(position.0),
            }),
        ),
    }
}

/// What a message's body says, whatever it asks for.
fn message_says(session: SessionId, sequence: u64, time: LogTime) -> Json {
    json!({
        "session": session.0.to_string(), "sequence": sequence.to_string(),
        "time": time.0.to_string(),
    })
}

/// Messages of one drawn schema, as they are and damaged, for both decoders.
fn schemas_agree(trial: &Trial<'_>, seed: u64, second: &mut Second) -> Verdict {
    let mut dice = Dice::new(seed, "messages");
    let newest = drawn_schema(seed, NEWEST);
    let newest = Schema::parse(&newest).map_err(Failure::Harness)?;
    let reader = dice.between(0, NEWEST);
    let text = drawn_schema(seed, reader);
    let schema = Schema::parse(&text).map_err(Failure::Harness)?;
    second.learn(&text).map_err(Failure::Harness)?;
    for _ in 0..4 {
        let writer = dice.between(0, NEWEST);
        let (name, says) = drawn_message(&newest, &mut dice);
        let bytes = sbe::encode(&newest, &name, &says, writer);
        let bytes = bytes.map_err(|error| Failure::broken(format!("seed {seed}: {error}")))?;
        if (reader, writer) == (NEWEST, NEWEST) {
            let found = sbe::decode(&schema, &bytes).map(|read| read.says);
            check(found.as_ref() == Ok(&says), || {
                format!("seed {seed}: {name} {says:?} reads {found:?}")
            })?;
        }
        agree(&schema, &bytes, second).map_err(|error| of_seed(error, seed, reader))?;
        for _ in 0..8 {
            let bytes = mutated(&bytes, 0, &mut dice);
            let taken = agree(&schema, &bytes, second);
            let taken = taken.map_err(|error| of_seed(error, seed, reader))?;
            trial.count(if taken { "drawn_taken" } else { "drawn_refused" }, 1);
        }
    }
    Ok(())
}

fn of_seed(failure: Failure, seed: u64, version: u64) -> Failure {
    match failure {
        Failure::Broken { what, .. } => {
            Failure::broken(format!("in version {version} of the schema of seed {seed}, {what}"))
        }
        other => other,
    }
}

/// Whether both take these bytes; fails if one does, or if they read different things.
fn agree(schema: &Schema, bytes: &[u8], second: &mut Second) -> Result<bool, Failure> {
    let first = sbe::decode(schema, bytes);
    let second = second.decode(bytes).map_err(Failure::Harness)?;
    let ours = first.as_ref().ok().map(|read| {
        json!({
            "message": read.name, "version": read.version.to_string(), "says": read.says.json(),
            "rest": read.rest,
        })
    });
    check(ours == second, || {
        format!("of {} one decoder says {first:?}, the other {second:?}", hex(bytes))
    })?;
    Ok(ours.is_some())
}
