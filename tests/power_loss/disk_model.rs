//! A model of a disk: what of recorded calls is there after the power was lost. It promises what ext4 and XFS promise, and no more:
//!
//! - A file's data is there once the file was synced after the write. Until then each sector of 512 bytes may be there or not, in any
//!   order, and so may a change of the length.
//! - A name is there once its folder, or the file that it was given to, was synced afterwards. What was done earlier in the same folder
//!   is then there, too. Until then it may be lost, with everything that was done later in that folder.

use super::recording::{DiskCall, Event};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const SECTOR: usize = 512;

/// What is on a disk, by paths below the folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DiskState(pub BTreeMap<PathBuf, Entry>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Entry {
    Folder {
        mode: u32,
    },
    Link(PathBuf),
    File {
        mode: u32,
        bytes: Vec<u8>,
        modified: SystemTime,
    },
}

/// What of the things that are not synced survives.
#[derive(Debug, Clone, Copy)]
pub enum Survivors {
    None,
    All,
    Names,
    Data,
    /// Each with this probability, in parts.
    Some(f64),
}

type Number = usize;
const FOLDER: Number = 0;

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLength(usize),
}

#[derive(Debug, Clone)]
enum Node {
    Folder { mode: u32 },
    Link(PathBuf),
    File(FileNode),
}

#[derive(Debug, Clone)]
struct FileNode {
    mode: u32,
    synced: Vec<u8>,
    /// When what is synced was written.
    modified: SystemTime,
    unsynced: Vec<UnsyncedChange>,
}

#[derive(Debug, Clone)]
struct UnsyncedChange {
    /// The number of the event that ended it.
    at: usize,
    modified: SystemTime,
    change: Change,
}

/// A change of names. A rename is one change in two folders.
#[derive(Debug, Clone)]
struct NameChange {
    at: usize,
    sets: Vec<(Number, String, Option<Number>)>,
    /// The file or folder that it is about.
    node: Number,
    synced: bool,
}

type Names = BTreeMap<(Number, String), Number>;

/// The disk after the events so far.
#[derive(Debug, Clone)]
pub struct DiskModel {
    root: PathBuf,
    nodes: Vec<Node>,
    by_inode: HashMap<u64, Number>,
    synced_names: Names,
    names: Names,
    changes: Vec<NameChange>,
    seen: usize,
}

impl DiskModel {
    /// A disk as it is below a folder now, all of it synced.
    pub fn of(root: &Path) -> Self {
        let root = root.canonicalize().unwrap();
        let mut model = Self {
            nodes: vec![Node::Folder { mode: 0o700 }],
            by_inode: HashMap::from([(std::fs::metadata(&root).unwrap().ino(), FOLDER)]),
            synced_names: Names::new(),
            names: Names::new(),
            changes: Vec::new(),
            seen: 0,
            root,
        };
        for (path, entry) in DiskState::read(&model.root).0 {
            let inode = std::fs::symlink_metadata(model.root.join(&path)).unwrap().ino();
            let node = match entry {
                Entry::Folder { mode } => Node::Folder { mode },
                Entry::Link(target) => Node::Link(target),
                Entry::File { mode, bytes, modified } => Node::File(FileNode {
                    mode,
                    synced: bytes,
                    modified,
                    unsynced: Vec::new(),
                }),
            };
            let number = model.add(Some(inode), node);
            let place = model.place(&model.root.join(path)).unwrap();
            model.names.insert(place.clone(), number);
            model.synced_names.insert(place, number);
        }
        model
    }

    fn add(&mut self, inode: Option<u64>, node: Node) -> Number {
        self.nodes.push(node);
        let number = self.nodes.len() - 1;
        if let Some(inode) = inode {
            self.by_inode.insert(inode, number);
        }
        number
    }

    /// The folder of a path and its name there.
    fn place(&self, path: &Path) -> Option<(Number, String)> {
        let below = path.strip_prefix(&self.root).unwrap();
        let mut folder = FOLDER;
        for part in below.parent()? {
            folder = *self.names.get(&(folder, part.to_str()?.to_owned()))?;
        }
        Some((folder, below.file_name()?.to_str()?.to_owned()))
    }

