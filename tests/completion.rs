//! Completion in the real shells: each is given the script that `torso completion` prints, and asked what it would offer.
//! The shells must be installed; `.ci/run` sees to that.

use crate::support::{Run, World, world::TORSO};

/// A world with names to complete, and `torso` on its path.
fn world() -> World {
    let mut world = World::new();
    let bin = world.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(TORSO, bin.join("torso")).unwrap();
    world.set("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()));
    world.ok(["db", "create", "flights-2013", "--location", "ams"]);
    world.ok(["group", "create", "analytics", "--location", "lhr"]);
    std::fs::create_dir(world.work().join(".git")).unwrap();
    world.write(".git/HEAD", "ref: refs/heads/main\n");
    world.write(".git/packed-refs", "0123 refs/heads/feature/login\n");
    world
}

/// What is typed, and what must be offered for it.
const CASES: [(&str, &str); 10] = [
    ("torso db shell flights-2013 --location am", "ams"),
    ("torso help db cre", "create"),
    ("torso config set color alw", "always"),
    ("torso db config set flights-2013 delete-protection of", "off"),
    ("torso db show fl", "flights-2013"),
    ("torso group show ana", "analytics"),
    ("torso db replicate flights-2013 nr", "nrt"),
    ("torso db create x --loc", "--location"),
    ("torso db repl", "replicate"),
    ("torso db branch flights-2013 --from-git=feature/l", "feature/login"),
];

#[track_caller]
fn offers(world: &World, shell: &str, args: &[&str], script: impl Fn(&str) -> String) {
    for (typed, wanted) in CASES {
        let mut command = world.command(shell);
        command.args(args).arg(script(typed));
        let run = Run::of(command);
        // fish adds a description behind a tab; zsh a mark behind the word.
        let mut words = run.stdout.split_whitespace();
        let found = words.any(|word| word == wanted || word.strip_prefix("--from-git=") == Some(wanted));
        assert!(found, "{shell}: {typed:?} does not offer {wanted}\n{}", run.report());
    }
}

#[test]
fn completion_in_bash_offers_values() {
    offers(&world(), "bash", &["--norc", "-c"], |typed| {
        // As bash parts them.
        let typed_words = typed.replace('=', " = ");
        let words: Vec<_> = typed_words.split(' ').map(|word| format!("'{word}'")).collect();
        format!(
            "source <(torso completion bash)
             spec=$(complete -p torso)
             function=${{spec#*-F }}; function=${{function%% *}}
             COMP_WORDS=({}); COMP_CWORD={}; COMP_LINE='{typed}'; COMP_POINT={}; COMP_TYPE=9
             \"$function\" torso \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1,
            typed.len(),
        )
    });
}

/// A name that is offered goes into the command line as it is, so it must be one word there.
#[test]
fn completion_in_bash_quotes_names_of_files() {
    let world = world();
    for name in ["x y.csv", "x$(touch made).csv", "x;z.csv", "it's.csv"] {
        world.write(name, "a\n1\n");
        let beginning: String = name.chars().take(if name.starts_with("it") { 2 } else { 1 }).collect();
        let script = format!(
            "source <(torso completion bash)
             COMP_WORDS=(torso db import {beginning}); COMP_CWORD=3; COMP_LINE='torso db import {beginning}'; COMP_TYPE=9
             COMP_POINT=${{#COMP_LINE}}
             _clap_complete_torso torso {beginning} import
             eval \"printf '%s\\n' ${{COMPREPLY[*]}}\""
        );
        let mut command = world.command("bash");
        let run = Run::of({
            command.args(["--norc", "-c", &script]);
            command
        });
        assert_eq!(run.stdout, format!("{name}\n"), "{}", run.report());
        std::fs::remove_file(world.work().join(name)).unwrap();
    }
    assert!(!world.work().join("made").exists());
}

/// zsh completes only in its line editor: it gets a terminal of its own, and a widget that prints what matched.
#[test]
fn completion_in_zsh_offers_values() {
    offers(&world(), "zsh", &["-f", "-c"], |typed| {
        format!(
            r#"zmodload zsh/zpty; rm -f {matches}
zpty shell 'zsh -f -i'
say() {{ zpty -w shell "$1" }}
say 'PROMPT=; stty -echo; autoload -Uz compinit; compinit -u -D; source <(torso completion zsh)'
say 'compadd() {{ builtin compadd "$@"; local -a found; builtin compadd -O found "$@"; print -l -- "MATCH ${{^found[@]}}" > {matches} }}'
say 'bindkey "^I" complete-word; print READY'
until zpty -r shell line && [[ $line = *READY* && $line != *print* ]]; do :; done
zpty -n -w shell '{typed}'$'\t'
for i in {{1..100}}; do [[ -s {matches} ]] && break; sleep 0.05; done
sed 's/^MATCH //' {matches}"#,
            matches = "$HOME/matches",
        )
    });
}

#[test]
fn completion_in_fish_offers_values() {
    offers(&world(), "fish", &["--no-config", "-c"], |typed| {
        format!("torso completion fish | source; complete -C '{typed}'")
    });
}

/// A Tab must never write, nor fail aloud, whatever the state of the machine.
#[test]
fn completion_changes_nothing_and_is_silent() {
    let world = World::new();
    let before = crate::support::tree::list(world.root());
    let mut command = world.command(TORSO);
    command
        .env("TORSO_COMPLETE", "fish")
        .args(["--", "torso", "db", "show", ""]);
    let run = Run::of(command).success();
    assert_eq!(run.stderr, "");
    assert_eq!(crate::support::tree::list(world.root()), before);
}
