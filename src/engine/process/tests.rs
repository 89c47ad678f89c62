//! Programs that run, fail, come back and refuse to end; and the log of what they say.

use super::pause::STEADY;
use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A shell script as a job. It is ready when the file exists.
struct Script {
    text: String,
    sign: PathBuf,
    readied: Arc<AtomicU32>,
}

impl Job for Script {
    fn prepare(&self) -> Result<Launch> {
        Ok(Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), self.text.clone().into()],
            environment: vec![("PATH".into(), "/usr/bin:/bin".into()), ("ONLY".into(), "this".into())],
        })
    }
    fn is_ready(&self, _pid: u32) -> bool {
        self.sign.exists()
    }
    fn became_ready(&self) {
        self.readied.fetch_add(1, Ordering::SeqCst);
    }
    fn ended(&self, end: &ProgramEnd) -> Option<String> {
        let _ = std::fs::remove_file(&self.sign);
        end.crashed.then(|| "while it was tested".to_owned())
    }
    /// A file says so once for each of its bytes.
    fn may_start_at_once(&self) -> Option<String> {
        let path = self.sign.with_file_name("hindrances");
        let left = std::fs::read(&path).ok().filter(|left| !left.is_empty())?;
        std::fs::write(&path, &left[1..]).unwrap();
        Some("it is tested".to_owned())
    }
}

fn label() -> ProcessLabel {
    ProcessLabel {
        location: "ams".to_owned(),
        group: "default".to_owned(),
        database: None,
        pool: "pool".to_owned(),
        role: "primary",
    }
}

fn run(dir: &std::path::Path, text: &str) -> (Process, Arc<AtomicU32>) {
    let readied = Arc::new(AtomicU32::new(0));
    let sign = dir.join("ready");
    let script = Script {
        text: text.replace("READY", &format!("touch {}", sign.display())),
        sign,
        readied: Arc::clone(&readied),
    };
    let process = Process::start(label(), dir.join("log"), script).unwrap();
    (process, readied)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn process_starts_with_its_own_environment_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let (process, _) = run(dir.path(), "env; READY; exec sleep 60");
    process.wait_ready(Duration::from_secs(20)).unwrap();
    until("the log is written", || {
        std::fs::read_to_string(dir.path().join("log")).is_ok_and(|log| log.contains("ONLY=this"))
    });
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains("HOME="), "{log}");
    let pid = process.pid().unwrap();
    process.stop();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(process.pid(), None);
    assert!(!process.is_ready());
}

#[test]
fn process_that_was_killed_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let (process, readied) = run(dir.path(), "READY; exec sleep 60");
    process.wait_ready(Duration::from_secs(20)).unwrap();
    let first = process.pid();
    process.kill("it is in the way");
    until("it is ready again", || {
        readied.load(Ordering::SeqCst) == 2 && process.is_ready()
    });
    assert_ne!(process.pid(), first);
    assert_eq!(process.failures(), 1);
    let status = process.status();
    assert_eq!(status.failure.as_deref(), Some("was ended: it is in the way"));
    assert!(status.is_ready && status.pid == process.pid());
}

#[test]
fn process_that_crashes_is_told_from_one_that_was_ended() {
    let failure = |how: &str| {
        let dir = tempfile::tempdir().unwrap();
        let (process, _) = run(dir.path(), &format!("READY; {how}"));
        until("it has failed", || process.failures() > 0);
        process.status().failure.unwrap()
    };
    assert_eq!(failure("kill -ABRT $$"), "was ended by signal 6 while it was tested");
    assert_eq!(failure("exit 101"), "ended with exit code 101 while it was tested");
    assert_eq!(failure("kill -KILL $$"), "was ended by signal 9");
    assert_eq!(failure("exit 0"), "ended with exit code 0");
}

