//! What the command understands.

pub(crate) mod members;

use core::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use quorate_core::{Durability, Duration};

use crate::runtime::Runtime;

/// Replication of a deterministic service over lossy datagrams.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the numbers of the demonstration are.
const DEMO_NOTES: &str = "\
The result's `lost_datagrams` (datagrams dropped) counts only what --loss made the receivers drop, \
not what sockets or the network lose. It, `elections`, `naks` and `retransmits` are totals over \
all members and over the client; the life of a member that was killed counts as far as it was last \
asked.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts a cluster on this machine, replicates a text through it, and checks every member
    #[command(after_help = DEMO_NOTES)]
    Demo(Demo),
    /// Forms a group: writes this member's identity into its data directory, once
    ///
    /// With --join for a member that comes to a running group, with --rejoin for one of a running
    /// group that has lost its directory.
    Init(Init),
    /// Runs a member of a replicated ledger
    ///
    /// On SIGUSR1 it writes its status to its standard error, as a line of JSON. SIGINT and SIGTERM
    /// stop it: one of a volatile group brings its disk up to what it has promised before, and the
    /// same signal once more keeps it from waiting for that any longer. The exit code is 0 if it
    /// stopped in good order, 3 if its disk came up short, so that its next life is impaired, and 1
    /// if it failed.
    Member(Member),
    /// Sends each line of standard input as a message, and prints the replies; or reads
    Client(Client),
    /// Asks members that run, looks into their data, and replays their recordings
    Tool {
        #[command(subcommand)]
        tool: Tool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// The text whose lines are replicated, `-` for standard input; a bundled one by default
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// How many members
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=7))]
    pub(crate) members: u16,
    /// Per cent of the datagrams to drop at every receiver
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent, allow_negative_numbers = true)]
    pub(crate) loss: f64,
    /// What the members and the client run on; with `mixed` each member on another, the client on
    /// tokio, and a member that was killed on yet another
    #[arg(long, value_enum, default_value_t)]
    pub(crate) runtime: DemoRuntime,
    /// Kill the leader with SIGKILL halfway, and start it again later
    #[arg(long)]
    pub(crate) kill_leader: bool,
    /// Before that kill a follower and remove its data, and go on only when it is level and
    /// readmitted; needs three members
    #[arg(long)]
    pub(crate) wipe_follower: bool,
    /// A reply means that a quorum has the message in memory, and is synced once a second
    #[arg(long)]
    pub(crate) volatile: bool,
    /// Print one JSON object in place of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// Keep the members' data and logs in this directory, which must be new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Init {
    /// The member's configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The member comes to a running group: it gets an empty directory, and only receives until
    /// that group makes it a member, by `quorate tool add`, and a voter, by `quorate tool promote`
    ///
    /// Its configuration lists itself, and members that are there; after its first start who is a
    /// member is what the group says.
    #[arg(long, group = "anew")]
    pub(crate) join: bool,
    /// The member has lost its directory: it gets an empty one, catches up, and counts again once
    /// the others have readmitted it
    ///
    /// For that, a majority of the group has to run without it. Never go back to the lost
    /// directory, should it turn up again: destroy it.
    #[arg(long, group = "anew")]
    pub(crate) rejoin: bool,
    /// Which of the member's directories this is: more than any that it had [default: the seconds
    /// since 1970; with --join 1, which is right if its number was never a member's]
    #[arg(long, value_name = "N", requires = "anew", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) incarnation: Option<u32>,
    /// The recovery epoch that the others are in: after each `quorate tool recover` it is a higher
    /// one
    #[arg(long, value_name = "N", requires = "anew", default_value_t = 0)]
    pub(crate) recovery_epoch: u32,
}

