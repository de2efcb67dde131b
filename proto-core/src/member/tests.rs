//! Named edge cases of the member, driven event by event over a small cluster in memory.

mod catch_up;
mod cluster;
mod cut;
mod durability;
mod elections;
mod endings;
mod fetch_disk;
mod fetch_faults;
mod fetching;
mod forced;
mod hardship;
mod levels;
mod members;
mod members_faults;
mod places;
mod purging;
mod reading;
mod readmission;
mod reads;
mod replication;
mod running;
mod safe_replies;
mod snapshots;
mod stalls;
mod traces;
mod transfers;
