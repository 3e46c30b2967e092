//! The daemon.

fn main() -> std::process::ExitCode {
    metaopt_daemon::main()
}
