package card

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Control bytes of the virtual reader's protocol.
const (
	vpcdOff   = 0
	vpcdOn    = 1
	vpcdReset = 2
	vpcdATR   = 4
)

// Inserted is what a reader has in it. An Applet is one.
type Inserted interface {
	Transmitter
	ATR() []byte // answer to reset
	Power()      // off and on again
}

// ServeReader puts the card into the virtual reader listening at address
// (vsmartcard's vpcd: a length of two octets, then a control octet or an APDU)
// until ctx ends or the reader goes away. The card is not closed. It returns
// nil when ctx ended.
func ServeReader(ctx context.Context, address string, a Inserted) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("putting the card into reader %s: %w", address, err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	a.Power()
	err = converse(conn, a)
	a.Power()
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("talking to reader %s: %w", address, err)
}

func converse(conn net.Conn, a Inserted) error {
	buffer := make([]byte, 2+1<<16)
	for {
		message, err := readMessage(conn, buffer)
		if err != nil {
			return err
		}
		answer, err := answerReader(message, a)
		if err != nil {
			return err
		}
		if answer == nil {
			continue
		}
		out := append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)
		if _, err := conn.Write(out); err != nil {
			return err
		}
	}
}

// readMessage reads one message; what it returns is overwritten by the next.
func readMessage(conn net.Conn, buffer []byte) ([]byte, error) {
	// The reader writes length and body apart: without this the second waits
	// for a delayed acknowledgement of the first, 40 ms a command.
	acknowledgeAtOnce(conn)
	if _, err := io.ReadFull(conn, buffer[:2]); err != nil {
		return nil, err
	}
	message := buffer[2 : 2+int(binary.BigEndian.Uint16(buffer))]
	acknowledgeAtOnce(conn)
	_, err := io.ReadFull(conn, message)
	return message, err
}

// answerReader gives nil for what has no answer.
func answerReader(message []byte, a Inserted) ([]byte, error) {
	if len(message) != 1 {
		return a.Transmit(message)
	}
	switch message[0] {
	case vpcdOff, vpcdOn, vpcdReset:
		a.Power()
	case vpcdATR:
		return a.ATR(), nil
	}
	return nil, nil
}
