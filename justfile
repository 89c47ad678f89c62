# The verbs of development, as in CONTRIBUTING.md. `just` lists them; each line can be typed without `just`, too.

# List the verbs.
default:
    @just --list

# Build and start the program: `just run db list`.
run *ARGS:
    cargo run --quiet -- {{ARGS}}

# Format and lint.
lint:
    cargo fmt
    cargo clippy --all-targets --locked -- -D warnings

# The tests that need no server and no network.
fast:
    cargo nextest run --locked --profile fast

# The tests against real servers and clients.
peers:
    cargo nextest run --locked --profile peers

# Kills, crash points and fuzzes.
slow:
    cargo nextest run --locked --profile slow

# Faults under load against a model, with a table of figures: `just faults 1000 50 50` kills 1,000 times, moves 50 primaries, loses 50.
faults KILLS="100" PLANNED="50" FORCED="50":
    TORSO_KILLS={{KILLS}} TORSO_PLANNED={{PLANNED}} TORSO_FORCED={{FORCED}} TORSO_DAMAGE=12 TORSO_HANGS=8 TORSO_FULL_DISKS=4 cargo test --locked --test integration server_run::faults:: -- --nocapture

# Disks after a loss of power, made of recorded writes: `just power-loss 500` makes so many for each kind of file.
power-loss STATES="500":
    TORSO_POWER_STATES={{STATES}} cargo test --locked --test integration power_loss:: -- --nocapture

# The tests whose names contain a text: `just test dump`.
test NAME:
    cargo test --locked {{NAME}}

# Accept changed snapshots and golden files, and write the generated pages, completions and man pages again.
accept:
    UPDATE=1 cargo test --locked --lib commands::
    INSTA_UPDATE=always TORSO_BLESS=1 cargo test --locked --test integration

# The figures of the code: circles of imports, names, long files, lines.
figures:
    cargo test --locked --test integration house::figures -- --nocapture

# Everything that CI runs.
ci:
    .ci/run

# The benchmarks beside sqlite3; `just bench gateway`, `just bench server`.
bench *GROUP:
    cargo bench --locked --bench beside-sqlite3 -- {{GROUP}}
