//! Reads a recording, step by step.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use quorate_core::{GroupTag, Outputs};

use super::RecordingError;
use super::beginning::Beginning;
use super::fields::Reader;
use super::frames::Records;
use super::step::{self, ENDING, Step};

/// What comes next in a recording.
#[derive(Debug)]
pub enum Record<'a> {
    /// One step of the member.
    Step(Step<'a>),
    /// The end: the member took in no more.
    End(Ending),
    /// The file ends without an end: the member was killed, or the file was cut.
    Cut {
        /// The bytes that are whole; what follows is part of a record, or nothing.
        offset: u64,
    },
}

/// What the member was at the end of the recording.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ending {
    /// The hash of all actions.
    pub hash: u64,
    /// How many there were.
    pub actions: u64,
    /// `Member::state_hash`.
    pub state_hash: u64,
}

/// A recording that is read step by step: memory for one step at a time.
#[derive(Debug)]
pub struct RecordingReader<R> {
    records: Records<R>,
    beginning: Beginning,
    body: Vec<u8>,
    outputs: Outputs,
    steps: u64,
}

impl RecordingReader<BufReader<File>> {
    /// Opens a recording.
    ///
    /// # Errors
    /// [`RecordingError`]; the file is no recording, or its beginning is damaged.
    pub fn open(file: &Path) -> Result<Self, RecordingError> {
        Self::new(BufReader::new(File::open(file)?))
    }
}

impl<R: Read> RecordingReader<R> {
    /// Reads the beginning of a recording.
    ///
    /// # Errors
    /// [`RecordingError`]; the bytes are no recording, or their beginning is damaged.
    pub fn new(input: R) -> Result<Self, RecordingError> {
        let mut records = Records::new(input)?;
        let mut body = Vec::new();
        let offset = records.offset();
        if !records.next(&mut body)? {
            return Err(RecordingError::Empty);
        }
        let beginning = Beginning::read(&mut Reader(&body));
        let beginning = beginning.ok_or(RecordingError::Malformed { offset })?;
        Ok(Self { records, beginning, body, outputs: Outputs::new(), steps: 0 })
    }

    /// How the recorded member came up.
    #[must_use]
    pub const fn beginning(&self) -> &Beginning {
        &self.beginning
    }

    /// The tag of the group's datagrams.
    #[must_use]
    pub const fn tag(&self) -> GroupTag {
        self.beginning.config.tag()
    }

    /// What comes next. Behind an end, or a cut, nothing does.
    ///
    /// # Errors
    /// [`RecordingError`]: what follows is damaged, or cannot be read.
    pub fn next_record(&mut self) -> Result<Record<'_>, RecordingError> {
        let offset = self.records.offset();
        if !self.records.next(&mut self.body)? {
            return Ok(Record::Cut { offset });
        }
        let malformed = RecordingError::Malformed { offset };
        let mut fields = Reader(&self.body);
        let kind = fields.u8().ok_or(RecordingError::Malformed { offset })?;
        if kind == ENDING {
            let ending = read_ending(&mut fields).ok_or(malformed)?;
            return match self.records.at_end()? {
                true => Ok(Record::End(ending)),
                false => Err(RecordingError::Malformed { offset: self.records.offset() }),
            };
        }
        self.steps += 1;
        let step = step::read(self.steps, kind, &mut fields, &mut self.outputs);
        step.map(Record::Step).ok_or(malformed)
    }
}

fn read_ending(fields: &mut Reader<'_>) -> Option<Ending> {
    let (hash, actions, state_hash) = (fields.u64()?, fields.u64()?, fields.u64()?);
    fields.0.is_empty().then_some(Ending { hash, actions, state_hash })
}
