//! The block form beside a dense joint model, and its parts beside each other.