    fn lookup(&self, path: &Path) -> Option<Number> {
        self.names.get(&self.place(path)?).copied()
    }

    /// Applies one more event. Returns the number of an operation that was acknowledged.
    pub fn apply(&mut self, event: &Event) -> Option<usize> {
        let at = self.seen;
        self.seen += 1;
        let (began, modified, call) = match event {
            Event::Acknowledged(operation) => return Some(*operation),
            Event::Ended { began, modified, call } => (*began, *modified, call.clone()),
        };
        match call {
            DiskCall::Create { path, inode, mode } if self.lookup(&path).is_none() => {
                let node = self.add(
                    Some(inode),
                    Node::File(FileNode {
                        mode,
                        synced: Vec::new(),
                        modified,
                        unsynced: Vec::new(),
                    }),
                );
                self.rename(at, node, &[(&path, Some(node))]);
            }
            DiskCall::Create { .. } => {}
            DiskCall::MakeFolder { path, inode, mode } => {
                let node = self.add(Some(inode), Node::Folder { mode });
                self.rename(at, node, &[(&path, Some(node))]);
            }
            DiskCall::Symlink { target, path } => {
                let node = self.add(None, Node::Link(target));
                self.rename(at, node, &[(&path, Some(node))]);
            }
            DiskCall::Link { from, to } => {
                let node = self.lookup(&from).expect("a file that was never made is linked");
                self.rename(at, node, &[(&to, Some(node))]);
            }
            DiskCall::Rename { from, to } => {
                let node = self
                    .lookup(&from)
                    .unwrap_or_else(|| panic!("{} was never made and is renamed", from.display()));
                self.rename(at, node, &[(&from, None), (&to, Some(node))]);
            }
            DiskCall::Remove { path } => {
                if let Some(node) = self.lookup(&path) {
                    self.rename(at, node, &[(&path, None)]);
                }
            }
            DiskCall::Write { inode, offset, bytes } => {
                let offset = usize::try_from(offset).unwrap();
                self.change(at, modified, inode, Change::Write { offset, bytes });
            }
            DiskCall::SetLength { inode, length } => {
                self.change(at, modified, inode, Change::SetLength(usize::try_from(length).unwrap()));
            }
            DiskCall::Mode { inode, mode: to } => {
                if let Some(Node::File(FileNode { mode, .. }) | Node::Folder { mode }) = self.node_of(inode) {
                    *mode = to & 0o7777;
                }
            }
            DiskCall::Sync { inode } => self.sync(began, inode),
        }
        None
    }

    fn node_of(&mut self, inode: u64) -> Option<&mut Node> {
        self.by_inode.get(&inode).map(|number| &mut self.nodes[*number])
    }

    fn change(&mut self, at: usize, modified: SystemTime, inode: u64, change: Change) {
        if let Some(Node::File(file)) = self.node_of(inode) {
            file.unsynced.push(UnsyncedChange { at, modified, change });
        }
    }

    fn rename(&mut self, at: usize, node: Number, sets: &[(&Path, Option<Number>)]) {
        let sets: Vec<_> = sets
            .iter()
            .map(|(path, to)| {
                let (folder, name) = self
                    .place(path)
                    .unwrap_or_else(|| panic!("{} is in no folder", path.display()));
                (folder, name, *to)
            })
            .collect();
        for (folder, name, to) in &sets {
            let place = (*folder, name.clone());
            match to {
                Some(to) => self.names.insert(place, *to),
                None => self.names.remove(&place),
            };
        }
        self.changes.push(NameChange {
            at,
            sets,
            node,
            synced: false,
        });
    }

    fn sync(&mut self, began: usize, inode: u64) {
        let Some(number) = self.by_inode.get(&inode).copied() else {
            return;
        };
        if let Node::File(file) = &mut self.nodes[number] {
            let unsynced = std::mem::take(&mut file.unsynced);
            for unsynced in unsynced {
                if unsynced.at < began {
                    apply_change(&mut file.synced, &unsynced.change);
                    file.modified = unsynced.modified;
                } else {
                    file.unsynced.push(unsynced);
                }
            }
        }
        self.sync_names(began, number);
    }

