//! L10: once all is at rest, queues and tables are back at what the sessions need.

use super::{Ghost, Kinds, Observed, Observer, Phase, Scene, Violations};

/// What has to be empty then.
const EMPTY: [&str; 5] = [
    "ranges behind holes",
    // Members outside of the core may go on asking, and what they ask for is read.
    "reads for the service",
    "frames with the service",
    "sessions being opened",
    "sessions in doubt",
];

pub(super) struct AtRest;

impl Observer for AtRest {
    fn ids(&self) -> &'static [&'static str] {
        &["L10"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::PHASE
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let (Observed::Phase(Phase::Over), Some(core)) = (*observed, scene.core) else { return };
        let (member, mut sessions, mut connections) = (scene.member, 0, 0);
        core.usage(|usage| {
            match usage.name {
                "sessions" => sessions = usage.used,
                "connections" => connections = usage.used,
                _ => {}
            }
            if EMPTY.contains(&usage.name) && usage.used > 0 {
                violations.add("L10", format!("member {member} is at rest with {usage:?}"));
            }
        });
        if connections > sessions {
            let text = format!("member {member} has {connections} connections of {sessions}");
            violations.add("L10", text);
        }
    }
}
