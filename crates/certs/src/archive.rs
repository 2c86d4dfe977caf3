//! Zip archives of a few small files, not compressed (APPNOTE 6.3.3, §4.3).

use kernel::{Error, Result};

/// The date of every file: 1980-01-01, the first that the format knows.
const DATE: u16 = 0x0021;
/// Names are UTF-8 (§4.4.4, bit 11).
const FLAGS: u16 = 1 << 11;
/// The version that extracting takes: 2.0.
const VERSION: u16 = 20;

/// An archive of these files: name and content.
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let offset = length(bytes.len())?;
        let described = described(name, content)?;
        bytes.extend_from_slice(&0x0403_4b50_u32.to_le_bytes());
        bytes.extend_from_slice(&described);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(content);

        directory.extend_from_slice(&0x0201_4b50_u32.to_le_bytes());
        directory.extend_from_slice(&VERSION.to_le_bytes());
        directory.extend_from_slice(&described);
        // No comment, first disk, no attributes.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (offset, size) = (length(bytes.len())?, length(directory.len())?);
    let count = u16::try_from(files.len()).map_err(Error::internal)?;
    bytes.append(&mut directory);
    bytes.extend_from_slice(&0x0605_4b50_u32.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    Ok(bytes)
}

/// What stands of a file before its content and in the directory alike.
fn described(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let size = length(content.len())?.to_le_bytes();
    let mut bytes = Vec::with_capacity(26);
    for number in [VERSION, FLAGS, 0, 0, DATE] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&checksum(content).to_le_bytes());
    bytes.extend_from_slice(&size);
    bytes.extend_from_slice(&size);
    bytes.extend_from_slice(&u16::try_from(name.len()).map_err(Error::internal)?.to_le_bytes());
    bytes.extend_from_slice(&0_u16.to_le_bytes());
    Ok(bytes)
}

fn length(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(Error::internal)
}

/// CRC-32 (ISO 3309), bit by bit: a few kilobytes are summed at a time.
fn checksum(content: &[u8]) -> u32 {
    let sum = content.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| match sum & 1 {
            0 => sum >> 1,
            _ => (sum >> 1) ^ 0xedb8_8320,
        })
    });
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn others_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.zip");
        std::fs::write(&file, archive(&[("ca.pem", b"first"), ("key.pem", b"")]).unwrap()).unwrap();
        let script = "import sys,zipfile\nz=zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
                      print({n:z.read(n).decode() for n in z.namelist()})";
        let out = std::process::Command::new("python3").args(["-c", script]).arg(&file).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&out.stdout).trim(),
            "{'ca.pem': 'first', 'key.pem': ''}",
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
}
