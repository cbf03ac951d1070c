//! From chunks of output to whole lines.

use disco_shim::output::{Chunk, Source};

/// Longer lines are cut.
pub const LONGEST: usize = 64 << 10;

/// A line, or a part of a longer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// It is of standard error.
    pub error: bool,
    /// When its end was read, milliseconds since 1970.
    pub at_ms: u64,
    /// Without its end.
    pub text: Vec<u8>,
    /// Bytes before it that are lost.
    pub missed: u64,
    /// The offset behind it in the output. Lines are in the order of their ends, so that nothing is lost or repeated if a
    /// reader continues behind one of them, though a line of the other stream may have begun before it.
    pub offset: u64,
}

/// Assembles the lines of one output.
#[derive(Debug, Default)]
pub struct Lines {
    /// What has no end yet, of standard output and of standard error.
    open: [Vec<u8>; 2],
    missed: u64,
    at_ms: u64,
}

// === impl Lines ===

impl Lines {
    /// Adds a chunk whose last byte is before `offset`, and passes each line that it ends to `take`.
    pub fn add(&mut self, chunk: &Chunk, offset: u64, take: &mut dyn FnMut(Line)) {
        self.missed += chunk.missed;
        self.at_ms = chunk.at_ms;
        let error = match chunk.source {
            Source::Output => false,
            Source::Error => true,
            Source::Lost => {
                let count = std::str::from_utf8(&chunk.content).ok().and_then(|text| text.parse::<u64>().ok());
                self.missed += count.unwrap_or(0);
                return;
            }
        };
        let start = offset - chunk.content.len() as u64;
        let open = &mut self.open[usize::from(error)];
        for (at, byte) in chunk.content.iter().enumerate() {
            let ends = *byte == b'\n';
            if !ends {
                open.push(*byte);
            }
            if ends || open.len() == LONGEST {
                let (text, missed) = (std::mem::take(open), std::mem::take(&mut self.missed));
                take(Line { error, at_ms: chunk.at_ms, text, missed, offset: start + at as u64 + 1 });
            }
        }
    }

    /// Passes what has no end, as nothing more comes. `offset`: that of the output's end; these lines are behind it, one after
    /// the other.
    pub fn end(&mut self, offset: u64, take: &mut dyn FnMut(Line)) {
        for (at, open) in self.open.iter_mut().enumerate() {
            let (error, offset) = (at == 1, offset + at as u64 + 1);
            if !open.is_empty() || (error && self.missed > 0) {
                let (text, missed) = (std::mem::take(open), std::mem::take(&mut self.missed));
                take(Line { error, at_ms: self.at_ms, text, missed, offset });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(source: Source, content: &str) -> Chunk {
        Chunk { source, at_ms: 7, content: content.as_bytes().to_vec(), missed: 0 }
    }

    /// Feeds chunks with headers of 16 bytes.
    fn all(chunks: &[Chunk]) -> Vec<Line> {
        let (mut lines, mut found, mut offset) = (Lines::default(), Vec::new(), 0);
        for chunk in chunks {
            offset += 16 + chunk.content.len() as u64;
            lines.add(chunk, offset, &mut |line| found.push(line));
        }
        lines.end(offset, &mut |line| found.push(line));
        found
    }

    fn texts(lines: &[Line]) -> Vec<(bool, String)> {
        lines.iter().map(|line| (line.error, String::from_utf8_lossy(&line.text).into_owned())).collect()
    }

    #[test]
    fn lines_of_both_streams_are_whole_whatever_chunks_they_come_in() {
        let lines =
            all(&[chunk(Source::Output, "one\ntw"), chunk(Source::Error, "oh\n"), chunk(Source::Output, "o\n\nend")]);
        let expected = [(false, "one"), (true, "oh"), (false, "two"), (false, ""), (false, "end")];
        assert_eq!(texts(&lines), expected.map(|(error, text)| (error, text.to_owned())));
        assert_eq!(lines.iter().map(|line| line.offset).collect::<Vec<_>>(), [20, 41, 59, 60, 64]);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let long = "x".repeat(LONGEST / 2 + 1);
        let lines = all(&[chunk(Source::Output, &long), chunk(Source::Output, &long), chunk(Source::Output, "\n")]);
        assert_eq!(lines.iter().map(|line| line.text.len()).collect::<Vec<_>>(), [LONGEST, 2]);
    }

    #[test]
    fn what_is_lost_is_counted_at_the_next_line() {
        let mut removed = chunk(Source::Output, "a\nb\n");
        removed.missed = 100;
        let lines = all(&[removed, chunk(Source::Lost, "23"), chunk(Source::Error, "c\n"), chunk(Source::Lost, "5")]);
        assert_eq!(lines.iter().map(|line| line.missed).collect::<Vec<_>>(), [100, 0, 23, 5]);
    }
}
