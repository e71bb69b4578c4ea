package ldap

import (
	"time"

	"cardinal/internal/ber"
)

// oidPasswordPolicy is the control of draft-behera-ldap-password-policy-10 §6.
const oidPasswordPolicy = "1.3.6.1.4.1.42.2.27.8.5.1"

// policyError is an error of the control's response, one above its number so
// that zero is none.
type policyError int

// The errors of draft §6.2.
const (
	passwordExpired policyError = 1 + iota
	accountLocked
	changeAfterReset
	passwordModNotAllowed
	mustSupplyOldPassword
	insufficientQuality
	passwordTooShort
	passwordTooYoung
	passwordInHistory
)

// policyAnswer is the response of the control. The zero value says nothing.
type policyAnswer struct {
	warning ber.Tag // 0: none
	left    int64
	err     policyError
}

const (
	warnExpiration ber.Tag = 0x80 // timeBeforeExpiration, seconds
	warnGrace      ber.Tag = 0x81 // graceAuthNsRemaining
)

func (p *policyAnswer) fail(e policyError) { p.err = e }

func (p *policyAnswer) expiresIn(left time.Duration) {
	p.warning, p.left = warnExpiration, int64(left/time.Second)
}

func (p *policyAnswer) gracesLeft(n int) { p.warning, p.left = warnGrace, int64(n) }

// append appends the PasswordPolicyResponseValue.
func (p *policyAnswer) append(b []byte) []byte {
	b, all := ber.Begin(b, ber.Sequence)
	if p.warning != 0 {
		var mark int
		b, mark = ber.Begin(b, 0xA0)
		b = ber.End(ber.AppendInt(b, p.warning, p.left), mark)
	}
	if p.err != 0 {
		b = ber.AppendInt(b, 0x81, int64(p.err-1))
	}
	return ber.End(b, all)
}

// answer adds the response to a result if the client asked for it.
func (p *policyAnswer) answer(asked bool, r *result) {
	if asked {
		r.controls = appendControl(r.controls, oidPasswordPolicy, p.append(nil))
	}
}

// takePolicy takes the request: it asks for the response, and says nothing.
func (c *controls) takePolicy(value []byte) error {
	if value != nil {
		return protocolError("the password policy control has a value")
	}
	c.policy = true
	return nil
}
