package card

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"cardinal/internal/ber"
)

const (
	objectDiscovery = 0x7E
	objectPrinted   = 0x5FC109 // and what clients keep there; wants the PIN
)

// getData is GET DATA (SP 800-73-4 part 2 §3.1.2).
func (a *Applet) getData(c command) ([]byte, status) {
	tag, rest, s := objectTag(c)
	switch {
	case s != statusOK:
		return nil, s
	case len(rest) != 0:
		return nil, statusData
	case tag == objectDiscovery:
		// SP 800-73-4 part 1 §3.3.2: the application's name, and that the
		// application PIN satisfies the access rules.
		content := ber.Append(nil, 0x4F, applicationPIV())
		return ber.Append(nil, objectDiscovery, ber.Append(content, 0x5F2F, []byte{0x40, 0x00})), statusOK
	case tag == objectPrinted && !a.session.verified:
		return nil, statusNotAllowed
	}
	object, found := a.state.Objects[objectKey(tag)]
	if !found {
		return nil, statusNotFound
	}
	return ber.Append(nil, 0x53, object), statusOK
}

// putData is PUT DATA (SP 800-73-4 part 2 §3.3.2). An empty object is deleted.
func (a *Applet) putData(c command) status {
	if !a.session.managed {
		return statusNotAllowed
	}
	tag, rest, s := objectTag(c)
	if s != statusOK {
		return s
	}
	if tag>>16 != 0x5F { // discovery and biometric templates are not written
		return statusNotFound
	}
	reader := ber.NewReader(rest)
	object, err := reader.Expect(0x53)
	if err != nil || reader.End() != nil {
		return statusData
	}
	if len(object) > maxObject {
		return statusNoSpace
	}
	if len(object) == 0 {
		delete(a.state.Objects, objectKey(tag))
	} else {
		a.state.Objects[objectKey(tag)] = bytes.Clone(object)
	}
	return a.keep()
}

// objectTag reads the tag list 5C that begins both commands, and gives the rest.
func objectTag(c command) (tag uint32, rest []byte, s status) {
	if c.p1 != 0x3F || c.p2 != 0xFF {
		return 0, nil, statusParameters
	}
	reader := ber.NewReader(c.data)
	list, err := reader.Expect(0x5C)
	if err != nil || len(list) == 0 || len(list) > 3 {
		return 0, nil, statusData
	}
	for _, b := range list {
		tag = tag<<8 | uint32(b)
	}
	return tag, reader.Rest(), statusOK
}

func objectKey(tag uint32) string { return fmt.Sprintf("%06x", tag) }

func slotName(slot byte) string { return hex.EncodeToString([]byte{slot}) }
