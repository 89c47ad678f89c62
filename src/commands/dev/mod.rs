//! `torso dev`: serves one file, or one database of this machine, to the clients of libSQL.
//!
//! Which file it is and what is said of it is here, the database over it in `database`. How the file goes to the server's process and
//! comes back is `served_file`'s.

mod database;

use super::answers;
use super::server::{bind, open_engine};
use super::{DryRun, completers};
use crate::context::Context;
use crate::control::gateway_plane::Public;
use crate::control::hosted::{EngineSettings, Engines, Hosted, HostedOptions};
use crate::control::names::DatabaseName;
use crate::control::server_configuration::LogLevel;
use crate::control::types::Configuration;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::served_file::{self, ServedFile, TakenFile};
use crate::server::{self, LogFormat, ServerConfig};
use crate::settings::keys::SettingKey;
use crate::sync::lock;
use crate::termination;
use crate::ui::{Card, Cell, Layout, View};
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use url::Url;

crate::commands::schemas::document!("dev" => Served);

/// The file that is served where nothing else is named.
const DEFAULT_FILE: &str = "dev.db";

/// Serve a file to libSQL clients on this machine
///
/// For programs that speak to a server and refuse file: URLs. Without --db-file and --db it serves the folder's linked database,
/// else dev.db in this folder, which it makes. While it runs, nothing else can open the file; Ctrl-C or SIGTERM ends it and puts
/// everything into the file. If it is killed, the next torso command that opens the file does that. torso dev starts libSQL
/// server (sqld); install it once with torso engine install.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso dev
  torso dev --db-file app.db --port 8081
  torso dev --db app --json")]
pub(super) struct Args {
    /// Serve this file; it is made if there is none
    #[arg(long, value_name = "PATH")]
    db_file: Option<PathBuf>,
    /// Serve this database of this machine
    #[arg(long, value_name = "NAME", conflicts_with = "db_file", add = completers::databases())]
    db: Option<DatabaseName>,
    /// Port on 127.0.0.1; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,
    /// Demand a token, which is printed
    #[arg(long)]
    auth: bool,
    /// Use the older state of a file whose newest state is lost
    ///
    /// After a kill, the newest state is in a folder beside the file. Where somebody has removed that folder, this takes the file as
    /// it was before it was served.
    #[arg(long, requires = "db_file")]
    accept_older: bool,
    /// Run where database processes cannot be confined
    #[arg(long, help_heading = "Engine")]
    unconfined: bool,
    /// Path of the sqld program (overrides the search)
    #[arg(long, help_heading = "Engine", value_name = "PATH")]
    sqld: Option<PathBuf>,
    #[command(flatten)]
    dry: DryRun,
}

/// What is to be served.
struct Chosen {
    file: PathBuf,
    /// The database whose file it is.
    database: Option<DatabaseName>,
    /// Its limits, which hold here too.
    configuration: Option<Configuration>,
}

/// The file, once the server has it.
type Slot = Arc<Mutex<Option<ServedFile>>>;

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    let chosen = choose(ctx, &args)?;
    if args.accept_older && !args.dry.dry_run {
        served_file::accept_older(&chosen.file)?;
    }
    let settings = EngineSettings {
        unconfined: args.unconfined,
        ..EngineSettings::default()
    };
    let engine = open_engine(ctx, args.sqld.as_deref(), &settings)?;
    let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)), "--port")?;
    let is_new = !chosen.file.exists();
    if args.dry.dry_run {
        return plan(ctx, &chosen.file, is_new, &listener);
    }
    let taken = TakenFile::take(&chosen.file)?;
    for notice in served_file::take_notices() {
        ctx.ui.notice(notice);
    }
    server::start_log(LogFormat::default(), LogLevel::Warn);
    let address = listener
        .local_addr()
        .map_err(|error| Error::io(error, "cannot find out the address that the server listens on"))?;
    let served = Served {
        url: format!("http://{address}"),
        libsql_url: format!("libsql://{address}?tls=0"),
        file: taken.path().to_owned(),
        created: is_new,
        database: chosen.database,
        token: None,
    };
    let options = HostedOptions {
        data_dir: taken.server_folder(),
        engine: Engines::Sqld(engine),
        locations: Some(vec!["local".parse()?]),
        owner: Some(database::OWNER.parse()?),
        public: Public {
            base: Url::parse(&served.url)
                .map_err(|error| Error::new(Code::Internal, "the server has no address").caused_by(error))?,
            domain: None,
        },
    };
    let slot = Slot::default();
    let (path, demands_token) = (served.file.clone(), args.auth);
    let opened = {
        let (slot, configuration) = (Arc::clone(&slot), chosen.configuration);
        move || {
            let (hosted, token, file) = database::open(options, taken, configuration.as_ref(), demands_token)?;
            *lock(&slot) = Some(file);
            Ok((hosted, token))
        }
    };
    let done = server::run(config(listener, &path), opened, |_: &Hosted, token: Option<Secret>| {
        served.report(ctx, token, &slot)
    });
    // What the file lacks matters more than why the server ended.
    if let Err(lost) = put_back(ctx, &path, &slot) {
        if let Err(error) = done {
            ctx.ui.warn(error.to_string());
        }
        return Err(lost);
    }
    done
}

