//! All that a member was constructed with.

use std::collections::BTreeMap;

use quorate_core::config::Lease;
use quorate_core::frame::Level;
use quorate_core::{
    BootEpoch, Chain, ConfigError, Durability, Duration, ForcedRecovery, GroupId, Instant, Limits,
    LogTime, Member, MemberConfig, MemberId, PeerRecord, Recovered, RecoveryEpoch, Snapshot, Term,
    TermHistory, TermLine, Timing, Vote,
};

use super::changes;
use super::fields::{Reader, Writer};

/// The most of any count among the limits that a recording may say: memory follows from it.
const COUNT_MAX: u64 = 1 << 24;
/// The most of any number of bytes among them: what a configuration can say.
const BYTES_MAX: u64 = i64::MAX as u64;
/// What a forced recovery takes, behind all else: more than all that may be before it there.
const FORCED_BYTES: usize = 4 + 2 + 3 * 8;

/// What is said of reads.
const READS_BYTES: usize = 8 + 4;

/// What [`Member::new`] was given, and by which version of this crate it was written down.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// The version of the crate that recorded.
    pub software: String,
    /// The configuration, the seed included.
    pub config: MemberConfig,
    /// What was recovered.
    pub recovered: Recovered,
    /// When the member came up.
    pub now: Instant,
}

impl Beginning {
    /// The member as it was before its first event.
    ///
    /// # Errors
    /// The core refuses what the recording says.
    pub fn member(&self) -> Result<Member, ConfigError> {
        Member::new(self.config.clone(), self.recovered.clone(), self.now)
    }

    pub(super) fn write(
        config: &MemberConfig,
        recovered: &Recovered,
        now: Instant,
        out: &mut Writer,
    ) {
        let software = env!("CARGO_PKG_VERSION");
        out.count(software.len());
        out.bytes(software.as_bytes());
        write_config(config, out);
        write_recovered(recovered, out);
        out.u64(now.0);
        // Behind all else, for what recordings of earlier versions do not have.
        if let Some(interval) = config.durability.checkpoint_interval() {
            out.u64(interval.0);
        }
        if let Some((term, level)) = recovered.opened {
            out.u64(term.0);
            out.u8(code_of(level));
        }
        if let Some(ForcedRecovery { epoch, term, chosen, kept, promised }) = recovered.forced {
            out.u32(epoch.0);
            out.u16(chosen.0);
            for word in [term.0, kept.0, promised.0] {
                out.u64(word);
            }
        }
        let (queries_max, lease) = (config.limits.queries_max, config.timing.lease);
        if queries_max != Limits::default().queries_max || lease.is_some() {
            out.u64(queries_max as u64);
            out.u32(lease.map_or(0, |lease| lease.drift_per_mille));
        }
        changes::write_members(config, recovered, out);
    }

    pub(super) fn read(fields: &mut Reader<'_>) -> Option<Self> {
        let length = fields.u32()? as usize;
        let software = core::str::from_utf8(fields.bytes(length)?).ok()?.to_owned();
        let mut config = read_config(fields)?;
        let mut recovered = read_recovered(fields)?;
        let now = Instant(fields.u64()?);
        changes::read_members(fields, &mut config, &mut recovered)?;
        read_of_reads(fields, &mut config)?;
        let is_forced = fields.0.len() >= FORCED_BYTES;
        let behind = if is_forced { FORCED_BYTES } else { 0 };
        if (fields.0.len() - behind) % 9 == 8 {
            let checkpoint_interval = Duration(fields.u64()?);
            config.durability = Durability::Volatile { checkpoint_interval };
        }
        if fields.0.len() > behind {
            recovered.opened = Some((Term(fields.u64()?), level_of(fields.u8()?)));
        }
        if is_forced {
            let (epoch, chosen) = (RecoveryEpoch(fields.u32()?), MemberId(fields.u16()?));
            let (term, kept) = (Term(fields.u64()?), fields.position()?);
            let promised = fields.position()?;
            recovered.forced = Some(ForcedRecovery { epoch, term, chosen, kept, promised });
        }
        fields.0.is_empty().then_some(Self { software, config, recovered, now })
    }
}

/// What is said of reads, at the very end, if they are not configured as they always were: of none
/// of the lengths that what is before it may have does that make another.
fn read_of_reads(fields: &mut Reader<'_>, config: &mut MemberConfig) -> Option<()> {
    let before = |behind: &usize| [0, 8, 9, 17].contains(&(behind % FORCED_BYTES));
    let Some(behind) = fields.0.len().checked_sub(READS_BYTES).filter(before) else {
        return Some(());
    };
    if before(&fields.0.len()) {
        return Some(());
    }
    let (front, end) = fields.0.split_at(behind);
    let mut end = Reader(end);
    config.limits.queries_max = count(&mut end)?;
    let drift_per_mille = end.u32()?;
    config.timing.lease = (drift_per_mille > 0).then_some(Lease { drift_per_mille });
    fields.0 = front;
    Some(())
}

