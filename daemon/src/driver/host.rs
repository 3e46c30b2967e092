//! The node's shell as links see it.

use metaopt_core::{About, wire::Frame};
use metaopt_schema::NodeId;

use super::{Message, PIECE, PIECES, Shell};
use crate::peer::{Host, Known, Later, Newcomer, Standing, Up};

/// About how many bytes a frame takes in memory.
fn size(frame: &Frame) -> usize {
    match frame {
        Frame::Changes(changes) => changes.iter().map(|(_, change)| change.bytes.len() + 128).sum(),
        Frame::Whole(_, snapshot, digest) => snapshot.len() + digest.len(),
        Frame::Have { vectors, .. } | Frame::Want(vectors) => {
            vectors.values().map(|vector| 128 + vector.len() * 96).sum()
        }
        _ => 0,
    }
}

impl Host for Shell {
    fn standing(&self, node: &NodeId) -> Standing {
        self.read(|all, _| match (all.is_removed(node), all.is_member(node)) {
            (true, _) => Standing::Removed,
            (_, true) => Standing::Member,
            _ => Standing::Stranger,
        })
    }

    fn members(&self) -> Vec<Known> {
        let others = self.read(|all, _| all.others());
        others.into_iter().map(|(node, name, addresses)| Known { node, name, addresses }).collect()
    }

    fn boot(&self) -> u64 {
        self.boot
    }

    fn up(&self, up: Up) {
        let _ = self.sender.send(Message::PeerUp(up.node));
    }

    fn down(&self, node: &NodeId) {
        let _ = self.sender.send(Message::PeerDown(node.clone()));
    }

    fn frame(&self, node: &NodeId, frame: Frame) -> Later<()> {
        let (shell, node) = (self.clone(), node.clone());
        Box::pin(async move {
            let pieces = (size(&frame) / PIECE + 1).min(PIECES) as u32;
            if let Ok(room) = shell.frames.clone().acquire_many_owned(pieces).await {
                let _ = shell.sender.send(Message::Frame(node, frame, room));
            }
        })
    }

    fn admit(&self, newcomer: Newcomer) -> Later<Result<(), String>> {
        let shell = self.clone();
        Box::pin(async move {
            let Newcomer { node, public_key, name } = newcomer;
            tracing::warn!(%node, %name, "becomes a member: it may run commands here");
            let admit = move |all: &mut metaopt_core::Node, now| all.admit(now, &node, public_key);
            shell.call(admit).await.map_err(|error| error.to_string())
        })
    }

    fn bound(&self) -> Option<String> {
        if let Err(removed) = self.read(|all, _| all.refuse_if_removed()) {
            return Some(removed.detail);
        }
        let others = self.read(|all, _| all.others());
        let names: Vec<String> =
            others.into_iter().map(|(id, name, _)| if name.is_empty() { id.to_string() } else { name }).collect();
        (!names.is_empty())
            .then(|| format!("this node is in a cluster with {} already: `metaopt leave` it first", names.join(", ")))
    }

    fn addresses(&self, addresses: Vec<String>) {
        let _ = self.sender.send(Message::Addresses(addresses));
    }

    fn notice(&self, about: About, text: String) {
        let _ = self.sender.send(Message::Notice(about, text));
    }
}
