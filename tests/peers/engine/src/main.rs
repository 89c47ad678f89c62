//! Tells what texts of SQL touch, by the engine that libSQL server embeds. Reads frames from standard input: a length (32
//! bits, little endian) and so many bytes of JSON. The first is a [`Setup`], answered by the engine's vocabulary; the others
//! are lists of texts. Each text is answered by a frame with its [`report::Report`], so that it is known which one ended
//! the process.
//!
//! The only argument is a folder that nothing else uses: statements run there, and can write nowhere else.

mod connection;
mod events;
mod report;
mod run;
mod scratch;

use serde::Deserialize;
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// How long a text may take.
const SECONDS: u32 = 5;

/// What every text finds.
#[derive(Deserialize)]
struct Setup {
    /// Makes the database; each text sees it as this left it.
    schema: String,
    /// Functions that are not run: calls of them are reported. The authorizer does not see calls in column defaults.
    stubs: Vec<String>,
    /// Names in the folder by which other databases or files could be reached. All hold [`scratch::SECRET`].
    canaries: Vec<String>,
    /// Instructions of the engine's machine that one statement may take.
    instructions: u32,
}

fn read_frame(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
    input.read_exact(&mut frame)?;
    Ok(Some(frame))
}

fn write_frame(output: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(frame)?;
    output.flush()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("the folder to work in is missing")?);
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let Some(setup) = read_frame(&mut input)? else {
        return Ok(());
    };
    let setup: Setup = serde_json::from_slice(&setup)?;
    let scratch = scratch::Scratch::new(&folder, &setup.canaries)?;
    let template = connection::Template::new(&setup.schema, &setup.stubs)?;
    write_frame(&mut output, &serde_json::to_vec(&template.vocabulary()?)?)?;
    let mut engine = run::Engine::new(template, scratch, setup.instructions)?;
    while let Some(frame) = read_frame(&mut input)? {
        let texts: Vec<String> = serde_json::from_slice(&frame)?;
        for text in &texts {
            // What hangs where no instructions are counted ends the process, as what overflows its memory does.
            // SAFETY: Takes a number and gives one.
            unsafe { libc::alarm(SECONDS) };
            write_frame(&mut output, &serde_json::to_vec(&engine.report(text)?)?)?;
        }
    }
    Ok(())
}