fn write_config(config: &MemberConfig, out: &mut Writer) {
    let MemberConfig {
        group,
        recovery_epoch,
        member,
        voters,
        seed,
        timing,
        limits,
        // Behind all else, and only where they are not what they always were.
        durability: _,
        joins: _,
    } = config;
    out.u64(group.0);
    out.u32(recovery_epoch.0);
    out.u16(member.0);
    out.count(voters.len());
    for (id, endpoint) in voters {
        out.u16(id.0);
        out.bytes(&endpoint.0);
    }
    out.u64(*seed);
    timing_numbers(timing).iter().for_each(|number| out.u64(*number));
    limits_numbers(limits).iter().for_each(|number| out.u64(*number));
}

fn read_config(fields: &mut Reader<'_>) -> Option<MemberConfig> {
    let group = GroupId(fields.u64()?);
    let recovery_epoch = RecoveryEpoch(fields.u32()?);
    let member = MemberId(fields.u16()?);
    let mut voters = BTreeMap::new();
    for _ in 0..fields.u32()? {
        voters.insert(MemberId(fields.u16()?), fields.endpoint()?);
    }
    let seed = fields.u64()?;
    let timing = read_timing(fields)?;
    let limits = read_limits(fields)?;
    let durability = Durability::Durable;
    let joins = false;
    Some(MemberConfig {
        group,
        recovery_epoch,
        member,
        voters,
        joins,
        seed,
        timing,
        limits,
        durability,
    })
}

/// In the order in which they are written; without `..`, so that a new one is not forgotten.
fn timing_numbers(timing: &Timing) -> [u64; 13] {
    let Timing {
        heartbeat_interval,
        heartbeat_first,
        election_timeout_min,
        election_timeout_max,
        nak_delay,
        nak_retry,
        repair_linger,
        progress_timeout,
        session_timeout,
        peer_record_interval,
        stall_timeout,
        candidacy_delay,
        log_age_max,
        // Behind all else, as is `queries_max`.
        lease: _,
    } = timing;
    [
        heartbeat_interval.0,
        heartbeat_first.0,
        election_timeout_min.0,
        election_timeout_max.0,
        nak_delay.0,
        nak_retry.0,
        repair_linger.0,
        progress_timeout.0,
        session_timeout.0,
        peer_record_interval.0,
        stall_timeout.0,
        candidacy_delay.0,
        log_age_max.0,
    ]
}

fn read_timing(fields: &mut Reader<'_>) -> Option<Timing> {
    let mut next = || fields.u64().map(Duration);
    Some(Timing {
        heartbeat_interval: next()?,
        heartbeat_first: next()?,
        election_timeout_min: next()?,
        election_timeout_max: next()?,
        nak_delay: next()?,
        nak_retry: next()?,
        repair_linger: next()?,
        progress_timeout: next()?,
        session_timeout: next()?,
        peer_record_interval: next()?,
        stall_timeout: next()?,
        candidacy_delay: next()?,
        log_age_max: next()?,
        lease: None,
    })
}

fn limits_numbers(limits: &Limits) -> [u64; 20] {
    let Limits {
        window_bytes,
        message_bytes_max,
        uncommitted_bytes_max,
        unapplied_bytes_max,
        slice_bytes,
        run_bytes_max,
        coverage_ranges_max,
        repair_request_bytes_max,
        repair_budget_bytes,
        reads_max,
        read_bytes_max,
        apply_batch_max,
        sessions_max,
        session_window_bytes,
        in_flight_max,
        reply_bytes_max,
        timers_max,
        snapshot_interval_bytes,
        purge_keep_bytes,
        log_bytes_max,
        queries_max: _,
    } = limits;
    [
        *window_bytes,
        u64::from(*message_bytes_max),
        *uncommitted_bytes_max,
        *unapplied_bytes_max,
        u64::from(*slice_bytes),
        *run_bytes_max,
        *coverage_ranges_max as u64,
        *repair_request_bytes_max,
        *repair_budget_bytes,
        *reads_max as u64,
        *read_bytes_max,
        *apply_batch_max as u64,
        *sessions_max as u64,
        *session_window_bytes,
        *in_flight_max as u64,
        u64::from(*reply_bytes_max),
        *timers_max as u64,
        *snapshot_interval_bytes,
        *purge_keep_bytes,
        *log_bytes_max,
    ]
}

