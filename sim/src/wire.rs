//! Datagrams as bytes: in some worlds each goes through the codec, where bits can be flipped.

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, decode, encode_control, encode_data};
use quorate_core::{GroupTag, Incoming, RecoveryEpoch, Sender};

use crate::network::{Content, Datagram};
use crate::report::Mark;
use crate::world::{GROUP, World};

pub(crate) const TAG: GroupTag = GroupTag::new(GROUP, RecoveryEpoch(0));

impl World {
    /// The datagram as it goes over the wire of this world.
    pub(crate) fn on_the_wire(&mut self, mut datagram: Datagram) -> Datagram {
        if !self.swarm.encoded {
            return datagram;
        }
        self.datagram.resize(DATAGRAM_BYTES_MAX, 0);
        let header = Header { tag: TAG, sender: datagram.sender };
        let encoded = match &datagram.content {
            Content::Control(message) => encode_control(&header, message, &mut self.datagram),
            Content::Data { stream, epoch, position, live, bytes } => encode_data(
                &header,
                *stream,
                *epoch,
                *position,
                *live,
                (bytes, &[]),
                &mut self.datagram,
            ),
            Content::Encoded(_) => return datagram,
        };
        match encoded {
            Ok(length) => {
                self.tally.saw(Mark::Encoded);
                datagram.content = Content::Encoded(self.datagram[..length].to_vec());
            }
            Err(error) => {
                let text = format!("{:?} cannot be encoded: {error}", datagram.content);
                self.found("codec", text);
            }
        }
        datagram
    }

    /// The sender and the content of a datagram; `None` when it is damaged.
    pub(crate) fn read<'a>(&self, datagram: &'a Datagram) -> Option<(Sender, Incoming<'a>)> {
        match &datagram.content {
            Content::Encoded(bytes) => decode(bytes, TAG).ok(),
            content => content.incoming().map(|content| (datagram.sender, content)),
        }
    }
}
