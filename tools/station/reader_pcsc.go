//go:build pcsc

package main

import (
	"fmt"
	"strings"

	"cardinal/issuance/card"
)

// openReader opens the card in the first reader whose name begins so.
func openReader(name string, management []byte) (card.Card, error) {
	readers, err := card.Readers()
	if err != nil {
		return nil, err
	}
	for _, reader := range readers {
		if strings.HasPrefix(reader, name) {
			return card.OpenPCSC(reader, management)
		}
	}
	return nil, fmt.Errorf("no reader is called %q: there are %q", name, readers)
}
