//! Which tables there are, of which lines, with which columns.

use serde_json::Value;

use super::cells::{mebibytes, micros, millis, percent, plain};

/// How a value is shown.
type Cell = fn(&Value) -> String;

/// One table: a row for each line of a rung that has all of `having`.
pub(super) struct Table {
    /// What the mark in the document says.
    pub(super) name: &'static str,
    pub(super) rung: &'static str,
    /// Fields that tell its lines from others of the rung, with the value that they have; an empty
    /// one is any.
    pub(super) having: &'static [(&'static str, &'static str)],
    pub(super) shape: Shape,
}

pub(super) enum Shape {
    /// Headings, fields and how they are shown.
    Rows(&'static [(&'static str, &'static str, Cell)]),
    /// A row for each combination of the first, a column for each value of the field `across`, and
    /// in each cell these values, divided by strokes.
    Grid {
        down: &'static [(&'static str, &'static str, Cell)],
        across: &'static str,
        /// What stands behind the value of `across` in its heading.
        unit: &'static str,
        values: &'static [(&'static str, Cell)],
    },
}

/// The tables are of members that block; what others do is in the lines.
const IDLE: (&str, &str) = ("idle", "block");

const CLUSTER: &[(&str, &str, Cell)] =
    &[("archive", "storage", plain), ("loss", "loss", percent), ("runtime", "runtime", plain)];
const LEVELS: &[(&str, &str, Cell)] = &[("level", "level", plain)];

