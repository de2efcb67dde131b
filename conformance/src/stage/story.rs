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
        /// The message that it is about, if it is about one.
        #[serde(default)]
        call: Option<Call>,
    },
    /// A rule was broken.
    Broken {
        /// The invariant, or the case.
        rule: String,
        /// What happened.
        text: String,
        /// Where, if at one member.
        member: Option<String>,
        /// The client and the number of its message, if it is that which fits nowhere.
        #[serde(default)]
        call: Option<(String, u64)>,
    },
}

/// One end of a client's message.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Call {
    /// The number of the message.
    pub sequence: u64,
    /// Whether this is the answer.
    pub answers: bool,
    /// What was asked, or answered, in words.
    pub what: String,
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

    /// Puts in its place what is found out about a time that has passed.
    pub fn tell_of(&mut self, at: u64, told: Told) {
        let place = self.scenes.partition_point(|scene| scene.at <= at);
        self.scenes.insert(place, Scene { at, told });
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

    /// The part that a report keeps: of a failure's story what was up to where the rule broke, and
    /// a little behind it, with all of what clients asked and were answered; of another's the
    /// beginning.
    #[must_use]
    pub fn shortened(mut self, failed: bool) -> Self {
        let before = self.scenes.len();
        if failed {
            let broken = |scene: &Scene| matches!(scene.told, Told::Broken { .. });
            let broken = self.scenes.iter().rposition(broken).unwrap_or(before);
            let end = before.min(broken.saturating_add(SCENES_BEHIND));
            let begin = end.saturating_sub(SCENES_FAILED_MAX);
            let mut calls = CALLS_MAX;
            let mut index = 0;
            self.scenes.retain(|scene| {
                let is_call = matches!(scene.told, Told::Client { call: Some(_), .. }) && calls > 0;
                calls -= usize::from(is_call);
                index += 1;
                is_call || (begin..end).contains(&(index - 1))
            });
        } else {
            self.scenes.truncate(SCENES_PASSED_MAX);
        }
        self.left_out += before - self.scenes.len();
        self
    }

    /// Whether a rule broke in it.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.scenes.iter().any(|scene| matches!(scene.told, Told::Broken { .. }))
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
            Told::Client { client, text, .. } => write!(f, "{client} {text}"),
            Told::Broken { rule, text, member, .. } => {
                let at = member.as_ref().map(|member| format!(" at {member}")).unwrap_or_default();
                write!(f, "BROKEN {rule}{at}: {text}")
            }
        }
    }
}

/// Scenes that a report keeps of a case that failed, at most, beside what clients asked.
const SCENES_FAILED_MAX: usize = 4_000;
/// Of these, behind the one in which a rule broke, at most.
const SCENES_BEHIND: usize = 500;
/// Scenes of what clients asked and were answered that a report keeps, at most.
const CALLS_MAX: usize = 2_000;
/// Scenes that a report keeps of any other case, at most.
const SCENES_PASSED_MAX: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Told {
        let (from, to, what, detail) = ("m1".into(), "m2".into(), "live".into(), String::new());
        Told::Sent { from, to, what, detail, fate: Fate::Lost }
    }

    fn asked(sequence: u64) -> Told {
        let call = Some(Call { sequence, answers: false, what: "take".into() });
        Told::Client { client: "c1".into(), text: String::new(), call }
    }

    #[test]
    fn the_part_that_is_kept_of_a_failure_is_where_it_broke_with_all_calls() {
        let mut story = Story::default();
        for at in 0..15_000 {
            story.tell(at, if at % 100 == 0 { asked(at) } else { sent() });
        }
        let text = "it fits nowhere".to_owned();
        let call = Some(("c1".to_owned(), 6_000));
        story.tell_of(6_000, Told::Broken { rule: "case".into(), text, member: None, call });
        let kept = story.shortened(true);
        assert_eq!(kept.scenes.len() + kept.left_out, 15_001);
        assert!(kept.scenes.is_sorted_by_key(|scene| scene.at));
        let calls = |scene: &&Scene| matches!(scene.told, Told::Client { .. });
        assert_eq!(kept.scenes.iter().filter(calls).count(), 150);
        let broken = kept.scenes.iter().position(|it| matches!(it.told, Told::Broken { .. }));
        let (before, behind) = kept.scenes.split_at(broken.expect("it is kept"));
        let is_sent = |scene: &&Scene| matches!(scene.told, Told::Sent { .. });
        assert!(before.iter().filter(is_sent).count() > 3_000);
        assert!((1..=SCENES_BEHIND).contains(&behind.iter().filter(is_sent).count()));
    }
}
