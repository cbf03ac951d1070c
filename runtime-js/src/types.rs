//! Types of the script interface, for editors.

/// `disco.d.ts`: every global and object that scripts find, with its documentation. Belongs into a project's folder.
pub const DISCO_D_TS: &str = include_str!("../disco.d.ts");

/// `jsconfig.json` to go with it: makes editors and `tsc -p jsconfig.json` check a project's scripts.
pub const JSCONFIG_JSON: &str = include_str!("../jsconfig.json");
