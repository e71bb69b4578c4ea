package tree

import (
	"fmt"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"cardinal/directory"
)

// bare is a tree and a file that holds nothing yet.
func bare(t *testing.T) (*Tree, *bbolt.DB) {
	t.Helper()
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := New(schema, Options{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "x.db"), 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return tr, db
}

// TestPagesOfEntriesAddedOneByOneAreNearlyFull: they come at the end, and what a
// split leaves behind is not filled by later ones.
func TestPagesOfEntriesAddedOneByOneAreNearlyFull(t *testing.T) {
	t.Parallel()
	tr, db := bare(t)
	for n := range 300 {
		err := db.Update(func(tx *bbolt.Tx) error {
			root, err := tx.CreateBucketIfNotExists([]byte("directory"))
			if err != nil {
				return err
			}
			if err := tr.writer.begin(root); err != nil {
				return err
			}
			for i := range 5 {
				name, _ := directory.ParseDN(fmt.Sprintf("uid=%d,o=nhs", 5*n+i))
				e := &directory.Entry{DN: name}
				e.PutString("objectClass", "nhsPerson")
				e.PutString("description", fmt.Sprintf("%0100d", n))
				if err := tr.writer.add(directory.UUID{byte(n >> 8), byte(n), byte(i), 1}, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = db.View(func(tx *bbolt.Tx) error {
		s := tx.Bucket([]byte("directory")).Bucket([]byte(bucketEntries)).Stats()
		if s.KeyN != 1500 || s.LeafInuse*100 < 80*s.LeafAlloc {
			t.Errorf("%d entries take %d of %d octets", s.KeyN, s.LeafInuse, s.LeafAlloc)
		}
		return nil
	})
}