#[test]
fn process_with_one_database_has_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (process, _) = run(dir.path(), "exit 3");
    let named = |name: &str| ProcessLabel {
        database: Some(OnlyDatabase {
            id: "0f".to_owned(),
            name: name.to_owned(),
        }),
        ..label()
    };
    assert_eq!(process.label().to_string(), "libSQL server of group default in ams");
    process.set_label(named("app"));
    let error = process.wait_ready(Duration::from_secs(20)).unwrap_err();
    assert!(
        error
            .message()
            .starts_with("libSQL server of database app (group default) in ams "),
        "{error}"
    );
    process.set_label(named("renamed"));
    assert_eq!(process.status().label.database_name(), Some("renamed"));
}

#[test]
fn process_that_fails_says_why_and_is_restarted_less_often() {
    let dir = tempfile::tempdir().unwrap();
    let (process, _) = run(dir.path(), "echo no luck today >&2; exit 3");
    let error = process.wait_ready(Duration::from_secs(20)).unwrap_err();
    assert!(error.message().contains("exit code 3"), "{error}");
    // Its words are for whoever reads the log, not for all who get the error.
    let log = error.hint_text().unwrap().rsplit(' ').next().unwrap().to_owned();
    until("its words arrive", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("no luck today"))
    });
    let error = process.wait_ready(Duration::from_secs(20)).unwrap_err();
    assert!(!error.full_message().contains("no luck today"), "{error}");
    let began = Instant::now();
    until("the fourth try", || process.failures() >= 4);
    assert!(began.elapsed() > Duration::from_millis(300), "no back-off");
}

#[test]
fn restart_pauses_grow_and_stay_short_for_a_process_that_was_ready() {
    let pauses = |was_ready, lived| {
        let first = next_pause(None, was_ready, lived);
        std::iter::successors(Some(first), |last| Some(next_pause(Some(*last), was_ready, lived)))
            .map(|pause| pause.as_millis())
            .take(9)
            .collect::<Vec<_>>()
    };
    let brief = Duration::from_secs(1);
    assert_eq!(
        pauses(false, brief),
        [100, 200, 400, 800, 1600, 3200, 6400, 12800, 15000]
    );
    assert_eq!(pauses(true, brief), [100, 200, 400, 800, 1000, 1000, 1000, 1000, 1000]);
    assert_eq!(pauses(true, STEADY * 2), [100; 9]);
}

#[test]
fn process_that_does_not_end_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (process, _) = run(dir.path(), "trap '' TERM; READY; while :; do sleep 0.05; done");
    process.wait_ready(Duration::from_secs(20)).unwrap();
    let began = Instant::now();
    process.stop();
    assert!(began.elapsed() >= GRACE);
    assert!(began.elapsed() < GRACE + Duration::from_secs(3));
}

#[test]
fn process_log_is_bounded_and_plain() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = Log::with_limit(path.clone(), 1000).unwrap();
    for number in 0..100 {
        log.add(format!("\u{1b}[31mline {number}\u{1b}[0m of the log\n").as_bytes());
    }
    let size = |path: &std::path::Path| std::fs::metadata(path).unwrap().len();
    assert!(size(&path) < 1000);
    assert!(size(&dir.path().join("log.1")) < 1000);
    assert_eq!(log.last_lines().last().unwrap(), "line 99 of the log");
}

#[test]
fn process_that_was_hindered_is_started_again_at_once() {
    let dir = tempfile::tempdir().unwrap();
    // It starts where nothing hinders it any more.
    let text = "test -s hindrances && exit 1; READY; sleep 60"
        .replace("hindrances", &dir.path().join("hindrances").display().to_string());
    std::fs::write(dir.path().join("hindrances"), "123").unwrap();
    let (process, readied) = run(dir.path(), &text);
    process.wait_ready(Duration::from_secs(20)).unwrap();
    assert_eq!((process.failures(), readied.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn process_that_is_hindered_for_long_is_one_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hindrances"), "1".repeat(100)).unwrap();
    let (process, _) = run(dir.path(), "exit 1");
    process.wait_ready(Duration::from_secs(20)).unwrap_err();
    assert!(process.failures() >= 1);
}
