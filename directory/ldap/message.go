package ldap

import (
	"errors"
	"math"

	"cardinal/internal/ber"
)

// The protocol operations (RFC 4511 §4.2 to §4.14), named as there.
const (
	bindRequest           ber.Tag = 0x60
	bindResponse          ber.Tag = 0x61
	unbindRequest         ber.Tag = 0x42
	searchRequest         ber.Tag = 0x63
	searchResultEntry     ber.Tag = 0x64
	searchResultDone      ber.Tag = 0x65
	searchResultReference ber.Tag = 0x73
	modifyRequest         ber.Tag = 0x66
	modifyResponse        ber.Tag = 0x67
	addRequest            ber.Tag = 0x68
	addResponse           ber.Tag = 0x69
	delRequest            ber.Tag = 0x4A
	delResponse           ber.Tag = 0x6B
	modDNRequest          ber.Tag = 0x6C
	modDNResponse         ber.Tag = 0x6D
	compareRequest        ber.Tag = 0x6E
	compareResponse       ber.Tag = 0x6F
	abandonRequest        ber.Tag = 0x50
	extendedRequest       ber.Tag = 0x77
	extendedResponse      ber.Tag = 0x78

	controlsTag ber.Tag = 0xA0
	referralTag ber.Tag = 0xA3
)

// message is one request: its slices look into the connection's read buffer.
type message struct {
	id       int64
	op       ber.Tag
	body     []byte // contents of the protocolOp
	controls []byte // contents of the controls; nil if there are none
}

var errMessage = errors.New("not an LDAPMessage")

// parseMessage reads an LDAPMessage (RFC 4511 §4.1.1). Message id 0 is kept
// for the server's own notices and refused.
func parseMessage(pdu []byte) (m message, err error) {
	top := ber.NewReader(pdu)
	seq, err := top.Enter(ber.Sequence)
	if err != nil {
		return m, err
	}
	if m.id, err = seq.Int(ber.Integer); err != nil {
		return m, err
	}
	if m.id <= 0 || m.id > math.MaxInt32 {
		return m, errMessage
	}
	if m.op, m.body, err = seq.Next(); err != nil {
		return m, err
	}
	m.controls, _, err = seq.Optional(controlsTag)
	return m, err // what follows is ignored (RFC 4511 §4, extensibility)
}

// responseTo is the tag of the answer to a request, 0 if there is none.
func responseTo(op ber.Tag) ber.Tag {
	switch op {
	case bindRequest:
		return bindResponse
	case searchRequest:
		return searchResultDone
	case modifyRequest:
		return modifyResponse
	case addRequest:
		return addResponse
	case delRequest:
		return delResponse
	case modDNRequest:
		return modDNResponse
	case compareRequest:
		return compareResponse
	case extendedRequest:
		return extendedResponse
	}
	return 0
}

// opName is how an operation is called in metrics and records.
func opName(op ber.Tag) string {
	switch op {
	case bindRequest:
		return "bind"
	case unbindRequest:
		return "unbind"
	case searchRequest:
		return "search"
	case modifyRequest:
		return "modify"
	case addRequest:
		return "add"
	case delRequest:
		return "delete"
	case modDNRequest:
		return "modifyDN"
	case compareRequest:
		return "compare"
	case abandonRequest:
		return "abandon"
	case extendedRequest:
		return "extended"
	}
	return "unknown"
}
