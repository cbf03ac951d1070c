//! Calls of a service that answers over a socket what the test says.

use std::sync::atomic::Ordering;

use aws_config::{Region, SdkConfig};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use proptest::prelude::*;

use super::super::error::CloudError;
use super::super::names::{filter, tag};
use super::fake::Fake;
use super::xml::{self, Element};
use super::{Ec2, Iam, Instance, InstanceState, IpPermission, IpRange, Quotas, SecurityGroup, TagSpecification};

const NO_ADDRESSES: &str = "<DescribeAddressesResponse><addressesSet/></DescribeAddressesResponse>";
const THROTTLED: &str = "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Slow down.</Message></Error>\
                         </Errors></Response>";

#[tokio::test]
async fn a_request_is_signed_for_its_service_and_region() {
    let fake = Fake::new(&[(200, "", NO_ADDRESSES)]).await;
    let found = Ec2::new(&fake.config).describe_addresses(&[filter("tag:disco:cluster", ["web".to_owned()])]).await;
    assert!(found.unwrap().is_empty());
    let request = fake.requests().await.remove(0);
    assert_eq!(
        request.body,
        "Action=DescribeAddresses&Version=2016-11-15&Filter.1.Name=tag%3Adisco%3Acluster&Filter.1.Value.1=web"
    );
    for part in [
        "post / http/1.1\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "authorization: aws4-hmac-sha256 credential=akid/",
        "/us-west-2/ec2/aws4_request, ",
        "x-amz-security-token: session\r\n",
        "user-agent: aws-sdk-rust/",
    ] {
        assert!(request.head.contains(part), "no `{part}` in {}", request.head);
    }
}

#[tokio::test]
async fn credentials_are_read_once_for_many_calls() {
    let fake = Fake::new(&[(200, "", NO_ADDRESSES); 3]).await;
    let ec2 = Ec2::new(&fake.config);
    for ec2 in [&ec2, &ec2.once(), &ec2.dry_run()] {
        ec2.describe_addresses(&[]).await.unwrap();
    }
    assert_eq!(fake.read.load(Ordering::Relaxed), 1);
    assert_eq!(fake.requests().await.len(), 3);
}

#[tokio::test]
async fn all_pages_are_read() {
    let page = |id: &str, next: &str| {
        format!(
            "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><reservationSet>\
             <item><instancesSet><item><instanceId>{id}-1</instanceId><instanceState><code>16</code><name>running</name>\
             </instanceState><launchTime>2026-11-30T08:00:00.000Z</launchTime><placement><availabilityZone>us-west-2a\
             </availabilityZone></placement><tagSet><item><key>Name</key><value>web-1</value></item><item><key>x</key>\
             <value/></item></tagSet></item><item><instanceId>{id}-2</instanceId></item></instancesSet></item>\
             <item><instancesSet/></item></reservationSet>{next}</DescribeInstancesResponse>"
        )
    };
    let (first, last) = (page("i-a", "<nextToken>a+b=</nextToken>"), page("i-b", "<nextToken/>"));
    let fake = Fake::new(&[(200, "", &first), (200, "", &last)]).await;
    let found = Ec2::new(&fake.config).describe_instances(&[]).await.unwrap();
    let ids: Vec<_> = found.iter().filter_map(|one| one.instance_id.as_deref()).collect();
    assert_eq!(ids, ["i-a-1", "i-a-2", "i-b-1", "i-b-2"]);
    assert_eq!((found[0].state.clone(), found[0].launch_time), (Some(InstanceState::Running), Some(1_796_025_600)));
    assert_eq!(found[0].availability_zone.as_deref(), Some("us-west-2a"));
    assert_eq!((found[0].tags[0].value.as_str(), found[0].tags[1].value.as_str()), ("web-1", ""));
    // Everything else is missing.
    assert!(found[1].state.is_none() && found[1].private_ip_address.is_none() && found[1].tags.is_empty());
    let bodies = fake.bodies().await;
    assert_eq!(bodies[0], "Action=DescribeInstances&Version=2016-11-15");
    assert_eq!(bodies[1], "Action=DescribeInstances&Version=2016-11-15&NextToken=a%2Bb%3D");
}

