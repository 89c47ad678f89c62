//! Panics of libraries that are expected and handled: on odd input some panic where they should return an error. They are
//! caught without a word on stderr or in a log; any other panic is reported as ever.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::Once;

thread_local! {
    /// Whether this thread catches what panics now.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Calls `work` and returns what it returns, or an error if it panics, of which nothing is printed. The panic hook stays
/// installed: it belongs to the process, and removing it could remove another thread's.
pub fn catch<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                report(panic);
            }
        }));
    });
    let outer = EXPECTED.replace(true);
    let result = std::panic::catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(outer);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Tells the test below, in a process of its own, to panic.
    const PANIC: &str = "TORSO_TEST_PANIC";

    #[test]
    fn panic_that_is_expected_is_not_reported_and_any_other_is() {
        if std::env::var_os(PANIC).is_some() {
            assert_eq!(catch(|| 7).unwrap(), 7);
            assert!(catch(|| -> u8 { panic!("first, expected") }).is_err());
            assert!(catch(|| catch(|| -> u8 { panic!("second, expected") }).unwrap_or(1)).is_ok());
            panic!("third, not foreseen");
        }
        let this = std::env::current_exe().unwrap();
        let name = "panics::tests::panic_that_is_expected_is_not_reported_and_any_other_is";
        let ran = Command::new(this)
            .args(["--exact", name, "--nocapture"])
            .env(PANIC, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned() + &String::from_utf8_lossy(&ran.stdout);
        assert!(!ran.status.success() && said.contains("third, not foreseen"), "{said}");
        assert!(!said.contains(", expected"), "{said}");
    }
}