/// Says what would be served. The listener shows that the port is free.
fn plan(ctx: &Context, file: &Path, is_new: bool, listener: &TcpListener) -> Result<()> {
    if !is_new {
        served_file::check_free(file)?;
    }
    let address = listener
        .local_addr()
        .map_err(|error| Error::io(error, "cannot find out the address that the server listens on"))?;
    let made = is_new.then(|| format!("make the file {}", file.display()));
    let serve = format!("serve {} at http://{address} until it is stopped", file.display());
    answers::plan(ctx, made.into_iter().chain([serve]).collect())
}

/// The file that the command line, the linked database or the default names.
fn choose(ctx: &Context, args: &Args) -> Result<Chosen> {
    let of_file = |file: PathBuf| Chosen {
        file,
        database: None,
        configuration: None,
    };
    if let Some(file) = &args.db_file {
        return Ok(of_file(file.clone()));
    }
    if let Some(name) = &args.db {
        return of_database(ctx, name);
    }
    let linked = ctx.settings.get(SettingKey::Database)?;
    match linked {
        Some((name, _)) if ctx.settings.server()?.is_none() => of_database(ctx, &name.parse()?),
        _ => Ok(of_file(PathBuf::from(DEFAULT_FILE))),
    }
}

fn of_database(ctx: &Context, name: &DatabaseName) -> Result<Chosen> {
    if ctx.server_if_any()?.is_some() {
        return Err(Error::new(
            Code::Unsupported,
            format!("database {name} is on a server, and torso dev serves files of this machine"),
        )
        .hint(format!(
            "clients can open it where it is: torso db env {name}; for one of this machine: --context local"
        )));
    }
    let plane = ctx.control()?;
    let database = plane.get_database(name)?;
    let file = database
        .url
        .path()
        .cloned()
        .ok_or_else(|| Error::new(Code::Internal, format!("database {name} has no file")))?;
    Ok(Chosen {
        file,
        configuration: Some(plane.get_configuration(name)?),
        database: Some(name.clone()),
    })
}

fn config(listener: TcpListener, file: &Path) -> ServerConfig {
    ServerConfig {
        listener,
        tls: None,
        domain: None,
        prefix: String::new(),
        trusted_proxies: Vec::new(),
        requests_per_second: 0,
        connections_per_address: 0,
        statement_timeout: crate::control::hosted::LONGEST_STATEMENT,
        data_dir: file.to_owned(),
        // Unless it is to outlive the terminal, as nohup says.
        ends_with_terminal: !termination::is_ignored(signal_hook::consts::SIGHUP),
    }
}

/// Puts everything into the file, if the server has had it.
fn put_back(ctx: &Context, path: &Path, slot: &Slot) -> Result<()> {
    let Some(file) = lock(slot).take() else { return Ok(()) };
    match file.put_back()? {
        Some(elsewhere) => ctx.ui.warn(elsewhere),
        None => ctx.ui.notice(format!("Everything is in {}.", path.display())),
    }
    Ok(())
}

/// The answer: where the file is served.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Served {
    url: String,
    /// For clients that want a URL of libSQL's own.
    libsql_url: String,
    file: PathBuf,
    /// Whether the file was made.
    created: bool,
    /// Whose file it is, where it is a database's.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<DatabaseName>,
    /// What requests have to bring, where they have to.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Secret>,
}

impl Served {
    /// Says that the server can be reached.
    fn report(mut self, ctx: &Context, token: Option<Secret>, slot: &Slot) -> Result<()> {
        if let Some(file) = lock(slot).as_mut() {
            file.publish(&self.url)?;
        }
        self.token = token;
        ctx.ui.show_ready(&self)?;
        ctx.ui.notice(format!(
            "Serving {}{}. Ctrl-C stops it and puts everything into the file.",
            self.file.display(),
            if self.created { ", which is new" } else { "" }
        ));
        Ok(())
    }
}

impl View for Served {
    fn layout(&self) -> Layout {
        let card = Card::default()
            .field("url", Cell::text(&self.url))
            .field("file", Cell::text(self.file.display().to_string()))
            .field_if("database", self.database.as_ref(), |name| Cell::text(name.as_str()))
            .field_if("token", self.token.as_ref(), |token| Cell::text(token.expose()));
        Layout::Card(card)
    }

    fn names(&self) -> Vec<String> {
        vec![self.url.clone()]
    }
}
