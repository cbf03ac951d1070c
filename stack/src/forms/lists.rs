//! Lists of texts.

use super::{Form, Read, text_of};
use crate::yaml::{Node, Tag, Value};

impl Form<'_> {
    pub(super) fn text_list(&mut self, node: Node) -> Read {
        self.texts(node).map(without_duplicates)
    }

    pub(super) fn scalar_list(&mut self, node: Node) -> Read {
        let place = node.place;
        let Value::List(list) = node.value else { return Err(self.wrong(&node, "a list")) };
        let mut read = Vec::with_capacity(list.len());
        for item in list {
            self.refuse_item_tag(&item);
            read.push(self.scalar(item)?);
        }
        Ok(without_duplicates(Node::new(place, Value::List(read))))
    }

    pub(super) fn text_or_list(&mut self, node: Node) -> Read {
        match node.scalar() {
            Some(_) => {
                let place = node.place;
                let text = self.text(Node { tag: Tag::None, ..node })?;
                Ok(Node::new(place, Value::List(vec![text])))
            }
            None => self.text_list(node),
        }
    }

    /// `PORT`, `FIRST-LAST`, either with `/udp` or `/tcp`.
    pub(super) fn expose(&mut self, node: Node) -> Read {
        let read = self.scalar_list(node)?;
        for item in read.list().unwrap_or_default() {
            super::ports::check_exposed(text_of(item)).map_err(|why| self.invalid(item, &why))?;
        }
        Ok(read)
    }

    /// Canonical as a list of `HOST=ADDRESS`.
    pub(super) fn extra_hosts(&mut self, node: Node) -> Read {
        let place = node.place;
        let mut hosts = Vec::new();
        match node.value {
            Value::Map(map) => {
                for (host, entry) in map {
                    let addresses = match entry.node.value {
                        Value::List(list) => list,
                        value => vec![Node { value, ..entry.node }],
                    };
                    for address in addresses {
                        let (at, address) = (address.place, self.text(address)?);
                        hosts.push(Node::text(at, format!("{host}={}", bare(text_of(&address)))));
                    }
                }
            }
            Value::List(list) => {
                for item in list {
                    self.refuse_item_tag(&item);
                    let item = self.text(item)?;
                    let text = text_of(&item);
                    let Some((host, address)) = text.split_once('=').or_else(|| text.split_once(':')) else {
                        return Err(self.invalid(&item, "expected `HOST=ADDRESS`"));
                    };
                    hosts.push(Node::text(item.place, format!("{host}={}", bare(address))));
                }
            }
            _ => return Err(self.wrong(&node, "a list or a mapping")),
        }
        Ok(without_duplicates(Node::new(place, Value::List(hosts))))
    }
}

/// An IPv6 address may stand in brackets.
fn bare(address: &str) -> &str {
    address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address)
}

/// The first of equal texts stays.
fn without_duplicates(mut node: Node) -> Node {
    if let Value::List(list) = &mut node.value {
        let mut seen = std::collections::BTreeSet::new();
        list.retain(|item| seen.insert(text_of(item).to_owned()));
    }
    node
}
