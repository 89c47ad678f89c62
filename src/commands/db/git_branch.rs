//! The name of a database for the branch that a git repository has checked out, by a rule that `torso db branch -h` states.
//!
//! The branch is read from the repository's files, so that no program is needed.

use crate::checksum::sha256_of;
use crate::control::names::DatabaseName;
use crate::error::{Code, Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The longest name of a database, in bytes.
const LONGEST: usize = 64;

/// Hexadecimal digits of the checksum that tells names apart which would be alike.
const DIGITS: usize = 8;

const HINT: &str = "name the branch: --from-git=BRANCH; CI systems have it in GITHUB_HEAD_REF or CI_COMMIT_REF_NAME";

/// The branch that the repository around a directory has checked out.
pub(super) fn current_branch(directory: &Path) -> Result<String> {
    let git = git_directory(directory)?;
    let path = git.join("HEAD");
    let head = std::fs::read_to_string(&path)
        .map_err(|error| Error::io(error, format!("cannot read {}", path.display())).hint(HINT))?;
    let head = head.trim();
    match head.strip_prefix("ref: refs/heads/") {
        // What git writes where it keeps its references in another form.
        Some(".invalid") => Err(Error::new(
            Code::Unsupported,
            format!(
                "the repository {} keeps its references in a form that torso does not read",
                git.display()
            ),
        )
        .hint(HINT)),
        Some(branch) if !branch.is_empty() => Ok(branch.to_owned()),
        _ => Err(Error::new(
            Code::InvalidValue,
            format!(
                "no git branch is checked out in {}: HEAD is detached at {head:.12}",
                git.display()
            ),
        )
        .hint(HINT)),
    }
}

/// The branches of the repository around a directory, as far as its files tell.
pub(in crate::commands) fn list_branches(directory: &Path) -> BTreeSet<String> {
    let mut branches = BTreeSet::new();
    let Ok(git) = git_directory(directory) else {
        return branches;
    };
    // A worktree has its own HEAD, and the branches of the repository.
    let common = std::fs::read_to_string(git.join("commondir"));
    let common = common.map_or_else(|_| git.clone(), |path| git.join(path.trim()));
    add_branches(&common.join("refs/heads"), "", &mut branches);
    let packed = std::fs::read_to_string(common.join("packed-refs")).unwrap_or_default();
    let names = packed.lines().filter_map(|line| line.split_once(" refs/heads/"));
    branches.extend(names.map(|(_, name)| name.to_owned()));
    branches
}

/// Adds the branches that have a file, with the folders of their names.
fn add_branches(directory: &Path, prefix: &str, branches: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let name = format!("{prefix}{name}");
        if entry.path().is_dir() {
            add_branches(&entry.path(), &format!("{name}/"), branches);
        } else if !name.ends_with(".lock") {
            branches.insert(name);
        }
    }
}

/// The directory with `HEAD`: `.git`, or what a file of that name leads to, as in a worktree.
fn git_directory(directory: &Path) -> Result<PathBuf> {
    for parent in directory.ancestors() {
        let git = parent.join(".git");
        if git.is_dir() {
            return Ok(git);
        }
        if let Ok(text) = std::fs::read_to_string(&git)
            && let Some(path) = text.trim().strip_prefix("gitdir: ")
        {
            return Ok(parent.join(path));
        }
    }
    Err(Error::new(
        Code::FileNotFound,
        format!("{} is in no git repository", directory.display()),
    )
    .hint(HINT))
}

/// The name for the branch of a database: `SOURCE-BRANCH` in lower case, with - for what a name cannot have. Where that changes
/// or shortens the branch's name, or the name ends like one that was changed, a checksum of both follows. So no two branches of a
/// database get the same name.
pub(super) fn database_name(source: &DatabaseName, branch: &str) -> Result<DatabaseName> {
    let mut plain = String::new();
    for c in branch.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            plain.push(c);
        } else if !plain.ends_with('-') {
            plain.push('-');
        }
    }
    let name = format!("{source}-{}", plain.trim_matches('-'));
    let is_whole = plain == branch && !branch.is_empty() && name.len() <= LONGEST && !ends_in_checksum(&name);
    if is_whole && !branch.starts_with('-') && !branch.ends_with('-') {
        return name.parse();
    }
    let checksum = sha256_of(format!("{source}\0{branch}").as_bytes());
    let room = name.len().min(LONGEST - DIGITS - 1);
    format!("{}-{}", name[..room].trim_end_matches('-'), &checksum[..DIGITS]).parse()
}

fn ends_in_checksum(name: &str) -> bool {
    name.rsplit_once('-')
        .is_some_and(|(_, end)| end.len() == DIGITS && end.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(source: &str, branch: &str) -> String {
        database_name(&source.parse().unwrap(), branch).unwrap().to_string()
    }

    #[test]
    fn git_branch_that_is_a_name_already_is_kept() {
        for (branch, name) in [("main", "app-main"), ("fix-12", "app-fix-12"), ("v2", "app-v2")] {
            assert_eq!(named("app", branch), name);
        }
    }

    #[test]
    fn git_branches_that_would_be_alike_get_different_names() {
        let changed = named("app", "Feature/Login");
        assert_eq!(
            ("app-feature-login-", 8),
            (&changed[..18], changed[18..].len()),
            "{changed}"
        );
        let long = "x".repeat(300);
        let branches = [
            "feature-login",
            "feature/login",
            "Feature/Login",
            "feature--login",
            "-feature-login",
            "feature_login",
            "日本",
            "中国",
            "é",
            &changed[4..],
            &long,
            &long[1..],
        ];
        let names: std::collections::BTreeSet<_> = branches.iter().map(|branch| named("app", branch)).collect();
        assert_eq!(names.len(), branches.len(), "{names:?}");
        let source = "s".repeat(64);
        assert_ne!(named(&source, "a"), named(&source, "b"));
    }

    #[test]
    fn git_branch_is_read_from_worktrees_and_refused_where_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, inner) = (dir.path().join("tree"), dir.path().join("main/.git/worktrees/tree"));
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir_all(tree.join("deep/down")).unwrap();
        std::fs::write(tree.join(".git"), format!("gitdir: {}\n", inner.display())).unwrap();
        std::fs::write(inner.join("HEAD"), "ref: refs/heads/feature/x\n").unwrap();
        assert_eq!(current_branch(&tree.join("deep/down")).unwrap(), "feature/x");
        let common = dir.path().join("main/.git");
        std::fs::write(inner.join("commondir"), "../..\n").unwrap();
        std::fs::create_dir_all(common.join("refs/heads/feature")).unwrap();
        std::fs::write(common.join("refs/heads/feature/x"), "0123\n").unwrap();
        let packed = "# pack-refs with: peeled\n0123 refs/heads/main\n0123 refs/tags/v1\n^0123\n";
        std::fs::write(common.join("packed-refs"), packed).unwrap();
        assert_eq!(Vec::from_iter(list_branches(&tree)), ["feature/x", "main"]);
        for (head, code) in [
            ("0123456789abcdef0123456789abcdef01234567\n", Code::InvalidValue),
            ("ref: refs/heads/.invalid\n", Code::Unsupported),
            ("", Code::InvalidValue),
        ] {
            std::fs::write(inner.join("HEAD"), head).unwrap();
            let error = current_branch(&tree).unwrap_err();
            assert_eq!(error.code(), code, "{head:?}");
            assert!(error.hint_text().unwrap().contains("--from-git=BRANCH"));
        }
        assert_eq!(current_branch(dir.path()).unwrap_err().code(), Code::FileNotFound);
    }
}
