//! Another decoder against the vectors.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Vector;

/// Something that a decoder says of a vector, and should not.
#[derive(Clone, Debug, PartialEq)]
pub struct Disagreement {
    /// The vector.
    pub name: String,
    /// What it says.
    pub expected: String,
    /// What the decoder says.
    pub found: String,
}

/// Gives each vector to the program `command`, which the shell starts, and compares its answers.
///
/// # Errors
/// It cannot be started, ends early, or answers with something that is no JSON.
pub fn check(command: &str, vectors: &[Vector]) -> Result<Vec<Disagreement>, String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the decoder has no standard input and output".into());
    };
    let mut answers = BufReader::new(output);
    let mut disagreements = Vec::new();
    for vector in vectors {
        let question = json!({ "group_tag": vector.group_tag, "hex": vector.hex });
        let mut answer = String::new();
        writeln!(input, "{question}")
            .and_then(|()| input.flush())
            .and_then(|()| answers.read_line(&mut answer))
            .map_err(|error| format!("the decoder broke off at {:?}: {error}", vector.name))?;
        if answer.is_empty() {
            return Err(format!("the decoder ended at {:?}", vector.name));
        }
        let said: Value = serde_json::from_str(&answer).map_err(|error| {
            format!("the decoder's answer to {:?} is no JSON ({error}): {answer}", vector.name)
        })?;
        if !agrees(vector, &said) {
            let expected = match &vector.says {
                Some(says) => says.to_string(),
                None => "an error".into(),
            };
            let found = said.to_string();
            disagreements.push(Disagreement { name: vector.name.clone(), expected, found });
        }
    }
    drop(input);
    let status = child.wait().map_err(|error| format!("the decoder does not end: {error}"))?;
    if status.success() {
        Ok(disagreements)
    } else {
        Err(format!("the decoder ended with {status}"))
    }
}

fn agrees(vector: &Vector, said: &Value) -> bool {
    match &vector.says {
        Some(says) => said == says,
        None => said.get("error").is_some(),
    }
}
