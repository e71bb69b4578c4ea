package card

import (
	"bytes"
	"crypto/subtle"
)

// verify is VERIFY (SP 800-73-4 part 2 §3.2.1).
func (a *Applet) verify(c command) status {
	switch {
	case c.p2 != pinReference:
		return statusNoReference
	case c.p1 == 0xFF && len(c.data) == 0:
		a.session.verified = false
		return statusOK
	case c.p1 != 0:
		return statusParameters
	case len(c.data) == 0 && a.session.verified:
		return statusOK
	case len(c.data) == 0:
		return a.state.PIN.triesLeft()
	case len(c.data) != pinLength:
		return statusData
	}
	a.session.verified = false
	s := a.try(&a.state.PIN, c.data)
	a.session.verified = s == statusOK
	a.session.fresh = s == statusOK
	return s
}

// try compares a reference value. The try is taken, on disk, before the
// comparison, so that pulling the plug wins nothing.
func (a *Applet) try(r *reference, value []byte) status {
	if r.Left == 0 {
		return statusBlocked
	}
	r.Left--
	if s := a.keep(); s != statusOK {
		return s
	}
	if subtle.ConstantTimeCompare(r.Value, value) != 1 {
		return r.triesLeft()
	}
	r.Left = r.Tries
	return a.keep()
}

func (r *reference) triesLeft() status {
	if r.Left == 0 {
		return statusBlocked
	}
	return statusTries | status(min(r.Left, 15))
}

// changeReference is CHANGE REFERENCE DATA (§3.2.2: the old value, then the
// new) and RESET RETRY COUNTER (§3.2.3: the PUK, then a new PIN).
func (a *Applet) changeReference(c command) status {
	known, target := &a.state.PIN, &a.state.PIN
	switch {
	case c.ins == insChange && c.p2 == pukReference:
		known, target = &a.state.PUK, &a.state.PUK
	case c.p2 != pinReference:
		return statusNoReference
	case c.ins == insResetRetry:
		known = &a.state.PUK
	}
	if c.p1 != 0 {
		return statusParameters
	}
	if len(c.data) != 2*pinLength || !goodPadded(c.data[pinLength:]) {
		return statusData
	}
	if s := a.try(known, c.data[:pinLength]); s != statusOK {
		return s
	}
	target.Value = bytes.Clone(c.data[pinLength:])
	target.Left = target.Tries
	return a.keep()
}

// goodPadded holds for 6 to 8 digits and FF up to 8 (§2.4.3).
func goodPadded(value []byte) bool {
	return goodPIN(string(bytes.TrimRight(value, "\xff")))
}
