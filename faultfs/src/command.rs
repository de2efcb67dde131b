//! What a harness asks for, a line each, and what is answered.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;

use crate::faults::{Call, Effect, Fault};

/// Stands for an empty path, or for no end.
const ANY: &str = "*";

/// A command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Waits for calls: `fault CALL PATH SKIP TIMES EFFECT`, with `*` for any path or for ever.
    Fault(Fault),
    /// Takes all faults away, and makes all files readable: `heal`.
    Heal,
    /// How many calls a fault has met: `hits NUMBER`.
    Hits(u64),
    /// The power fails, and comes back: `crash SEED`.
    Crash(u64),
    /// A bit of the files turns over: `rot PATH OFFSET BIT`.
    Rot(String, u64, u8),
    /// A range of the files cannot be read: `unreadable PATH OFFSET LENGTH`.
    Unreadable(String, u64, usize),
    /// How often each call was made: `calls`.
    Calls,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(Fault { call, path, skip, times, effect }) => {
                let path = if path.is_empty() { ANY } else { path };
                let times = times.map_or_else(|| ANY.to_owned(), |times| times.to_string());
                write!(f, "fault {} {path} {skip} {times} {effect}", call.name())
            }
            Self::Heal => f.write_str("heal"),
            Self::Hits(number) => write!(f, "hits {number}"),
            Self::Crash(seed) => write!(f, "crash {seed}"),
            Self::Rot(path, offset, bit) => write!(f, "rot {path} {offset} {bit}"),
            Self::Unreadable(path, offset, length) => {
                write!(f, "unreadable {path} {offset} {length}")
            }
            Self::Calls => f.write_str("calls"),
        }
    }
}

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (name, mut rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut word = || {
            let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = behind;
            if word.is_empty() { Err(format!("{name} needs more words")) } else { Ok(word) }
        };
        Ok(match name {
            "fault" => {
                let call: Call = word()?.parse()?;
                let path = Some(word()?).filter(|path| *path != ANY).unwrap_or_default().to_owned();
                let skip = number(word()?)?;
                let times = Some(word()?).filter(|times| *times != ANY).map(number).transpose()?;
                Self::Fault(Fault { call, path, skip, times, effect: rest.parse::<Effect>()? })
            }
            "heal" => Self::Heal,
            "hits" => Self::Hits(number(word()?)?),
            "crash" => Self::Crash(number(word()?)?),
            "rot" => Self::Rot(word()?.to_owned(), number(word()?)?, number(word()?)?),
            "unreadable" => {
                Self::Unreadable(word()?.to_owned(), number(word()?)?, number(word()?)?)
            }
            "calls" => Self::Calls,
            _ => return Err(format!("there is no command {name:?}")),
        })
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number of that size"))
}

/// The answer to a command: numbers with names, or why there is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer(pub Result<BTreeMap<String, u64>, String>);

impl Answer {
    /// That the command was done, with what is to be told.
    #[must_use]
    pub fn done(numbers: &[(&str, u64)]) -> Self {
        Self(Ok(numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(numbers) => {
                f.write_str("ok")?;
                numbers.iter().try_for_each(|(name, number)| write!(f, " {name}={number}"))
            }
            Err(why) => write!(f, "no {}", why.replace('\n', " ")),
        }
    }
}

impl FromStr for Answer {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("no", why) => Ok(Self(Err(why.to_owned()))),
            ("ok", rest) => {
                let pairs = rest.split_whitespace().map(|pair| {
                    let (name, value) = pair.split_once('=').ok_or(pair)?;
                    Ok((name.to_owned(), value.parse().map_err(|_| pair)?))
                });
                let numbers: Result<_, &str> = pairs.collect();
                let numbers = numbers.map_err(|pair| format!("{pair:?} is no number with a name"));
                Ok(Self(Ok(numbers?)))
            }
            _ => Err(format!("{line:?} is no answer")),
        }
    }
}
