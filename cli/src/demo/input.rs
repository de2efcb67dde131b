//! The lines to replicate.

use std::io::Read;
use std::path::Path;

use quorate_core::client::ClientLimits;

use crate::failure::Failure;
use crate::ledger::Ledger;

/// A text of our own, in the public domain.
const BUNDLED: &[u8] = include_bytes!("../../assets/harbour-book.txt");

/// A text in lines, and the ledger that it makes: what every member must come to.
#[derive(Debug)]
pub(super) struct Input {
    text: Vec<u8>,
    ends: Vec<usize>,
    pub(super) expected: Ledger,
}

impl Input {
    /// Reads the file, standard input for `-`, the bundled text for none.
    pub(super) fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let text = match path {
            None => BUNDLED.to_vec(),
            Some(path) if path.as_os_str() == "-" => {
                let mut text = Vec::new();
                let read = std::io::stdin().lock().read_to_end(&mut text);
                read.map_err(|error| Failure::failed("cannot read standard input", error))?;
                text
            }
            Some(path) => std::fs::read(path).map_err(|error| {
                Failure::Usage(format!("cannot read {}: {error}; check --input", path.display()))
            })?,
        };
        Self::of(text)
    }

    fn of(text: Vec<u8>) -> Result<Self, Failure> {
        let mut ends: Vec<usize> =
            text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        if text.last().is_some_and(|byte| *byte != b'\n') {
            ends.push(text.len());
        }
        let mut input = Self { text, ends, expected: Ledger::default() };
        let mut expected = Ledger::default();
        let limit = ClientLimits::default().message_bytes_max as usize;
        for number in 0..input.len() {
            let line = input.line(number);
            if line.len() > limit {
                return Err(Failure::Usage(format!(
                    "line {} of the input has {} bytes, a message may have {limit}; split it",
                    number + 1,
                    line.len()
                )));
            }
            expected.add(line);
        }
        if input.len() == 0 {
            return Err(Failure::Usage("the input has no lines; name another --input".into()));
        }
        input.expected = expected;
        Ok(input)
    }

    /// How many lines there are.
    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Line `number`, from 0 on, without its end.
    pub(super) fn line(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] + 1);
        &self.text[start..self.ends[number]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_lies_between_line_ends() {
        for (text, lines) in [
            (&b"a\nb\n"[..], &[&b"a"[..], b"b"][..]),
            (b"a\nb", &[b"a", b"b"]),
            (b"\n\nx", &[b"", b"", b"x"]),
        ] {
            let input = Input::of(text.to_vec()).unwrap();
            let found: Vec<&[u8]> = (0..input.len()).map(|number| input.line(number)).collect();
            assert_eq!(found, lines);
            assert_eq!(input.expected.entries(), lines.len() as u64);
        }
    }

    #[test]
    fn a_text_that_cannot_be_replicated_is_refused() {
        assert!(Input::of(Vec::new()).is_err());
        let long = Input::of(vec![b'x'; 1 << 20]).unwrap_err();
        assert!(long.to_string().starts_with("line 1 of the input has 1048576 bytes"));
    }

    #[test]
    fn the_bundled_text_has_ten_thousand_lines() {
        assert!(Input::read(None).unwrap().len() >= 10_000);
    }
}
