//! Reads an answer as far as a load generator needs it: status, length, and whether the connection stays open.

use std::fmt;

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// Bytes of the head.
    pub head: usize,
    pub body: Body,
    /// The server closes the connection after this answer.
    pub closes: bool,
}

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Bytes.
    Length(usize),
    /// As proxies send it; Portcullis does not.
    Chunked,
}

/// What makes an answer unreadable.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    NotHttp,
    /// A body that ends with the connection, or in an encoding that was not asked for.
    NoLength,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "an answer that is not HTTP/1.1",
            Self::NoLength => "an answer without a length",
        })
    }
}

/// The head at the beginning of these bytes; none if it is not complete.
///
/// # Errors
/// When it is no head of an answer with a known length.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, Unreadable> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(bytes).map_err(|_| Unreadable::NotHttp)? else {
        return Ok(None);
    };
    let status = answer.code.ok_or(Unreadable::NotHttp)?;
    let (mut body, mut closes) = (None, answer.version == Some(0));
    for header in answer.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let length = std::str::from_utf8(header.value).ok().and_then(|text| text.trim().parse().ok());
            body = body.or(Some(Body::Length(length.ok_or(Unreadable::NotHttp)?)));
        } else if is("transfer-encoding") {
            let chunked = header.value.eq_ignore_ascii_case(b"chunked");
            // It counts before a length (RFC 9112, 6.3).
            body = Some(if chunked { Body::Chunked } else { return Err(Unreadable::NoLength) });
        } else if is("connection") {
            closes = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    let body = match (status, body) {
        (204 | 304, _) => Body::Length(0),
        (_, Some(body)) => body,
        (_, None) => return Err(Unreadable::NoLength),
    };
    Ok(Some(Head { status, head, body, closes }))
}

/// Joins the chunks that begin at this byte, in place: the length of the body. None if the last one has not come.
///
/// # Errors
/// When these are no chunks.
pub fn join_chunks(bytes: &mut Vec<u8>, begin: usize) -> Result<Option<usize>, Unreadable> {
    let (mut at, mut chunks) = (begin, Vec::new());
    loop {
        let size = httparse::parse_chunk_size(bytes.get(at..).unwrap_or_default()).map_err(|_| Unreadable::NotHttp)?;
        let httparse::Status::Complete((line, size)) = size else { return Ok(None) };
        let (first, size) = (at + line, usize::try_from(size).map_err(|_| Unreadable::NotHttp)?);
        // Trailers, which nobody sends, would end with an empty line as well.
        if size == 0 {
            let ended =
                bytes[first..].starts_with(b"\r\n") || bytes[first..].windows(4).any(|four| four == b"\r\n\r\n");
            return Ok(ended.then(|| {
                let body: Vec<u8> =
                    chunks.into_iter().flat_map(|chunk: std::ops::Range<usize>| bytes[chunk].to_vec()).collect();
                bytes.truncate(begin);
                bytes.extend_from_slice(&body);
                body.len()
            }));
        }
        if bytes.len() < first + size + 2 {
            return Ok(None);
        }
        chunks.push(first..first + size);
        at = first + size + 2;
    }
}

/// The code of a problem document, for example `overloaded`.
pub fn code(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    text.split_once("\"code\":\"")?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_complete() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\nConnection: close\r\n\r\n{}";
        for end in 0..answer.len() - 2 {
            assert_eq!(head(&answer[..end]), Ok(None), "{end}");
        }
        let read = Head { status: 503, head: answer.len() - 2, body: Body::Length(2), closes: true };
        assert_eq!(head(answer), Ok(Some(read)));
    }

    #[test]
    fn an_answer_of_unknown_length_is_an_error() {
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), Err(Unreadable::NoLength));
        assert_eq!(head(b"HTTP/1.1 200 OK\r\n\r\n"), Err(Unreadable::NoLength));
        assert_eq!(head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().body, Body::Length(0));
        assert_eq!(head(b"SSH-2.0-OpenSSH_9.2\r\n"), Err(Unreadable::NotHttp));
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), Err(Unreadable::NotHttp));
    }

    #[test]
    fn chunks_are_joined_when_the_last_has_come() {
        let answer = b"head3\r\nabc\r\n2;name=value\r\nde\r\n0\r\n\r\n";
        for end in 4..answer.len() {
            assert_eq!(join_chunks(&mut answer[..end].to_vec(), 4), Ok(None), "{end}");
        }
        let mut bytes = answer.to_vec();
        assert_eq!(join_chunks(&mut bytes, 4), Ok(Some(5)));
        assert_eq!(bytes, b"headabcde");
        assert_eq!(join_chunks(&mut b"many\r\n".to_vec(), 0), Err(Unreadable::NotHttp));
    }

    #[test]
    fn the_code_of_a_problem_is_found() {
        assert_eq!(code(br#"{"status":503,"code":"overloaded","retry_after":1}"#), Some("overloaded"));
        assert_eq!(code(b"<html>"), None);
    }
}
