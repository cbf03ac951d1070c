//! The URLs of the services.
//!
//! The rules are those of Amazon's crates, `src/config/endpoint.rs` (tests there have the same URLs as those here), and the
//! partitions those of `src/endpoint_lib.rs`: `aws-sdk-ec2` 1.274.0, `aws-sdk-iam` 1.133.0 and `aws-sdk-servicequotas` 1.121.0.

/// Where a service is reached, and for which region its requests are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Such as `https://ec2.us-west-2.amazonaws.com`.
    pub(crate) url: String,
    /// Such as `us-west-2`.
    pub(crate) signing_region: String,
}

/// The settings that an endpoint follows from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    /// The region of the clients.
    pub(crate) region: &'a str,
    /// Whether addresses of version 6 are to be usable (`AWS_USE_DUALSTACK_ENDPOINT`).
    pub(crate) dual_stack: bool,
    /// Whether cryptography is to be that of FIPS 140 (`AWS_USE_FIPS_ENDPOINT`).
    pub(crate) fips: bool,
    /// The URL of an API other than Amazon's.
    pub(crate) custom: Option<&'a str>,
}

/// Regions with the same domain and the same accounts.
struct Partition {
    /// What the names of its regions begin with.
    prefix: &'static str,
    /// The domain of ordinary endpoints, and that of endpoints for both versions of IP.
    domain: &'static str,
    dual_stack_domain: &'static str,
    iam: IamHosts,
}

/// IAM has one endpoint for a whole partition.
struct IamHosts {
    signing_region: &'static str,
    plain: &'static str,
    fips: &'static str,
    dual_stack: &'static str,
    fips_dual_stack: &'static str,
}

const AWS: Partition = Partition {
    prefix: "",
    domain: "amazonaws.com",
    dual_stack_domain: "api.aws",
    iam: IamHosts {
        signing_region: "us-east-1",
        plain: "iam.amazonaws.com",
        fips: "iam-fips.amazonaws.com",
        dual_stack: "iam.global.api.aws",
        fips_dual_stack: "iam-fips.global.api.aws",
    },
};

const GOVERNMENT: Partition = Partition {
    prefix: "us-gov-",
    domain: "amazonaws.com",
    dual_stack_domain: "api.aws",
    iam: IamHosts {
        signing_region: "us-gov-west-1",
        plain: "iam.us-gov.amazonaws.com",
        fips: "iam.us-gov.amazonaws.com",
        dual_stack: "iam.us-gov.api.aws",
        fips_dual_stack: "iam.us-gov.api.aws",
    },
};

const OTHERS: [Partition; 6] = [
    Partition {
        prefix: "cn-",
        domain: "amazonaws.com.cn",
        dual_stack_domain: "api.amazonwebservices.com.cn",
        iam: IamHosts {
            signing_region: "cn-north-1",
            plain: "iam.cn-north-1.amazonaws.com.cn",
            fips: "iam-fips.amazonaws.com.cn",
            dual_stack: "iam.global.api.amazonwebservices.com.cn",
            fips_dual_stack: "iam-fips.api.amazonwebservices.com.cn",
        },
    },
    Partition {
        prefix: "eusc-",
        domain: "amazonaws.eu",
        dual_stack_domain: "api.amazonwebservices.eu",
        iam: IamHosts {
            signing_region: "eusc-de-east-1",
            plain: "iam.eusc-de-east-1.amazonaws.eu",
            fips: "iam-fips.amazonaws.eu",
            dual_stack: "iam.global.api.amazonwebservices.eu",
            fips_dual_stack: "iam-fips.api.amazonwebservices.eu",
        },
    },
    Partition {
        prefix: "us-iso-",
        domain: "c2s.ic.gov",
        dual_stack_domain: "api.aws.ic.gov",
        iam: IamHosts {
            signing_region: "us-iso-east-1",
            plain: "iam.us-iso-east-1.c2s.ic.gov",
            fips: "iam-fips.us-iso-east-1.c2s.ic.gov",
            dual_stack: "iam.api.aws.ic.gov",
            fips_dual_stack: "iam-fips.api.aws.ic.gov",
        },
    },
    Partition {
        prefix: "us-isob-",
        domain: "sc2s.sgov.gov",
        dual_stack_domain: "api.aws.scloud",
        iam: IamHosts {
            signing_region: "us-isob-east-1",
            plain: "iam.us-isob-east-1.sc2s.sgov.gov",
            fips: "iam-fips.us-isob-east-1.sc2s.sgov.gov",
            dual_stack: "iam.api.aws.scloud",
            fips_dual_stack: "iam-fips.api.aws.scloud",
        },
    },
    Partition {
        prefix: "eu-isoe-",
        domain: "cloud.adc-e.uk",
        dual_stack_domain: "api.cloud-aws.adc-e.uk",
        iam: IamHosts {
            signing_region: "eu-isoe-west-1",
            plain: "iam.eu-isoe-west-1.cloud.adc-e.uk",
            fips: "iam-fips.cloud.adc-e.uk",
            dual_stack: "iam.api.cloud-aws.adc-e.uk",
            fips_dual_stack: "iam-fips.api.cloud-aws.adc-e.uk",
        },
    },
    Partition {
        prefix: "us-isof-",
        domain: "csp.hci.ic.gov",
        dual_stack_domain: "api.aws.hci.ic.gov",
        iam: IamHosts {
            signing_region: "us-isof-south-1",
            plain: "iam.us-isof-south-1.csp.hci.ic.gov",
            fips: "iam-fips.csp.hci.ic.gov",
            dual_stack: "iam.api.aws.hci.ic.gov",
            fips_dual_stack: "iam-fips.api.aws.hci.ic.gov",
        },
    },
];

