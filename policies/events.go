package policies

import (
	"errors"
	"fmt"

	"cardinal/certs"
)

// PairReasons are the revocation reasons of a card's two certificates.
// ReasonUnspecified is encoded as no reason (RFC 5280 §5.3.1).
type PairReasons struct {
	Authentication certs.Reason
	Signature      certs.Reason
}

// CancelReason is a reason people give, and what it means for the certificates.
type CancelReason struct {
	Name            string
	Meaning         string
	PasscodeUnknown PairReasons // nobody but the holder can know the passcode
	PasscodeKnown   PairReasons // somebody else may know it
	Citation        string
}

// Verifier is a kind of relying system and how it takes each change of status.
type Verifier struct {
	Name        string `yaml:"verifier"`
	Held        string `yaml:"held"`
	Released    string `yaml:"released"`
	Revoked     string `yaml:"revoked"`
	Compromised string `yaml:"compromised"`
	Citation    string `yaml:"cite"`
}

func (v Verifier) check() error {
	if v.Name == "" || v.Held == "" || v.Released == "" || v.Revoked == "" || v.Compromised == "" {
		return fmt.Errorf("verifier %q: want verifier, held, released, revoked and compromised", v.Name)
	}
	return cited(v.Name, v.Citation)
}

// Events maps what happened to a card to revocation reasons, and says what
// those who ask make of them.
type Events struct {
	Suspend   PairReasons
	Reasons   []CancelReason // in the order of the data file
	Verifiers []Verifier
}

// SignaturesFall reports whether signatures made before the revocation count no
// longer: verifiers hold every signature of a key void that was compromised.
func (r PairReasons) SignaturesFall() bool { return r.Signature == certs.ReasonKeyCompromise }

// Cancel gives the reasons for cancelling a card, or a *Refusal naming the
// reasons there are.
func (e *Events) Cancel(reason string, passcodeKnown bool) (PairReasons, error) {
	var names []string
	for _, r := range e.Reasons {
		if r.Name == reason && passcodeKnown {
			return r.PasscodeKnown, nil
		}
		if r.Name == reason {
			return r.PasscodeUnknown, nil
		}
		names = append(names, r.Name)
	}
	return PairReasons{}, refuse("cancel-reason", "policies/events.yaml", "%q is none of %q", reason, names)
}

type pairText struct {
	Authentication string `yaml:"authentication"`
	Signature      string `yaml:"signature"`
}

func (t pairText) parse() (PairReasons, error) {
	authentication, err := certs.ParseReason(t.Authentication)
	signature, err2 := certs.ParseReason(t.Signature)
	return PairReasons{authentication, signature}, errors.Join(err, err2)
}

func parseEvents(text []byte) (*Events, error) {
	var f struct {
		Suspend     pairText `yaml:"suspend"`
		SuspendCite string   `yaml:"suspendCite"`
		Reasons     []struct {
			Reason          string   `yaml:"reason"`
			Meaning         string   `yaml:"meaning"`
			PasscodeUnknown pairText `yaml:"passcodeUnknown"`
			PasscodeKnown   pairText `yaml:"passcodeKnown"`
			Cite            string   `yaml:"cite"`
		} `yaml:"reasons"`
		Verifiers []Verifier `yaml:"verifiers"`
	}
	if err := decodeStrict(text, &f); err != nil {
		return nil, err
	}
	var e Events
	var err error
	e.Suspend, err = f.Suspend.parse()
	problems := []error{err, cited("suspend", f.SuspendCite)}
	if e.Suspend.Authentication != certs.ReasonCertificateHold || e.Suspend.Signature != certs.ReasonCertificateHold {
		problems = append(problems, errors.New("suspend: only certificateHold can be lifted"))
	}
	for _, r := range f.Reasons {
		unknown, err1 := r.PasscodeUnknown.parse()
		known, err2 := r.PasscodeKnown.parse()
		for _, reason := range []certs.Reason{unknown.Authentication, unknown.Signature, known.Authentication, known.Signature} {
			if reason == certs.ReasonCertificateHold {
				problems = append(problems, fmt.Errorf("%s: a cancelled card is not on hold", r.Reason))
			}
		}
		problems = append(problems, err1, err2, cited(r.Reason, r.Cite))
		e.Reasons = append(e.Reasons, CancelReason{Name: r.Reason, Meaning: r.Meaning, PasscodeUnknown: unknown, PasscodeKnown: known, Citation: r.Cite})
	}
	for _, v := range f.Verifiers {
		problems = append(problems, v.check())
	}
	e.Verifiers = f.Verifiers
	for _, must := range []string{"lost", "stolen", "damaged", "left", "superseded", "compromised"} {
		if _, err := e.Cancel(must, false); err != nil {
			problems = append(problems, fmt.Errorf("reasons: no %q", must))
		}
	}
	return &e, errors.Join(problems...)
}
