//! What happened on a stage, for people: the script's steps, datagrams with their fates, roles,
//! positions, disks, clients, and what broke a rule. The reports draw it.

use serde::{Deserialize, Serialize};

/// Tellings that a story keeps, at most; the oldest datagrams make room,
/// and if there are few of them, whatever is oldest.
pub const TOLD_MAX: usize = 20_000;
/// Scenes that are left out when there is no room for another.
const LEFT_OUT_AT_ONCE: usize = TOLD_MAX / 8;

/// What happened on one stage.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Story {
    /// Members, numbered from 1.
    pub members: usize,
    /// Clients, numbered from 1.
    pub clients: usize,
    /// What happened, by time.
    pub scenes: Vec<Scene>,
    /// How many scenes were left out for want of room.
    pub left_out: usize,
}

/// Something that happened at a time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Scene {
    /// Nanoseconds of virtual time.
    pub at: u64,
    /// What.
    pub told: Told,
}

/// Something that happened.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Told {
    /// The script did or said something.
    Script {
        /// In words.
        text: String,
    },
    /// A datagram was sent.
    Sent {
        /// The lane it left: `m1`, `c1`, or `x` for the suite itself.
        from: String,
        /// The lane it was sent to.
        to: String,
        /// Its kind: `heartbeat`, `data`, `nak`, …
        what: String,
        /// Its content in a few words: terms, positions, ranges.
        detail: String,
        /// What became of it.
        fate: Fate,
    },
    /// A member changed its role or its term.
    Role {
        /// The member's lane.
        member: String,
        /// `leader`, `follower`, `canvasser`, …, or `down`.
        role: String,
        /// The term.
        term: u64,
    },
    /// A member's positions changed.
    Positions {
        /// The member's lane.
        member: String,
        /// The end of what it verified.
        verified: u64,
        /// The end of what is durable.
        durable: u64,
        /// The end of what it knows to be committed.
        commit: u64,
        /// The end of what its service applied.
        applied: u64,
    },
    /// A member's disk was asked for something, or did it.
    Disk {
        /// The member's lane.
        member: String,
        /// `sync`, `vote`, `history`, `peers`, `read`.
        what: String,
        /// Whether it is done, or only asked for.
        done: bool,
    },
    /// A client submitted a message or was answered.
    Client {
        /// The client's lane.
        client: String,
        /// In words.
        text: String,
    },
    /// A rule was broken.
    Broken {
        /// The invariant, or the case.
        rule: String,
        /// What happened.
        text: String,
        /// Where, if at one member.
        member: Option<String>,
    },
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fate")]
pub enum Fate {
    /// It arrives.
    Arrives {
        /// When, in nanoseconds of virtual time.
        at: u64,
    },
    /// The link was cut.
    Cut,
    /// A rule of the script lost it.
    Lost,
}

impl Story {
    /// Adds what happened.
    pub fn tell(&mut self, at: u64, told: Told) {
        if self.scenes.len() >= TOLD_MAX {
            self.make_room();
        }
        self.scenes.push(Scene { at, told });
    }

    /// Drops the oldest datagrams, many at a time: each pass goes over all scenes.
    fn make_room(&mut self) {
        let (before, mut left) = (self.scenes.len(), LEFT_OUT_AT_ONCE);
        self.scenes.retain(|scene| {
            let goes = left > 0 && matches!(scene.told, Told::Sent { .. });
            left -= usize::from(goes);
            !goes
        });
        // Without datagrams the oldest scenes go, whatever they are.
        self.scenes.drain(..left);
        self.left_out += before - self.scenes.len();
    }

    /// The part that a report keeps: the end of a failure's story, the beginning of another's.
    #[must_use]
    pub fn shortened(mut self, failed: bool) -> Self {
        let most = if failed { SCENES_FAILED_MAX } else { SCENES_PASSED_MAX };
        let extra = self.scenes.len().saturating_sub(most);
        self.left_out += extra;
        if failed {
            self.scenes.drain(..extra);
        } else {
            self.scenes.truncate(most);
        }
        self
    }

    /// What the script did, step by step.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        let steps = self.scenes.iter().filter_map(|scene| match &scene.told {
            Told::Script { text } => Some(text.clone()),
            _ => None,
        });
        steps.collect()
    }
}

impl core::fmt::Display for Scene {
    /// One line: when, where, what.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:>12.3} ms  ", self.at as f64 / 1e6)?;
        match &self.told {
            Told::Script { text } => write!(f, "--- {text}"),
            Told::Sent { from, to, what, detail, fate } => {
                let fate = match fate {
                    Fate::Arrives { at } => format!("arrives at {:.3} ms", *at as f64 / 1e6),
                    Fate::Cut => "the link is cut".to_owned(),
                    Fate::Lost => "lost".to_owned(),
                };
                write!(f, "{from} > {to}  {what} {detail} ({fate})")
            }
            Told::Role { member, role, term } => write!(f, "{member} is {role} in term {term}"),
            Told::Positions { member, verified, durable, commit, applied } => write!(
                f,
                "{member} verified {verified}, durable {durable}, commit {commit}, applied {applied}"
            ),
            Told::Disk { member, what, done } => {
                write!(f, "{member} {what} {}", if *done { "is done" } else { "is asked for" })
            }
            Told::Client { client, text } => write!(f, "{client} {text}"),
            Told::Broken { rule, text, member } => {
                let at = member.as_ref().map(|member| format!(" at {member}")).unwrap_or_default();
                write!(f, "BROKEN {rule}{at}: {text}")
            }
        }
    }
}

/// Scenes that a report keeps of a case that failed, at most.
const SCENES_FAILED_MAX: usize = 4_000;
/// Scenes that a report keeps of any other case, at most.
const SCENES_PASSED_MAX: usize = 600;
