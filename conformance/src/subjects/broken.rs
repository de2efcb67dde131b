//! Run loops with one deliberate mistake each: what the suite has to find, and how it tells it.

use quorate_codecs::decode;
use quorate_core::{Incoming, Message};
use quorate_driver::Completion;

use super::Reference;
use crate::edges::{Edges, Input};
use crate::stage::TAG;
use crate::subject::{Description, Node, NodeSpec, NodeView, SpawnError, Subject, Turned};

/// What a broken loop gets wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mistake {
    /// It reports a sync as done when it has only asked for it.
    EarlyDurable,
    /// It drops each request for missing bytes.
    Deaf,
}

/// The reference loop with a mistake.
#[derive(Clone, Copy, Debug)]
pub struct Broken(pub Mistake);

impl Subject for Broken {
    fn describe(&self) -> Description {
        let (name, about) = match self.0 {
            Mistake::EarlyDurable => (
                "broken:early-durable",
                "a loop that reports a sync as done when it has only asked for it",
            ),
            Mistake::Deaf => ("broken:deaf", "a loop that drops each request for missing bytes"),
        };
        Description { name: name.into(), about: about.into(), ..Reference.describe() }
    }

    fn spawn(&self, spec: &NodeSpec, edges: Edges) -> Result<Box<dyn Node>, SpawnError> {
        let node = Reference.spawn(spec, edges.clone())?;
        Ok(Box::new(BrokenNode { mistake: self.0, node, edges }))
    }
}

struct BrokenNode {
    mistake: Mistake,
    node: Box<dyn Node>,
    edges: Edges,
}

impl Node for BrokenNode {
    fn turn(&mut self) -> Turned {
        match self.mistake {
            Mistake::EarlyDurable => {
                self.node.turn();
                for operation in self.edges.asked_to_persist() {
                    self.edges.push(Input::Storage(Completion::Durable { operation }));
                }
            }
            Mistake::Deaf => self.edges.retain_inputs(|input| !is_nak(input)),
        }
        self.node.turn()
    }

    fn view(&mut self) -> NodeView {
        self.node.view()
    }
}

fn is_nak(input: &Input) -> bool {
    let Input::Datagram { bytes, .. } = input else { return false };
    matches!(decode(bytes, TAG), Ok((_, Incoming::Control(Message::Nak { .. }))))
}
