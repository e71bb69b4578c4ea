package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

// keysFrom says where a card's two new keys come from: two certificate
// requests made elsewhere, or a simulated card that makes them now.
type keysFrom struct {
	a         *app
	requestID string
	authCSR   string
	signCSR   string
	simulated string
	out       string
}

var (
	errKeysFrom    = errors.New("give either --simulated FILE, or --auth-csr FILE and --sign-csr FILE")
	errNoSimulated = errors.New("the simulated card is not built yet")
)

func (k *keysFrom) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&k.requestID, "request-id", "", "chosen by the station; asking again with the same content gets the same certificates")
	f.StringVar(&k.authCSR, "auth-csr", "", "PKCS #10 request of the authentication key, PEM")
	f.StringVar(&k.signCSR, "sign-csr", "", "PKCS #10 request of the signature key, PEM")
	f.StringVar(&k.simulated, "simulated", "", "file of a simulated card, made when it is not there")
	f.StringVar(&k.out, "out", "", "folder to write authentication.pem and signature.pem to")
	require(c, "request-id")
}

// request makes what is asked of the server. For a renewal card names the card
// whose present key gives the holder's proof.
func (k *keysFrom) request(card *string) (*api.PairRequest, error) {
	byFile := k.authCSR != "" && k.signCSR != ""
	if byFile == (k.simulated != "") || (k.authCSR == "") != (k.signCSR == "") {
		return nil, usage("keys", errKeysFrom)
	}
	if k.simulated != "" {
		return k.fromSimulated(card)
	}
	auth, err := os.ReadFile(k.authCSR)
	if err != nil {
		return nil, usage("reading the authentication request", err)
	}
	sign, err := os.ReadFile(k.signCSR)
	if err != nil {
		return nil, usage("reading the signature request", err)
	}
	return &api.PairRequest{RequestID: k.requestID, AuthenticationCSR: string(auth), SignatureCSR: string(sign)}, nil
}

// fromSimulated has the simulated card make its keys.
func (k *keysFrom) fromSimulated(card *string) (*api.PairRequest, error) {
	return nil, wrong("simulated card", errNoSimulated)
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
	return k.a.printJSON(pairIssued{Card: answer.Card, Serials: answer.Serials, Position: answer.Position})
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
