//! The least that is a program for Linux: it says for which machines it is and what loads its libraries, and cannot be run.

/// Intel's and AMD's machines, and ARM's, as programs name them.
pub(crate) const MACHINES: [u16; 2] = [62, 183];

/// Such a program.
pub(crate) fn elf(machine: u16, loader: Option<&str>) -> Vec<u8> {
    let (head, entry) = (64_u16, 56_u16);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2_u16, machine].map(u16::to_le_bytes).concat());
    file.extend(1_u32.to_le_bytes());
    let headers = if loader.is_some() { u64::from(head) } else { 0 };
    file.extend([0, headers, 0].map(u64::to_le_bytes).concat());
    file.extend(0_u32.to_le_bytes());
    file.extend([head, entry, loader.is_some().into(), 64, 0, 0].map(u16::to_le_bytes).concat());
    if let Some(loader) = loader {
        let (at, size) = (u64::from(head + entry), loader.len() as u64 + 1);
        // PT_INTERP, readable.
        file.extend([3_u32, 4].map(u32::to_le_bytes).concat());
        file.extend([at, 0, 0, size, size, 1].map(u64::to_le_bytes).concat());
        file.extend(loader.bytes().chain([0]));
    }
    file
}
