//! Errors of a cloud provider.

use std::fmt::Debug;
use std::time::Duration;

use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use thiserror::Error;

use crate::install::Architecture;

/// An error of a cloud provider.
#[derive(Debug, Error)]
pub enum CloudError {
    /// The credentials are missing, expired or wrong.
    #[error("no valid AWS credentials for `{call}`: {reason}")]
    Credentials {
        /// The request, as in `RunInstances`.
        call: &'static str,
        /// What is wrong with them.
        reason: String,
    },
    /// The credentials are valid, but do not allow the request.
    #[error("AWS denied `{call}`: {reason}")]
    Denied {
        /// The request.
        call: &'static str,
        /// What it says.
        reason: String,
    },
    /// A quota of the account does not allow it; found before any request was made.
    #[error("{words}")]
    Quota {
        /// The service's error code for what would happen, such as `AddressLimitExceeded`.
        code: &'static str,
        /// How much of which quota is used.
        words: String,
    },
    /// The service refused the request for another reason.
    #[error("AWS refused `{call}`: {reason} ({code})")]
    Refused {
        /// The request.
        call: &'static str,
        /// The service's error code, such as `InvalidAMIID.NotFound`.
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
    /// Settings of the endpoint are invalid, or exclude each other.
    #[error("invalid endpoint of AWS: {reason}")]
    Endpoint {
        /// What is wrong, with the value.
        reason: String,
    },
    /// No region is configured.
    #[error("no AWS region; pass `region` to `AwsProvider.init`, or set AWS_REGION")]
    NoRegion,
    /// The options name no image or no instance type.
    #[error("`start_instance` needs `image` and `instance_type` on AWS, as in `ami-0e8c824f386e1de06` and `t4g.micro`")]
    NoImage,
    /// The image or the instance type has another architecture than the programs.
    #[error("{what} is {has}, but the `discod` to install is built for {wanted}")]
    Architecture {
        /// The image or the type.
        what: String,
        /// Its architecture.
        has: String,
        /// The architecture of the programs.
        wanted: Architecture,
    },
    /// No zone has capacity for such a machine.
    #[error("no zone has capacity for `{instance_type}` (tried {}): {reason}", tried.join(", "))]
    Capacity {
        /// The type.
        instance_type: String,
        /// The zones, in the order in which they were tried.
        tried: Vec<String>,
        /// The reason that the last zone gave.
        reason: String,
    },
    /// No network for machines was found.
    #[error("no usable subnet: {reason}")]
    NoSubnet {
        /// What was looked for.
        reason: String,
    },
    /// A resource of that name exists and is not this cluster's.
    #[error("{what} `{name}` already exists, and {why}")]
    Foreign {
        /// Its kind, such as `the key pair`.
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
        /// The service's reason.
        reason: String,
    },
    /// A time limit passed.
    #[error("{what} within {} s", limit.as_secs())]
    Late {
        /// What did not happen, such as `machine i-1 did not start`.
        what: String,
        /// The time limit.
        limit: Duration,
    },
    /// A resource is still in use.
    #[error("{what} `{name}` is still in use")]
    Busy {
        /// Its kind, such as `the security group`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A limit that the script sets.
    #[error("{0}")]
    Limit(String),
    /// The limit on what machines cost.
    #[error(transparent)]
    Budget(#[from] crate::OverBudget),
    /// The user data of a machine is too large.
    #[error("`user_data` is too large: {size} bytes with Disco's own part, and the limit is 16384")]
    UserData {
        /// Its size in bytes.
        size: usize,
    },
    /// The operator's own address could not be determined.
    #[error("cannot determine this computer's public address: {reason}")]
    OwnAddress {
        /// Why.
        reason: String,
    },
    /// A key pair could not be made or read.
    #[error("unusable key pair: {reason}")]
    Key {
        /// Why.
        reason: String,
    },
}

/// Error codes of the services for credentials that do not work.
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
/// Error codes for denied requests.
const DENIED: &[&str] =
    &["UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation"];
/// Error codes for a lack of capacity, which another zone may have.
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
    /// Classifies the failure of a request.
    pub(super) fn of<E, R>(call: &'static str) -> impl FnOnce(SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: Debug,
    {
        move |error| match &error {
            SdkError::ServiceError(service) => {
                let code = service.err().code().unwrap_or("unknown").to_owned();
                let reason = service.err().message().unwrap_or("no message").trim_end_matches('.').to_owned();
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
                // Also the error of the credentials chain when none of its links has credentials.
                Self::Credentials { call, reason: context(&error) }
            }
            _ => Self::Unreachable { call, reason: context(&error) },
        }
    }

    /// An answer that cannot be read.
    pub(super) fn unreadable<E: std::error::Error>(call: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Refused { call, code: "InvalidAnswer".to_owned(), reason: error.to_string() }
    }

    /// The service's error code, if it refused the request.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// Whether another zone may have capacity.
    pub(super) fn is_capacity(&self) -> bool {
        CAPACITY.contains(&self.code())
    }

    /// Whether the same request may succeed in a moment.
    pub(super) fn may_pass(&self) -> bool {
        const FAILURES: &[&str] = &["InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable"];
        let codes = [THROTTLING_ERRORS, TRANSIENT_ERRORS, FAILURES];
        matches!(self, Self::Unreachable { .. }) || codes.iter().any(|codes| codes.contains(&self.code()))
    }

    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Credentials { .. } => {
                "`aws sts get-caller-identity` shows which credentials work; `aws sso login` or `aws configure` makes new ones"
            }
            Self::Denied { .. } => "docs/aws.md lists every call that Disco makes, with the policy that allows them",
            Self::Refused { code, .. } => return hint_of(code),
            Self::Quota { code, .. } => return hint_of(code),
            Self::Unreachable { .. } => {
                "check the network connection; for an API other than Amazon's set AWS_ENDPOINT_URL or `endpoint`"
            }
            Self::Endpoint { .. } => {
                "correct `region` or `endpoint` of `AwsProvider.init`, or the variables AWS_ENDPOINT_URL, AWS_USE_FIPS_ENDPOINT \
                 and AWS_USE_DUALSTACK_ENDPOINT"
            }
            Self::Architecture { .. } => {
                "use an image and an instance type of that architecture, or point the project's symlinks at a build for the machine's"
            }
            Self::Capacity { .. } => "try again later, or use another `instance_type`",
            Self::NoSubnet { .. } => {
                "run `aws ec2 create-default-vpc` to make a default network, or pass `subnets` to `AwsProvider.init`"
            }
            Self::Foreign { .. } => "if it is left over from an earlier cluster, run `disco destroy` to remove it",
            Self::Limit(_) => "raise `max_nodes` in the script, or lower the target size with `disco scale nodes=N`",
            Self::Budget(_) => "raise `max_hourly_usd` in the script, or use fewer or smaller machines",
            Self::OwnAddress { .. } => {
                "name the addresses that may connect: `ssh_from: \"203.0.113.7/32\"` in `AwsProvider.init`"
            }
            _ => return None,
        })
    }
}

/// What the operator can do about this error code of the service.
fn hint_of(code: &str) -> Option<&'static str> {
    Some(match code {
        "AddressLimitExceeded" => {
            "release an Elastic IP that is not used, or ask for a higher quota (Service Quotas, EC2-VPC Elastic IPs)"
        }
        "VcpuLimitExceeded" | "InstanceLimitExceeded" => {
            "ask for a higher quota (Service Quotas, Running On-Demand instances), or use smaller machines"
        }
        "MaxSpotInstanceCountExceeded" => {
            "ask for a higher quota (Service Quotas, All Standard Spot Instance Requests), or use smaller or on-demand machines"
        }
        "InvalidAMIID.NotFound" | "InvalidAMIID.Malformed" => {
            "image ids differ by region: use an image of the region that the script names"
        }
        _ => return None,
    })
}

/// The chain of causes as one line: most of its links describe what failed inside the SDK.
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
