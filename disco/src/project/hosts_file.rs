//! The file of hosts that `disco init --hosts` writes. `disco node add` adds to it, as long as it has this simple form: one list of texts.

/// The file's name. Both scripts import it.
pub(crate) const HOSTS_FILE: &str = "hosts.js";

const BEGIN: &str = "export const hosts = [";

/// The file for these hosts.
pub(crate) fn hosts_file(hosts: &[String]) -> String {
    let list: String = hosts.iter().map(|host| format!("  {},\n", quoted(host))).collect();
    format!(
        "// The cluster's machines, each as after `ssh`: `user@host:port`, or a name of `~/.ssh/config`. `disco node add HOST` adds one.\n\n\
         {BEGIN}\n{list}];\n"
    )
}

/// The line for one host.
pub(crate) fn quoted(host: &str) -> String {
    serde_json::Value::from(host).to_string()
}

/// The hosts of the file; `None` if it has another form.
pub(crate) fn listed(text: &str) -> Option<Vec<String>> {
    let (_, list, _) = parts(text)?;
    let mut hosts = Vec::new();
    for line in list.lines() {
        let line = line.trim();
        let mut rest = line;
        while !rest.is_empty() && !rest.starts_with("//") {
            let quote = rest.chars().next().filter(|sign| matches!(sign, '"' | '\''))?;
            let end = rest[1..].find(quote)? + 1;
            let host = &rest[1..end];
            if host.contains('\\') {
                return None;
            }
            hosts.push(host.to_owned());
            rest = rest[end + 1..].trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
    }
    Some(hosts)
}

/// The file with one more host; `None` if it has another form.
pub(crate) fn added(text: &str, host: &str) -> Option<String> {
    let hosts = listed(text)?;
    let (before, list, after) = parts(text)?;
    let kept = list.trim_end();
    // A comment at the end would swallow a comma, or ends with one.
    if !hosts.is_empty() && kept.lines().next_back().is_some_and(|line| line.contains("//")) {
        return None;
    }
    let comma = if hosts.is_empty() || kept.ends_with(',') {
        ""
    } else if kept.ends_with(['"', '\'']) {
        ","
    } else {
        return None;
    };
    let own_lines = kept.contains('\n') || hosts.is_empty();
    Some(match own_lines {
        true => format!("{before}{kept}{comma}\n  {},\n{after}", quoted(host)),
        false => format!("{before}{kept}{comma} {}{after}", quoted(host)),
    })
}

/// The text up to the list, the list without its brackets, and the rest.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let begin = text.find(BEGIN)? + BEGIN.len();
    let rest = &text[begin..];
    let (mut quoted, mut comment) = (None, false);
    let end = rest.char_indices().find_map(|(at, sign)| {
        match (sign, quoted) {
            ('\n', _) => comment = false,
            _ if comment => {}
            ('/', None) => comment = rest[at..].starts_with("//"),
            (']', None) => return Some(begin + at),
            ('"' | '\'', None) => quoted = Some(sign),
            (sign, Some(quote)) if sign == quote => quoted = None,
            _ => {}
        }
        None
    })?;
    Some((&text[..begin], &text[begin..end], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_is_read_and_added_to() {
        let text = hosts_file(&["root@10.0.0.1".to_owned(), "web1".to_owned()]);
        assert_eq!(listed(&text).unwrap(), ["root@10.0.0.1", "web1"]);
        let more = added(&text, "pi@[fd00::7]:22").unwrap();
        assert!(more.ends_with("  \"web1\",\n  \"pi@[fd00::7]:22\",\n];\n"), "{more}");
        assert_eq!(listed(&added(&more, "db").unwrap()).unwrap().len(), 4);
        let one = added(&text, "db").unwrap();
        assert_eq!(listed(&one).unwrap(), ["root@10.0.0.1", "web1", "db"]);
        assert_eq!(one.lines().count(), text.lines().count() + 1);
    }

    #[test]
    fn forms_that_a_person_may_write_are_kept() {
        let line = "export const hosts = ['a', \"b\"];";
        assert_eq!(added(line, "c").unwrap(), "export const hosts = ['a', \"b\", \"c\"];");
        let noted = "export const hosts = [\n  // the first\n  \"a\" // here\n];\n";
        assert_eq!(listed(noted).unwrap(), ["a"]);
        assert_eq!(added(noted, "b"), None);
        let shut = "export const hosts = [\n  \"a\", // rack [1], it's old\n  \"b\",\n];\n";
        assert_eq!(added(shut, "c").unwrap(), shut.replace("\"b\",\n", "\"b\",\n  \"c\",\n"));
        for noted in ["export const hosts = [\n  \"a\" // one,\n];", "export const hosts = [\n  \"a\"\n  // \"b\",\n];"]
        {
            assert_eq!((listed(noted).unwrap(), added(noted, "c")), (vec!["a".to_owned()], None), "{noted}");
        }
        let empty = "export const hosts = [\n  // none yet\n];";
        assert_eq!(added(empty, "a").unwrap(), "export const hosts = [\n  // none yet\n  \"a\",\n];");
        assert_eq!(added("export const hosts = [];", "a").unwrap(), "export const hosts = [\n  \"a\",\n];");
        for other in [
            "",
            "export const hosts = more();",
            "export const hosts = [...a];",
            "export const hosts = [{ ssh: \"a\" }];",
        ] {
            assert_eq!((listed(other), added(other, "b")), (None, None), "{other}");
        }
    }
}
