//! Tests of the store (see below).
