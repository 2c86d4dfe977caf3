//! Certificates, made by openssl.

use std::process::Command;

use testkit::TempDir;

/// An authority in files of a directory, with certificates that it has signed.
pub(crate) struct Authority(TempDir);

impl Authority {
    pub(crate) fn new() -> Self {
        let authority = Self(TempDir::new().unwrap());
        authority.openssl(&format!("req -x509 {KEY} -days 2 -keyout ca.key -out ca.crt -subj /CN=authority"));
        authority
    }

    /// Makes another authority, one that may sign for years: `{name}.crt`, `{name}.key`.
    pub(crate) fn root(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -days 4000 -keyout {name}.key -out {name}.crt -subj /O=Example/CN=root \
             -addext keyUsage=critical,keyCertSign,cRLSign"
        ));
    }

    /// Makes an authority below another of [`Authority::root`], and a file of the two: `{name}.crt`, `{name}.key`,
    /// `{name}-chain.crt`.
    pub(crate) fn below(&self, root: &str, name: &str) {
        std::fs::write(
            self.path("below.ext"),
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign",
        )
        .unwrap();
        self.openssl(&format!("req {KEY} -keyout {name}.key -out {name}.csr -subj /O=Example/CN={name}"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {root}.crt -CAkey {root}.key -CAcreateserial -days 3000 -extfile below.ext \
             -out {name}.crt"
        ));
        let chain = [self.pem(&format!("{name}.crt")), self.pem(&format!("{root}.crt"))].concat();
        std::fs::write(self.path(&format!("{name}-chain.crt")), chain).unwrap();
    }

    /// Signs a certificate for this machine: `{name}.crt`, `{name}.key`.
    pub(crate) fn sign(&self, name: &str) {
        self.sign_as(name, name, "IP:127.0.0.1");
    }

    /// Signs a certificate with this common name and these alternative names: `{name}.crt`, `{name}.key`.
    pub(crate) fn sign_as(&self, name: &str, common_name: &str, names: &str) {
        self.sign_with("ca", (name, common_name, names));
    }

    /// The same for this machine, signed by an authority of [`Authority::root`].
    pub(crate) fn sign_by(&self, root: &str, name: &str) {
        self.sign_with(root, (name, name, "IP:127.0.0.1"));
    }

    fn sign_with(&self, by: &str, (name, common_name, names): (&str, &str, &str)) {
        self.openssl(&format!(
            "req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={common_name} -addext subjectAltName={names}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {by}.crt -CAkey {by}.key -CAcreateserial -days 2 -copy_extensions copy \
             -out {name}.crt"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(self.0.path()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn path(&self, file: &str) -> String {
        self.0.path().join(file).to_str().unwrap().to_owned()
    }

    pub(crate) fn pem(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    /// The options of a client that trusts this authority, and shows a certificate of its own if it has one.
    pub(crate) fn trusted(&self, shown: Option<(&Self, &str)>) -> Vec<String> {
        let mut options = vec![format!("ca={}", self.path("ca.crt"))];
        if let Some((by, name)) = shown {
            options.push(format!("cert={}", by.path(&format!("{name}.crt"))));
            options.push(format!("key={}", by.path(&format!("{name}.key"))));
        }
        options
    }
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
