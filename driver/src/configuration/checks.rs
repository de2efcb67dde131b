//! What the core says of a configuration, in the file's words.

use quorate_core::{ConfigError, Duration, Limits, Timing};

use super::section::duration_text;
use super::{Configuration, Problem, durations, integers};

/// A key of the sections that the core checks, with its section, its value and its default.
struct Setting {
    key: String,
    value: String,
    default: String,
}

impl Setting {
    fn is_default(&self) -> bool {
        self.value == self.default
    }
}

impl Configuration {
    /// Notes what the core refuses. Whether the member is among the members is known only if all
    /// of them could be read: `members_known`.
    pub(super) fn check(&self, members_known: bool, problems: &mut Vec<Problem>) {
        for problem in self.member_config(0).problems() {
            match problem {
                ConfigError::Value { key, value, reason } => {
                    problems.push(self.problem(key, value, reason));
                }
                _ if members_known => problems.push(Problem {
                    key: "member".into(),
                    value: Some(self.member.to_string()),
                    reason: "is not among the members".into(),
                    fix: "add it to `members`, or correct it".into(),
                }),
                _ => {}
            }
        }
    }

    fn problem(&self, key: &str, value: u64, reason: &str) -> Problem {
        let Some(setting) = self.setting(key) else {
            // Its reason names the fix as well.
            let (reason, fix) = reason.split_once("; ").unwrap_or((reason, "change it"));
            let (key, value) = (key.into(), Some(value.to_string()));
            return Problem { key, value, reason: reason.into(), fix: fix.into() };
        };
        // Only a key that was written can be what is wrong.
        let others = compared(key).iter().filter_map(|other| self.setting(other));
        let others = others.filter(|other| !other.is_default());
        let others: Vec<String> =
            others.map(|other| format!("`{} = {}`", other.key, other.value)).collect();
        let others = others.join(" or ");
        let (reason, fix) = match (setting.is_default(), others.is_empty()) {
            (true, false) => {
                (format!("(the default) {reason}"), format!("set it, or change {others}"))
            }
            (false, false) => (reason.into(), format!("change it, or {others}")),
            (false, true) => {
                let default = &setting.default;
                (reason.into(), format!("change it, or remove it for the default of {default}"))
            }
            (true, true) => (reason.into(), "change it".into()),
        };
        Problem { key: setting.key, value: Some(setting.value), reason, fix }
    }

    fn setting(&self, key: &str) -> Option<Setting> {
        let (mut timing, mut limits) = (self.timing.clone(), self.limits.clone());
        let (mut default_timing, mut default_limits) = (Timing::default(), Limits::default());
        let text = |span: Duration| format!("{:?}", duration_text(span));
        let spans = durations(&mut timing).into_iter().zip(durations(&mut default_timing));
        for ((name, value), (_, default)) in spans {
            if name == key {
                let key = format!("timing.{key}");
                return Some(Setting { key, value: text(*value), default: text(*default) });
            }
        }
        let counts = integers(&mut limits).into_iter().zip(integers(&mut default_limits));
        for (own, default) in counts {
            if own.key() == key {
                let (value, default) = (own.value().to_string(), default.value().to_string());
                return Some(Setting { key: format!("limits.{key}"), value, default });
            }
        }
        None
    }
}

/// The other keys that the core compares `key` with.
fn compared(key: &str) -> &'static [&'static str] {
    match key {
        "heartbeat_first" | "election_timeout_min" => &["heartbeat_interval"],
        "election_timeout_max" => &["election_timeout_min"],
        "progress_timeout" | "session_timeout" | "log_age_max" => &["election_timeout_max"],
        "message_bytes_max" => &["window_bytes", "session_window_bytes"],
        "reply_bytes_max" => &["session_window_bytes"],
        "run_bytes_max" | "repair_request_bytes_max" | "repair_budget_bytes" => &["slice_bytes"],
        "read_bytes_max" | "unapplied_bytes_max" => &["message_bytes_max"],
        "uncommitted_bytes_max" => &["message_bytes_max", "window_bytes"],
        _ => &[],
    }
}
