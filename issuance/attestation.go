package issuance

import "cardinal/policies"

// Attestation shows that both keys were made in one card and cannot leave it:
// the maker's intermediate certificate and one statement a slot, DER.
type Attestation struct {
	Intermediate   []byte
	Authentication []byte
	Signature      []byte
}

// checkAttestation does nothing where the installation trusts no card maker.
func (d *Desk) checkAttestation(a *asked) error {
	if d.attestation == nil {
		return nil
	}
	if a.Attestation == nil {
		return attestationNone.in("attestation", "this installation takes keys of known cards only")
	}
	statements := [2]policies.Attestation{}
	for i, one := range []struct {
		field string
		der   []byte
	}{{"attestation.authentication", a.Attestation.Authentication}, {"attestation.signature", a.Attestation.Signature}} {
		var err error
		statements[i], err = policies.VerifyAttestation([][]byte{one.der, a.Attestation.Intermediate}, d.attestation, d.now())
		if err != nil {
			return turnedDown(KindRule, one.field, err)
		}
	}
	keys := [2][32]byte{policies.KeyDigest(a.authentication), policies.KeyDigest(a.signature)}
	return turnedDown(KindRule, "attestation", policies.PairAttestation(statements[0], statements[1], keys))
}
