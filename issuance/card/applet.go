package card

import (
	"bytes"
	"errors"
	"sync"

	"cardinal/internal/ber"
)

// Applet is a simulated card as a reader sees it: APDUs in, answers out. It is
// safe for concurrent use, one command after another.
type Applet struct {
	mutex   sync.Mutex
	path    string
	release func() error
	state   *state
	session session
}

// session is what a card forgets without power.
type session struct {
	config   bool   // the configuration application is selected, not PIV
	selected bool   // some application is
	verified bool   // PIN
	fresh    bool   // the last command was a VERIFY that succeeded
	managed  bool   // management key proven
	witness  []byte // what the other side must decipher, or encipher
	external bool   // the witness was handed out in the clear
	chain    []byte // data of a chained command so far
	header   [3]byte
	rest     []byte // of an answer longer than 256
}

// firmware is the version reported: old enough for every client, new enough
// for metadata and AES management keys.
func firmware() [3]byte { return [3]byte{5, 4, 3} }

const (
	formFactor = 0x01
	maxChain   = 8 << 10 // above any certificate a card takes
	maxObject  = 4 << 10
)

// ATR is the answer to reset (ISO/IEC 7816-3 §8): T=1, as widespread tokens
// give it, so that every client takes the card for PIV.
func (a *Applet) ATR() []byte {
	return []byte{0x3B, 0xFD, 0x13, 0x00, 0x00, 0x81, 0x31, 0xFE, 0x15, 0x80, 0x73, 0xC0, 0x21, 0xC0, 0x57, 0x59, 0x75, 0x62, 0x69, 0x4B, 0x65, 0x79, 0x40}
}

// Power forgets the session, as power-off and reset do.
func (a *Applet) Power() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.session = session{}
}

// Close gives the card's file back.
func (a *Applet) Close() error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.release == nil {
		return nil
	}
	release := a.release
	a.release = nil
	return release()
}

// ErrClosed says that the card was given back.
var ErrClosed = errors.New("card: closed")

// Transmit answers one command. What the command gets wrong is in the status
// bytes; the error is ErrClosed alone.
func (a *Applet) Transmit(apdu []byte) ([]byte, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.release == nil {
		return nil, ErrClosed
	}
	data, s := a.answer(apdu)
	if len(data) > shortAnswer {
		a.session.rest = data[shortAnswer:]
		data = data[:shortAnswer:shortAnswer]
		s = statusMore | status(min(len(a.session.rest), shortAnswer)&0xFF)
	}
	return append(bytes.Clone(data), byte(s>>8), byte(s)), nil
}

func (a *Applet) answer(apdu []byte) ([]byte, status) {
	c, err := parseCommand(apdu)
	if err != nil {
		return nil, statusLength
	}
	if c.class&^classChained != 0 {
		return nil, statusNoClass
	}
	if c.ins == insGetResponse {
		rest := a.session.rest
		a.session.rest = nil
		if len(rest) == 0 {
			return nil, statusConditions
		}
		return rest, statusOK
	}
	a.session.rest = nil
	if done, s := a.chain(&c); !done {
		return nil, s
	}
	fresh := a.session.fresh
	a.session.fresh = false
	return a.dispatch(c, fresh)
}

// chain gathers the data of chained commands (ISO/IEC 7816-4 §5.1.1.1); done
// says that c is whole.
func (a *Applet) chain(c *command) (done bool, s status) {
	header := [3]byte{c.ins, c.p1, c.p2}
	if len(a.session.chain) > 0 && a.session.header != header {
		a.session.chain = nil // a new command: the old one is given up
	}
	if c.class&classChained == 0 {
		c.data = append(a.session.chain, c.data...)
		a.session.chain = nil
		return true, statusOK
	}
	if len(a.session.chain)+len(c.data) > maxChain {
		a.session.chain = nil
		return false, statusNoSpace
	}
	a.session.header = header
	a.session.chain = append(a.session.chain, c.data...)
	return false, statusOK
}

// dispatch runs a whole command. fresh says that the one before was a VERIFY.
func (a *Applet) dispatch(c command, fresh bool) ([]byte, status) {
	switch {
	case c.ins == insSelect:
		return a.selectApplication(c)
	case a.session.config && c.ins == insReadConfig:
		return a.readConfig()
	case !a.session.selected || a.session.config:
		return nil, statusNoInstruction
	}
	switch c.ins {
	case insVerify:
		return nil, a.verify(c)
	case insChange, insResetRetry:
		return nil, a.changeReference(c)
	case insGetData:
		return a.getData(c)
	case insPutData:
		return nil, a.putData(c)
	case insGenerate:
		return a.generate(c)
	case insAuthenticate:
		return a.authenticate(c, fresh)
	case insVersion:
		version := firmware()
		return version[:], statusOK
	case insSerial:
		return a.serial(), statusOK
	case insMetadata:
		return a.metadata(c)
	case insAttest:
		return a.attest(c)
	case insSetManagement:
		return nil, a.setManagement(c)
	case insSetRetries:
		return nil, a.setRetries(c)
	case insReset:
		return nil, a.reset()
	}
	return nil, statusNoInstruction
}

// selectApplication takes any prefix of an application's name of five octets
// or more. Selecting the application that is selected keeps the session
// (SP 800-73-4 part 2 §3.1.1).
func (a *Applet) selectApplication(c command) ([]byte, status) {
	if c.p1 != 0x04 {
		return nil, statusParameters
	}
	piv, config := applicationPIV(), []byte{0xA0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17}
	switch {
	case len(c.data) >= 5 && bytes.HasPrefix(piv, c.data):
		if a.session.config || !a.session.selected {
			a.session = session{selected: true}
		}
		var template []byte
		template = ber.Append(template, 0x4F, piv[5:])
		template = ber.Append(template, 0x79, ber.Append(nil, 0x4F, piv[:5]))
		template = ber.Append(template, 0x50, []byte("Simulated PIV card"))
		template = ber.Append(template, 0xAC, []byte{0x80, 1, id3DES, 0x80, 1, idRSA2048, 0x80, 1, idP256, 0x80, 1, idP384, 0x06, 1, 0})
		return ber.Append(nil, 0x61, template), statusOK
	case len(c.data) >= 5 && bytes.HasPrefix(config, c.data):
		a.session = session{selected: true, config: true}
		return []byte("Simulated"), statusOK
	}
	return nil, statusNotFound
}

func (a *Applet) readConfig() ([]byte, status) {
	version := firmware()
	content := ber.Append(nil, 0x02, a.serial())
	content = ber.Append(content, 0x04, []byte{formFactor})
	content = ber.Append(content, 0x05, version[:])
	return append([]byte{byte(len(content))}, content...), statusOK
}

func (a *Applet) serial() []byte {
	n := a.state.Serial
	return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// keep saves the state. A card that cannot write says so and is again what it
// was on disk.
func (a *Applet) keep() status {
	if err := a.state.save(a.path); err != nil {
		if before, err := loadState(a.path); err == nil {
			*a.state = *before // in place: a command may hold a part of it
		}
		return statusMemory
	}
	return statusOK
}
