//! One client: its authentication, and its channels.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use russh::keys::PublicKey;
use russh::keys::ssh_key::AuthorizedKeys;
use russh::server::{Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty};
use tokio::sync::watch;

use super::channel;
use super::server::Shared;

/// How many channels a client may have open at once.
const CHANNELS: usize = 32;

/// One client.
#[derive(Debug)]
pub(super) struct Handler {
    shared: Arc<Shared>,
    logged_in: Arc<AtomicBool>,
    /// Dropping a sender informs the channel's task that its client is gone, even if that task is busy.
    channels: HashMap<ChannelId, watch::Sender<()>>,
}

impl Handler {
    pub(super) fn new(shared: Arc<Shared>, logged_in: Arc<AtomicBool>) -> Self {
        Self { shared, logged_in, channels: HashMap::new() }
    }

    /// Whether this key may log in, by the present content of the file.
    fn may_log_in(&self, user: &str, key: &PublicKey) -> bool {
        let path = self.shared.folder.authorized_keys();
        let Ok(text) = std::fs::read_to_string(&path) else { return false };
        // A line that cannot be parsed authorizes no key, and does not hide the others.
        user == self.shared.user
            && text.lines().any(|line| {
                let mut keys = AuthorizedKeys::new(line);
                keys.any(|entry| entry.is_ok_and(|entry| entry.public_key().key_data() == key.key_data()))
            })
    }

    fn answer(&self, user: &str, key: &PublicKey) -> Auth {
        if self.may_log_in(user, key) { Auth::Accept } else { Auth::reject() }
    }
}

impl russh::server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        Ok(self.answer(user, offer.public_key))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(self.answer(user, key.public_key))
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Self::Error> {
        self.logged_in.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.retain(|_, task| !task.is_closed());
        if self.channels.len() >= CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let (alive, client) = watch::channel(());
        self.channels.insert(channel.id(), alive);
        tokio::spawn(channel::serve(channel, session.handle(), Arc::clone(&self.shared), client));
        reply.accept().await;
        Ok(())
    }

    // Requests before a command are answered here, before the channel's next request: clients send the next one without waiting,
    // and a later reply would count as the reply to the command.

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)?;
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)?;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)?;
        Ok(())
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)?;
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }
}
