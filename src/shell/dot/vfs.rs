//! `.vfslist`, `.vfsname` and `.vfsinfo`: the layers through which the engine reaches its files. A server's are its own.

use super::CommandCall;
use super::local::local;
use crate::shell::state::{Shell, ShellResult};
use rusqlite::ffi;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

/// What the engine knows of a layer.
struct Layer {
    name: String,
    version: c_int,
    file_size: c_int,
    longest_path: c_int,
}

/// Reads the layers from `first` on, as far as the engine knows of others.
///
/// # Safety
/// `first` must be null or a layer that is registered.
#[allow(unsafe_code)]
unsafe fn layers(first: *mut ffi::sqlite3_vfs) -> Vec<Layer> {
    let mut found = Vec::new();
    let mut next = first;
    // SAFETY: layers are never freed while they are registered, and nobody here takes one away.
    while let Some(layer) = unsafe { next.as_ref() } {
        // SAFETY: the names of layers end in NUL, and live as long as they do.
        let name = unsafe { CStr::from_ptr(layer.zName) };
        found.push(Layer {
            name: name.to_string_lossy().into_owned(),
            version: layer.iVersion,
            file_size: layer.szOsFile,
            longest_path: layer.mxPathname,
        });
        next = layer.pNext;
    }
    found
}

/// All layers there are, the one that is taken by itself first.
fn all() -> Vec<Layer> {
    // SAFETY: null asks for the first of those that are registered.
    #[allow(unsafe_code)]
    unsafe {
        layers(ffi::sqlite3_vfs_find(ptr::null()))
    }
}

/// The layer of an attached database. None where there is no such database, or it has no file.
fn of_database(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult<Option<Layer>> {
    let schema = CString::new(call.args.first().map_or("main", String::as_str)).unwrap_or_default();
    let connection = local(shell, &call.name)?;
    let mut layer: *mut ffi::sqlite3_vfs = ptr::null_mut();
    // SAFETY: the connection is open while it is borrowed, and this control stores a pointer to a layer, or nothing.
    #[allow(unsafe_code)]
    let found = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            schema.as_ptr(),
            ffi::SQLITE_FCNTL_VFS_POINTER,
            (&raw mut layer).cast::<c_void>(),
        );
        layers(layer)
    };
    Ok(found.into_iter().next())
}

fn show(shell: &mut Shell<'_>, layer: &Layer, mark: &str) -> ShellResult {
    shell.show(format_args!("vfs.zName      = \"{}\"{mark}", layer.name))?;
    shell.show(format_args!("vfs.iVersion   = {}", layer.version))?;
    shell.show(format_args!("vfs.szOsFile   = {}", layer.file_size))?;
    shell.show(format_args!("vfs.mxPathname = {}", layer.longest_path))
}

pub fn vfslist(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let plain = CommandCall {
        name: call.name.clone(),
        args: Vec::new(),
        raw: Vec::new(),
        line: Vec::new(),
    };
    let current = of_database(shell, &plain)?.map(|layer| layer.name);
    for (index, layer) in all().iter().enumerate() {
        if index > 0 {
            shell.show(format_args!("-----------------------------------"))?;
        }
        let taken = current.as_ref() == Some(&layer.name);
        show(shell, layer, if taken { "  <--- CURRENT" } else { "" })?;
    }
    Ok(())
}

pub fn vfsinfo(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    match of_database(shell, call)? {
        Some(layer) => show(shell, &layer, ""),
        None => Ok(()),
    }
}

/// The names of the layers of a database's file, the outermost first.
pub fn vfsname(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let schema = CString::new(call.args.first().map_or("main", String::as_str)).unwrap_or_default();
    let connection = local(shell, "vfsname")?;
    let mut name: *mut c_char = ptr::null_mut();
    // SAFETY: the connection is open while it is borrowed; this control stores a text that ends in NUL and is the caller's to
    // free, or nothing.
    #[allow(unsafe_code)]
    let name = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            schema.as_ptr(),
            ffi::SQLITE_FCNTL_VFSNAME,
            (&raw mut name).cast::<c_void>(),
        );
        let copied = (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned());
        ffi::sqlite3_free(name.cast::<c_void>());
        copied
    };
    match name {
        Some(name) => shell.show(format_args!("{name}")),
        None => Ok(()),
    }
}
