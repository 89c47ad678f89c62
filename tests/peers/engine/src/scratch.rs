//! The folder in which statements run: files that nothing may touch, and a wall around it.

use landlock::{ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// What the canaries hold.
pub const SECRET: &str = "canary-5f1c0d8e";

type State = BTreeMap<String, (u64, SystemTime)>;

pub struct Scratch {
    clean: State,
    canaries: Vec<(String, Vec<u8>)>,
}

impl Scratch {
    /// Makes the canaries in an empty folder and goes there. From then on the process can open no file elsewhere, where the
    /// kernel has Landlock.
    pub fn new(folder: &Path, names: &[String]) -> Result<Self, Box<dyn Error>> {
        fs::create_dir_all(folder)?;
        std::env::set_current_dir(folder)?;
        for entry in fs::read_dir(".")? {
            fs::remove_file(entry?.path())?;
        }
        let mut canaries = Vec::new();
        for name in names {
            if name.ends_with(".db") {
                let other = crate::connection::Connection::open(name)?;
                other.execute(&format!(
                    "create table secrets (x); insert into secrets values ('{SECRET}')"
                ))?;
            } else {
                fs::write(name, SECRET)?;
            }
            canaries.push((name.clone(), fs::read(name)?));
        }
        let all = AccessFs::from_all(ABI::V1);
        Ruleset::default()
            .handle_access(all)?
            .create()?
            .add_rule(PathBeneath::new(PathFd::new(".")?, all))?
            .restrict_self()?;
        let mut scratch = Self {
            clean: State::new(),
            canaries,
        };
        scratch.clean = scratch.state()?;
        Ok(scratch)
    }

    fn state(&self) -> std::io::Result<State> {
        fs::read_dir(".")?
            .map(|entry| {
                let entry = entry?;
                let metadata = entry.metadata()?;
                let name = entry.file_name().to_string_lossy().into_owned();
                Ok((name, (metadata.len(), metadata.modified()?)))
            })
            .collect()
    }

    /// Names of the files that came, went or changed since the last call, and puts everything back.
    pub fn changes(&mut self) -> std::io::Result<Vec<String>> {
        let now = self.state()?;
        if now == self.clean {
            return Ok(Vec::new());
        }
        let names = now.iter().filter(|&(name, state)| self.clean.get(name) != Some(state));
        let gone = self.clean.keys().filter(|name| !now.contains_key(*name));
        let changed: Vec<String> = names.map(|(name, _)| name).chain(gone).cloned().collect();
        for name in now.keys() {
            let _ = fs::remove_file(name);
            let _ = fs::remove_dir_all(name);
        }
        for (name, content) in &self.canaries {
            fs::write(name, content)?;
        }
        self.clean = self.state()?;
        Ok(changed)
    }
}