/// The endpoint of the service whose host names begin with `host`, such as `ec2`.
///
/// # Errors
/// What is wrong with the settings.
pub(crate) fn endpoint(host: &str, settings: Settings<'_>) -> Result<Endpoint, String> {
    let Settings { region, dual_stack, fips, custom } = settings;
    if let Some(url) = custom {
        return match (fips, dual_stack) {
            (true, _) => Err(format!("FIPS and an endpoint of your own, `{url}`, exclude each other")),
            (false, true) => Err(format!("dual stack and an endpoint of your own, `{url}`, exclude each other")),
            _ if is_url(url) => Ok(Endpoint { url: url.to_owned(), signing_region: region.to_owned() }),
            _ => Err(format!("`{url}`: expected a URL such as `https://ec2.example.com` or `http://127.0.0.1:5000`")),
        };
    }
    let is_label = |label: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.len() < 64 && !label.starts_with('-') && label.chars().all(good)
    };
    if !region.split('.').all(is_label) {
        return Err(format!("invalid region `{region}`: expected a name such as `us-west-2`"));
    }
    let found = OTHERS.iter().find(|partition| region.starts_with(partition.prefix));
    let is_government = region.starts_with(GOVERNMENT.prefix);
    let partition = found.unwrap_or(if is_government { &GOVERNMENT } else { &AWS });
    if host == "iam" {
        let hosts = &partition.iam;
        let host = match (fips, dual_stack) {
            (false, false) => hosts.plain,
            (true, false) => hosts.fips,
            (false, true) => hosts.dual_stack,
            (true, true) => hosts.fips_dual_stack,
        };
        return Ok(Endpoint { url: format!("https://{host}"), signing_region: hosts.signing_region.to_owned() });
    }
    // The ordinary endpoints of the government's partition are those with FIPS.
    let fips = if fips && (dual_stack || !is_government) { "-fips" } else { "" };
    let domain = if dual_stack { partition.dual_stack_domain } else { partition.domain };
    Ok(Endpoint { url: format!("https://{host}{fips}.{region}.{domain}"), signing_region: region.to_owned() })
}

