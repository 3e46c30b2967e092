//! What comes out of the node.

use std::sync::Arc;

use metaopt_schema::{
    AttemptKey, DocId, NodeId, StudyId,
    docs::{DocError, RawChange},
    study::RunSpec,
};

use crate::{
    Saved,
    commands::Event,
    launch::{Launch, StopWhy},
};

/// Something for the shell to do, once the changes of the same [`Output`] are durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Run an attempt.
    Launch(Box<Launch>),
    /// Ask a running attempt to end.
    Stop(AttemptKey, StopWhy),
    /// Find out whether this node can run a study at all; answered by `Node::probed`.
    Probe(StudyId, Box<RunSpec>),
    /// The attempt's end is recorded: its working files may go.
    Finish(AttemptKey),
    /// An attempt that no document knows is over: its files are to be kept where people find them.
    SetAside(AttemptKey),
    /// End the link to a node that is no member any more.
    Cut(NodeId),
    /// Drop these documents of deleted studies; those that can't be dropped now, the next start names again.
    Forget(Vec<DocId>),
}

/// A frame for some peers, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// To whom; those without a link are passed over.
    pub to: Vec<NodeId>,
    /// See [`crate::wire`].
    pub frame: Arc<[u8]>,
    /// It goes at once. Others go when the changes of the same [`Output`] are durable.
    pub at_once: bool,
}

/// Everything since the last drain.
#[derive(Debug, Default)]
pub struct Output {
    /// To be made durable first, in one commit.
    pub changes: Vec<(DocId, RawChange)>,
    /// Whole documents of peers, to be stored in the same way.
    pub wholes: Vec<(DocId, Saved)>,
    /// For peers.
    pub parcels: Vec<Parcel>,
    /// What went wrong with what peers sent, for the log.
    pub troubles: Vec<String>,
    /// Small values to be kept beside them, in the same commit.
    pub meta: Vec<(String, Vec<u8>)>,
    /// To be done afterwards.
    pub effects: Vec<Effect>,
    /// Something is not written yet, since its document can't be read now: what was called is not to be acknowledged.
    pub owed: Option<DocError>,
    /// For people who follow.
    pub events: Vec<Event>,
    /// Facts that could not be written.
    pub refused: Vec<DocError>,
}

impl Output {
    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.meta.is_empty()
            && self.wholes.is_empty()
            && self.parcels.is_empty()
            && self.troubles.is_empty()
            && self.effects.is_empty()
            && self.events.is_empty()
            && self.refused.is_empty()
    }
}
