//! Scenes of a story that are repeated: told once, with how often and until when they go on.

use core::cmp::Reverse;

/// Lines of a scene, at most.
const LINES_MAX: usize = 12;
/// A scene is left out from so many repetitions on.
const TIMES_MIN: usize = 3;

/// The lines without repetitions of scenes: those whose lines are the same, but for numbers, in the
/// same order of the same hosts.
pub(crate) fn collapsed(lines: Vec<String>) -> Vec<String> {
    let shapes: Vec<String> = lines.iter().map(|line| shape(line)).collect();
    let mut told = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let scenes = (1..=LINES_MAX).map(|length| (length, times(&shapes[at..], length)));
        let longest = scenes.filter(|(_, times)| *times >= TIMES_MIN);
        let size = |(length, times): &(usize, usize)| (length * times, Reverse(*length));
        let Some((length, times)) = longest.max_by_key(size) else {
            told.push(lines[at].clone());
            at += 1;
            continue;
        };
        told.extend_from_slice(&lines[at..at + length]);
        at += length * times;
        let (until, _) = split(&lines[at - 1]);
        let what = if length == 1 { "the same" } else { "these lines" };
        told.push(format!("{:>15}  … {what}, {times} times in all, until {until}", ""));
    }
    told
}

/// How often the first `length` lines come one time after the other.
fn times(shapes: &[String], length: usize) -> usize {
    let Some(scene) = shapes.get(..length) else { return 0 };
    shapes.chunks_exact(length).take_while(|next| *next == scene).count()
}

/// The time of a line, and the rest.
fn split(line: &str) -> (&str, &str) {
    let (time, text) = line.split_once(" us  ").unwrap_or(("", line));
    (line[..line.len() - text.len()].trim(), if time.is_empty() { line } else { text })
}

/// A line without its time and its numbers, but for whom it is about.
fn shape(line: &str) -> String {
    let (_, text) = split(line);
    let whom = text.match_indices(' ').nth(1).map_or(text.len(), |(at, _)| at);
    let (whom, what) = text.split_at(whom);
    let mut shape = whom.to_owned();
    let mut in_number = false;
    for letter in what.chars() {
        if !letter.is_ascii_digit() {
            shape.push(letter);
        } else if !in_number {
            shape.push('#');
        }
        in_number = letter.is_ascii_digit();
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: u64, text: &str) -> String {
        format!("{time:>12} us  {text}")
    }

    #[test]
    fn a_scene_of_several_lines_is_told_once() {
        let scene = |time: u64| {
            let receives = format!("member 2 receives Heartbeat {{ round: {time} }} of 1");
            [line(time, &receives), line(time + 1, "member 2: Send { sequence: 7 }")]
        };
        let mut lines = vec![line(1, "member 1 starts")];
        lines.extend((10..24).flat_map(|time| scene(10 * time)));
        lines.push(line(900, "member 1 dies"));
        let told = collapsed(lines.clone());
        assert_eq!(told[..3], lines[..3]);
        assert_eq!(told[3].trim(), "… these lines, 14 times in all, until 231 us");
        assert_eq!(told[4..], lines[lines.len() - 1..]);
    }

    #[test]
    fn two_times_and_different_hosts_are_told_in_full() {
        let twice = vec![line(1, "member 1 starts"), line(2, "member 1 starts")];
        assert_eq!(collapsed(twice.clone()), twice);
        let hosts: Vec<String> =
            (1..=5).map(|host| line(host, &format!("member {host} starts"))).collect();
        assert_eq!(collapsed(hosts.clone()), hosts);
    }

    #[test]
    fn lines_without_a_time_are_lines() {
        let lines = vec!["a".to_owned(); 4];
        assert_eq!(collapsed(lines).len(), 2);
        assert!(collapsed(Vec::new()).is_empty());
    }
}