    fn sync_names(&mut self, began: usize, number: Number) {
        // What is about these is there, and what was done earlier in folders where something is there.
        let (mut about, mut until) = (BTreeSet::from([number]), BTreeMap::<Number, usize>::new());
        for change in self.changes.iter().filter(|change| change.at < began) {
            if change.sets.iter().any(|(folder, ..)| *folder == number) {
                until.insert(number, change.at);
            }
        }
        loop {
            let mut found = false;
            for change in self
                .changes
                .iter_mut()
                .filter(|change| change.at < began && !change.synced)
            {
                let earlier = |folder: &Number| until.get(folder).is_some_and(|until| change.at <= *until);
                if about.contains(&change.node) || change.sets.iter().any(|(folder, ..)| earlier(folder)) {
                    change.synced = true;
                    found = true;
                    for (folder, ..) in &change.sets {
                        about.insert(*folder);
                        let until = until.entry(*folder).or_default();
                        *until = change.at.max(*until);
                    }
                }
            }
            if !found {
                break;
            }
        }
        while self.changes.first().is_some_and(|change| change.synced) {
            set_names(&mut self.synced_names, &self.changes.remove(0));
        }
    }

    /// How much of what was done below a path that contains `part` could be lost now.
    pub fn is_at_risk(&self, part: &str) -> bool {
        let path_of = |wanted: Number| self.path_of(wanted).is_some_and(|path| path.contains(part));
        let names = self.changes.iter().filter(|change| !change.synced);
        names.flat_map(|change| &change.sets).any(|(folder, name, _)| {
            self.path_of(*folder)
                .is_some_and(|path| format!("{path}/{name}").contains(part))
        }) || self
            .nodes
            .iter()
            .enumerate()
            .any(|(number, node)| matches!(node, Node::File(file) if !file.unsynced.is_empty() && path_of(number)))
    }

    fn path_of(&self, number: Number) -> Option<String> {
        if number == FOLDER {
            return Some(String::new());
        }
        let ((folder, name), _) = self.names.iter().find(|(_, node)| **node == number)?;
        Some(format!("{}/{name}", self.path_of(*folder)?))
    }

    /// The disk after the power was lost now.
    pub fn lose_power(&self, survivors: Survivors, random: &mut fastrand::Rng) -> DiskState {
        let mut names = self.synced_names.clone();
        let mut cut = BTreeSet::new();
        for change in &self.changes {
            let is_cut = change.sets.iter().any(|(folder, ..)| cut.contains(folder));
            let survives = match survivors {
                Survivors::None | Survivors::Data => false,
                Survivors::All | Survivors::Names => true,
                Survivors::Some(share) => random.f64() < share,
            };
            if change.synced || (survives && !is_cut) {
                set_names(&mut names, change);
            } else {
                cut.extend(change.sets.iter().map(|(folder, ..)| *folder));
            }
        }
        let mut contents = HashMap::new();
        let mut state = BTreeMap::new();
        let mut folders = vec![(FOLDER, PathBuf::new())];
        while let Some((folder, path)) = folders.pop() {
            for ((_, name), number) in names.range((folder, String::new())..(folder + 1, String::new())) {
                let path = path.join(name);
                let entry = match &self.nodes[*number] {
                    Node::Folder { mode } => {
                        folders.push((*number, path.clone()));
                        Entry::Folder { mode: *mode }
                    }
                    Node::Link(target) => Entry::Link(target.clone()),
                    // Both names of a file have the same content.
                    Node::File(file) => contents
                        .entry(*number)
                        .or_insert_with(|| file.after_loss(survivors, random))
                        .clone(),
                };
                state.insert(path, entry);
            }
        }
        DiskState(state)
    }
}

