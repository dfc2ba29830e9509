//! TLS, with a certificate that is read again when its files change.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use anyhow::Context;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::interval;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use crate::config::TlsFiles;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// The certificate in force.
pub struct Certificate {
    files: TlsFiles,
    in_force: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// Which of them cannot be used, and why.
    pub fn read(files: TlsFiles) -> anyhow::Result<Arc<Self>> {
        let in_force = ArcSwap::from_pointee(certified_key(&files)?);
        Ok(Arc::new(Self { files, in_force }))
    }

    /// What turns a connection into a TLS connection, always by the certificate in force then.
    ///
    /// # Errors
    /// Where the TLS library refuses its own defaults.
    pub fn acceptor(self: &Arc<Self>) -> anyhow::Result<TlsAcceptor> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks at the files for ever, and reads them again when they have changed. What cannot be used is reported, and the
    /// certificate in force stays.
    pub async fn watch(self: Arc<Self>) {
        let mut seen = self.changed_at();
        let mut look = interval(LOOK);
        loop {
            look.tick().await;
            let now = self.changed_at();
            if now != seen {
                seen = now;
                self.reload();
            }
        }
    }

    fn reload(&self) {
        match certified_key(&self.files) {
            Ok(key) => {
                self.in_force.store(Arc::new(key));
                info!("the certificate was read again");
            }
            Err(error) => error!(
                error = format!("{error:#}"),
                "the changed certificate cannot be used: the old one stays"
            ),
        }
    }

    fn changed_at(&self) -> [Option<SystemTime>; 2] {
        let at = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
        [at(&self.files.certificate), at(&self.files.key)]
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.in_force.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

fn certified_key(TlsFiles { certificate, key }: &TlsFiles) -> anyhow::Result<CertifiedKey> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read certificates from {}", certificate.display()))?;
    anyhow::ensure!(
        !chain.is_empty(),
        io::Error::other(format!("{} holds no certificate", certificate.display()))
    );
    let key_der = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read a key from {}", key.display()))?;
    CertifiedKey::from_der(chain, key_der, &aws_lc_rs::default_provider())
        .with_context(|| format!("{} and {} do not belong together", certificate.display(), key.display()))
}
