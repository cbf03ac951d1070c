//! Identities in a cluster: certificates, private keys, join tokens, and the mutual TLS of every connection.
//!
//! Invariants:
//!
//! - A cluster has one root ([`Authority::new_root`]) whose key stays with the operator, and at any time one signing key
//!   in use ([`Authority::new_intermediate`]) that the voters hold. All keys are P-256.
//! - A name is a URI in the leaf certificate, see [`Role`]. No other name in a certificate counts, and of a signing
//!   request only the public key is used.
//! - Only the root certifies operators. A compromised voter can admit nodes, but not make an operator.
//! - Every connection has a certificate of the same cluster on both sides. There is no session resumption (which would skip the
//!   check), and no connection outlives its certificate.
//! - Private keys are never printed: every type that holds one has a hand-written `Debug`.

mod ageless;
mod authority;
mod certificate;
mod clock;
mod cluster_id;
mod connect;
mod credentials;
mod files;
mod guard;
mod key;
mod listen;
mod refusals;
mod role;
mod server_stream;
mod status;
mod tls;
mod token;
mod verifier;

pub use ageless::look;
pub use authority::{
    Authority, AuthorityError, CLIENT_LIFETIME, INTERMEDIATE_LIFETIME, NODE_LIFETIME, OPERATOR_LIFETIME, ROOT_LIFETIME,
};
pub use certificate::{CertificateError, CertificateInfo, chain_from_pem};
pub use clock::{CLOCK_SKEW, Phase, Validity, unix_now};
pub use cluster_id::{ClusterId, InvalidClusterId};
pub use connect::{ChannelOptions, ConnectError, Expect, Expiry, channel, connect, expiry, refusal};
pub use credentials::{Credentials, CredentialsError};
pub use files::{FileError, create_private_dir, read_limited, read_private, write_private, write_public};
pub use guard::{
    peer, remote_address, require_join, require_member, require_node, require_operator, require_sender, require_user,
};
pub use key::{KeyError, PrivateKey};
pub use listen::{Accepting, Incoming, ListenLimits, incoming};
pub use role::{InvalidRole, PeerIdentity, Role};
pub use server_stream::{ConnectInfo, ServerStream};
pub use status::describe;
pub use tls::{Identity, IdentityError};
pub use token::{JoinToken, TokenError};