#[derive(Args, Debug)]
pub(crate) struct Member {
    /// The member's configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Initialise the data directory if it is empty: at the very first start only
    #[arg(long)]
    pub(crate) bootstrap: bool,
    /// What the member runs on
    #[arg(long, value_enum, default_value_t)]
    pub(crate) runtime: Runtime,
    /// What its thread does when there is nothing to do (only with --runtime mio) [default: block]
    #[arg(long, value_enum)]
    pub(crate) idle: Option<Idle>,
    /// The processor that its thread keeps to, from 0 on (only with --runtime mio)
    #[arg(long, value_name = "N")]
    pub(crate) cpu: Option<usize>,
    /// Who waits for the disk
    #[arg(long, value_enum, default_value_t)]
    pub(crate) storage: Storage,
    /// Record everything that happens to the member in this file, which must be new, until it
    /// stops; for `quorate tool replay`
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Tell Prometheus how the member is, at http://ADDRESS/metrics: an address and a port
    ///
    /// Whoever can reach it can read it: nothing is encrypted, nobody is asked who he is.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "supervised")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Standard input is the bound datagram socket; standard output a stream on which each line
    /// `status` is answered, and whose end stops the member
    #[arg(long, hide = true)]
    pub(crate) supervised: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Client {
    /// A member's configuration, for the group and its members
    #[arg(long, value_name = "FILE", required_unless_present = "member")]
    pub(crate) config: Option<PathBuf>,
    /// A member to ask; repeat it for each
    #[arg(long, value_name = "ID=ADDRESS", value_parser = member_address, conflicts_with = "config")]
    pub(crate) member: Vec<(u16, SocketAddr)>,
    /// The group, in hexadecimal
    #[arg(long, value_name = "GROUP", value_parser = group, required_unless_present = "config")]
    pub(crate) group: Option<u64>,
    /// The group's recovery epoch: after each `quorate tool recover` it is a higher one [default:
    /// that of the configured member's directory, else 0]
    #[arg(long, value_name = "N")]
    pub(crate) recovery_epoch: Option<u32>,
    /// Send nothing: print the state of the ledger with all that was committed by now, which
    /// appends nothing to the log
    #[arg(long)]
    pub(crate) read: bool,
    /// What the client runs on
    #[arg(long, value_enum, default_value_t)]
    pub(crate) runtime: Runtime,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// Reports what a data directory holds; changes nothing
    Describe {
        /// The member's data directory
        directory: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Reads all that is in a data directory, and names what is damaged; changes nothing
    ///
    /// For each damage it says the file, the byte in it, the position in the log, and what to do.
    /// The member may run; then a record that is just being written may be told as damaged. The
    /// exit code is 0 if everything verifies, 1 if not, and 2 if there is nothing to read.
    Verify {
        /// The member's data directory
        directory: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Removes the beginning of the log of a member that does not run, as far as a snapshot has it
    ///
    /// It says what goes, and does it only with --yes. What would lose anything is refused: a
    /// directory in which something is damaged, and a snapshot that is the newest one, which may be
    /// the next to be damaged; and so is the directory of a member that runs. That one purges by
    /// itself behind each snapshot, with `purge_keep_bytes` or `log_bytes_max` in its
    /// configuration.
    Purge {
        /// The member's data directory
        directory: PathBuf,
        /// The snapshot behind which the log is going to begin, by its position [default: the one
        /// before the newest]
        #[arg(long, value_name = "POSITION")]
        at: Option<u64>,
        /// Do it
        #[arg(long)]
        yes: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Tells how members are that run on this machine: role, term, positions, counts
    ///
    /// Each is asked through a socket in its data directory. The exit code is 1 if one cannot be
    /// reached; the others are told all the same.
    Status {
        /// The members' data directories
        #[arg(required = true)]
        directories: Vec<PathBuf>,
        /// Print a JSON object for each member, on a line of its own
        #[arg(long)]
        json: bool,
    },
    /// Has a leader hand its leadership over
    ///
    /// It takes in no messages until the other has everything, which is refused after two election
    /// time-outs; then it goes on as before. Clients find the new leader by themselves.
    ///
    /// The exit code is 0 when another leads, 1 if that is refused for good or nobody can be asked,
    /// 2 if the arguments are wrong, and 4 if it is refused now and may be done later or by another
    /// member: one that does not lead names the one that does. With --json a refusal is an object,
    /// too: `refused` is its name, `reason` says what to do.
    Transfer {
        /// The leader's data directory
        directory: PathBuf,
        /// Who is to lead [default: whoever is most complete]
        #[arg(long, value_name = "ID")]
        to: Option<u16>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Who is a member
    #[command(flatten)]
    Members(members::Members),
    /// Has all members of a running group take a snapshot, through one that leads
    ///
    /// The member is asked through a socket in its data directory. One that does not lead names the
    /// one that does. The exit code is 0 once the member that was asked has stored its own.
    Snapshot {
        /// The leader's data directory
        directory: PathBuf,
        /// How long to wait until it is stored
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        seconds: u64,
    },
    /// Saves what is whole of a damaged data directory: a member fetches only the rest from others
    ///
    /// The member must not run. Its directory is replaced by one of a higher incarnation with all
    /// of the log up to the first damage, and the snapshots that stand in it; the damaged one stays
    /// beside it under another name, and has to be destroyed once the member counts again. It does
    /// so when the others, of whom a majority of the group has to run, have readmitted it. Nothing
    /// is changed where a member can start. A directory that was rolled back to an older copy is
    /// whole, and is no matter of this: see `quorate init --rejoin`.
    Repair {
        /// The member's configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Which of the member's directories the new one is: more than any that it had [default:
        /// the seconds since 1970]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
        incarnation: Option<u32>,
    },
    /// Lets a volatile group go on that stands still since too many of its members lost what they
    /// held in memory; something of what was committed may be lost for good
    ///
    /// First start all members: often they go on by themselves. If not, stop them all, and give the
    /// directories of as many as can be had, of a majority at least. The best log of them is kept.
    /// The plan is printed: what is kept, and from where on all that was promised is lost. It is
    /// done only with --confirm and the word that the plan ends with. Then start the members; those
    /// that were left out are heard by nobody any more, and rejoin with `quorate init --rejoin
    /// --recovery-epoch`. Interrupted, give all directories again.
    Recover {
        /// The members' data directories
        #[arg(required = true)]
        directories: Vec<PathBuf>,
        /// Something may be lost: there is no other way yet
        #[arg(long, required = true)]
        lossy: bool,
        /// Do it, as the plan says that ends with this word
        #[arg(long, value_name = "WORD")]
        confirm: Option<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Writes the newest snapshot of a member into a file, from which a new group can begin
    ///
    /// The member may run or not; nothing of it is changed. The log behind the snapshot is not in
    /// the backup, and it is told how much that is: of a group that runs, take one with --fresh.
    /// The file is read again and verified before it gets its name. The exit code is 0 if it is
    /// there, whole and durable, 1 if not, and 2 if it cannot be what was asked for.
    Backup {
        /// The member's data directory
        directory: PathBuf,
        /// The file, which must be new
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Have all members take a snapshot first, through this one, which runs and leads
        #[arg(long, conflicts_with_all = ["at", "dry_run"])]
        fresh: bool,
        /// With --fresh: how long to wait until it is stored
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        seconds: u64,
        /// An older snapshot, by its position [default: the newest]
        #[arg(long, value_name = "POSITION")]
        at: Option<u64>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Makes the data directories of a new group out of a backup
    ///
    /// One for each configuration, all of which have the same members and a group number that the
    /// backup is not of. Nothing is written before every byte of the backup has verified. It is
    /// done once for each member; those whose configurations are on other machines are restored
    /// there, from the same file. Then all of them are started. What was answered behind the
    /// backup is lost, and clients that send it again may see it done twice where they look from
    /// outside: nobody knows. A member that loses its directory later comes back with `quorate init
    /// --rejoin`. The exit code is 0 if all are there, 1 if not, and 2 if they cannot be made so.
    Restore {
        /// What `quorate tool backup` wrote
        backup: PathBuf,
        /// The configuration of a member of the new group; repeat it for each
        #[arg(long, value_name = "FILE", required = true)]
        config: Vec<PathBuf>,
        /// Verify all of it, and only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Takes the events of a recording through the core again, and compares every action
    ///
    /// Neither service, disk nor network is needed. The exit code is 0 if all actions, and all
    /// bytes that they name, are those that were recorded, and 1 if not; then the first step that
    /// differs is named.
    Replay {
        /// What `quorate member --record` wrote
        file: PathBuf,
        /// Which way
        #[arg(long, value_enum, default_value_t)]
        through: Through,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// What the members of a demonstration run on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum DemoRuntime {
    /// Tasks of tokio
    #[default]
    Tokio,
    /// A thread each, with mio
    Mio,
    /// Tasks of async-std, which is discontinued
    AsyncStd,
    /// All of them in turn
    Mixed,
}

impl Demo {
    /// The members' level.
    pub(crate) const fn durability(&self) -> Durability {
        match self.volatile {
            true => Durability::Volatile { checkpoint_interval: Duration::from_millis(1_000) },
            false => Durability::Durable,
        }
    }
}

impl DemoRuntime {
    /// What the `index`-th start of member `id` runs on.
    pub(crate) const fn of(self, id: u16, index: u16) -> Runtime {
        match self {
            Self::Tokio => Runtime::Tokio,
            Self::Mio => Runtime::Mio,
            Self::AsyncStd => Runtime::AsyncStd,
            Self::Mixed => Runtime::ALL[(id as usize + index as usize) % Runtime::ALL.len()],
        }
    }

    /// What the client runs on.
    pub(crate) const fn of_client(self) -> Runtime {
        if matches!(self, Self::Mixed) { Runtime::Tokio } else { self.of(0, 0) }
    }

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        if matches!(self, Self::Mixed) { "mixed" } else { self.of(0, 0).name() }
    }
}

/// What a thread of mio does when there is nothing to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Idle {
    /// Waits in the kernel: takes no processor time
    Block,
    /// Looks again and again: the shortest latency, for a whole processor
    Spin,
    /// Looks again for a short while, then waits in the kernel
    Backoff,
}

/// Who waits for a member's disk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Storage {
    /// Two threads of the member's own
    #[default]
    Threads,
    /// The member itself: for file systems in memory
    Inline,
}

/// Which way a replay goes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Through {
    /// The core directly
    Core,
    /// A task of tokio
    Tokio,
    /// A thread with mio
    Mio,
    /// A task of async-std
    AsyncStd,
    /// All of them, one after the other
    #[default]
    All,
}

impl Through {
    /// Whether it goes through `runtime`.
    pub(crate) fn includes(self, runtime: Runtime) -> bool {
        match self {
            Self::Core => false,
            Self::Tokio => runtime == Runtime::Tokio,
            Self::Mio => runtime == Runtime::Mio,
            Self::AsyncStd => runtime == Runtime::AsyncStd,
            Self::All => true,
        }
    }
}

impl Arguments {
    /// What is logged unless `QUORATE_LOG` says otherwise.
    pub(crate) const fn default_log_level(&self) -> &'static str {
        match self.command {
            Command::Member(_) => "info",
            _ => "error",
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..100.0).contains(&number) {
        Ok(number)
    } else {
        Err("must be at least 0 and below 100: nothing gets through otherwise".into())
    }
}

fn member_address(text: &str) -> Result<(u16, SocketAddr), String> {
    let parts = text
        .split_once('=')
        .and_then(|(id, address)| Some((id.parse().ok()?, address.parse().ok()?)));
    parts.ok_or_else(|| "write it like 1=192.0.2.1:9001".into())
}

fn group(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16)
        .map_err(|_| "write up to 16 hexadecimal digits".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_negative_loss_is_told_the_range() {
        let refused = Arguments::try_parse_from(["quorate", "demo", "--loss", "-1"]).unwrap_err();
        assert!(refused.to_string().contains("must be at least 0 and below 100"), "{refused}");
    }

    #[test]
    fn mixed_takes_all_runtimes_and_another_at_a_restart() {
        let mixed = DemoRuntime::Mixed;
        let runtimes: Vec<&str> = (1..=3).map(|id| mixed.of(id, 0).name()).collect();
        assert_eq!(runtimes, ["mio", "async-std", "tokio"]);
        assert!((1..=7).all(|id| mixed.of(id, 0) != mixed.of(id, 1)));
        assert_eq!(DemoRuntime::AsyncStd.of(1, 0), DemoRuntime::AsyncStd.of(2, 1));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for arguments in [
            &["quorate", "demo", "--members", "0"][..],
            &["quorate", "demo", "--members", "8"],
            &["quorate", "demo", "--loss", "100"],
            &["quorate", "client"],
            &["quorate", "client", "--member", "1:2"],
            &["quorate", "member"],
            &["quorate", "demo", "--runtime", "smol"],
            &["quorate", "member", "--config", "x", "--runtime", "mixed"],
            &["quorate", "tool", "replay"],
            &["quorate", "init", "--config", "x", "--join", "--rejoin"],
            &["quorate", "init", "--config", "x", "--incarnation", "2"],
            &["quorate", "init", "--config", "x", "--join", "--incarnation", "0"],
            &["quorate", "tool", "members"],
            &["quorate", "tool", "add", "x", "--id", "4"],
            &["quorate", "tool", "add", "x", "--id", "0", "--address", "127.0.0.1:9004"],
            &["quorate", "tool", "promote", "x"],
            &["quorate", "tool", "remove", "x", "--id", "65536"],
            &["quorate", "tool", "move", "x", "--id", "1"],
        ] {
            assert!(Arguments::try_parse_from(arguments).is_err(), "{arguments:?}");
        }
    }
}
