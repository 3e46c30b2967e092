//! NVIDIA GPUs through NVML, loaded when the daemon runs: no driver, no GPUs, no error.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use nvml_wrapper::{
    Nvml as Library, enums::device::UsedGpuMemory, error::NvmlError, struct_wrappers::device::ProcessInfo,
};

use super::{GpuInfo, GpuProcess, Inventory};

/// A driver installed while the daemon runs is found after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

enum State {
    Absent(Option<Instant>),
    Loaded(Library),
}

/// The machine's NVIDIA GPUs.
pub struct Nvml(Mutex<State>);

impl Default for Nvml {
    fn default() -> Self {
        Self(Mutex::new(State::Absent(None)))
    }
}

impl Inventory for Nvml {
    fn sample(&self) -> Result<Vec<GpuInfo>, String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Absent(looked) = &*state {
            if looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
                return Ok(Vec::new());
            }
            *state = match load() {
                Ok(Some(library)) => State::Loaded(library),
                Ok(None) => State::Absent(Some(Instant::now())),
                Err(error) => {
                    *state = State::Absent(Some(Instant::now()));
                    return Err(format!("NVML: {error}; `nvidia-smi` should say more"));
                }
            };
        }
        match &*state {
            State::Loaded(library) => sample(library).map_err(|error| {
                // "driver/library version mismatch" and "GPU is lost" heal only by loading anew
                *state = State::Absent(Some(Instant::now()));
                format!("NVML: {error}; `nvidia-smi` should say more")
            }),
            State::Absent(_) => Ok(Vec::new()),
        }
    }
}

fn load() -> Result<Option<Library>, NvmlError> {
    // Debian's and Ubuntu's driver packages bring only the versioned name.
    let versioned = || Library::builder().lib_path("libnvidia-ml.so.1".as_ref()).init();
    match Library::init().or_else(|error| if cfg!(target_os = "linux") { versioned() } else { Err(error) }) {
        Ok(library) => Ok(Some(library)),
        Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded) => Ok(None),
        Err(error) => Err(error),
    }
}

fn sample(library: &Library) -> Result<Vec<GpuInfo>, NvmlError> {
    let mut gpus = Vec::new();
    for index in 0..library.device_count()? {
        let device = library.device_by_index(index)?;
        let memory = device.memory_info()?;
        // Not every GPU tells of both kinds; one that tells of none is judged by its memory alone.
        let compute = device.running_compute_processes().unwrap_or_default();
        let graphics = device.running_graphics_processes().unwrap_or_default();
        let mut processes: Vec<GpuProcess> = compute.into_iter().chain(graphics).map(process).collect();
        processes.sort_by_key(|process| (process.pid, std::cmp::Reverse(process.memory)));
        processes.dedup_by_key(|process| process.pid);
        gpus.push(GpuInfo {
            uuid: device.uuid()?,
            name: device.name()?,
            memory_total: memory.total,
            // this does not hold the driver's own reserve, which is nobody's use
            memory_used: memory.used,
            processes,
        });
    }
    Ok(gpus)
}

fn process(info: ProcessInfo) -> GpuProcess {
    let memory = match info.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    };
    GpuProcess { pid: info.pid, memory }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]
mod tests {
    use super::*;

    /// `METAOPT_TEST_NVML=1 cargo test -p metaopt-daemon nvml -- --nocapture` on a machine with a GPU.
    #[test]
    fn nvml_sees_this_machines_gpus() {
        let gpus = Nvml::default().sample();
        if std::env::var_os("METAOPT_TEST_NVML").is_none() {
            // anywhere else: a machine without a driver has no GPUs and that is no error
            if !std::path::Path::new("/proc/driver/nvidia").exists() {
                assert_eq!(gpus, Ok(Vec::new()));
            }
            return;
        }
        let gpus = gpus.unwrap();
        for gpu in &gpus {
            println!("{gpu:?}");
        }
        assert!(!gpus.is_empty());
        for gpu in &gpus {
            assert!(
                gpu.uuid.starts_with("GPU-") && gpu.memory_total > 0 && gpu.memory_used <= gpu.memory_total,
                "{gpu:?}"
            );
        }
    }
}