impl FileNode {
    fn after_loss(&self, survivors: Survivors, random: &mut fastrand::Rng) -> Entry {
        let (mut bytes, mut modified) = (self.synced.clone(), self.modified);
        for unsynced in &self.unsynced {
            let share = match survivors {
                Survivors::None | Survivors::Names => 0.0,
                Survivors::All | Survivors::Data => 1.0,
                Survivors::Some(share) => share,
            };
            match &unsynced.change {
                Change::Write { offset, bytes: written } if random.u8(..4) == 0 => {
                    for (start, part) in sectors(*offset, written) {
                        if random.f64() < share {
                            write_at(&mut bytes, start, part);
                        }
                    }
                }
                change if random.f64() < share => apply_change(&mut bytes, change),
                _ => continue,
            }
            if share > 0.0 {
                modified = unsynced.modified;
            }
        }
        Entry::File {
            mode: self.mode,
            bytes,
            modified,
        }
    }
}

/// Data in pieces that end where sectors do.
fn sectors(mut offset: usize, mut bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(bytes.len().min(SECTOR - offset % SECTOR));
        pieces.push((offset, piece));
        offset += piece.len();
        bytes = rest;
    }
    pieces
}

fn apply_change(file: &mut Vec<u8>, change: &Change) {
    match change {
        Change::SetLength(length) => file.resize(*length, 0),
        Change::Write { offset, bytes } => write_at(file, *offset, bytes),
    }
}

fn write_at(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

fn set_names(names: &mut Names, change: &NameChange) {
    for (folder, name, to) in &change.sets {
        let place = (*folder, name.clone());
        match to {
            Some(to) => names.insert(place, *to),
            None => names.remove(&place),
        };
    }
}

impl DiskState {
    /// What is below a folder. Sockets and the like are left out.
    pub fn read(root: &Path) -> Self {
        let mut state = BTreeMap::new();
        for path in crate::support::tree::list(root).into_keys() {
            let full = root.join(&path);
            let metadata = std::fs::symlink_metadata(&full).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            let entry = if metadata.is_dir() {
                Entry::Folder { mode }
            } else if metadata.is_symlink() {
                Entry::Link(std::fs::read_link(&full).unwrap())
            } else if metadata.is_file() {
                let bytes = std::fs::read(&full).unwrap();
                let modified = metadata.modified().unwrap();
                Entry::File { mode, bytes, modified }
            } else {
                continue;
            };
            state.insert(path, entry);
        }
        Self(state)
    }

    /// Puts this in the place of what is below a folder.
    pub fn write(&self, root: &Path) {
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
        let set_mode = |path: &Path, mode: &u32| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode)).unwrap();
        };
        for (path, entry) in &self.0 {
            let path = root.join(path);
            match entry {
                Entry::Folder { mode } => {
                    std::fs::create_dir(&path).unwrap();
                    set_mode(&path, mode);
                }
                Entry::Link(target) => std::os::unix::fs::symlink(target, &path).unwrap(),
                Entry::File { mode, bytes, modified } => {
                    std::fs::write(&path, bytes).unwrap();
                    let file = std::fs::File::options().write(true).open(&path).unwrap();
                    file.set_modified(*modified).unwrap();
                    set_mode(&path, mode);
                }
            }
        }
    }

    /// An entry without its time.
    fn timeless(&self, path: &Path) -> Option<Entry> {
        let mut entry = self.0.get(path).cloned();
        if let Some(Entry::File { modified, .. }) = &mut entry {
            *modified = SystemTime::UNIX_EPOCH;
        }
        entry
    }

    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// What differs from another state, apart from files that SQLite makes anew.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let paths: BTreeSet<&PathBuf> = self.0.keys().chain(other.0.keys()).collect();
        paths
            .into_iter()
            .filter(|path| !path.to_string_lossy().ends_with("-shm"))
            .filter(|path| self.timeless(path) != other.timeless(path))
            .map(|path| {
                let size = |state: &Self| match state.0.get(path) {
                    None => "nothing".to_owned(),
                    Some(Entry::File { bytes, mode, .. }) => format!("{} bytes, mode {mode:o}", bytes.len()),
                    Some(other) => format!("{other:?}"),
                };
                format!("{}: {} and {}", path.display(), size(self), size(other))
            })
            .collect()
    }
}
