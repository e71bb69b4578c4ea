//go:build !pkcs11 || !cgo

package keys_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"cardinal/internal/keys"
)

func TestTokenKeyWithoutTheTagNamesTheTag(t *testing.T) {
	t.Parallel()
	_, err := keys.Open(context.Background(), "pkcs11:token=ca;object=k?pin-value=1", nil)
	if !errors.Is(err, keys.ErrUnsupported) || !strings.Contains(err.Error(), "-tags pkcs11") {
		t.Errorf("opening: %v", err)
	}
	if _, err := keys.Create(context.Background(), "pkcs11:token=ca", keys.P256, nil); !errors.Is(err, keys.ErrUnsupported) {
		t.Errorf("creating: %v", err)
	}
}
