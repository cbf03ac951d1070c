//! Types of the script interface, for editors.

/// `disco.d.ts`: all globals and objects of scripts, with their documentation. It belongs in the project folder.
pub const DISCO_D_TS: &str = include_str!("../disco.d.ts");

/// The matching `jsconfig.json`: makes editors and `tsc -p jsconfig.json` check a project's scripts.
pub const JSCONFIG_JSON: &str = include_str!("../jsconfig.json");
