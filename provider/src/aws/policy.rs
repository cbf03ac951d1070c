//! The permissions of a node: the policy of its role, as data.

use serde_json::{Value, json};

use super::names::CLUSTER;

/// The name of the policy within the role.
pub(super) const POLICY: &str = "disco";

/// The trust policy: EC2 machines may assume the role.
pub(super) fn trust() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "ec2.amazonaws.com" },
            "Action": "sts:AssumeRole",
        }],
    })
}

/// The permissions of a voter. `role` is the role's own ARN, `arn:PARTITION:iam::ACCOUNT:role/NAME`.
///
/// - It describes all resources, as `Describe` calls cannot be restricted by tags.
/// - It starts machines that carry the cluster's tag from the beginning, with the cluster's security group and key pair.
/// - It starts, stops and ends machines that carry the tag, and moves the cluster's address among them.
/// - It passes its own role to machines only, and detaches it from machines that carry the tag.
pub(super) fn policy(cluster: &str, role: &str) -> Value {
    let partition = role.split(':').nth(1).unwrap_or("aws");
    let resource = |kind: &str| format!("arn:{partition}:ec2:*:*:{kind}/*");
    let image = format!("arn:{partition}:ec2:*::image/*");
    let (requested, has) = (format!("aws:RequestTag/{CLUSTER}"), format!("aws:ResourceTag/{CLUSTER}"));
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Look",
                "Effect": "Allow",
                "Action": [
                    "ec2:DescribeAddresses",
                    "ec2:DescribeIamInstanceProfileAssociations",
                    "ec2:DescribeImages",
                    "ec2:DescribeInstanceTypes",
                    "ec2:DescribeInstances",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                ],
                "Resource": "*",
            },
            {
                "Sid": "StartTagged",
                "Effect": "Allow",
                "Action": "ec2:RunInstances",
                "Resource": [resource("instance"), resource("volume")],
                "Condition": { "StringEquals": { &requested: cluster } },
            },
            {
                "Sid": "StartWithOwn",
                "Effect": "Allow",
                "Action": "ec2:RunInstances",
                "Resource": [resource("security-group"), resource("key-pair")],
                "Condition": { "StringEquals": { &has: cluster } },
            },
            {
                "Sid": "StartFrom",
                "Effect": "Allow",
                "Action": "ec2:RunInstances",
                "Resource": [image, resource("network-interface"), resource("subnet"), resource("spot-instances-request")],
            },
            {
                "Sid": "TagAtStart",
                "Effect": "Allow",
                "Action": "ec2:CreateTags",
                "Resource": [resource("instance"), resource("volume")],
                "Condition": { "StringEquals": { "ec2:CreateAction": "RunInstances", &requested: cluster } },
            },
            {
                "Sid": "RuleTagged",
                "Effect": "Allow",
                "Action": [
                    "ec2:AssociateIamInstanceProfile",
                    "ec2:DisassociateIamInstanceProfile",
                    "ec2:StartInstances",
                    "ec2:StopInstances",
                    "ec2:TerminateInstances",
                ],
                "Resource": resource("instance"),
                "Condition": { "StringEquals": { &has: cluster } },
            },
            {
                "Sid": "MoveAddress",
                "Effect": "Allow",
                "Action": "ec2:AssociateAddress",
                "Resource": [resource("elastic-ip"), resource("instance")],
                "Condition": { "StringEquals": { &has: cluster } },
            },
            {
                "Sid": "MoveAddressInterface",
                "Effect": "Allow",
                "Action": "ec2:AssociateAddress",
                "Resource": resource("network-interface"),
            },
            {
                "Sid": "HandOnRole",
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": role,
                "Condition": { "StringEquals": { "iam:PassedToService": "ec2.amazonaws.com" } },
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/disco-web-us-west-2";

    fn statements() -> Vec<Value> {
        policy("web", ROLE)["Statement"].as_array().unwrap().clone()
    }

    fn actions(statement: &Value) -> Vec<String> {
        match &statement["Action"] {
            Value::Array(many) => many.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
            one => vec![one.as_str().unwrap().to_owned()],
        }
    }

    #[test]
    fn whatever_changes_something_is_bound_to_the_clusters_tag() {
        // Images, subnets and a machine's network interface carry no tag.
        let free = ["StartFrom", "MoveAddressInterface", "HandOnRole"];
        for statement in statements() {
            let sid = statement["Sid"].as_str().unwrap();
            if actions(&statement).iter().all(|action| action.starts_with("ec2:Describe")) || free.contains(&sid) {
                continue;
            }
            let equals =
                statement["Condition"]["StringEquals"].as_object().unwrap_or_else(|| panic!("{sid} is not bound"));
            let bound = equals.iter().any(|(key, value)| key.ends_with("Tag/disco:cluster") && value == "web");
            assert!(bound, "{sid}: {equals:?}");
        }
    }

    #[test]
    fn nothing_is_allowed_by_a_wildcard_and_no_access_is_managed() {
        for statement in statements() {
            for action in actions(&statement) {
                assert!(!action.contains('*'), "{action}");
                assert!(!action.starts_with("iam:") || action == "iam:PassRole", "{action}");
            }
            assert_eq!(statement["Effect"], "Allow");
            let anything = statement["Resource"] == "*";
            assert_eq!(anything, statement["Sid"] == "Look", "{statement}");
        }
    }

    #[test]
    fn the_role_is_handed_to_machines_alone_and_no_other_role_is() {
        let pass = statements().into_iter().find(|statement| statement["Sid"] == "HandOnRole").unwrap();
        assert_eq!(pass["Resource"], ROLE);
        assert_eq!(pass["Condition"]["StringEquals"]["iam:PassedToService"], "ec2.amazonaws.com");
        assert_eq!(trust()["Statement"][0]["Principal"]["Service"], "ec2.amazonaws.com");
    }

    #[test]
    fn other_partitions_have_their_own_names() {
        let china = policy("web", "arn:aws-cn:iam::123456789012:role/x").to_string();
        assert!(china.contains("arn:aws-cn:ec2:") && !china.contains("arn:aws:ec2"), "{china}");
    }

    #[test]
    fn it_fits_into_a_role() {
        // The limit of inline policies: 10,240 characters without blanks.
        assert!(policy(&"c".repeat(40), ROLE).to_string().len() < 10_240);
    }
}
