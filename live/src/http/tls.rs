//! TLS for [`super::Client`]: `ureq` has no way to pin a certificate, so its connections are wrapped
//! here.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned,
};
use sha2::{Digest, Sha256};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::OpenError;

/// Wraps connections in TLS.
#[derive(Debug)]
pub(super) struct Connector(Arc<ClientConfig>);

/// Why a connection was not wrapped: no request went over it.
#[derive(Debug, thiserror::Error)]
#[error("TLS: {0}")]
pub(super) struct HandshakeError(String);

impl Connector {
    /// # Errors
    /// When nothing or too much is said of what to trust, or the file cannot be read.
    pub(super) fn new(
        ca_file: Option<&Path>,
        fingerprint: Option<&str>,
    ) -> Result<Self, OpenError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            // The provider has suites for every version of TLS that was built in.
            .expect("ring speaks TLS 1.2 and 1.3");
        let builder = match (ca_file, fingerprint) {
            (Some(file), None) => builder.with_root_certificates(authorities(file)?),
            (None, Some(text)) => {
                let pinned = Pinned { fingerprint: digest(text)?, provider };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
            }
            (both, _) => {
                let got = if both.is_some() { "both" } else { "neither" };
                return Err(OpenError {
                    field: "fingerprint",
                    expected: "either a fingerprint or a ca_file for https".to_owned(),
                    got: got.to_owned(),
                });
            }
        };
        Ok(Self(Arc::new(builder.with_no_client_auth())))
    }
}

fn authorities(file: &Path) -> Result<RootCertStore, OpenError> {
    let refuse = |got: String| OpenError {
        field: "ca_file",
        expected: "a readable file with certificates in PEM".to_owned(),
        got: format!("{}: {got}", file.display()),
    };
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| refuse(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refuse("no certificate".to_owned()));
    }
    Ok(roots)
}

fn digest(text: &str) -> Result<[u8; 32], OpenError> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    let sound = digits.iter().all(u8::is_ascii_hexdigit);
    bytes.filter(|_| sound).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| OpenError {
        field: "fingerprint",
        expected: "a SHA-256 fingerprint: 64 hexadecimal digits, colons between them or not"
            .to_owned(),
        got: format!("{text:?}"),
    })
}

/// Trusts one certificate, whoever signed it, whatever its name and dates.
#[derive(Debug)]
struct Pinned {
    fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match <[u8; 32]>::from(Sha256::digest(end_entity)) == self.fingerprint {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl<In: Transport> ureq::unversioned::transport::Connector<In> for Connector {
    type Out = Wrapped;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Wrapped>, ureq::Error> {
        let Some(tcp) = chained else { return Ok(None) };
        let failed = |text: String| ureq::Error::Other(Box::new(HandshakeError(text)));
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|error| failed(error.to_string()))?;
        let mut conn = ClientConnection::new(self.0.clone(), name)
            .map_err(|error| failed(error.to_string()))?;
        let mut sock = TransportAdapter::new(tcp.boxed(), details.current_time.clone());
        sock.set_timeout(details.timeout);
        conn.complete_io(&mut sock).map_err(|error| failed(error.to_string()))?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Wrapped { buffers, stream: StreamOwned { conn, sock } }))
    }
}

/// A connection in TLS.
pub(super) struct Wrapped {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wrapped").finish_non_exhaustive()
    }
}

impl Transport for Wrapped {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_with_colons_and_without_and_nothing_else_is() {
        let plain = "00ff".repeat(16);
        let colons: Vec<&str> = (0..32).map(|at| &plain[2 * at..2 * at + 2]).collect();
        assert_eq!(digest(&plain).unwrap(), digest(&colons.join(":")).unwrap());
        assert_eq!(digest(&plain).unwrap()[..2], [0, 255]);
        for wrong in ["", "00ff", &"00".repeat(33), &"0+".repeat(32), &"éé".repeat(16)] {
            let error = digest(wrong).unwrap_err().to_string();
            assert!(error.starts_with("fingerprint: expected a SHA-256"), "{error}");
        }
    }

    #[test]
    fn https_needs_exactly_one_thing_to_trust() {
        let file = Path::new("ca.pem");
        for (ca, fingerprint, got) in [(None, None, "neither"), (Some(file), Some("00"), "both")] {
            let error = Connector::new(ca, fingerprint).unwrap_err().to_string();
            let expected =
                "fingerprint: expected either a fingerprint or a ca_file for https, got ";
            assert_eq!(error, format!("{expected}{got}"));
        }
    }
}
