//! A switch in user space between one box and the bridge, which delays frames and loses some: not every kernel has `netem`.

use std::{
    fs::File,
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use super::{Lan, Place};

/// Most that one frame has, with room to spare.
const FRAME: usize = 1 << 16;

/// What lies between; taken out again when dropped.
pub struct Slow {
    bridge: Place,
    port: String,
    devices: [String; 3],
    lost: Arc<AtomicU64>,
    passed: Arc<AtomicU64>,
}

impl Slow {
    /// From now on every frame of a box, either way, takes `delay` longer, and so many of a thousand are lost; which, a seed
    /// says.
    ///
    /// # Errors
    /// In words: this kernel has no tap devices.
    pub fn between(lan: &Lan, at: usize, delay: Duration, lost_of_1000: u64, seed: u64) -> Result<Self, String> {
        let bridge = lan.bridge().clone();
        let port = super::lan::port(at);
        let devices = ["near", "far", "wire"].map(|word| format!("{word}{}", at + 1));
        let slow = Self { bridge, port, devices, lost: Arc::default(), passed: Arc::default() };
        let [near, far, wire] = &slow.devices;
        let ip = |words: &str| slow.bridge.ip(&words.split(' ').collect::<Vec<_>>());
        ip(&format!("link add {wire} type bridge mcast_snooping 0"))?;
        for (tap, master) in [(near, "bridge"), (far, wire)] {
            ip(&format!("tuntap add dev {tap} mode tap"))?;
            ip(&format!("link set {tap} master {master}"))?;
            ip(&format!("link set {tap} up"))?;
        }
        ip(&format!("link set {} master {wire}", slow.port))?;
        ip(&format!("link set {wire} up"))?;
        let (near, far) = (slow.open(near)?, slow.open(far)?);
        let clone = |file: &File| file.try_clone().map_err(|e| e.to_string());
        slow.pass(clone(&near)?, clone(&far)?, delay, lost_of_1000, seed);
        slow.pass(far, near, delay, lost_of_1000, seed.wrapping_add(1));
        Ok(slow)
    }

    /// Frames that were lost, and those that passed.
    pub fn count(&self) -> (u64, u64) {
        (self.lost.load(Ordering::Relaxed), self.passed.load(Ordering::Relaxed))
    }

    #[allow(unsafe_code, reason = "TUNSETIFF has no safe wrapper")]
    fn open(&self, tap: &str) -> Result<File, String> {
        const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;
        /// A tap, and frames without a header before them.
        const FLAGS: u16 = 0x0002 | 0x1000;
        let mut request = [0_u8; 40];
        request[..tap.len()].copy_from_slice(tap.as_bytes());
        request[16..18].copy_from_slice(&FLAGS.to_ne_bytes());
        self.bridge.inside(|| {
            let file = File::options().read(true).write(true).open("/dev/net/tun");
            let file = file.map_err(|e| format!("/dev/net/tun: {e}"))?;
            // SAFETY: the opcode takes an `ifreq`, which has 40 bytes, and only reads name and flags of it.
            let set = unsafe { rustix::ioctl::ioctl(&file, rustix::ioctl::Setter::<TUNSETIFF, _>::new(request)) };
            set.map(|()| file).map_err(|e| format!("{tap}: {e}"))
        })
    }

    /// One direction; ends when the device is gone.
    fn pass(&self, mut from: File, mut to: File, delay: Duration, lost_of_1000: u64, seed: u64) {
        let (send, sent) = mpsc::sync_channel::<(Instant, Vec<u8>)>(10_000);
        let (lost, passed) = (Arc::clone(&self.lost), Arc::clone(&self.passed));
        std::thread::spawn(move || {
            let (mut frame, mut state) = (vec![0; FRAME], seed);
            while let Ok(length) = from.read(&mut frame) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // A full queue loses frames too, as those of switches do.
                let taken = (state >> 33) % 1000 >= lost_of_1000
                    && send.try_send((Instant::now() + delay, frame[..length].to_vec())).is_ok();
                if taken { &passed } else { &lost }.fetch_add(1, Ordering::Relaxed);
            }
        });
        std::thread::spawn(move || {
            for (due, frame) in sent {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let _ = to.write_all(&frame);
            }
        });
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.bridge.ip(&["link", "set", &self.port, "master", "bridge"]);
        for device in &self.devices {
            let _ = self.bridge.ip(&["link", "del", device]);
        }
    }
}
