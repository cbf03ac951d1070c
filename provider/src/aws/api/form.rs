//! Parameters of a call, as the form that the query protocol sends.
//!
//! Lists are numbered from 1: `Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1`.
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html>

use std::fmt::{self, Debug, Display};

/// The parameters of one call. They may hold a secret: the user data of a machine has its host key.
#[derive(Clone, Default)]
pub(crate) struct Form {
    /// Each with a `&` before it.
    text: String,
}

impl Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").finish_non_exhaustive()
    }
}

/// A value with several fields, each a parameter.
pub(crate) trait Fields {
    /// Adds the fields; their names begin with `prefix`, such as `Filter.1`.
    fn add(&self, form: Form, prefix: &str) -> Form;
}

impl Form {
    /// Adds a parameter.
    pub(crate) fn set(mut self, name: &str, value: impl Display) -> Self {
        let value = value.to_string();
        for part in ["&", name, "=", &urlencoding::encode(&value)] {
            self.text.push_str(part);
        }
        self
    }

    /// Adds a parameter if it has a value.
    pub(crate) fn set_some(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// Adds a list of texts. An empty list adds nothing.
    pub(crate) fn list(self, name: &str, values: impl IntoIterator<Item = impl Display>) -> Self {
        let numbered = (1..).zip(values);
        numbered.fold(self, |form, (number, value)| form.set(&format!("{name}.{number}"), value))
    }

    /// Adds a list of values with fields. An empty list adds nothing.
    pub(crate) fn each<'a, T: Fields + 'a>(self, name: &str, values: impl IntoIterator<Item = &'a T>) -> Self {
        let numbered = (1..).zip(values);
        numbered.fold(self, |form, (number, value)| value.add(form, &format!("{name}.{number}")))
    }

    /// Adds the parameters of another form.
    pub(crate) fn append(mut self, other: &Self) -> Self {
        self.text.push_str(&other.text);
        self
    }

    /// The body of the request.
    pub(crate) fn body(&self, action: &str, version: &str) -> String {
        format!("Action={action}&Version={version}{}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair(&'static str, Vec<&'static str>);

    impl Fields for Pair {
        fn add(&self, form: Form, prefix: &str) -> Form {
            form.set(&format!("{prefix}.Name"), self.0).list(&format!("{prefix}.Value"), &self.1)
        }
    }

    #[test]
    fn lists_are_numbered_from_one_and_empty_ones_leave_no_trace() {
        let pairs = [Pair("tag:disco:cluster", vec!["web"]), Pair("state", vec!["running", "stopped"])];
        let form = Form::default().each("Filter", &pairs).list("SubnetId", Vec::<String>::new());
        assert_eq!(
            form.body("DescribeInstances", "2016-11-15"),
            "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=tag%3Adisco%3Acluster&Filter.1.Value.1=web\
             &Filter.2.Name=state&Filter.2.Value.1=running&Filter.2.Value.2=stopped"
        );
    }

    #[test]
    fn values_are_encoded_as_signatures_expect_it() {
        // RFC 3986: a blank is no plus sign, and `~` stands for itself.
        let form =
            Form::default().set("A", "a b+c/d=e&f~g-h_i.j").set("B", "ä").set("C", true).set_some("D", None::<i32>);
        assert_eq!(form.body("X", "1"), "Action=X&Version=1&A=a%20b%2Bc%2Fd%3De%26f~g-h_i.j&B=%C3%A4&C=true");
    }
}
