package register

import (
	"crypto/rand"
	"fmt"
	"math/big"

	"cardinal/directory"
	"cardinal/internal/ledger"
)

// userIDTries bounds the search; with a million of 900 thousand million ids
// taken, two tries in a row hit a taken one once in 10^12.
const userIDTries = 20

// NewUserID returns a random id of 12 digits, the first not 0, that names no
// entry (uid or uniqueIdentifier) directly below a managed subtree's name. It
// reserves nothing: add the entry in the same transaction.
func (r *Register) NewUserID(tx *ledger.Tx) (string, error) {
	span := big.NewInt(900_000_000_000)
	for range userIDTries {
		n, err := rand.Int(rand.Reader, span)
		if err != nil {
			return "", fmt.Errorf("choosing a user id: %w", err)
		}
		id := fmt.Sprintf("%d", n.Int64()+100_000_000_000)
		taken, err := r.idTaken(tx, id)
		if err != nil {
			return "", fmt.Errorf("choosing a user id: %w", err)
		}
		if !taken {
			return id, nil
		}
	}
	return "", fmt.Errorf("choosing a user id: %d tries hit ids in use", userIDTries)
}

func (r *Register) idTaken(tx *ledger.Tx, id string) (bool, error) {
	for _, base := range r.config.Managed {
		for _, name := range []string{"uid", "uniqueIdentifier"} {
			there, err := r.Exists(tx, base.Child(directory.RDN{{Type: name, Value: []byte(id)}}))
			if there || err != nil {
				return there, err
			}
		}
	}
	return false, nil
}
