//! Time that statements take, for `.timer`.

use std::time::Instant;

/// Real and processor time.
pub struct Timer {
    started: Instant,
    user: f64,
    system: f64,
}

/// Processor time used so far: in the program, and in the kernel for it.
#[cfg(unix)]
fn processor_time() -> (f64, f64) {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let seconds = |time: nix::sys::time::TimeVal| {
        #[allow(clippy::cast_precision_loss)] // 2^53 microseconds are 285 years
        let micros = time.num_microseconds() as f64;
        micros / 1e6
    };
    getrusage(UsageWho::RUSAGE_SELF).map_or((0.0, 0.0), |usage| {
        (seconds(usage.user_time()), seconds(usage.system_time()))
    })
}

/// Not counted where the standard library has no clock for it.
#[cfg(not(unix))]
fn processor_time() -> (f64, f64) {
    (0.0, 0.0)
}

impl Timer {
    pub fn start() -> Self {
        let (user, system) = processor_time();
        Self {
            started: Instant::now(),
            user,
            system,
        }
    }

    pub fn report(&self) -> String {
        let real = self.started.elapsed().as_secs_f64();
        let (user, system) = processor_time();
        format!(
            "Run Time: real {real:.3} user {:.6} sys {:.6}",
            user - self.user,
            system - self.system
        )
    }
}