pub(super) const TABLES: [Table; 22] = [
    Table {
        name: "core-peer",
        rung: "core",
        having: &[("system", "peer")],
        shape: Shape::Rows(&[
            ("batch", "batch", plain),
            ("in flight", "window", plain),
            ("messages a second", "per_s", plain),
            ("p50", "p50_us", micros),
            ("p99", "p99_us", micros),
        ]),
    },
    Table {
        name: "core",
        rung: "core",
        having: &[("system", "quorate")],
        shape: Shape::Rows(&[
            ("in flight", "window", plain),
            ("everything", "per_s", plain),
            ("members alone", "members_per_s", plain),
            ("p50", "p50_us", micros),
            ("p99", "p99_us", micros),
            ("peer, same in flight", "peer_per_s", plain),
            ("ratio", "ratio", plain),
            ("to the peer's best", "ratio_best", plain),
            ("with the client", "ratio_with_client", plain),
            ("to its best, with the client", "ratio_best_with_client", plain),
        ]),
    },
    Table {
        name: "codec",
        rung: "codec",
        having: &[],
        shape: Shape::Rows(&[
            ("case", "case", plain),
            ("bytes", "bytes", plain),
            ("nanoseconds", "ns", plain),
            ("instructions", "instructions", plain),
        ]),
    },
    Table {
        name: "growth-sessions",
        rung: "growth",
        having: &[("grows", "sessions")],
        shape: Shape::Rows(&[
            ("sessions", "sessions", plain),
            ("messages a second", "per_s", plain),
            ("p50", "p50_us", micros),
            ("p99", "p99_us", micros),
            ("events for each message", "steps_per_message", plain),
            ("memory of all", "resident_mib", mebibytes),
        ]),
    },
    Table {
        name: "growth-members",
        rung: "growth",
        having: &[("grows", "members")],
        shape: Shape::Rows(&[
            ("members", "members", plain),
            ("messages a second", "per_s", plain),
            ("p50", "p50_us", micros),
            ("p99", "p99_us", micros),
            ("events for each message", "steps_per_message", plain),
        ]),
    },
    Table {
        name: "growth-payload",
        rung: "growth",
        having: &[("grows", "payload")],
        shape: Shape::Rows(&[
            ("bytes", "payload", plain),
            ("in flight", "window", plain),
            ("messages a second", "per_s", plain),
            ("MiB a second", "mib_per_s", plain),
            ("p50", "p50_us", micros),
            ("p99", "p99_us", micros),
            ("NAKs", "naks", plain),
        ]),
    },
    Table { name: "loopback-limits", rung: "loopback", having: &[("limit", "")], shape: LIMITS },
    Table {
        name: "loopback-rates",
        rung: "loopback",
        having: &[("window", ""), IDLE],
        shape: Shape::Grid {
            down: CLUSTER,
            across: "window",
            unit: " in flight",
            values: &[("per_s", plain)],
        },
    },
    Table {
        name: "loopback-latencies",
        rung: "loopback",
        having: &[("window", ""), IDLE],
        shape: Shape::Grid {
            down: CLUSTER,
            across: "window",
            unit: " in flight",
            values: &[("p50_us", micros), ("p99_us", micros)],
        },
    },
    Table {
        name: "loopback-lone",
        rung: "loopback",
        having: &[("window", "1"), IDLE],
        shape: Shape::Rows(&[
            ("archive", "storage", plain),
            ("loss", "loss", percent),
            ("runtime", "runtime", plain),
            ("p50", "p50_us", micros),
            ("limit", "limit_us", micros),
            ("p50 to the limit", "p50_to_limit", plain),
            ("p99", "p99_us", micros),
        ]),
    },
    Table {
        name: "loopback-open",
        rung: "loopback",
        having: &[("rate", ""), IDLE],
        shape: Shape::Grid {
            down: CLUSTER,
            across: "rate",
            unit: " a second",
            values: &[("p50_us", micros), ("p99_us", micros)],
        },
    },
    Table {
        name: "loopback-totals",
        rung: "loopback",
        having: &[("totals", ""), IDLE],
        shape: Shape::Rows(&[
            ("archive", "storage", plain),
            ("loss", "loss", percent),
            ("runtime", "runtime", plain),
            ("datagrams", "sent", plain),
            ("unsent", "unsent", plain),
            ("NAKs", "naks", plain),
            ("syncs", "syncs", plain),
        ]),
    },
    Table {
        name: "levels-limits",
        rung: "loopback-levels",
        having: &[("limit", "")],
        shape: LIMITS,
    },
    Table {
        name: "levels-closed",
        rung: "loopback-levels",
        having: &[("window", ""), ("per_s", "")],
        shape: Shape::Grid {
            down: LEVELS,
            across: "window",
            unit: " in flight",
            values: &[("per_s", plain), ("p50_us", micros), ("p99_us", micros)],
        },
    },
    Table {
        name: "levels-open",
        rung: "loopback-levels",
        having: &[("rate", ""), ("per_s", "")],
        shape: Shape::Grid {
            down: LEVELS,
            across: "rate",
            unit: " a second",
            values: &[("p50_us", micros), ("p99_us", micros)],
        },
    },
    Table {
        name: "levels-compared",
        rung: "loopback-levels",
        having: &[("compared", ""), ("window", "")],
        shape: Shape::Rows(&[
            ("in flight", "window", plain),
            ("rate, volatile to durable", "per_s_ratio", plain),
            ("p50", "p50_ratio", plain),
            ("p99", "p99_ratio", plain),
        ]),
    },
    Table {
        name: "recovery",
        rung: "recovery",
        having: &[],
        shape: Shape::Rows(&[
            ("bytes of a message", "payload", plain),
            ("directory", "holds", plain),
            ("cache", "cache", plain),
            ("log", "log_mib", mebibytes),
            ("applied", "replayed_mib", mebibytes),
            ("open", "open_ms", millis),
            ("apply", "replay_ms", millis),
            ("MiB a second", "mib_per_s", plain),
            ("frames a second", "frames_per_s", plain),
            ("reading alone, MiB a second", "limit_read_mib_per_s", plain),
            ("a checksum alone, MiB a second", "limit_checksum_mib_per_s", plain),
            ("open to reading", "open_to_read", plain),
        ]),
    },
    Table {
        name: "catch-up-limits",
        rung: "catch-up",
        having: &[("limit", "")],
        shape: Shape::Rows(&[
            ("limit", "limit", plain),
            ("MiB a second", "limit_mib_per_s", plain),
        ]),
    },
    Table {
        name: "catch-up",
        rung: "catch-up",
        having: &[("took_ms", "")],
        shape: Shape::Rows(&[
            ("members", "members", plain),
            ("others hold", "holds", plain),
            ("in flight", "window", plain),
            ("log", "log_mib", mebibytes),
            ("snapshot", "snapshot_mib", mebibytes),
            ("took", "took_ms", millis),
            ("MiB a second", "mib_per_s", plain),
            ("to the limit", "to_limit", plain),
            ("to the budget", "to_budget", plain),
            ("leader", "leader_percent", percent),
            ("most of one follower", "most_percent", percent),
            ("clients before", "per_s_before", plain),
            ("meanwhile", "per_s_meanwhile", plain),
        ]),
    },
    Table {
        name: "slow-member",
        rung: "slow-member",
        having: &[("per_s", "")],
        shape: Shape::Rows(&[
            ("in flight", "window", plain),
            ("follower", "trouble", plain),
            ("messages a second", "per_s", plain),
            ("to that without", "to_limit", plain),
            ("p50", "p50_us", micros),
            ("p99", "p99_us", micros),
            ("behind", "behind_mib", mebibytes),
        ]),
    },
    Table {
        name: "failover",
        rung: "failover",
        having: &[],
        shape: Shape::Rows(&[
            ("kills", "kills", plain),
            ("messages a second", "rate", plain),
            ("load before", "load_before", plain),
            ("after", "load_after", plain),
            ("service back: p50", "p50_ms", millis),
            ("p90", "p90_ms", millis),
            ("p99", "p99_ms", millis),
            ("longest", "max_ms", millis),
            ("all clients: p50", "all_p50_ms", millis),
            ("p99", "all_p99_ms", millis),
            ("another leads: p50", "led_p50_ms", millis),
            ("p99", "led_p99_ms", millis),
            ("longest gap", "gap_max_ms", millis),
            ("answered", "acknowledged", plain),
            ("lost", "lost", plain),
            ("twice", "twice", plain),
        ]),
    },
    Table {
        name: "snapshot",
        rung: "snapshot",
        having: &[],
        shape: Shape::Rows(&[
            ("archives", "storage", plain),
            ("state", "state_mib", mebibytes),
            ("without: p50", "p50_us_without", micros),
            ("p99", "p99_us_without", micros),
            ("longest", "longest_us_without", micros),
            ("with: p50", "p50_us", micros),
            ("p99", "p99_us", micros),
            ("longest", "longest_us", micros),
            ("p99 to without", "p99_to_without", plain),
            ("elections", "elections", plain),
            ("took", "took_ms", millis),
            ("a copy takes", "limit_copy_ms", millis),
            ("writing takes", "limit_write_ms", millis),
        ]),
    },
];

const LIMITS: Shape = Shape::Rows(&[("what", "limit", plain), ("median", "limit_us", micros)]);
