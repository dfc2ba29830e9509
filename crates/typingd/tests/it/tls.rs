//! TLS: Pinnacle's own SDK against a configured account, and a certificate that is replaced.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, IpAddr, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::process::Command;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use typingd::config::TlsFiles;
use typingd::tls::Certificate;

use crate::clients::{clients, environments, expected, run, whats};
use crate::reload::Serve;

/// A directory for certificates that goes with the test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("typingd-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.0.join("certificate.pem"), key: self.0.join("key.pem") }
    }

    /// Puts a new certificate, and its key, in place of what is there: changed at this second.
    pub async fn renew(&self, second: u64) {
        let TlsFiles { certificate, key } = self.files();
        certify(&certificate, &key).await;
        for path in [certificate, key] {
            let changed_at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            File::options().append(true).open(path).unwrap().set_modified(changed_at).unwrap();
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a certificate for this machine, signed by itself.
async fn certify(certificate: &Path, key: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    openssl.args(["-days", "2", "-subj", "/CN=typingd", "-addext", "subjectAltName=IP:127.0.0.1"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.arg("-keyout").arg(key).arg("-out").arg(certificate);
    run(&mut openssl, "openssl").await;
}

/// What speaks TLS and offers these protocols, with a new certificate for this machine, which is given with it. `name` is
/// nobody else's.
pub async fn acceptor(name: &str, protocols: &[&[u8]]) -> (TlsAcceptor, CertificateDer<'static>) {
    let directory = Directory::new(name);
    directory.renew(1_000).await;
    let TlsFiles { certificate, key } = directory.files();
    let certificate = CertificateDer::from_pem_file(certificate).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let mut config = config.with_single_cert(vec![certificate.clone()], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), certificate)
}

/// Two accounts of `acme`, one of `globex`, and one that may ask once a second.
const TENANTS: &str = r#"
[[tenants]]
name = "acme"
[[tenants.pinnacle]]
api_keys = ["test_key"]
agents = ["agent_pinnacle"]
[[tenants.pinnacle]]
api_keys = ["other_key"]
agents = ["agent_other"]

[[tenants]]
name = "globex"
[[tenants.pinnacle]]
api_keys = ["globex-pinnacle-key"]
agents = ["agent_globex"]

[[tenants]]
name = "slow"
[tenants.quota]
requests_per_second = 1
burst = 1
[[tenants.pinnacle]]
api_keys = ["slow_key"]
agents = ["agent_slow"]
"#;

#[tokio::test]
async fn pinnacles_sdk_speaks_to_a_configured_account_over_tls() {
    let directory = Directory::new("tls-sdk");
    directory.renew(1_000).await;
    let TlsFiles { certificate, key } = directory.files();
    let listen = format!("certificate = {certificate:?}\nkey = {key:?}\n");
    let serve = Serve::start("tls-sdk-serve", &listen, TENANTS).await;
    let python = environments().await.join("rcs-2.0.28/bin/python");
    let script = async |arguments: &[&str]| {
        let mut script = Command::new(&python);
        script.arg(clients().join("pinnacle.py")).arg(format!("https://{}", serve.address)).args(arguments);
        script.env("no_proxy", "*").env("SSL_CERT_FILE", &certificate);
        let lines = run(&mut script, "python3").await;
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    assert_eq!(whats(&script(&[]).await), expected("ForbiddenError"));
    // This SDK does not wait by itself: whoever uses it is told for how long to.
    let steps = script(&["throttled"]).await;
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert_eq!(steps[0]["result"]["success"], true, "{}", steps[0]);
    let error = json!("too many requests: try again in 1 s");
    assert_eq!(
        (&steps[1]["exception"], &steps[1]["status"], &steps[1]["retry_after"], &steps[1]["error"]),
        (&json!("ApiError"), &json!(429), &json!("1"), &error)
    );
    serve.stop().await;
}

/// Whether somebody who trusts only this certificate gets through to the server that has it in force.
async fn is_served(served: &Arc<Certificate>, trusted: &Path) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = duplex(64 * 1024);
    let acceptor = served.acceptor().unwrap();
    let server = tokio::spawn(async move {
        let mut connection = acceptor.accept(far).await?;
        connection.write_all(b"here").await?;
        connection.shutdown().await
    });
    let name = IpAddr::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST)).into();
    let Ok(mut connection) = TlsConnector::from(Arc::new(client)).connect(name, near).await else {
        return false;
    };
    let mut said = String::new();
    connection.read_to_string(&mut said).await.unwrap();
    server.await.unwrap().unwrap();
    said == "here"
}

#[tokio::test]
async fn a_replaced_certificate_is_served_within_ten_seconds_and_a_broken_one_never() {
    let directory = Directory::new("tls-renewal");
    directory.renew(1_000).await;
    let TlsFiles { certificate, key } = directory.files();
    let copy = |name: &str| {
        let path = directory.0.join(name);
        fs::copy(&certificate, &path).unwrap();
        path
    };
    let first = copy("first.pem");
    let served = Certificate::read(directory.files()).unwrap();
    // Programs are waited for in real time, files are looked at in ours.
    tokio::time::pause();
    let watch = tokio::spawn(served.clone().watch());
    let pass = async |seconds: u64| tokio::time::sleep(Duration::from_secs(seconds)).await;
    pass(25).await;
    assert!(is_served(&served, &first).await);

    tokio::time::resume();
    directory.renew(2_000).await;
    tokio::time::pause();
    let second = copy("second.pem");
    pass(10).await;
    assert_eq!([is_served(&served, &first).await, is_served(&served, &second).await], [false, true]);

    // Half of a pair, and what is none: the last whole one stays.
    let rest = fs::read(&key).unwrap();
    for broken in [&b""[..], b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"no key"] {
        fs::write(&key, broken).unwrap();
        pass(10).await;
        assert!(is_served(&served, &second).await);
    }
    fs::remove_file(&certificate).unwrap();
    pass(10).await;
    assert!(is_served(&served, &second).await);

    tokio::time::resume();
    directory.renew(3_000).await;
    tokio::time::pause();
    let third = copy("third.pem");
    // Of the new pair only the certificate is there at first.
    let new_key = fs::read(&key).unwrap();
    fs::write(&key, rest).unwrap();
    pass(10).await;
    assert!(is_served(&served, &second).await);
    fs::write(&key, new_key).unwrap();
    File::options().append(true).open(&key).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    pass(10).await;
    assert_eq!([is_served(&served, &second).await, is_served(&served, &third).await], [false, true]);
    watch.abort();
}
