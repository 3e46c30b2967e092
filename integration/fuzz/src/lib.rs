//! What the fuzz targets do: one module a target, each with `run(data) -> bool`.
//!
//! A `run` panics where a property is broken. It answers whether the input was accepted and all properties were
//! checked; `run.py` demands that of every seed called `good-…`, so that a target can't silently stop doing its work.

use std::{
    backtrace::Backtrace,
    cell::RefCell,
    panic,
    sync::{Once, OnceLock},
};

pub mod archives;
pub mod database;
pub mod documents;
pub mod facts;
pub mod frames;
pub mod imports;
pub mod logs;
pub mod markers;
pub mod requests;
pub mod spaces;
pub mod studies;
pub mod templates;

#[doc(hidden)]
pub use libfuzzer_sys;

/// Most memory that Rust code may hold at once, in bytes: more is an abort, and so a finding. (libFuzzer's own limit on
/// single allocations needs a sanitizer; its limit on resident memory, which also covers C, is set by `run.py`.)
const MEMORY: usize = 384 << 20;

#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, MEMORY);

/// Whether every input must be accepted.
pub fn strict() -> bool {
    static STRICT: OnceLock<bool> = OnceLock::new();
    *STRICT.get_or_init(|| std::env::var_os("METAOPT_FUZZ_GOOD").is_some())
}

/// The fuzz target of a module.
#[macro_export]
macro_rules! target {
    ($module:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            $crate::guarded(|| {
                let accepted = $crate::$module::run(data);
                assert!(accepted || !$crate::strict(), "a good seed was not accepted");
            });
        });
    };
}

/// Runs one input. libFuzzer's own hook would abort on every panic, also on those of libraries that metaopt catches; so
/// panics are only remembered, and the one that comes through is told.
pub fn guarded(run: impl FnOnce() + panic::UnwindSafe) {
    static HOOK: Once = Once::new();
    thread_local! {
        static LAST: RefCell<String> = const { RefCell::new(String::new()) };
    }
    HOOK.call_once(|| {
        panic::set_hook(Box::new(|info| {
            LAST.set(format!("{info}\n{}", Backtrace::capture()));
        }));
    });
    if panic::catch_unwind(run).is_err() {
        eprintln!("{}", LAST.take());
        std::process::abort();
    }
}

/// The first byte, and the rest.
fn head(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// `data` in pieces whose lengths `by` decides.
fn pieces(data: &[u8], by: u8) -> impl Iterator<Item = &[u8]> {
    data.chunks(usize::from(by % 37) + 1)
}
