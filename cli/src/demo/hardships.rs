//! What befalls the members while lines are replicated.

use std::time::Instant;

use tokio::sync::watch;

use super::POLL_INTERVAL;
use super::cluster::Cluster;
use super::load::WINDOW;
use super::summary::Summary;
use crate::arguments;
use crate::failure::Failure;

/// What was asked for, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hardships {
    wipes_follower: bool,
    kills_leader: bool,
    members: usize,
    lines: usize,
}

impl Hardships {
    pub(super) const fn new(arguments: &arguments::Demo, lines: usize) -> Self {
        Self {
            wipes_follower: arguments.wipe_follower,
            kills_leader: arguments.kill_leader,
            members: arguments.members as usize,
            lines,
        }
    }

    /// The lines that may be sent before the follower is readmitted.
    pub(super) fn first_gate(&self) -> usize {
        if self.wipes_follower { self.lines.div_ceil(2) } else { self.gate_of_kill() }
    }

    /// The lines that may be sent before the leader is killed: some are on their way when it dies,
    /// and at least one is sent afterwards.
    pub(super) fn gate_of_kill(&self) -> usize {
        let until_killed = (self.lines / 2 + WINDOW / 2).min(self.lines - 1);
        if self.kills_leader { until_killed } else { usize::MAX }
    }

    /// Takes the data of a follower away under load, and waits until it counts again.
    pub(super) async fn wipe_follower(
        &self,
        cluster: &mut Cluster,
        mut replied: watch::Receiver<usize>,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        if !self.wipes_follower {
            return Ok(());
        }
        // The load ends first only when it fails, which ends this as well.
        let _ = replied.wait_for(|count| *count >= self.lines / 4).await;
        let leader = leader(cluster).await?;
        let others = cluster.reports().into_iter().map(|report| report.id);
        let Some(follower) = others.filter(|id| *id != leader).min() else { return Ok(()) };
        let begun = Instant::now();
        cluster.wipe(follower).await?;
        loop {
            let reports = cluster.poll().await?;
            let newest = reports.iter().map(|report| report.commit).max().unwrap_or(0);
            let own = reports.iter().find(|report| report.id == follower);
            if own.is_some_and(|own| !own.applicant && own.applied >= newest && newest > 0) {
                summary.readmitted(follower, begun.elapsed());
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Kills the leader halfway, and starts it again when the others have gone on for a while.
    pub(super) async fn kill_leader(
        &self,
        cluster: &mut Cluster,
        mut replied: watch::Receiver<usize>,
        (open, tell_killed): (&watch::Sender<usize>, &watch::Sender<Option<Instant>>),
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        if !self.kills_leader {
            return Ok(());
        }
        let half = self.lines / 2;
        let _ = replied.wait_for(|count| *count >= half).await;
        let leader = leader(cluster).await?;
        tell_killed.send_replace(Some(Instant::now()));
        cluster.kill(leader).await?;
        summary.killed = Some(leader);
        open.send_replace(usize::MAX);
        // Where the others are no quorum nothing goes on without it.
        if self.members - 1 > self.members / 2 {
            let more = half + self.lines / 8;
            let _ = replied.wait_for(|count| *count >= more).await;
        }
        cluster.restart(leader)
    }
}

async fn leader(cluster: &mut Cluster) -> Result<u16, Failure> {
    loop {
        if let Some(leader) = cluster.leader().await? {
            return Ok(leader);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