#[tokio::test]
async fn pages_that_go_in_circles_are_an_error() {
    let page = |next: &str| format!("<R><subnetSet/><nextToken>{next}</nextToken></R>");
    let (a, b) = (page("a"), page("b"));
    for circle in [vec![&a, &a], vec![&a, &b, &a]] {
        let answers: Vec<_> = circle.iter().map(|page| (200, "", page.as_str())).collect();
        let fake = Fake::new(&answers).await;
        let error = Ec2::new(&fake.config).describe_subnets(&["subnet-1".to_owned()], &[]).await.unwrap_err();
        let why = "AWS refused `DescribeSubnets`: the answer names the page `a` a second time";
        assert!(error.to_string().starts_with(why), "{error}");
        assert!(fake.bodies().await[1].ends_with("&SubnetId.1=subnet-1&NextToken=a"));
    }
}

#[tokio::test]
async fn pages_that_do_not_end_are_an_error() {
    let pages: Vec<String> = (0..200).map(|next| format!("<R><subnetSet/><nextToken>{next}</nextToken></R>")).collect();
    let answers: Vec<_> = pages.iter().map(|page| (200, "", page.as_str())).collect();
    let fake = Fake::new(&answers).await;
    let error = Ec2::new(&fake.config).describe_subnets(&[], &[]).await.unwrap_err();
    assert!(error.to_string().contains("more than 200 pages"), "{error}");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_unless_it_is_to_be_tried_once() {
    let failures = [(503, "", "Bad Gateway"), (400, "", THROTTLED), (500, "", ""), (200, "", NO_ADDRESSES)];
    let fake = Fake::new(&failures).await;
    assert!(Ec2::new(&fake.config).describe_addresses(&[]).await.is_ok());
    let requests = fake.requests().await;
    assert_eq!(requests.len(), 4);
    assert!(requests[3].head.contains("amz-sdk-request: attempt=4; max=4\r\n"), "{}", requests[3].head);

    let fake = Fake::new(&[(400, "", THROTTLED)]).await;
    let error = Ec2::new(&fake.config).once().describe_addresses(&[]).await.unwrap_err();
    assert_eq!((error.code(), error.may_pass()), ("RequestLimitExceeded", true));
    assert_eq!(error.to_string(), "AWS refused `DescribeAddresses`: Slow down (RequestLimitExceeded)");
    assert_eq!(fake.requests().await.len(), 1);
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_by_the_services() {
    let ahead = DateTime::from_secs(DateTime::from(std::time::SystemTime::now()).secs() + 24 * 3600);
    let date = format!("date: {}\r\n", ahead.fmt(Format::HttpDate).unwrap());
    let refused = "<Response><Errors><Error><Code>AuthFailure</Code><Message>x</Message></Error></Errors></Response>";
    let fake = Fake::new(&[(401, &date, refused), (200, &date, NO_ADDRESSES)]).await;
    Ec2::new(&fake.config).describe_addresses(&[]).await.unwrap();
    let requests = fake.requests().await;
    let day = ahead.fmt(Format::DateTime).unwrap()[..10].replace('-', "");
    let signed = format!("credential=akid/{day}/");
    assert!(!requests[0].head.contains(&signed) && requests[1].head.contains(&signed), "{}", requests[1].head);
}

#[tokio::test]
async fn a_dry_run_fails_with_what_stands_for_success() {
    let would = "<Response><Errors><Error><Code>DryRunOperation</Code><Message>Request would have succeeded, but DryRun \
                 flag is set.</Message></Error></Errors></Response>";
    let fake = Fake::new(&[(412, "", would)]).await;
    let error = Ec2::new(&fake.config).dry_run().delete_key_pair("disco-web").await.unwrap_err();
    assert_eq!(error.code(), "DryRunOperation");
    assert_eq!(fake.bodies().await, ["Action=DeleteKeyPair&Version=2016-11-15&DryRun=true&KeyName=disco-web"]);
}

#[tokio::test]
async fn each_service_reports_errors_in_its_own_form() {
    let missing = "<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>no role</Message></Error></ErrorResponse>";
    let denied = r#"{"__type": "AccessDeniedException", "Message": "not allowed"}"#;
    let fake = Fake::new(&[(404, "", missing), (400, "", denied), (403, "", "<html>")]).await;
    let error = Iam::new(&fake.config).get_role("disco-web").await.unwrap_err();
    assert_eq!(error.to_string(), "AWS refused `GetRole`: no role (NoSuchEntity)");
    let error = Quotas::new(&fake.config).get_service_quota("ec2", "L-1216C47A").await.unwrap_err();
    assert!(matches!(error, CloudError::Denied { .. }), "{error}");
    let error = Ec2::new(&fake.config).stop_instances("i-1").await.unwrap_err();
    assert_eq!(error.to_string(), "AWS refused `StopInstances`: HTTP status 403, without an error code (unknown)");
    let requests = fake.requests().await;
    assert_eq!(requests[0].body, "Action=GetRole&Version=2010-05-08&RoleName=disco-web");
    assert!(requests[1].head.contains("x-amz-target: servicequotasv20190624.getservicequota\r\n"));
    let body: serde_json::Value = serde_json::from_str(&requests[1].body).unwrap();
    assert_eq!(body, serde_json::json!({ "ServiceCode": "ec2", "QuotaCode": "L-1216C47A" }));
    assert_eq!(requests[2].body, "Action=StopInstances&Version=2016-11-15&InstanceId.1=i-1");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_names_the_call() {
    let port = "<R><securityGroupInfo><item><ipPermissions><item><fromPort>x</fromPort></item></ipPermissions></item>\
                </securityGroupInfo></R>";
    let fake = Fake::new(&[(200, "", "oops"), (200, "", port)]).await;
    let ec2 = Ec2::new(&fake.config);
    let error = ec2.describe_images("ami-1").await.unwrap_err();
    assert!(error.to_string().starts_with("AWS refused `DescribeImages`: the answer is not XML: "), "{error}");
    let error = ec2.describe_security_groups(&[]).await.unwrap_err();
    assert_eq!(error.code(), "InvalidAnswer");
    assert_eq!(fake.requests().await.len(), 2);
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_unreachable() {
    let fake = Fake::new(&[]).await;
    let error = Ec2::new(&fake.config).once().describe_addresses(&[]).await.unwrap_err();
    assert!(matches!(error, CloudError::Unreachable { .. }), "{error}");
    let config = fake.config.into_builder().use_fips(true).build();
    let error = Ec2::new(&config).describe_addresses(&[]).await.unwrap_err();
    assert!(matches!(error, CloudError::Endpoint { .. }) && error.to_string().contains("FIPS"), "{error}");
    assert!(crate::ProviderError::from(error).is_usage());
}

#[tokio::test]
async fn the_endpoint_of_ones_own_is_the_one_that_is_called() {
    let fake = Fake::new(&[(200, "", NO_ADDRESSES)]).await;
    let ec2 = Ec2::new(&fake.config);
    assert_eq!(ec2.own_endpoint(), fake.config.endpoint_url());
    ec2.describe_addresses(&[]).await.unwrap();
    // Settings of the environment are ignored with `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`: then the SDK's configuration has none.
    let amazons = SdkConfig::builder().region(Region::new("us-west-2")).build();
    assert_eq!(Ec2::new(&amazons).own_endpoint(), None);
}

#[tokio::test]
async fn rules_and_tags_are_sent_whole() {
    let done = (200, "", "<R><return>true</return><groupId>sg-1</groupId></R>");
    let fake = Fake::new(&[done, done, done]).await;
    let ec2 = Ec2::new(&fake.config);
    let tags = TagSpecification { resource_type: "security-group", tags: vec![tag("Name", "a b"), tag("b", "c")] };
    let made = ec2.create_security_group("disco-web", "Nodes", Some("vpc-1"), Some(&tags)).await.unwrap();
    assert_eq!(made.as_deref(), Some("sg-1"));
    let range = IpRange { cidr_ip: Some("203.0.113.7/32".into()), description: Some("disco operator me@here".into()) };
    let rule = IpPermission {
        ip_protocol: Some("tcp".into()),
        from_port: Some(22),
        to_port: Some(22),
        ip_ranges: vec![range],
        ..IpPermission::default()
    };
    ec2.authorize_security_group_ingress("sg-1", &rule).await.unwrap();
    ec2.import_key_pair("disco-web", "ssh-ed25519 AAAA", &tags).await.unwrap();
    let specification = "TagSpecification.1.ResourceType=security-group&TagSpecification.1.Tag.1.Key=Name\
                         &TagSpecification.1.Tag.1.Value=a%20b&TagSpecification.1.Tag.2.Key=b&TagSpecification.1.Tag.2.Value=c";
    assert_eq!(
        fake.bodies().await,
        [
            format!(
                "Action=CreateSecurityGroup&Version=2016-11-15&GroupName=disco-web&GroupDescription=Nodes&VpcId=vpc-1\
                 &{specification}"
            ),
            "Action=AuthorizeSecurityGroupIngress&Version=2016-11-15&GroupId=sg-1&IpPermissions.1.IpProtocol=tcp\
             &IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22&IpPermissions.1.IpRanges.1.CidrIp=203.0.113.7%2F32\
             &IpPermissions.1.IpRanges.1.Description=disco%20operator%20me%40here"
                .to_owned(),
            format!(
                "Action=ImportKeyPair&Version=2016-11-15&KeyName=disco-web&PublicKeyMaterial=c3NoLWVkMjU1MTkgQUFBQQ%3D%3D\
                 &{specification}"
            ),
        ]
    );
}

#[tokio::test]
async fn a_role_is_read_with_its_tags() {
    let role = "<GetRoleResponse><GetRoleResult><Role><RoleName>disco-web</RoleName><Arn>arn:aws:iam::1:role/disco-web\
                </Arn><Tags><member><Key>disco:cluster</Key><Value>web</Value></member><member><Key>a</Key><Value>b</Value>\
                </member></Tags></Role></GetRoleResult></GetRoleResponse>";
    let policy = "<R><GetRolePolicyResult><PolicyDocument>%7B%7D</PolicyDocument></GetRolePolicyResult></R>";
    let none = (200, "", "<R><GetInstanceProfileResult/></R>");
    let fake = Fake::new(&[(200, "", role), (200, "", policy), none, (200, "", "<R/>")]).await;
    let iam = Iam::new(&fake.config);
    let found = iam.get_role("disco-web").await.unwrap().unwrap();
    assert_eq!((found.role_name.as_str(), found.arn.as_str()), ("disco-web", "arn:aws:iam::1:role/disco-web"));
    assert_eq!((found.tags.len(), found.tags[1].value.as_str()), (2, "b"));
    assert_eq!(iam.get_role_policy("disco-web", "disco").await.unwrap(), "%7B%7D");
    assert!(iam.get_instance_profile("disco-web").await.unwrap().is_none());
    assert!(iam.create_role("disco-web", "{}", "Nodes", &[tag("a", "b")]).await.unwrap().is_none());
    assert_eq!(
        fake.bodies().await[3],
        "Action=CreateRole&Version=2010-05-08&RoleName=disco-web&AssumeRolePolicyDocument=%7B%7D&Description=Nodes\
         &Tags.member.1.Key=a&Tags.member.1.Value=b"
    );
}

const VALID: &str = "<R xmlns='x'><a><item><instanceId>i-1</instanceId><launchTime>2026-11-30T08:00:00Z</launchTime><ipPermissions>\
                     <item><fromPort>22</fromPort></item></ipPermissions><tagSet><item><key>&amp;</key></item></tagSet></item></a>\
                     <Errors><Error><Code>x</Code></Error></Errors></R>";

/// Reads an answer in several ways. Each succeeds or fails; none panics.
fn read_in_all_ways(answer: &[u8]) {
    let _ = Element::parse(answer, |root| root.set::<Instance>("a"));
    let _ = Element::parse(answer, |root| root.set::<SecurityGroup>("a"));
    let _ = xml::error(answer);
}

#[test]
fn a_deep_answer_does_not_exhaust_the_stack() {
    let deep = format!("<R>{}{}</R>", "<a>".repeat(100_000), "</a>".repeat(100_000));
    read_in_all_ways(deep.as_bytes());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(answer in prop::collection::vec(any::<u8>(), 0..300)) {
        read_in_all_ways(&answer);
    }

    #[test]
    fn an_answer_with_changed_bytes_is_read_or_refused(changes in prop::collection::vec((0..VALID.len(), any::<u8>()), 1..6)) {
        let mut answer = VALID.as_bytes().to_vec();
        for (at, byte) in changes {
            answer[at] = byte;
        }
        read_in_all_ways(&answer);
    }
}
