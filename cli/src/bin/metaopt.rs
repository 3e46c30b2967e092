//! The command line.

fn main() -> std::process::ExitCode {
    metaopt::main()
}
