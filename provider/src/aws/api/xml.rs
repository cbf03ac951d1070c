//! Answers of the query protocol.

use std::str::FromStr;

use aws_smithy_types::error::ErrorMetadata;
use roxmltree::{Document, Node};
use thiserror::Error;

/// Why an answer cannot be read.
#[derive(Debug, Error)]
pub(crate) enum Unreadable {
    /// It is not XML.
    #[error("the answer is not XML: {0}")]
    Xml(#[from] roxmltree::Error),
    /// It is not text.
    #[error("the answer is not UTF-8")]
    Text(#[from] std::str::Utf8Error),
    /// It is not JSON of the expected form.
    #[error("the answer is not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A field has a value of another type.
    #[error("invalid `{field}` in the answer: `{value}`")]
    Field {
        /// Its name.
        field: String,
        /// Its value.
        value: String,
    },
    /// Pages repeat.
    #[error("the answer names the page `{0}` a second time")]
    Page(String),
    /// Pages do not end.
    #[error("the answer has more than {0} pages")]
    Pages(usize),
}

/// What an element of an answer is read as.
pub(crate) trait Read: Sized {
    /// Reads it.
    fn read(element: Element<'_>) -> Result<Self, Unreadable>;
}

/// An element of an answer. Names are compared without their namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a>(Node<'a, 'a>);

impl Element<'_> {
    /// Reads the root of an answer.
    pub(crate) fn parse<T>(
        answer: &[u8],
        read: impl FnOnce(Element<'_>) -> Result<T, Unreadable>,
    ) -> Result<T, Unreadable> {
        let document = Document::parse(std::str::from_utf8(answer)?)?;
        read(Element(document.root_element()))
    }
}

impl<'a> Element<'a> {
    /// The first element with that name in this one.
    pub(crate) fn child(self, name: &str) -> Option<Self> {
        self.children(name).next()
    }

    /// The text of that child.
    pub(crate) fn text(self, name: &str) -> Option<String> {
        let texts = self.child(name)?.0.children().filter(|node| node.is_text());
        Some(texts.filter_map(|node| node.text()).collect())
    }

    /// The value of that child, such as a number.
    pub(crate) fn value<T: FromStr>(self, name: &str) -> Result<Option<T>, Unreadable> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let value = text.trim().parse().map_err(|_| Unreadable::Field { field: name.to_owned(), value: text });
        value.map(Some)
    }

    /// That child as a whole.
    pub(crate) fn one<T: Read>(self, name: &str) -> Result<Option<T>, Unreadable> {
        self.child(name).map(T::read).transpose()
    }

    /// The items of the set with that name.
    pub(crate) fn set<T: Read>(self, name: &str) -> Result<Vec<T>, Unreadable> {
        self.list(name, "item")
    }

    /// The elements called `item` of the child `name`.
    pub(crate) fn list<T: Read>(self, name: &str, item: &str) -> Result<Vec<T>, Unreadable> {
        self.child(name).into_iter().flat_map(|set| set.children(item)).map(T::read).collect()
    }

    fn children(self, name: &str) -> impl Iterator<Item = Self> + use<'a, '_> {
        let elements = self.0.children().filter(|node| node.is_element());
        elements.filter(move |node| node.tag_name().name() == name).map(Element)
    }
}

impl Read for String {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(element.0.text().unwrap_or_default().to_owned())
    }
}

/// Code and message of an answer that is an error, in the form of EC2 (`<Response><Errors><Error>`) or that of IAM and others
/// (`<ErrorResponse><Error>`).
pub(crate) fn error(answer: &[u8]) -> Result<ErrorMetadata, Unreadable> {
    Element::parse(answer, |root| {
        let mut found = ErrorMetadata::builder();
        if let Some(error) = root.child("Errors").unwrap_or(root).child("Error") {
            if let Some(code) = error.text("Code") {
                found = found.code(code);
            }
            if let Some(message) = error.text("Message") {
                found = found.message(message);
            }
        }
        Ok(found.build())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Rule {
        port: Option<u16>,
        text: Option<String>,
    }

    impl Read for Rule {
        fn read(element: Element<'_>) -> Result<Self, Unreadable> {
            Ok(Self { port: element.value("port")?, text: element.text("text") })
        }
    }

    fn rules(set: &str) -> Result<Vec<Rule>, Unreadable> {
        let answer = format!(r#"<?xml version="1.0"?><Answer xmlns="http://ec2.amazonaws.com/">{set}</Answer>"#);
        Element::parse(answer.as_bytes(), |root| root.set("rules"))
    }

    #[test]
    fn a_set_has_as_many_items_as_it_has() {
        let two = "<rules><item><port> 22 </port><text>a &amp; <![CDATA[<b>]]></text></item><item/></rules>";
        let first = Rule { port: Some(22), text: Some("a & <b>".to_owned()) };
        assert_eq!(rules(two).unwrap(), [first, Rule { port: None, text: None }]);
        assert_eq!(rules("<rules/>").unwrap(), []);
        assert_eq!(rules("").unwrap(), []);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let error = rules("<rules><item><port>many</port></item></rules>").unwrap_err().to_string();
        assert_eq!(error, "invalid `port` in the answer: `many`");
        for bad in ["<rules>", "</rules>", "&nothing;", "<rules></rule>"] {
            assert!(rules(bad).unwrap_err().to_string().starts_with("the answer is not XML: "), "{bad}");
        }
        assert!(Element::parse(&[0xff], |_| Ok(())).is_err());
        // A DTD may define entities that fill the memory.
        let bomb = r#"<!DOCTYPE a [<!ENTITY x "xxxxxxxx"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>"#;
        assert!(Element::parse(bomb.as_bytes(), |_| Ok(())).is_err());
    }

    #[test]
    fn errors_come_in_two_forms() {
        let ec2 = "<Response><Errors><Error><Code>InvalidAMIID.NotFound</Code><Message>no image</Message></Error></Errors>\
                   <RequestID>1</RequestID></Response>";
        let iam = "<ErrorResponse xmlns=\"https://iam.amazonaws.com/\"><Error><Type>Sender</Type><Code>NoSuchEntity</Code>\
                   <Message>no role</Message></Error><RequestId>1</RequestId></ErrorResponse>";
        for (answer, code, message) in [(ec2, "InvalidAMIID.NotFound", "no image"), (iam, "NoSuchEntity", "no role")] {
            let found = error(answer.as_bytes()).unwrap();
            assert_eq!((found.code(), found.message()), (Some(code), Some(message)));
        }
        assert_eq!(error(b"<Response/>").unwrap().code(), None);
        assert!(error(b"Bad Gateway").is_err());
    }
}
