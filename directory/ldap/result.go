package ldap

import (
	"context"
	"errors"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// result is an LDAPResult (RFC 4511 §4.1.9) and what individual responses add.
type result struct {
	code     directory.Code
	matched  string
	message  string
	referral []string
	name     string // responseName of an ExtendedResponse
	value    []byte // responseValue or serverSaslCreds; nil for none
	controls []byte // encoded controls of the response
	failed   int64  // message id of the update of a transaction that was refused
}

func (r result) append(b []byte, id int64, op ber.Tag) []byte {
	b, message := ber.Begin(b, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, id)
	b, body := ber.Begin(b, op)
	b = ber.AppendInt(b, ber.Enumerated, int64(r.code))
	b = ber.AppendString(b, ber.OctetString, r.matched)
	b = ber.AppendString(b, ber.OctetString, r.message)
	if len(r.referral) > 0 {
		var mark int
		b, mark = ber.Begin(b, referralTag)
		for _, uri := range r.referral {
			b = ber.AppendString(b, ber.OctetString, uri)
		}
		b = ber.End(b, mark)
	}
	if op == extendedResponse && r.name != "" {
		b = ber.AppendString(b, ber.Context|10, r.name)
	}
	if r.value != nil && op == extendedResponse {
		b = ber.Append(b, ber.Context|11, r.value)
	}
	if r.value != nil && op == bindResponse {
		b = ber.Append(b, ber.Context|7, r.value)
	}
	b = ber.End(b, body)
	if len(r.controls) > 0 {
		b = ber.Append(b, controlsTag, r.controls)
	}
	return ber.End(b, message)
}

func refuse(code directory.Code, message string) result { return result{code: code, message: message} }

// resultOf maps an error to the answer a client gets. Errors it does not know
// are reported and shown as nothing but "internal error".
func (c *conn) resultOf(err error) result {
	var known *directory.Error
	var noBase *tree.NoSuchBase
	var ready refusal
	switch {
	case err == nil:
		return result{}
	case errors.As(err, &ready):
		return ready.result
	case errors.As(err, &known):
		return result{code: known.Code, matched: known.Matched.String(), message: known.Message}
	case errors.As(err, &noBase):
		return result{code: directory.NoSuchObject, matched: noBase.Matched}
	case errors.Is(err, tree.ErrTooManyCandidates):
		return refuse(directory.AdminLimitExceeded, "too many entries would have to be tested; name an indexed attribute")
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(directory.TimeLimitExceeded, "")
	case errors.Is(err, context.Canceled):
		return refuse(directory.Unavailable, "the server is stopping")
	case isDecoding(err):
		return refuse(directory.ProtocolError, "the request could not be decoded")
	}
	c.server.config.Logger.Error("answering a request", "connection", c.number, "error", err)
	return refuse(directory.Other, "internal error")
}

func isDecoding(err error) bool {
	for _, e := range []error{ber.ErrShort, ber.ErrIndefinite, ber.ErrLength, ber.ErrTag, ber.ErrUnexpected,
		ber.ErrValue, ber.ErrTrailing, errMessage, errProtocol} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// errProtocol: the request decodes but says something the protocol forbids.
var errProtocol = errors.New("protocol error")

// notice is a Notice of Disconnection (RFC 4511 §4.4.1).
func notice(b []byte, code directory.Code, message string) []byte {
	r := result{code: code, message: message, name: oidDisconnection}
	return r.append(b, 0, extendedResponse)
}
