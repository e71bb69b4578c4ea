package card

import (
	"errors"
	"fmt"
)

// command is one ISO/IEC 7816-4 command APDU, short form (§5.1): chaining
// carries what is longer.
type command struct {
	class, ins, p1, p2 byte
	data               []byte
}

// Instructions (SP 800-73-4 part 2 table 2; from insSetManagement on, a
// widespread maker's own).
const (
	insVerify        = 0x20
	insChange        = 0x24
	insResetRetry    = 0x2C
	insGenerate      = 0x47
	insAuthenticate  = 0x87
	insSelect        = 0xA4
	insGetResponse   = 0xC0
	insGetData       = 0xCB
	insPutData       = 0xDB
	insReadConfig    = 0x1D
	insSetManagement = 0xFF
	insVersion       = 0xFD
	insReset         = 0xFB
	insSetRetries    = 0xFA
	insAttest        = 0xF9
	insSerial        = 0xF8
	insMetadata      = 0xF7
)

const (
	classChained = 0x10 // more of this command follows (ISO/IEC 7816-4 §5.1.1.1)
	shortData    = 255  // most data in one short command
	shortAnswer  = 256  // most data in one short answer
)

// status is the two status bytes of an answer (ISO/IEC 7816-4 §5.1.3).
type status uint16

const (
	statusOK            status = 0x9000
	statusMore          status = 0x6100 // low byte: how much more, 0 = 256 or over
	statusTries         status = 0x63C0 // low digit: tries left
	statusMemory        status = 0x6581
	statusLength        status = 0x6700
	statusNotAllowed    status = 0x6982 // security status not satisfied
	statusBlocked       status = 0x6983
	statusConditions    status = 0x6985
	statusData          status = 0x6A80
	statusNotFound      status = 0x6A82
	statusNoSpace       status = 0x6A84
	statusParameters    status = 0x6A86
	statusNoReference   status = 0x6A88
	statusNoInstruction status = 0x6D00
	statusNoClass       status = 0x6E00
)

// StatusError is an answer whose status bytes mean no (ISO/IEC 7816-4 §5.1.3),
// for those without an error of their own.
type StatusError uint16

// Error gives the status bytes in hexadecimal.
func (e StatusError) Error() string { return fmt.Sprintf("card: status %04x", uint16(e)) }

var errAPDU = errors.New("card: not a short command APDU")

// parseCommand takes the four short forms apart (ISO/IEC 7816-4 §5.1). The
// expected length is not kept: an answer is as long as it is, in pieces of 256.
func parseCommand(b []byte) (command, error) {
	if len(b) < 4 {
		return command{}, errAPDU
	}
	c := command{class: b[0], ins: b[1], p1: b[2], p2: b[3]}
	switch rest := b[4:]; {
	case len(rest) <= 1: // no data, perhaps an expected length
	case rest[0] == 0:
		return command{}, errAPDU // extended form
	case len(rest) == 1+int(rest[0]), len(rest) == 2+int(rest[0]):
		c.data = rest[1 : 1+int(rest[0])]
	default:
		return command{}, errAPDU
	}
	return c, nil
}

// appendTo encodes; the data must not be over shortData.
func (c command) appendTo(b []byte) []byte {
	b = append(b, c.class, c.ins, c.p1, c.p2)
	if len(c.data) > 0 {
		b = append(b, byte(len(c.data)))
		b = append(b, c.data...)
	}
	return append(b, 0) // any length of answer
}

// Transmitter exchanges one command APDU for one answer, status bytes last. An
// error means that the card is gone.
type Transmitter interface {
	Transmit(apdu []byte) ([]byte, error)
}

// exchange sends a command, chained if it is long, and collects the answer.
func exchange(t Transmitter, c command) ([]byte, status, error) {
	for len(c.data) > shortData {
		part := c
		part.class |= classChained
		part.data, c.data = c.data[:shortData], c.data[shortData:]
		if _, s, err := once(t, part); err != nil || s != statusOK {
			return nil, s, err
		}
	}
	answer, s, err := once(t, c)
	for err == nil && s&0xFF00 == statusMore {
		var more []byte
		more, s, err = once(t, command{ins: insGetResponse})
		if answer = append(answer, more...); len(answer) > maxAnswer {
			return nil, 0, errors.New("card: an answer without end")
		}
	}
	return answer, s, err
}

// maxAnswer is above any object a PIV card holds.
const maxAnswer = 64 << 10

func once(t Transmitter, c command) ([]byte, status, error) {
	answer, err := t.Transmit(c.appendTo(nil))
	if err != nil {
		return nil, 0, fmt.Errorf("talking to the card: %w", err)
	}
	n := len(answer)
	if n < 2 {
		return nil, 0, errors.New("card: an answer without status")
	}
	return answer[: n-2 : n-2], status(answer[n-2])<<8 | status(answer[n-1]), nil
}

// err is the error a status means to a caller.
func (s status) err() error {
	switch {
	case s == statusOK:
		return nil
	case s == statusNotFound, s == statusNoReference:
		return ErrEmpty
	case s == statusBlocked:
		return &PINError{}
	case s&0xFFF0 == statusTries:
		return &PINError{Retries: int(s & 0x0F)}
	}
	return StatusError(s)
}
