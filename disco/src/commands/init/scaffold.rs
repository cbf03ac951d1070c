//! The files of a project.

use crate::project::{HOSTS_FILE, hosts_file};

const CLIENT: &str = include_str!("../../templates/client.js");
const CLUSTER: &str = include_str!("../../templates/cluster.js");
const IMPORT: &str = "import { hosts } from \"./hosts.js\";\n\n";

/// Path and content of each file, for a cluster of this name: of local machines or, if some are given, of these hosts.
pub(super) fn files(name: &str, hosts: &[String]) -> Vec<(&'static str, String)> {
    let scripts = match hosts {
        [] => vec![("client.js", CLIENT.to_owned()), ("cluster.js", CLUSTER.to_owned())],
        hosts => vec![
            ("client.js", of_hosts(CLIENT).replace("cluster.scale(3)", "cluster.scale(hosts.length)")),
            ("cluster.js", of_hosts(CLUSTER)),
            (HOSTS_FILE, hosts_file(hosts)),
        ],
    };
    let others = [
        ("disco.d.ts", disco_runtime_js::DISCO_D_TS),
        ("jsconfig.json", disco_runtime_js::JSCONFIG_JSON),
        ("stack.yml", include_str!("../../templates/stack.yml")),
        (".discoignore", include_str!("../../templates/discoignore")),
        (".gitignore", include_str!("../../templates/gitignore")),
    ];
    let others = others.map(|(path, text)| (path, text.to_owned()));
    scripts.into_iter().chain(others).map(|(path, text)| (path, text.replace("@NAME@", name))).collect()
}

/// The script with given hosts in place of local machines.
fn of_hosts(script: &str) -> String {
    let script =
        script.replace("LocalProvider.init({ name: \"@NAME@\" })", "HostsProvider.init({ name: \"@NAME@\", hosts })");
    script.replacen("export async function init", &format!("{IMPORT}export async function init"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_hosts_use_the_one_list() {
        let hosts = ["root@10.0.0.1".to_owned(), "web1".to_owned()];
        let files = files("shop", &hosts);
        let text = |name: &str| files.iter().find(|(path, _)| *path == name).unwrap().1.clone();
        for script in ["client.js", "cluster.js"] {
            let text = text(script);
            assert!(text.contains("import { hosts } from \"./hosts.js\";"), "{text}");
            assert!(text.contains("HostsProvider.init({ name: \"shop\", hosts })"), "{text}");
            assert!(!text.contains("LocalProvider") && !text.contains('@'), "{text}");
        }
        assert!(text("client.js").contains("cluster.scale(hosts.length)"));
        assert!(text("hosts.js").contains("\"root@10.0.0.1\",\n  \"web1\",\n"));
        let local = super::files("shop", &[]);
        let mut scripts = local.iter().filter(|(path, _)| path.ends_with(".js"));
        assert!(scripts.all(|(path, text)| *path != HOSTS_FILE && text.contains("LocalProvider")));
    }
}
