//! The AV1 dependency descriptor (AV1 RTP payload format, appendix A): which layer a packet belongs to, read against
//! the last template structure of its stream.

/// Templates of one structure: template ids have 6 bits (appendix A.8.3).
const TEMPLATES_MAX: usize = 64;
/// Highest spatial id (2 bits of AV1's spatial_id).
const SPATIAL_MAX: u8 = 3;
/// Highest temporal id (3 bits of AV1's temporal_id).
const TEMPORAL_MAX: u8 = 7;
/// Frame differences of one frame or template: AV1 has 8 reference frames; the rest is a broken descriptor.
const DIFFERENCES_MAX: usize = 16;

/// Why a dependency descriptor could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DependencyError {
    /// It ends inside a field.
    #[error("dependency descriptor of {0} bytes ends inside a field")]
    Truncated(usize),
    /// More of something than the format allows.
    #[error("dependency descriptor with too many {0}")]
    TooMany(&'static str),
    /// It names a template that no structure has defined.
    #[error("dependency descriptor with unknown template {0}")]
    UnknownTemplate(u8),
}

/// What one descriptor says of its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// First packet of the frame.
    pub frame_start: bool,
    /// Last packet of the frame.
    pub frame_end: bool,
    /// Frame number, wraps at 16 bits.
    pub frame_number: u16,
    /// Spatial layer of the frame.
    pub spatial: u8,
    /// Temporal layer of the frame.
    pub temporal: u8,
    /// A decode target whose highest layer is this frame's may be switched to here.
    pub switch: bool,
    /// No decode target above this frame's spatial layer uses it.
    pub not_referenced_above: bool,
    /// The descriptor carries a template structure, which a key frame does.
    pub key_frame: bool,
    /// Decode targets that the encoder produces at present, where told.
    pub active_decode_targets: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Template {
    spatial: u8,
    temporal: u8,
    /// One bit per decode target: the frame is part of it.
    present: u32,
    /// One bit per decode target: the frame is a switching point of it.
    switch: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Structure {
    offset: u8,
    templates: Vec<Template>,
    /// Highest spatial and temporal layer of each decode target.
    targets: Vec<(u8, u8)>,
    chains: u8,
}

/// Reads the descriptors of one stream and keeps its last template structure.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DependencyReader {
    structure: Option<Structure>,
}

impl DependencyReader {
    /// Reads one descriptor; a new structure takes effect only if the whole descriptor is sound.
    pub fn read(&mut self, descriptor: &[u8]) -> Result<Dependency, DependencyError> {
        let mut bits = Bits { bytes: descriptor, position: 0 };
        let frame_start = bits.flag()?;
        let frame_end = bits.flag()?;
        let template_id = bits.byte(6)?;
        let frame_number = bits.read(16)? as u16;
        let mut flags = [false; 5];
        let mut fresh = None;
        let mut active_decode_targets = None;
        if descriptor.len() > 3 {
            for flag in &mut flags {
                *flag = bits.flag()?;
            }
            if flags[0] {
                fresh = Some(read_structure(&mut bits)?);
            }
        }
        let [_, active, custom_indications, custom_differences, custom_chains] = flags;
        let structure = fresh.as_ref().or(self.structure.as_ref());
        let structure = structure.ok_or(DependencyError::UnknownTemplate(template_id))?;
        if active {
            active_decode_targets = Some(bits.read(structure.targets.len() as u32)?);
        }
        let index = usize::from((template_id + 64 - structure.offset) % 64);
        let mut template = *structure.templates.get(index).ok_or(DependencyError::UnknownTemplate(template_id))?;
        if custom_indications {
            (template.present, template.switch) = read_indications(&mut bits, structure.targets.len())?;
        }
        if custom_differences {
            skip_differences(&mut bits)?;
        }
        if custom_chains {
            for _ in 0..structure.chains {
                bits.read(8)?;
            }
        }
        let layer = (template.spatial, template.temporal);
        let switch = structure.targets.iter().enumerate().any(|(target, highest)| {
            template.switch >> target & 1 != 0 && (*highest == layer || (highest.0 > layer.0 && highest.1 == layer.1))
        });
        let referenced_above = structure
            .targets
            .iter()
            .enumerate()
            .any(|(target, highest)| highest.0 > template.spatial && template.present >> target & 1 != 0);
        let dependency = Dependency {
            frame_start,
            frame_end,
            frame_number,
            spatial: template.spatial,
            temporal: template.temporal,
            switch,
            not_referenced_above: !referenced_above,
            key_frame: fresh.is_some(),
            active_decode_targets,
        };
        if fresh.is_some() {
            self.structure = fresh;
        }
        Ok(dependency)
    }
}