/// Whether a text is the URL of a server, with nothing that a request would add.
fn is_url(text: &str) -> bool {
    let Ok(url) = text.parse::<http::Uri>() else { return false };
    let is_host = |authority: &http::uri::Authority| !authority.host().is_empty() && !authority.as_str().contains('@');
    matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some_and(is_host) && url.query().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service, a region, whether FIPS and dual stack are used, and the expected host.
    type Case = (&'static str, &'static str, bool, bool, &'static str);

    /// From the tests of `src/config/endpoint.rs` of each crate.
    #[rustfmt::skip]
    const CASES: &[Case] = &[
        ("ec2", "us-west-2", false, false, "ec2.us-west-2.amazonaws.com"),
        ("ec2", "ap-south-1", false, true, "ec2.ap-south-1.api.aws"),
        ("ec2", "ca-central-1", true, false, "ec2-fips.ca-central-1.amazonaws.com"),
        ("ec2", "us-east-1", true, true, "ec2-fips.us-east-1.api.aws"),
        ("ec2", "cn-north-1", false, false, "ec2.cn-north-1.amazonaws.com.cn"),
        ("ec2", "cn-north-1", true, true, "ec2-fips.cn-north-1.api.amazonwebservices.com.cn"),
        ("ec2", "us-gov-east-1", false, false, "ec2.us-gov-east-1.amazonaws.com"),
        ("ec2", "us-gov-east-1", true, false, "ec2.us-gov-east-1.amazonaws.com"),
        ("ec2", "us-gov-east-1", true, true, "ec2-fips.us-gov-east-1.api.aws"),
        ("ec2", "us-iso-west-1", false, false, "ec2.us-iso-west-1.c2s.ic.gov"),
        ("ec2", "us-isob-east-1", true, false, "ec2-fips.us-isob-east-1.sc2s.sgov.gov"),
        ("servicequotas", "eu-north-1", false, false, "servicequotas.eu-north-1.amazonaws.com"),
        ("servicequotas", "cn-north-1", false, true, "servicequotas.cn-north-1.api.amazonwebservices.com.cn"),
        ("servicequotas", "us-gov-west-1", true, false, "servicequotas.us-gov-west-1.amazonaws.com"),
        ("servicequotas", "us-iso-east-1", true, false, "servicequotas-fips.us-iso-east-1.c2s.ic.gov"),
        ("iam", "us-east-1", false, false, "iam.amazonaws.com"),
        ("iam", "us-east-1", true, true, "iam-fips.global.api.aws"),
        ("iam", "cn-northwest-1", false, false, "iam.cn-north-1.amazonaws.com.cn"),
        ("iam", "cn-northwest-1", false, true, "iam.global.api.amazonwebservices.com.cn"),
        ("iam", "eusc-de-east-1", true, false, "iam-fips.amazonaws.eu"),
        ("iam", "us-iso-east-1", true, false, "iam-fips.us-iso-east-1.c2s.ic.gov"),
        ("iam", "us-isob-east-1", false, false, "iam.us-isob-east-1.sc2s.sgov.gov"),
        ("iam", "eu-isoe-west-1", false, false, "iam.eu-isoe-west-1.cloud.adc-e.uk"),
        ("iam", "us-isof-south-1", true, false, "iam-fips.csp.hci.ic.gov"),
        ("iam", "us-gov-west-1", true, true, "iam.us-gov.api.aws"),
        ("iam", "us-gov-west-1", false, false, "iam.us-gov.amazonaws.com"),
    ];

    fn settings(region: &str) -> Settings<'_> {
        Settings { region, dual_stack: false, fips: false, custom: None }
    }

    #[test]
    fn endpoints_are_those_of_amazons_own_crates() {
        for &(host, region, fips, dual_stack, expected) in CASES {
            let found = endpoint(host, Settings { fips, dual_stack, ..settings(region) }).unwrap();
            assert_eq!(found.url, format!("https://{expected}"));
        }
    }

    #[test]
    fn iam_is_signed_for_the_region_of_its_partition() {
        for (region, signing) in
            [("eu-west-1", "us-east-1"), ("cn-northwest-1", "cn-north-1"), ("us-gov-east-1", "us-gov-west-1")]
        {
            assert_eq!(endpoint("iam", settings(region)).unwrap().signing_region, signing);
            assert_eq!(endpoint("ec2", settings(region)).unwrap().signing_region, region);
        }
    }

    #[test]
    fn an_endpoint_of_ones_own_is_taken_as_it_is() {
        let own = Settings { custom: Some("http://127.0.0.1:5000"), ..settings("us-west-2") };
        let found = endpoint("iam", own).unwrap();
        assert_eq!((found.url.as_str(), found.signing_region.as_str()), ("http://127.0.0.1:5000", "us-west-2"));
        assert!(endpoint("ec2", Settings { fips: true, ..own }).unwrap_err().starts_with("FIPS"));
        assert!(endpoint("ec2", Settings { dual_stack: true, ..own }).unwrap_err().starts_with("dual stack"));
    }

    #[test]
    fn an_endpoint_of_ones_own_is_a_url() {
        for bad in ["", "localhost", "127.0.0.1:5000", "ftp://127.0.0.1", "http://", "http://a b", "http://a?b=c"] {
            let refused = endpoint("ec2", Settings { custom: Some(bad), ..settings("us-west-2") }).unwrap_err();
            assert!(refused.contains(&format!("`{bad}`: expected a URL")), "{refused}");
        }
        for good in ["http://[::1]:5000", "https://ec2.example.com/path"] {
            assert!(endpoint("ec2", Settings { custom: Some(good), ..settings("us-west-2") }).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_region_is_part_of_a_host_name_and_nothing_else() {
        for bad in ["", "us west", "us-west-2/", "evil.example/?", "-x", "a..b"] {
            assert!(endpoint("ec2", settings(bad)).is_err(), "{bad}");
        }
    }
}
