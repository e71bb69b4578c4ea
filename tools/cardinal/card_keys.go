package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
)

// keysFrom says where a card's two new keys come from: two certificate
// requests made elsewhere, or a simulated card that makes them now.
type keysFrom struct {
	d         *desk
	requestID string
	authCSR   string
	signCSR   string
	simulated string
	pin       string
	out       string
}

var (
	errKeysFrom = errors.New("give either --simulated FILE, or --auth-csr FILE and --sign-csr FILE")
)

func (k *keysFrom) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&k.requestID, "request-id", "", "chosen by the station, 8 to 64 of A-Z a-z 0-9 . _ -; asking again with the same content gets the same certificates")
	f.StringVar(&k.authCSR, "auth-csr", "", "PKCS #10 request of the authentication key, PEM")
	f.StringVar(&k.signCSR, "sign-csr", "", "PKCS #10 request of the signature key, PEM")
	f.StringVar(&k.simulated, "simulated", "", "file of a simulated card, made when it is not there")
	f.StringVar(&k.pin, "pin", card.DefaultPIN, "PIN of the simulated card")
	f.StringVar(&k.out, "out", "", "folder to write authentication.pem and signature.pem to")
	require(c, "request-id")
}

// ask gets the pair: with the requests given, or with those a simulated card
// makes now.
func (k *keysFrom) ask(e enrolment) error {
	byFile := k.authCSR != "" && k.signCSR != ""
	if byFile == (k.simulated != "") || (k.authCSR == "") != (k.signCSR == "") {
		return usage("keys", errKeysFrom)
	}
	if k.simulated != "" {
		return k.issued(k.enrolCard(e))
	}
	auth, err := os.ReadFile(k.authCSR)
	if err != nil {
		return usage("reading the authentication request", err)
	}
	sign, err := os.ReadFile(k.signCSR)
	if err != nil {
		return usage("reading the signature request", err)
	}
	return k.issued(e.ask(&api.PairRequest{RequestID: k.requestID, AuthenticationCSR: string(auth), SignatureCSR: string(sign)}))
}

// pairIssued is what issue and renew print.
type pairIssued struct {
	Card     string      `json:"card"`
	Serials  api.Serials `json:"serials"`
	Position uint64      `json:"position"`
}

// issued delivers the certificates, then prints the answer.
func (k *keysFrom) issued(answer *api.Issued, err error) error {
	if err != nil {
		return err
	}
	if k.out != "" {
		if err := writePair(k.out, answer.Certificates); err != nil {
			return wrong("writing the certificates", err)
		}
	}
	return k.d.a.printJSON(pairIssued{Card: answer.Card, Serials: answer.Serials, Position: answer.Position})
}

func writePair(dir string, pair api.Certificates) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "authentication.pem"), []byte(pair.Authentication), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "signature.pem"), []byte(pair.Signature), 0o600)
}
