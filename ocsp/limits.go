package ocsp

import "time"

// Limits bound what a stranger may ask of the responder. The zero value of a field means its default.
type Limits struct {
	// Body is the longest POST body in bytes, by Content-Length or, without one, by reading. Default 10 KiB: 16 CertIDs
	// with SHA-512 and a signed request with its certificate fit.
	Body int64
	// URL is the longest path of a GET. Default 8 KiB; RFC 9919 §5 lets clients use GET up to 255 bytes.
	URL int
	// Certs is how many certificates one request may ask about. Default 16.
	Certs int
	// Stale is the age of the copy beyond which every answer is tryLater. Default 60 s.
	Stale time.Duration
	// Signing is how many requests may wait for a signature at a time; one more is told tryLater, so that a flood does not
	// make everybody wait. Default 1024: under 100 ms of work for one core.
	Signing int
	// SigningAtOnce is how many answers are signed at a time. Default twice the processors; with keys in a token, as many
	// as it has sessions.
	SigningAtOnce int
	// SigningWait is how long an answer waits for its turn, and then for a signature that is made elsewhere. Past it the
	// client is told tryLater. Default 500 ms: a login waits no longer for one node before it asks another.
	SigningWait time.Duration
	// Stored is how many answers are kept ready. Default 262,144, about 120 MB when all are used.
	Stored int
	// Connections is how many connections there may be to a Server. One more is answered 503 and closed. Default 8192:
	// their buffers and stacks then take up to 100 MB.
	Connections int
}

// maxNonce is the longest nonce in octets, and an empty one is none (RFC 9654 §2.1).
const maxNonce = 128

// maxSerial bounds the octets of a serial in a request. Ours have at most 20 (RFC 5280 §4.1.2.2); a longer one is
// answered as unknown, a much longer one is refused before it is echoed.
const maxSerial = 64

// maxList is the longest list content that is taken over: about 5 million entries.
const maxList = 256 << 20

func (l Limits) withDefaults() Limits {
	if l.Body <= 0 {
		l.Body = 10 << 10
	}
	if l.URL <= 0 {
		l.URL = 8 << 10
	}
	if l.Certs <= 0 {
		l.Certs = 16
	}
	if l.Stale <= 0 {
		l.Stale = 60 * time.Second
	}
	if l.Signing <= 0 {
		l.Signing = 1024
	}
	if l.SigningWait <= 0 {
		l.SigningWait = 500 * time.Millisecond
	}
	if l.Connections <= 0 {
		l.Connections = 8192
	}
	if l.Stored <= 0 {
		l.Stored = 1 << 18
	}
	return l
}
