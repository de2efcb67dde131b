//! The second decoder: a process of another language.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

const SCRIPT: &str = include_str!("../../decoders/sbe.py");

/// The script `decoders/sbe.py`, running.
pub(crate) struct Second {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Second {
    /// Starts it; `None` where there is no `python3`.
    pub(crate) fn start() -> Option<Self> {
        let mut process = Command::new("python3")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let (questions, answers) = (process.stdin.take()?, process.stdout.take()?);
        Some(Self { process, questions, answers: BufReader::new(answers) })
    }

    /// Gives it a schema.
    pub(crate) fn learn(&mut self, schema: &str) -> Result<(), String> {
        let answer = self.ask(&json!({ "schema": schema }))?;
        if answer == json!({ "ready": true }) { Ok(()) } else { Err(answer.to_string()) }
    }

    /// What it reads in these bytes; `None` when it refuses them.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<Option<Value>, String> {
        let answer = self.ask(&json!({ "hex": crate::vectors::hex(bytes) }))?;
        Ok(answer.get("error").is_none().then_some(answer))
    }

    fn ask(&mut self, question: &Value) -> Result<Value, String> {
        let mut answer = String::new();
        writeln!(self.questions, "{question}")
            .and_then(|()| self.questions.flush())
            .and_then(|()| self.answers.read_line(&mut answer))
            .map_err(|error| format!("the second decoder broke off: {error}"))?;
        serde_json::from_str(&answer)
            .map_err(|error| format!("the second decoder answers {answer:?}: {error}"))
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
