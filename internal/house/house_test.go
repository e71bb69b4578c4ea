package house_test

import (
	"os"
	"testing"

	"cardinal/internal/house"
)

// TestTheHouseIsInOrder reads the whole module. It opens every file itself, so
// the test cache knows what it depends on.
func TestTheHouseIsInOrder(t *testing.T) {
	t.Parallel()
	found, err := house.Inspect(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}
