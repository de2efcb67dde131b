//! What the command understands of who is a member.

use core::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What comes behind the help of all that changes the members.
const NOTES: &str = "\
The exit code is 0 when the change is committed, 1 if it is refused, or nobody can be asked, 2 if \
the arguments are wrong, 4 if it is refused now and may be done later or by another member (which \
--wait does, but for a member that does not lead: it names the one that does), and 5 if it was \
begun and what came of it is not known yet: ask with `quorate tool members`. With --json a refusal \
is an object, too: `refused` is its name, `reason` says what to do.";

/// Who is a member.
#[derive(Debug, Subcommand)]
pub(crate) enum Members {
    /// Tells who is a member of the group, as the log of one says that runs on this machine
    ///
    /// Each one's role and address; where the leader is asked, how much of its log each lacks, how
    /// long it was not heard, and whether it may become a voter.
    #[command(name = "members")]
    List {
        /// A member's data directory
        directory: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Takes one more member into a running group: it receives the log, and counts for nothing yet
    ///
    /// Make its directory before by `quorate init --join` and start it there, then promote it.
    #[command(after_help = NOTES)]
    Add(Add),
    /// Makes a voter of a member that is level: from then on it counts
    #[command(after_help = NOTES)]
    Promote(Promote),
    /// Makes an observer of a voter: it receives the log, and counts no more
    #[command(after_help = NOTES)]
    Demote(Which),
    /// Takes a member out of the group
    ///
    /// It is told, and stands for no election any more; stop it then. A leader that is removed
    /// hands over. It comes back only with a new directory of a higher incarnation.
    #[command(after_help = NOTES)]
    Remove(Which),
    /// Tells the group that a member is reached elsewhere from now on
    #[command(after_help = NOTES)]
    Move(Move),
}

/// How a change is asked for.
#[derive(Args, Debug)]
pub(crate) struct Asked {
    /// The data directory of the member that leads
    pub(crate) directory: PathBuf,
    /// How long to ask again while it cannot be done yet: another change is under way, or the
    /// member is not level
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) wait: u64,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Add {
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Its number, which no other member has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) id: u16,
    /// Where the other members reach it
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: SocketAddr,
    /// Where clients reach it, if that is elsewhere
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) clients: Option<SocketAddr>,
    /// Make it a voter at once, though it has nothing yet: it counts before it can help
    #[arg(long)]
    pub(crate) voter: bool,
    /// The incarnation of its directory: if the number was a member's before, more than that had
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) incarnation: u32,
    /// The machine that it runs on, as you number machines; 0 for any
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) machine: u32,
    /// The zone that the machine is in, as you number zones; 0 for any
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) zone: u32,
}

#[derive(Args, Debug)]
pub(crate) struct Promote {
    #[command(flatten)]
    pub(crate) which: Which,
    /// A voter that serves no clients, and leads only when nobody else can
    #[arg(long)]
    pub(crate) standby: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Which {
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Which member
    #[arg(long, value_name = "N")]
    pub(crate) id: u16,
}

#[derive(Args, Debug)]
pub(crate) struct Move {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Where the other members reach it
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: SocketAddr,
    /// Where clients reach it, if that is elsewhere
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) clients: Option<SocketAddr>,
}
