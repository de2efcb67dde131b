//! What the command understands.

use core::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    Init(Init),
    /// Runs a member of a replicated ledger
    Member(Member),
    /// Sends each line of standard input as a message, and prints the replies
    Client(Client),
    /// Looks into a member's data
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
    /// Kill the leader with SIGKILL halfway, and start it again later
    #[arg(long)]
    pub(crate) kill_leader: bool,
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
}

#[derive(Args, Debug)]
pub(crate) struct Member {
    /// The member's configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Initialise the data directory if it is empty: at the very first start only
    #[arg(long)]
    pub(crate) bootstrap: bool,
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
    fn what_cannot_be_is_refused() {
        for arguments in [
            &["quorate", "demo", "--members", "0"][..],
            &["quorate", "demo", "--members", "8"],
            &["quorate", "demo", "--loss", "100"],
            &["quorate", "client"],
            &["quorate", "client", "--member", "1:2"],
            &["quorate", "member"],
        ] {
            assert!(Arguments::try_parse_from(arguments).is_err(), "{arguments:?}");
        }
    }
}
