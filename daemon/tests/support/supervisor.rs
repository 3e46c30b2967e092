//! `… supervise DIR`, as `metaoptd` understands it: the supervisor for this crate's own tests of real processes.

fn main() -> std::process::ExitCode {
    match std::env::args_os().nth(2) {
        Some(dir) => metaopt_daemon::exec::supervisor::main(dir.as_ref()),
        None => std::process::ExitCode::FAILURE,
    }
}
