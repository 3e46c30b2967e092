//! `… supervise DIR` and `… enclose …`, as `metaoptd` understands them: for this crate's own tests of real processes.

fn main() -> std::process::ExitCode {
    metaopt_daemon::exec::stage(std::env::args_os().skip(1)).unwrap_or(std::process::ExitCode::FAILURE)
}
