//! Ctrl-C as a flag, for commands that have something to say before they go.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
/// A question waits for its answer.
static ASKING: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C sets the flag once; the second one ends the process.
pub fn watch() {
    FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // In this order, so that the first signal only sets the flag.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag));
            let _ = signal_hook::flag::register(signal, Arc::clone(&flag));
        }
        flag
    });
}

/// Asks somebody; Ctrl-C meanwhile ends the line of the question, then the process.
pub fn while_asking<T>(ask: impl FnOnce() -> T) -> T {
    #[cfg(unix)]
    listen();
    ASKING.store(true, Ordering::Relaxed);
    let answer = ask();
    ASKING.store(false, Ordering::Relaxed);
    answer
}

#[cfg(unix)]
fn listen() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let Ok((mut reader, writer)) = std::os::unix::net::UnixStream::pair() else { return };
        if signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, writer).is_err() {
            return;
        }
        std::thread::spawn(move || {
            while std::io::Read::read_exact(&mut reader, &mut [0]).is_ok() {
                let asking = ASKING.load(Ordering::Relaxed);
                if asking {
                    eprintln!();
                }
                // Later, `watch` may have taken it over.
                if asking || FLAG.get().is_none() {
                    std::process::exit(i32::from(crate::failure::INTERRUPTED));
                }
            }
        });
    });
}

/// Whether Ctrl-C was pressed.
pub fn pressed() -> bool {
    FLAG.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Sleeps, but not past Ctrl-C.
pub fn sleep(time: std::time::Duration) {
    let until = std::time::Instant::now() + time;
    while !pressed() {
        let left = until.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(std::time::Duration::from_millis(50)));
    }
}
