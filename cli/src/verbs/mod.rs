//! One verb per file. Each has its `Args` (what may be typed) and its `run` (what it does).

pub mod archive;
pub mod best;
pub mod cancel;
pub mod complete;
pub mod completions;
pub mod delete;
pub mod demo;
pub mod demo_trial;
pub mod doctor;
pub mod enqueue;
pub mod explain;
pub mod export;
pub mod follow;
pub mod fork;
pub mod gc;
pub mod import;
pub mod invite;
pub mod join;
pub mod leave;
pub mod logs;
pub mod node;
pub mod nodes;
pub mod open;
pub mod pause;
pub mod pull;
pub mod report;
pub mod resume;
pub mod retry;
pub mod secret;
pub mod show;
pub mod status;
pub mod submit;
pub mod target;
pub mod trials;
pub mod up;
pub mod within;

use crate::{cli::Verb, context::Context, failure::Failure};

/// Does what was asked. `shorthand`: `submit` was left out.
pub fn run(verb: Verb, context: &Context, shorthand: bool) -> Result<(), Failure> {
    match verb {
        Verb::Submit(args) => submit::run(*args, context, shorthand),
        Verb::Status(args) => status::run(args, context),
        Verb::Trials(args) => trials::run(args, context),
        Verb::Show(args) => show::run(args, context),
        Verb::Best(args) => best::run(args, context),
        Verb::Logs(args) => logs::run(args, context),
        Verb::Explain(args) => explain::run(args, context),
        Verb::Pull(args) => pull::run(args, context),
        Verb::Pause(args) => pause::run(args, context),
        Verb::Resume(args) => resume::run(args, context),
        Verb::Cancel(args) => cancel::run(args, context),
        Verb::Retry(args) => retry::run(args, context),
        Verb::Enqueue(args) => enqueue::run(args, context),
        Verb::Fork(args) => fork::run(args, context),
        Verb::Archive(args) => archive::run(args, context),
        Verb::Delete(args) => delete::run(args, context),
        Verb::Export(args) => export::run(args, context),
        Verb::Import(args) => import::run(args, context),
        Verb::Report(args) => report::run(args, context),
        Verb::Complete(args) => complete::run(args, context),
        Verb::Up(args) => up::run(args, context),
        Verb::Invite(args) => invite::run(args, context),
        Verb::Join(args) => join::run(args, context),
        Verb::Leave(args) => leave::run(args, context),
        Verb::Nodes(args) => nodes::run(args, context),
        Verb::Node(args) => node::run(args, context),
        Verb::Open(args) => open::run(args, context),
        Verb::Secret(args) => secret::run(args, context),
        Verb::Doctor(args) => doctor::run(args, context),
        Verb::Gc(args) => gc::run(args, context),
        Verb::Demo(args) => demo::run(args, context),
        Verb::DemoTrial(args) => demo_trial::run(args, context),
        Verb::Completions(args) => completions::run(args, context),
    }
}
