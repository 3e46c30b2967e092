//! Programs that ask and tell, at any node, and turn to another when theirs doesn't answer.

use metaopt_core::{
    RefusalKind,
    commands::{Action, IdleReason, Told},
};
use metaopt_schema::AttemptKey;

use crate::{
    jobs::{result_of, value_at},
    random::Random,
    world::{Call, Event, PATIENCE_MS, Reply, Who, World},
};

#[derive(Debug)]
pub struct Client {
    pub study: String,
    /// Changes when it is started again.
    pub name: String,
    pub node: usize,
    pub state: State,
    random: Random,
    /// Tells its wakings from earlier ones.
    epoch: u64,
    /// Its last call.
    number: u64,
    lives: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Idle,
    Asking,
    Working { key: AttemptKey, step: u64, steps: u64, step_ms: u64 },
    Telling { key: AttemptKey, tries: u32 },
}

impl Client {
    pub fn new(seed: u64, i: usize, study: String, boxes: usize) -> Self {
        let mut random = Random::stream(seed, &format!("client {i}"));
        let node = random.below(boxes as u64) as usize;
        let name = format!("client{i}");
        Self { study, name, node, state: State::Idle, random, epoch: 0, number: 0, lives: 0 }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }
}

fn sleep(world: &mut World, client: usize, ms: u64) {
    world.clients[client].epoch += 1;
    let epoch = world.clients[client].epoch;
    world.at(ms, Event::Client(client, epoch));
}

fn call(world: &mut World, client: usize, call: Call) {
    world.clients[client].number += 1;
    let (at, number) = (world.clients[client].node, world.clients[client].number);
    let delay = world.clients[client].random.range(0, 3);
    world.at(delay, Event::Call { at, call, who: Who::Client(client, number) });
}

fn turn_to_another(world: &mut World, client: usize) {
    let count = world.boxes.len() as u64;
    let me = &mut world.clients[client];
    me.node = me.random.below(count) as usize;
}

/// Time passed for a client.
pub fn wake(world: &mut World, client: usize, epoch: u64) {
    let me = &mut world.clients[client];
    if me.epoch != epoch {
        return;
    }
    match me.state.clone() {
        State::Idle if world.quiet => sleep(world, client, 5_000),
        State::Idle => {
            me.state = State::Asking;
            let request = Call::Suggest { study: me.study.clone(), client: me.name.clone(), lease_s: 8.0 };
            call(world, client, request);
            sleep(world, client, PATIENCE_MS);
        }
        State::Asking => {
            turn_to_another(world, client);
            world.clients[client].state = State::Idle;
            sleep(world, client, 100);
        }
        State::Working { key, step, steps, step_ms } if step < steps => {
            if !world.healed && me.random.chance(0.01) {
                // It dies; whoever starts it again knows nothing of this.
                me.lives += 1;
                me.name = format!("client{client}.{}", me.lives);
                me.state = State::Idle;
                world.fire("client died");
                return sleep(world, client, 3_000);
            }
            let step = step + 1;
            let request = Call::Report { key: key.clone(), step, value: value_at(&key, step) };
            me.state = State::Working { key, step, steps, step_ms };
            call(world, client, request);
            sleep(world, client, step_ms);
        }
        State::Working { key, .. } => {
            me.state = State::Telling { key, tries: 0 };
            sleep(world, client, 0);
        }
        State::Telling { key, tries } => {
            if tries > 0 {
                turn_to_another(world, client);
            }
            let told = Told::Complete([("loss".to_owned(), result_of(&key))].into_iter().collect());
            world.clients[client].state = State::Telling { key: key.clone(), tries: tries + 1 };
            call(world, client, Call::Complete { key, told });
            // In the end it gives up: its node may have lost its disk with the trial.
            if tries > 40 {
                world.clients[client].state = State::Idle;
            }
            sleep(world, client, PATIENCE_MS);
        }
    }
}

pub fn answered(world: &mut World, client: usize, number: u64, from: usize, asked: Call, reply: Reply) {
    let me = &mut world.clients[client];
    if me.number != number {
        return;
    }
    match (me.state.clone(), asked, reply) {
        (State::Asking, Call::Suggest { .. }, Reply::Lent(keys, reason)) => match keys.into_iter().next() {
            Some(key) => {
                me.node = from;
                let (steps, step_ms) = (me.random.range(0, 4), me.random.range(100, 2_500));
                me.state = State::Working { key, step: 0, steps, step_ms };
                sleep(world, client, step_ms);
            }
            None => {
                me.state = State::Idle;
                let rest = if reason == Some(IdleReason::Wait) { 500 } else { 2_000 };
                if me.random.chance(0.2) {
                    turn_to_another(world, client);
                }
                sleep(world, client, rest);
            }
        },
        (State::Asking, Call::Suggest { .. }, _) => {
            turn_to_another(world, client);
            world.clients[client].state = State::Idle;
            sleep(world, client, 500);
        }
        (State::Working { .. }, Call::Report { .. }, Reply::Action(Action::Stop | Action::Pause)) => {
            me.state = State::Idle;
            sleep(world, client, 200);
        }
        (State::Telling { .. }, Call::Complete { .. }, Reply::Done) => {
            me.state = State::Idle;
            sleep(world, client, 50);
        }
        (State::Telling { .. }, Call::Complete { .. }, Reply::Refused(refusal)) => {
            if refusal.kind == RefusalKind::NotFound || refusal.kind == RefusalKind::Invalid {
                // The node doesn't know the trial, or the attempt, yet.
                sleep(world, client, 1_000);
            } else {
                me.state = State::Idle;
                sleep(world, client, 100);
            }
        }
        (State::Telling { .. }, Call::Complete { .. }, Reply::Unsure) => sleep(world, client, 1_000),
        _ => {}
    }
}

pub fn begin(world: &mut World, client: usize) {
    let delay = 3_000 + world.clients[client].random.below(4_000);
    sleep(world, client, delay);
}
