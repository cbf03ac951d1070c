//! What can go wrong with a cloud.

use std::fmt::Debug;
use std::time::Duration;

use aws_sdk_ec2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use thiserror::Error;

use crate::install::Architecture;

/// What can go wrong with a cloud.
#[derive(Debug, Error)]
pub enum CloudError {
    /// There are no credentials, or they have expired, or are wrong.
    #[error("AWS took no credentials for `{call}`: {reason}")]
    Credentials {
        /// The request, as in `RunInstances`.
        call: &'static str,
        /// What is wrong with them.
        reason: String,
    },
    /// The credentials are good and do not allow it.
    #[error("AWS does not allow `{call}`: {reason}")]
    Denied {
        /// The request.
        call: &'static str,
        /// What it says.
        reason: String,
    },
    /// The account has no room for it, seen before anything was asked for.
    #[error("{words}")]
    Quota {
        /// The service's word for what would happen, as in `AddressLimitExceeded`.
        code: &'static str,
        /// What is used of what.
        words: String,
    },
    /// Refused for another reason.
    #[error("AWS refused `{call}`: {reason} ({code})")]
    Refused {
        /// The request.
        call: &'static str,
        /// The service's word for the reason, as in `InvalidAMIID.NotFound`.
        code: String,
        /// What it says.
        reason: String,
    },
    /// The service did not answer.
    #[error("AWS did not answer `{call}`: {reason}")]
    Unreachable {
        /// The request.
        call: &'static str,
        /// Why.
        reason: String,
    },
    /// No region was said.
    #[error("no region is known; give `region` to `AwsProvider.init`, or set AWS_REGION")]
    NoRegion,
    /// What is to be started was not said.
    #[error("`start_instance` needs `image` and `instance_type` on AWS, as in `ami-0e8c824f386e1de06` and `t4g.micro`")]
    NoImage,
    /// The image, or the type, does not fit to the programs.
    #[error("{what} is {has}, but the `discod` that is to be installed is built for {wanted}")]
    Architecture {
        /// The image or the type.
        what: String,
        /// What it is.
        has: String,
        /// What the programs are for.
        wanted: Architecture,
    },
    /// No zone has such a machine now.
    #[error("no zone has a machine of the type `{instance_type}` now (tried {}): {reason}", tried.join(", "))]
    Capacity {
        /// The type.
        instance_type: String,
        /// The zones, in the order in which they were tried.
        tried: Vec<String>,
        /// What the last one said.
        reason: String,
    },
    /// There is no network to put machines in.
    #[error("there is no subnet for a machine: {reason}")]
    NoSubnet {
        /// What was looked for.
        reason: String,
    },
    /// Something of that name exists, and is another one.
    #[error("{what} `{name}` exists already, and {why}")]
    Foreign {
        /// As in `the key pair`.
        what: &'static str,
        /// Its name.
        name: String,
        /// How it differs.
        why: &'static str,
    },
    /// A machine ended before it was up.
    #[error("machine `{id}` ended while it was starting: {reason}")]
    Ended {
        /// The machine.
        id: String,
        /// What the service says.
        reason: String,
    },
    /// It took too long.
    #[error("{what} within {} s", limit.as_secs())]
    Late {
        /// As in `machine i-1 did not run`.
        what: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// Something is still in use.
    #[error("{what} `{name}` is still in use")]
    Busy {
        /// As in `the security group`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A limit that the script has set.
    #[error("{0}")]
    Limit(String),
    /// The limit on what machines cost.
    #[error(transparent)]
    Budget(#[from] crate::OverBudget),
    /// What a machine is given at its start is too large.
    #[error("`user_data` is too long: with Disco's own it has {size} bytes, and 16384 are possible")]
    UserData {
        /// Bytes.
        size: usize,
    },
    /// The address from which the operator works could not be found out.
    #[error("the address of this computer as AWS sees it could not be found out: {reason}")]
    OwnAddress {
        /// Why.
        reason: String,
    },
    /// A key pair could not be made or read.
    #[error("a key pair is of no use: {reason}")]
    Key {
        /// Why.
        reason: String,
    },
}

/// Words of the services for credentials that do not work.
const CREDENTIALS: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];
/// Words for what is not allowed.
const DENIED: &[&str] =
    &["UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation"];
/// Words for: not now, but maybe elsewhere.
const CAPACITY: &[&str] = &[
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientReservedInstanceCapacity",
    "InsufficientCapacity",
    "InsufficientFreeAddressesInSubnet",
    "SpotMaxPriceTooLow",
    "Unsupported",
];

impl CloudError {
    /// What a request's failure means.
    pub(super) fn of<E, R>(call: &'static str) -> impl FnOnce(SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: Debug,
    {
        move |error| match &error {
            SdkError::ServiceError(service) => {
                let code = service.err().code().unwrap_or("unknown").to_owned();
                let reason = service.err().message().unwrap_or("it says nothing more").trim_end_matches('.').to_owned();
                if CREDENTIALS.contains(&code.as_str()) {
                    Self::Credentials { call, reason: format!("{reason} ({code})") }
                } else if DENIED.contains(&code.as_str()) {
                    Self::Denied { call, reason: format!("{reason} ({code})") }
                } else {
                    Self::Refused { call, code, reason }
                }
            }
            SdkError::ConstructionFailure(_) => Self::Credentials { call, reason: context(&error) },
            SdkError::DispatchFailure(failure) if !failure.is_io() && !failure.is_timeout() => {
                // Also what the chain of credentials says when none of its links has any.
                Self::Credentials { call, reason: context(&error) }
            }
            _ => Self::Unreachable { call, reason: context(&error) },
        }
    }

    /// The service's word, where it has refused.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// Another zone may do.
    pub(super) fn is_capacity(&self) -> bool {
        CAPACITY.contains(&self.code())
    }

    /// The same request may succeed in a moment.
    pub(super) fn may_pass(&self) -> bool {
        const THROTTLED: &[&str] = &[
            "RequestLimitExceeded",
            "Throttling",
            "ThrottlingException",
            "InternalError",
            "InternalFailure",
            "ServiceUnavailable",
            "Unavailable",
            "RequestTimeout",
            "EC2ThrottledException",
        ];
        matches!(self, Self::Unreachable { .. }) || THROTTLED.contains(&self.code())
    }

    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Credentials { .. } => {
                "`aws sts get-caller-identity` shows which credentials work; `aws sso login` or `aws configure` makes new ones"
            }
            Self::Denied { .. } => {
                "the docs list every call that Disco makes, with the policy that allows them: docs/aws.md"
            }
            Self::Refused { code, .. } => return hint_of(code),
            Self::Quota { code, .. } => return hint_of(code),
            Self::Unreachable { .. } => {
                "is there a network? AWS_ENDPOINT_URL and `endpoint` say where the API is, if not at Amazon"
            }
            Self::Architecture { .. } => {
                "take an image and a type for the other architecture, or point the project's symlinks at a build for theirs"
            }
            Self::Capacity { .. } => "try again later, or take another `instance_type`",
            Self::NoSubnet { .. } => {
                "`aws ec2 create-default-vpc` makes a default network; or give `subnets` to `AwsProvider.init`"
            }
            Self::Foreign { .. } => "if it is what is left of a cluster, `disco destroy` removes it",
            Self::Limit(_) => "raise `max_nodes` in the script, or have fewer nodes by `disco scale nodes=N`",
            Self::Budget(_) => "raise `max_hourly_usd` in the script, or take fewer or smaller machines",
            Self::OwnAddress { .. } => "say who may come by `ssh_from: \"203.0.113.7/32\"` of `AwsProvider.init`",
            _ => return None,
        })
    }
}

/// What the operator can do where the service has this word for the reason.
fn hint_of(code: &str) -> Option<&'static str> {
    Some(match code {
        "AddressLimitExceeded" => {
            "release an Elastic IP that is not used, or ask for a higher quota (Service Quotas, EC2-VPC Elastic IPs)"
        }
        "VcpuLimitExceeded" | "InstanceLimitExceeded" => {
            "ask for a higher quota (Service Quotas, Running On-Demand instances), or use smaller machines"
        }
        "MaxSpotInstanceCountExceeded" => {
            "ask for a higher quota (Service Quotas, All Standard Spot Instance Requests), or use smaller machines, or none of spot"
        }
        "InvalidAMIID.NotFound" | "InvalidAMIID.Malformed" => {
            "images differ by region: take one of the region that the script names"
        }
        _ => return None,
    })
}

/// The chain of causes as one line: most of it says what failed inside of the SDK.
fn context<E: std::error::Error>(error: &E) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut source: Option<&dyn std::error::Error> = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !text.is_empty() && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        source = cause.source();
    }
    if parts.is_empty() { DisplayErrorContext(error).to_string() } else { parts.join(": ") }
}
