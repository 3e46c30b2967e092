//! Boxes in network namespaces, joined by a bridge that the test makes itself, with a real daemon in each.
//!
//! Nothing of the host's own network changes: the bridge has a namespace of its own too, and everything that is made
//! carries the test's process id, so that what a killed test left behind is found and removed by the next one. Needs root
//! and the programs `ip` and `nft`; see [`Lan::new`] for what happens without.

mod disk;
mod history;
mod lan;
mod leftovers;
mod node;
mod place;
mod slow;

pub use disk::Small;
pub use history::{Ledger, Mark, Marks, Work, agree, counted_once, exports, say};
pub use lan::Lan;
pub use node::{FAST, Node, Remote};
pub use place::Place;
pub use slow::Slow;