fn read_limits(fields: &mut Reader<'_>) -> Option<Limits> {
    Some(Limits {
        window_bytes: bytes(fields)?,
        message_bytes_max: short(fields)?,
        uncommitted_bytes_max: bytes(fields)?,
        unapplied_bytes_max: bytes(fields)?,
        slice_bytes: short(fields)?,
        run_bytes_max: bytes(fields)?,
        coverage_ranges_max: count(fields)?,
        repair_request_bytes_max: bytes(fields)?,
        repair_budget_bytes: bytes(fields)?,
        reads_max: count(fields)?,
        read_bytes_max: bytes(fields)?,
        apply_batch_max: count(fields)?,
        sessions_max: count(fields)?,
        session_window_bytes: bytes(fields)?,
        in_flight_max: count(fields)?,
        reply_bytes_max: short(fields)?,
        timers_max: count(fields)?,
        snapshot_interval_bytes: bytes(fields)?,
        // What is kept on a disk takes no memory.
        purge_keep_bytes: fields.u64()?,
        log_bytes_max: fields.u64()?,
        queries_max: Limits::default().queries_max,
    })
}

fn bytes(fields: &mut Reader<'_>) -> Option<u64> {
    fields.u64().filter(|bytes| *bytes <= BYTES_MAX)
}

fn short(fields: &mut Reader<'_>) -> Option<u32> {
    u32::try_from(fields.u64()?).ok()
}

fn count(fields: &mut Reader<'_>) -> Option<usize> {
    let count = fields.u64()?;
    (count <= COUNT_MAX).then_some(count as usize)
}

/// As in the log.
const fn code_of(level: Level) -> u8 {
    match level {
        Level::Durable => 0,
        Level::Volatile => 1,
        Level::Unknown(code) => code,
    }
}

const fn level_of(code: u8) -> Level {
    match code {
        0 => Level::Durable,
        1 => Level::Volatile,
        code => Level::Unknown(code),
    }
}

fn write_recovered(recovered: &Recovered, out: &mut Writer) {
    let Recovered {
        life,
        vote,
        history,
        origin,
        log_end,
        chain,
        log_time,
        // Behind all else.
        opened: _,
        forced: _,
        memberships: _,
        peers,
        snapshot,
    } = recovered;
    out.life(*life);
    out.u64(vote.term.0);
    out.u8(u8::from(vote.granted_to.is_some()));
    out.u16(vote.granted_to.map_or(0, |member| member.0));
    out.count(history.lines().len());
    for line in history.lines() {
        out.u32(line.recovery_epoch.0);
        out.u64(line.term.0);
        out.u64(line.base.0);
        out.life(line.leader);
        out.u64(line.chain.0);
    }
    out.point(*origin);
    out.u64(log_end.0);
    out.u64(chain.0);
    out.u64(log_time.0);
    out.count(peers.len());
    for peer in peers {
        out.life(peer.life);
        out.u64(peer.acknowledged_in.0);
        out.u64(peer.term.0);
        out.u64(peer.acknowledged.0);
    }
    out.u8(u8::from(snapshot.is_some()));
    if let Some(Snapshot { point, core }) = snapshot.as_deref() {
        out.point(*point);
        out.u64(core.len() as u64);
        out.bytes(core);
    }
}

fn read_recovered(fields: &mut Reader<'_>) -> Option<Recovered> {
    let life = fields.life()?;
    let term = Term(fields.u64()?);
    let (granted, member) = (fields.u8()? != 0, MemberId(fields.u16()?));
    let vote = Vote { term, granted_to: granted.then_some(member) };
    let mut lines = Vec::new();
    for _ in 0..fields.u32()? {
        lines.push(TermLine {
            recovery_epoch: RecoveryEpoch(fields.u32()?),
            term: Term(fields.u64()?),
            base: fields.position()?,
            leader: fields.life()?,
            chain: Chain(fields.u64()?),
        });
    }
    let history = TermHistory::new(lines).ok()?;
    let origin = fields.point()?;
    let log_end = fields.position()?;
    let chain = Chain(fields.u64()?);
    let log_time = LogTime(fields.u64()?);
    let mut peers = Vec::new();
    for _ in 0..fields.u32()? {
        let (life, acknowledged_in) = (fields.life()?, BootEpoch(fields.u64()?));
        let (term, acknowledged) = (Term(fields.u64()?), fields.position()?);
        peers.push(PeerRecord { life, acknowledged_in, term, acknowledged });
    }
    let snapshot = match fields.u8()? {
        0 => None,
        _ => Some(Box::new(read_snapshot(fields)?)),
    };
    let read =
        Recovered { vote, history, origin, log_end, chain, log_time, ..Recovered::empty(life) };
    Some(Recovered { peers, snapshot, ..read })
}

fn read_snapshot(fields: &mut Reader<'_>) -> Option<Snapshot> {
    let point = fields.point()?;
    let length = usize::try_from(fields.u64()?).ok()?;
    Some(Snapshot { point, core: fields.bytes(length)?.to_vec() })
}
