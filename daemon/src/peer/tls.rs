//! TLS 1.3 between nodes: who is at the other end is its key, and nothing else.
//!
//! Owns: certificates, the check of these, and what pairing takes from a session. Must not: know who is a member.
//!
//! Certificates are made at each start and hold nothing that counts but the key. Names, dates and the certificate's own
//! signature say nothing here; that the other side has the key shows in the handshake's signature, which rustls checks.
//! No session is resumed and nothing is sent early, so that a recorded handshake is good for nothing.

use std::sync::Arc;

use anyhow::{Context, Result};
use metaopt_core::node::base32;
use metaopt_schema::NodeId;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::{
        NoServerSessionStorage, ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::data_dir::hex;

/// Links.
pub(super) const LINK: &[u8] = b"metaopt/1";
/// HTTP between members.
pub(super) const HTTP: &[u8] = b"http/1.1";
/// RFC 5705; unregistered labels begin with EXPERIMENTAL or are one's own.
const EXPORTER: &[u8] = b"EXPORTER-metaopt-pairing";
/// What stands before the 32 bytes of an Ed25519 key (RFC 8410).
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A node's key.
pub(super) type Key = [u8; 32];

/// The other end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub node: NodeId,
    pub key: Key,
}

impl Peer {
    pub(super) fn new(key: Key) -> Self {
        Self { node: NodeId::new(base32(&blake3::hash(&key).as_bytes()[..10])), key }
    }

    pub(super) fn public_key(&self) -> String {
        hex(&self.key)
    }
}

/// Both roles of this node.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    link: TlsConnector,
    http: TlsConnector,
    pub key: Key,
}

impl Tls {
    /// # Errors
    /// The key is none.
    pub(super) fn new(pkcs8: &[u8]) -> Result<Self> {
        let der = PrivatePkcs8KeyDer::from(pkcs8);
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519)
            .context("the node's key can't be used for TLS")?;
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        let certificate = params.self_signed(&pair)?.der().clone();
        let key = key_of(&certificate).context("the node's key is no Ed25519 key")?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let check = Arc::new(Check { provider: Arc::clone(&provider) });
        let private = || PrivateKeyDer::Pkcs8(der.clone_key());
        let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(check.clone())
            .with_single_cert(vec![certificate.clone()], private())?;
        server.alpn_protocols = vec![LINK.to_vec(), HTTP.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.max_early_data_size = 0;
        let client = |protocol: &[u8]| -> Result<TlsConnector> {
            let mut client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .dangerous()
                .with_custom_certificate_verifier(check.clone())
                .with_client_auth_cert(vec![certificate.clone()], private())?;
            client.alpn_protocols = vec![protocol.to_vec()];
            client.resumption = Resumption::disabled();
            client.enable_sni = false;
            Ok(TlsConnector::from(Arc::new(client)))
        };
        Ok(Self { link: client(LINK)?, http: client(HTTP)?, acceptor: TlsAcceptor::from(Arc::new(server)), key })
    }

    /// # Errors
    /// As TLS says; also where the other side speaks another protocol.
    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<(TlsStream<TcpStream>, Peer)> {
        let stream = self.acceptor.accept(stream).await?;
        known(stream.into())
    }

    /// # Errors
    /// As TLS says; also where the other side speaks another protocol.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        protocol: &[u8],
    ) -> std::io::Result<(TlsStream<TcpStream>, Peer)> {
        let connector = if protocol == LINK { &self.link } else { &self.http };
        let name = ServerName::try_from("metaopt").map_err(std::io::Error::other)?;
        let (stream, peer) = known(connector.connect(name, stream).await?.into())?;
        if stream.get_ref().1.alpn_protocol() != Some(protocol) {
            return Err(std::io::Error::other("it is no metaopt node: it speaks another protocol"));
        }
        Ok((stream, peer))
    }
}

/// A session that was established, and with whom.
fn known(stream: TlsStream<TcpStream>) -> std::io::Result<(TlsStream<TcpStream>, Peer)> {
    let key = stream.get_ref().1.peer_certificates().and_then(|chain| key_of(chain.first()?).ok());
    let key = key.ok_or_else(|| std::io::Error::other("it showed no certificate"))?;
    Ok((stream, Peer::new(key)))
}

/// What only the two ends of this session know: another session, also with the same keys, has another one.
///
/// # Errors
/// The session isn't established.
pub(super) fn exported(stream: &TlsStream<TcpStream>) -> Result<[u8; 32], Error> {
    let out = [0; 32];
    match stream {
        TlsStream::Client(stream) => stream.get_ref().1.export_keying_material(out, EXPORTER, None),
        TlsStream::Server(stream) => stream.get_ref().1.export_keying_material(out, EXPORTER, None),
    }
}

/// The Ed25519 key of a certificate.
fn key_of(certificate: &CertificateDer<'_>) -> Result<Key, Error> {
    let info = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    info.strip_prefix(&ED25519)
        .and_then(|key| key.try_into().ok())
        .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

/// Accepts whoever shows one certificate of an Ed25519 key and has that key.
#[derive(Debug)]
struct Check {
    provider: Arc<CryptoProvider>,
}

impl Check {
    fn one(&self, end: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !others.is_empty() {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        key_of(end).map(drop)
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn never() -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 alone is spoken".into()))
    }
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.one(end, others).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::never()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for Check {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.one(end, others).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::never()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
