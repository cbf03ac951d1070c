//! Changes of what runs: number, restart, stop, rollback, removal.

use disco_tests::{SOON, wait_for};

use super::support::{Bed, Stack};

#[test]
fn a_service_is_scaled_restarted_stopped_and_removed() {
    let bed = Bed::deployed();
    let first = bed.web();
    let more = bed.project.disco(&["scale", "web=5", "-o", "json"]).ok().json();
    assert_eq!(more["state"], "succeeded", "{more}");
    let five = bed.web();
    assert!(five.len() == 5 && first.iter().all(|(id, pid)| five.get(id) == Some(pid)), "{five:?}");
    bed.project.disco(&["scale", "shop/web=2"]).ok();
    bed.wait_for_web(SOON, 2, |_| true);
    assert_eq!(bed.service("web")["desired"], 2);

    let before = bed.web();
    bed.project.disco(&["restart", "web"]).ok();
    wait_for(SOON, "two other tasks", || {
        let after = bed.web();
        let all_new = after.len() == 2 && after.keys().all(|id| !before.contains_key(id));
        if all_new { Ok(()) } else { Err(format!("{before:?} became {after:?}")) }
    });

    bed.project.disco(&["stop", "shop/web"]).ok();
    bed.wait_for_web(SOON, 0, |_| true);
    assert_eq!(bed.service("web")["desired"], 0);
    bed.wait_for_count("store", "healthy", 1);
    bed.project.disco(&["restart", "web"]).ok();
    bed.wait_for_web(SOON, 2, |_| true);

    bed.project.disco(&["rm", "shop"]).expect(2).says(&["a confirmation is needed"]);
    bed.project.disco(&["rm", "shop", "-y"]).ok();
    assert_eq!(bed.project.disco(&["services", "-o", "json"]).ok().stdout, "[]\n");
    wait_for(SOON, "the end of all processes", || {
        let left = bed.task_processes();
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
    });
    bed.project.disco(&["rm", "shop", "-y"]).expect(6).says(&["no stack `shop`"]);
    // The name is free again.
    bed.deploy(&Stack::new("v9")).ok();
    bed.wait_for_version("v9");
}

#[test]
fn an_earlier_release_comes_back() {
    let bed = Bed::deployed();
    bed.project.disco(&["rollback"]).expect(6).says(&["no earlier release"]);
    bed.deploy(&Stack { copies: 2, ..Stack::new("v2") }).ok();
    bed.deploy(&Stack::new("v3")).ok();
    bed.wait_for_version("v3");
    bed.project.disco(&["rollback"]).ok();
    bed.wait_for_version("v2");
    bed.wait_for_web(SOON, 2, |_| true);
    bed.project.disco(&["rollback", "shop", "--to", "1"]).ok();
    bed.wait_for_version("v1");
    bed.wait_for_web(SOON, 3, |_| true);
    bed.project.disco(&["rollback", "--to", "77"]).expect(6).says(&["no release of deployment 77"]);
}

#[test]
fn a_service_that_the_file_no_longer_has_ends_and_a_newer_deployment_goes_before() {
    let bed = Bed::deployed();
    let text = Stack::new("v1").to_string();
    let without_store = &text[..text.find("  store:").expect("the store")];
    bed.project.write("stack.yml", without_store);
    let before = bed.web();
    bed.project.disco(&["deploy"]).ok();
    wait_for(SOON, "one service", || {
        let services = bed.project.disco(&["services", "-o", "name"]).ok().stdout;
        if services == "shop/web\n" { Ok(()) } else { Err(services) }
    });
    bed.wait_for_same_web(&before);

    // A version that never becomes healthy is replaced by the next one before its time is over.
    let stuck = Stack { environment: "SAMPLE_UNHEALTHY: never", ..Stack::new("v2") };
    stuck.write(&bed.project);
    let detached = bed.project.disco(&["deploy", "--detach", "-o", "json"]).ok().json();
    assert_eq!(detached["state"], "running", "{detached}");
    let first = detached["deployment"].as_u64().expect("a number");
    bed.deploy(&Stack::new("v3")).ok();
    bed.wait_for_version("v3");
    let deployments = bed.project.disco(&["deployments", "-o", "json"]).ok().json();
    let superseded = deployments.as_array().expect("a list").iter().find(|one| one["id"] == first).expect("it is kept");
    assert_eq!(superseded["state"], "failed", "{superseded}");
    assert!(superseded["error"].as_str().is_some_and(|error| error.contains("superseded")), "{superseded}");
}

#[test]
fn a_change_goes_on_without_the_command() {
    let bed = Bed::deployed();
    Stack { environment: "SAMPLE_UNHEALTHY: never", limit: "20s", ..Stack::new("v2") }.write(&bed.project);
    bed.project.disco(&["deploy", "--timeout", "8s"]).expect(9).says(&["not done after", "disco deployments"]);
    // Its limit passes, and the version before stays.
    wait_for(SOON * 2, "the end of the deployment", || {
        let all = bed.project.disco(&["deployments", "-o", "json"]).ok().json();
        let last = all.as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
        if last["state"] == "rolled_back" { Ok(()) } else { Err(last.to_string()) }
    });
    bed.wait_for_version("v1");
}
