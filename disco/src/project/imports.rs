//! An approximate scan of JavaScript for imports and exports. It need not be exact: an extra file does no harm, and the engine names
//! a missing one when it loads the script.

/// Relative specifiers after `from`, `import` or `import(`.
pub(super) fn relative_imports(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for keyword in ["from", "import"] {
        for (at, _) in source.match_indices(keyword) {
            let rest = source[at + keyword.len()..].trim_start();
            let rest = rest.strip_prefix('(').unwrap_or(rest).trim_start();
            let Some(quote @ ('"' | '\'' | '`')) = rest.chars().next() else { continue };
            let Some(end) = rest[1..].find(quote) else { continue };
            let specifier = &rest[1..=end];
            if specifier.starts_with("./") || specifier.starts_with("../") {
                found.push(specifier.to_owned());
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Names after `export function` and `export async function`.
pub(super) fn exported_functions(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| {
            let rest = line.trim_start().strip_prefix("export ")?.trim_start();
            let rest = rest.strip_prefix("async ").unwrap_or(rest).trim_start().strip_prefix("function ")?;
            let name: String =
                rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '$').collect();
            (!name.is_empty()).then_some(name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_script_imports() {
        let source = r#"
            import { a } from "./lib/a.js";
            import './side.js'
            export * from "../shared.mjs";
            const late = await import( `./late.js` );
            import x from "https://example.com/x.js";
        "#;
        assert_eq!(relative_imports(source), ["../shared.mjs", "./late.js", "./lib/a.js", "./side.js"]);
    }

    #[test]
    fn finds_what_a_script_exports() {
        let source =
            "export async function init() {}\nexport function greet(c) {}\nfunction no() {}\nexport const x = 1;";
        assert_eq!(exported_functions(source), ["init", "greet"]);
    }
}
