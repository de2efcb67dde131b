//! The state that a member comes up with.

use super::apply::Applier;
use super::connections::Connections;
use super::digests::Digests;
use super::election::Election;
use super::fetching::Fetching;
use super::following::Following;
use super::levels::Doubt;
use super::log::Log;
use super::members::InEffect;
use super::peers::Peers;
use super::queries::Queries;
use super::readmission::Standing;
use super::repair::Reads;
use super::serving_snapshots::Serving;
use super::snapshots::Snapshots;
use super::sources::Sources;
use super::stalls::Stalls;
use super::storage::{Space, Storage};
use super::{State, decisions, snapshot_state};
use crate::config::{ConfigError, MemberConfig, Recovered};
use crate::notice::Role;
use crate::random::Random;
use crate::stream::Repairs;
use crate::time::Instant;

impl State {
    /// What follows from what was `recovered`, which was checked.
    pub(super) fn beginning(
        config: &MemberConfig,
        recovered: Recovered,
        now: Instant,
    ) -> Result<Self, ConfigError> {
        let limits = &config.limits;
        let (point, restored) = snapshot_state::beginning(&recovered, limits)?;
        let term = decisions::recovered_term(recovered.vote, &recovered.history);
        let granted_to = recovered.vote.granted_to.filter(|_| term == recovered.vote.term);
        let last_term = recovered.history.last_term();
        let members = InEffect::new(config, &recovered, restored.membership.clone());
        let heard = members.heard(config);
        let others = heard.iter().map(|(id, ..)| *id);
        let interval = config.timing.peer_record_interval;
        let queries = Queries::beginning(config, &members, &recovered, now);
        Ok(Self {
            tag: config.tag(),
            life: recovered.life,
            standing: Standing::new(&recovered),
            doubt: Doubt::new(&recovered),
            now,
            random: Random::new(config.seed),
            term,
            granted_to,
            role: Role::Follower,
            leader: None,
            log: Log::new(config, &recovered, restored.opened(point)),
            commit: decisions::recovered_commit(point, &recovered),
            storage: Storage::new(recovered.life.boot_epoch, recovered.vote, last_term),
            stalls: Stalls::new(others.clone()),
            members,
            peers: Peers::new(others.clone(), &recovered, interval),
            election: Election::new(recovered.decreed(config.recovery_epoch)),
            following: Following::default(),
            leading: None,
            transfer: None,
            assembly: None,
            repairs: Repairs::new(),
            sources: Sources::new(others.clone(), config.timing.heartbeat_interval),
            reads: Reads::new(limits.reads_max),
            applier: Applier::new(limits.apply_batch_max, (point, restored.level), &recovered),
            sessions: restored.sessions,
            readmissions: restored.readmissions,
            snapshots: Snapshots::new(point),
            digests: Digests::new(&recovered),
            serving: Serving::default(),
            fetching: Fetching::default(),
            connections: Connections::default(),
            queries,
            space: Space::Enough,
            flush_wanted: false,
            fail_stop: None,
            parting: None,
            history: recovered.history,
        })
    }
}