fn read_structure(bits: &mut Bits<'_>) -> Result<Structure, DependencyError> {
    let offset = bits.byte(6)?;
    let target_count = usize::from(bits.byte(5)?) + 1;
    let mut templates = Vec::new();
    let (mut spatial, mut temporal) = (0, 0);
    loop {
        if templates.len() == TEMPLATES_MAX {
            return Err(DependencyError::TooMany("templates"));
        }
        templates.push(Template { spatial, temporal, present: 0, switch: 0 });
        match bits.read(2)? {
            0 => {}
            1 => temporal += 1,
            2 => (spatial, temporal) = (spatial + 1, 0),
            _ => break,
        }
        if spatial > SPATIAL_MAX || temporal > TEMPORAL_MAX {
            return Err(DependencyError::TooMany("layers"));
        }
    }
    for template in &mut templates {
        (template.present, template.switch) = read_indications(bits, target_count)?;
    }
    for _ in &templates {
        let mut count = 0;
        while bits.flag()? {
            bits.read(4)?;
            count += 1;
            if count > DIFFERENCES_MAX {
                return Err(DependencyError::TooMany("frame differences"));
            }
        }
    }
    let chains = bits.non_symmetric(target_count as u32 + 1)?;
    if chains > 0 {
        for _ in 0..target_count {
            bits.non_symmetric(chains)?;
        }
        for _ in 0..templates.len() {
            for _ in 0..chains {
                bits.read(4)?;
            }
        }
    }
    if bits.flag()? {
        for _ in 0..=spatial {
            bits.read(32)?;
        }
    }
    let targets = (0..target_count)
        .map(|target| {
            let used = templates.iter().filter(|template| template.present >> target & 1 != 0);
            used.fold((0, 0), |(spatial, temporal), template| {
                (template.spatial.max(spatial), template.temporal.max(temporal))
            })
        })
        .collect();
    Ok(Structure { offset, templates, targets, chains: chains as u8 })
}

/// Reads one decode target indication per target: 0 not present, 1 discardable, 2 switch, 3 required.
fn read_indications(bits: &mut Bits<'_>, targets: usize) -> Result<(u32, u32), DependencyError> {
    let (mut present, mut switch) = (0, 0);
    for target in 0..targets.min(32) {
        let indication = bits.read(2)?;
        present |= u32::from(indication != 0) << target;
        switch |= u32::from(indication == 2) << target;
    }
    Ok((present, switch))
}

fn skip_differences(bits: &mut Bits<'_>) -> Result<(), DependencyError> {
    for _ in 0..=DIFFERENCES_MAX {
        match bits.read(2)? {
            0 => return Ok(()),
            nibbles => bits.read(4 * nibbles)?,
        };
    }
    Err(DependencyError::TooMany("frame differences"))
}

struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    /// Reads `count` bits, at most 32, most significant first.
    fn read(&mut self, count: u32) -> Result<u32, DependencyError> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.position / 8).ok_or(DependencyError::Truncated(self.bytes.len()))?;
            value = value << 1 | u32::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        Ok(value)
    }

    fn byte(&mut self, count: u32) -> Result<u8, DependencyError> {
        self.read(count).map(|value| value as u8)
    }

    fn flag(&mut self) -> Result<bool, DependencyError> {
        self.read(1).map(|bit| bit != 0)
    }

    /// Reads a number below `limit` in the non-symmetric code ns(n) (appendix A.8.1).
    fn non_symmetric(&mut self, limit: u32) -> Result<u32, DependencyError> {
        let width = limit.checked_ilog2().unwrap_or(0) + 1;
        let short = (1 << width) - limit;
        let value = self.read(width - 1)?;
        if value < short {
            return Ok(value);
        }
        Ok((value << 1) - short + self.read(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Writer {
        bytes: Vec<u8>,
        used: usize,
    }

    impl Writer {
        fn put(&mut self, count: usize, value: u32) -> &mut Self {
            for bit in (0..count).rev() {
                if self.used % 8 == 0 {
                    self.bytes.push(0);
                }
                let last = self.bytes.last_mut().unwrap();
                *last |= u8::try_from(value >> bit & 1).unwrap() << (7 - self.used % 8);
                self.used += 1;
            }
            self
        }
    }

    /// L1T2 with two decode targets (T0, T0+T1), offset 5, one chain.
    fn key_frame() -> Vec<u8> {
        let mut bits = Writer::default();
        bits.put(1, 1).put(1, 1).put(6, 5).put(16, 100).put(5, 0b10000).put(6, 5).put(5, 1);
        bits.put(2, 1).put(2, 3).put(2, 2).put(2, 2).put(2, 0).put(2, 2);
        bits.put(1, 0).put(1, 1).put(4, 0).put(1, 0);
        bits.put(2, 0b10); // chain_cnt ns(3): 0 is '0', 1 is '10', 2 is '11'
        // decode_target_protected_by is ns(1): no bits
        bits.put(4, 0).put(4, 1);
        bits.put(1, 1).put(16, 1279).put(16, 719);
        bits.bytes
    }

    #[test]
    fn a_structure_is_kept_for_later_frames() {
        let mut reader = DependencyReader::default();
        let key = reader.read(&key_frame()).unwrap();
        assert!(key.key_frame && key.frame_start && key.frame_end && key.switch);
        assert_eq!((key.frame_number, key.spatial, key.temporal), (100, 0, 0));
        let later = reader.read(&[0x80 | 6, 0, 101]).unwrap();
        assert_eq!((later.temporal, later.key_frame, later.frame_end), (1, false, false));
        assert!(later.switch && later.not_referenced_above);
    }

    #[test]
    fn custom_indications_override_the_template() {
        let mut reader = DependencyReader::default();
        reader.read(&key_frame()).unwrap();
        let mut bits = Writer::default();
        bits.put(2, 3).put(6, 6).put(16, 9).put(5, 0b01110).put(2, 0b01);
        bits.put(2, 0).put(2, 1);
        bits.put(2, 1).put(4, 2).put(2, 0);
        let dependency = reader.read(&bits.bytes).unwrap();
        assert!(!dependency.switch);
        assert_eq!(dependency.active_decode_targets, Some(0b01));
    }

    #[test]
    fn a_frame_without_a_structure_or_template_is_refused() {
        let mut reader = DependencyReader::default();
        assert_eq!(reader.read(&[0x80 | 6, 0, 1]), Err(DependencyError::UnknownTemplate(6)));
        reader.read(&key_frame()).unwrap();
        assert_eq!(reader.read(&[0x80 | 9, 0, 1]), Err(DependencyError::UnknownTemplate(9)));
    }

    #[test]
    fn a_truncated_structure_does_not_replace_the_last_one() {
        let mut reader = DependencyReader::default();
        let whole = key_frame();
        reader.read(&whole).unwrap();
        let before = reader.clone();
        for length in 4..whole.len() - 1 {
            assert!(reader.read(&whole[..length]).is_err());
        }
        assert_eq!(reader, before);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(list in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..6)) {
            let mut reader = DependencyReader::default();
            for mut bytes in list {
                if let Some(flags) = bytes.get_mut(3) {
                    *flags |= 0x80;
                }
                let _ = reader.read(&bytes);
                prop_assert!(reader.structure.as_ref().is_none_or(|kept| kept.templates.len() <= TEMPLATES_MAX && kept.targets.len() <= 32));
            }
        }
    }
}
